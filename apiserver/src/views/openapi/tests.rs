use std::collections::BTreeSet;

use super::*;
use crate::views::testing::registry;

fn now() -> Timestamp {
    "2026-05-01T12:00:00Z".parse().unwrap()
}

fn get(registry: &Registry, path: &str, query: &str, etag: Option<&str>) -> Option<NonResource> {
    serve(registry, path, "application/json", etag, query, now())
}

fn body(answer: &NonResource) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn header<'a>(answer: &'a NonResource, name: &str) -> Option<&'a str> {
    answer
        .headers
        .iter()
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value.as_str())
}

fn documents() -> Vec<Value> {
    let registry = registry();
    ["v3/api/v1", "v3/apis/apps/v1", "v3/apis/example.com/v1"]
        .into_iter()
        .map(|path| body(&get(&registry, path, "", None).unwrap()))
        .collect()
}

#[test]
fn the_index_leads_to_documents_that_may_be_kept_for_ever() {
    let registry = registry();
    let index = body(&get(&registry, "v3", "", None).unwrap());
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"].as_str().unwrap();
    let (path, query) = url.strip_prefix("/openapi/").unwrap().split_once('?').unwrap();
    let document = get(&registry, path, query, None).unwrap();
    assert_eq!(
        (document.code, header(&document, "Cache-Control")),
        (200, Some("public, immutable"))
    );
    assert_eq!(header(&document, "Expires"), Some("Sat, 01 May 2027 12:00:00 GMT"));
    let again = get(&registry, path, query, header(&document, "ETag")).unwrap();
    assert_eq!((again.code, again.body.len()), (304, 0));
    let moved = get(&registry, path, "hash=old", None).unwrap();
    assert_eq!((moved.code, header(&moved, "Location")), (301, Some(url)));
    let plain = get(&registry, path, "", None).unwrap();
    assert_eq!((plain.code, header(&plain, "Cache-Control")), (200, None));
    for missing in ["v3/apis/none/v1", "v2x", "v3x"] {
        assert_eq!(get(&registry, missing, "", None), None, "{missing}");
    }
    let protobuf = serve(
        &registry,
        "v3",
        "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
        None,
        "",
        now(),
    );
    assert_eq!(protobuf.unwrap().code, 406);
}

#[test]
fn the_hash_changes_with_the_schema() {
    let hash = |size: &str| {
        let mut def = crate::views::testing::resource("example.com", "v1", "widgets", "Widget", true);
        let open_api = json!({"type": "object", "properties": {"size": {"type": size}}});
        def.custom = Some(std::sync::Arc::new(crate::registry::CustomVersion {
            open_api,
            ..Default::default()
        }));
        super::hash(&[&def])
    };
    assert_eq!(hash("integer"), hash("integer"));
    assert_ne!(hash("integer"), hash("string"));
}

/// What kubectl reads before it applies: the PATCH operation of a kind.
fn patch_operation<'a>(document: &'a Value, kind: &str) -> &'a Value {
    let paths = document["paths"].as_object().unwrap();
    let found = paths
        .values()
        .find(|path| path["patch"]["x-kubernetes-group-version-kind"]["kind"] == kind);
    &found.unwrap()["patch"]
}

#[test]
fn kubectl_finds_parameters_and_patch_types() {
    let check = |document: &Value, kind: &str, strategic: bool| {
        let operation = patch_operation(document, kind);
        let names: Vec<&str> = operation["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|own| own["name"].as_str().unwrap())
            .collect();
        for name in ["dryRun", "fieldManager", "fieldValidation", "force"] {
            assert!(names.contains(&name), "{kind} {name}");
        }
        let content = operation["requestBody"]["content"].as_object().unwrap();
        assert!(content.contains_key("application/apply-patch+yaml"), "{kind}");
        assert_eq!(
            content.contains_key("application/strategic-merge-patch+json"),
            strategic,
            "{kind}"
        );
    };
    let documents = documents();
    check(&documents[0], "Namespace", true);
    check(&documents[1], "Deployment", true);
    check(&documents[2], "Widget", false);
    let list = &documents[1]["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments"]["get"];
    assert_eq!(list["x-kubernetes-action"], "list");
    assert_eq!(list["operationId"], "listAppsV1NamespacedDeployment");
    let everywhere = &documents[1]["paths"]["/apis/apps/v1/deployments"]["get"]["operationId"];
    assert_eq!(everywhere, "listAppsV1DeploymentForAllNamespaces");
    let scale = &documents[1]["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale"]["patch"];
    assert_eq!(scale["x-kubernetes-group-version-kind"]["kind"], "Scale");
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn check_document(document: &Value) {
    let mut found = BTreeSet::new();
    references(document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let name = reference.strip_prefix("#/components/schemas/").unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{reference}");
    }
    let mut ids = BTreeSet::new();
    for operation in document["paths"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
    {
        if let Some(id) = operation["operationId"].as_str() {
            assert!(ids.insert(id), "{id} twice");
        }
    }
    assert!(!ids.is_empty());
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_a_name_of_its_own() {
    documents().iter().for_each(check_document);
    let registry = Registry::builtin();
    let index = Index::new(&registry);
    assert!(index.entries.len() > 10);
    for entry in &index.entries {
        let document = get(&registry, &format!("v3/{}", entry.path), "", None).unwrap();
        check_document(&body(&document));
    }
}

#[test]
fn explain_finds_the_schema_of_a_custom_resource() {
    let document = &documents()[2];
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(
        widget["x-kubernetes-group-version-kind"][0],
        json!({"group": "example.com", "version": "v1", "kind": "Widget"})
    );
    assert_eq!(widget["properties"]["spec"]["properties"]["size"]["default"], 1);
    assert_eq!(
        widget["properties"]["metadata"]["allOf"][0]["$ref"],
        "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
    );
    let deployment = &documents()[1]["components"]["schemas"]["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(deployment["x-kubernetes-group-version-kind"][0]["kind"], "Deployment");
    assert!(
        deployment["description"]
            .as_str()
            .is_some_and(|text| text.contains("Pods"))
    );
    assert!(deployment["properties"]["spec"]["description"].is_string());
}

#[test]
fn every_built_in_kind_is_explained() {
    let registry = Registry::builtin();
    for entry in &Index::new(&registry).entries {
        let document = body(&get(&registry, &format!("v3/{}", entry.path), "", None).unwrap());
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            let kind = !schema["x-kubernetes-group-version-kind"].is_null();
            assert!(!kind || schema["description"].is_string(), "{} {name}", entry.path);
        }
    }
}
