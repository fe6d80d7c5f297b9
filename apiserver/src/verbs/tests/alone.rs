//! Writes of a status or of metadata, which need not read the rest of an object. Each is held against its twin: the same patch that also
//! names another field, for which the whole is read, and means nothing by it.

use serde_json::{Value, json};

use super::writing::deployment;
use super::{Server, value};
use crate::api::Profile;

const GAUGES: &str = "/apis/example.com/v1/namespaces/default/gauges";

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";

/// A kind that asks for more than a status, and fills in what is missing.
fn definition() -> Value {
    let size = json!({"type": "integer", "maximum": 9, "default": 1});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gauges.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "gauges", "kind": "Gauge"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "required": ["spec", "zone"],
                    "properties": {
                        "spec": {"type": "object", "default": {"size": 5}, "properties": {"size": size, "list": {"type": "array", "items": size}}},
                        "zone": {"type": "string", "default": "x"},
                        "status": {"type": "object", "required": ["size"], "properties": {"size": size, "other": size}},
                    },
                }},
            }],
        },
    })
}

/// How a refusal shows the field that only one of the twins' patches names; other fields follow.
const NAMED: &str = "spec:map[size:9] ";

/// What a request came to, without what differs between twins and from write to write. `line` has `*` for the name.
async fn outcome(server: &Server, line: &str, name: &str, body: Value) -> (Value, Value) {
    let answer = match server.send(&line.replace('*', name), body).await {
        Ok(answer) => value(&answer),
        Err(status) => serde_json::to_value(&status).unwrap(),
    };
    let path = line.rsplit_once(' ').unwrap().1.trim_end_matches("/status");
    let stored = match server.send(&format!("GET {path}").replace('*', name), ()).await {
        Ok(answer) => value(&answer),
        Err(status) => serde_json::to_value(&status).unwrap(),
    };
    let alike = |mut object: Value| {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("uid");
            metadata.remove("resourceVersion");
        }
        serde_json::from_str(&object.to_string().replace(name, "twin").replace(NAMED, "")).unwrap_or(object)
    };
    (alike(answer), alike(stored))
}

#[tokio::test]
async fn a_status_that_is_written_by_itself_leaves_what_one_written_with_the_whole_does() {
    let server = Server::start(Profile::Hub).await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    server.ok(&format!("POST {definitions}"), definition()).await;
    for name in ["gauge-1", "gauge-2"] {
        let gauge = json!({"apiVersion": "example.com/v1", "kind": "Gauge", "zone": "z", "spec": {"size": 2, "list": [3]},
            "metadata": {"name": name, "labels": {"a": "b"}, "finalizers": ["example.com/held"]}});
        server.ok(&format!("POST {GAUGES}"), gauge).await;
    }
    let line = format!("@merge PATCH {GAUGES}/*/status");
    let mut said = Vec::new();
    for patch in [
        json!({"status": {"size": 4}}),
        json!({"status": {"size": 4}}),
        json!({"status": {"other": 2, "unknown": true}, "metadata": {"labels": {"a": "c"}, "annotations": {"x": "y"}}}),
        json!({"status": {"size": 10}}),
        json!({"status": {"size": "text"}}),
        json!({"status": {"size": null, "other": null}}),
        json!({"status": null}),
        json!({"status": {"size": 6}, "apiVersion": "example.com/v1", "kind": "Gauge"}),
        json!({"status": {"size": 7}, "kind": "Other"}),
        json!({"status": {"size": 7}, "metadata": {"resourceVersion": "1"}}),
        json!({"status": {"size": 7}, "metadata": {"name": "other"}}),
        json!({}),
        json!({"status": {"size": 8}}),
    ] {
        let alone = outcome(&server, &line, "gauge-1", patch.clone()).await;
        let mut named = patch.clone();
        // Who names another field is given the whole object, and what it says of that field means nothing here.
        named["spec"] = json!({"size": 9});
        let whole = outcome(&server, &line, "gauge-2", named).await;
        assert_eq!(alone, whole, "{patch}");
        assert_eq!(
            (&alone.1["spec"], &alone.1["zone"]),
            (&json!({"size": 2, "list": [3]}), &json!("z"))
        );
        assert_eq!(alone.1["metadata"]["generation"], 1, "{patch}");
        said.push(alone.0["code"].as_u64().unwrap_or(200));
    }
    assert_eq!(
        said,
        [200, 200, 200, 422, 422, 200, 200, 200, 422, 409, 400, 200, 200],
        "both kinds of answers were compared"
    );
    for name in ["gauge-1", "gauge-2"] {
        server.ok(&format!("DELETE {GAUGES}/{name}"), ()).await;
    }
    let alone = outcome(&server, &line, "gauge-1", json!({"status": {"size": 3}})).await;
    let whole = outcome(&server, &line, "gauge-2", json!({"status": {"size": 3}, "spec": {}})).await;
    assert_eq!(alone, whole);
    assert_eq!(alone.1["status"]["size"], 3, "it is there until it is let go");
}

#[tokio::test]
async fn the_status_of_a_workload_is_apart_too() {
    let server = Server::start(Profile::Hub).await;
    for name in ["gauge-1", "gauge-2"] {
        server.ok(&format!("POST {DEPLOYMENTS}"), deployment(name, 3)).await;
    }
    let mut said = Vec::new();
    for (form, patch) in [
        ("merge", json!({"status": {"replicas": 2, "observedGeneration": 1}})),
        (
            "merge",
            json!({"status": {"replicas": 2}, "metadata": {"labels": {"a": "c"}, "annotations": {"x": "y"}}}),
        ),
        ("merge", json!({"status": {"replicas": -1}})),
        ("merge", json!({"status": {"replicas": "two"}})),
        ("merge", json!({"status": {"replicas": 9, "collisionCount": -2}})),
        (
            "strategic",
            json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}}),
        ),
        (
            "strategic",
            json!({"status": {"conditions": [{"type": "Progressing", "status": "False"}]}}),
        ),
        (
            "strategic",
            json!({"status": {"conditions": [{"$patch": "delete", "type": "Available"}]}}),
        ),
        (
            "merge",
            json!({"metadata": {"annotations": {"x": null}, "finalizers": ["example.com/held"]}}),
        ),
        ("merge", json!({"status": null})),
        ("merge", json!({"status": {"unknown": 1}})),
    ] {
        let line = format!("@{form} PATCH {DEPLOYMENTS}/*/status");
        let alone = outcome(&server, &line, "gauge-1", patch.clone()).await;
        let mut named = patch.clone();
        named["spec"] = json!({"size": 9});
        let whole = outcome(&server, &line, "gauge-2", named).await;
        assert_eq!(alone, whole, "{patch}");
        assert_eq!(
            (&alone.1["spec"]["replicas"], &alone.1["metadata"]["generation"]),
            (&json!(3), &json!(1))
        );
        said.push(alone.0["code"].as_u64().unwrap_or(200));
    }
    assert_eq!(said, [200, 200, 422, 422, 422, 200, 200, 200, 200, 200, 200]);
}

#[tokio::test]
async fn metadata_are_apart_too() {
    let server = Server::start(Profile::Hub).await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    server.ok(&format!("POST {definitions}"), definition()).await;
    for name in ["gauge-1", "gauge-2"] {
        server.ok(&format!("POST {DEPLOYMENTS}"), deployment(name, 3)).await;
        let gauge = json!({"apiVersion": "example.com/v1", "kind": "Gauge", "zone": "z", "spec": {"size": 2}, "metadata": {"name": name}});
        server.ok(&format!("POST {GAUGES}"), gauge).await;
        server
            .ok(
                &format!("@merge PATCH {GAUGES}/{name}/status"),
                json!({"status": {"size": 2}}),
            )
            .await;
    }
    for path in [DEPLOYMENTS, GAUGES] {
        let line = format!("@merge PATCH {path}/*");
        let mut said = Vec::new();
        for metadata in [
            json!({"labels": {"a": "b"}, "annotations": {"x": "y"}}),
            json!({"labels": {"a": null}}),
            json!({"labels": {"a": "not a label!"}}),
            json!({"generation": 7, "uid": null, "creationTimestamp": null}),
            json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p"}]}),
            json!({"finalizers": ["example.com/held"]}),
            json!({"unknown": 1}),
            json!({"namespace": "other"}),
        ] {
            let alone = outcome(&server, &line, "gauge-1", json!({"metadata": metadata})).await;
            let whole = outcome(&server, &line, "gauge-2", json!({"metadata": metadata, "spec": {}})).await;
            assert_eq!(alone, whole, "{path} {metadata}");
            assert_eq!(alone.1["metadata"]["generation"], 1);
            said.push(alone.0["code"].as_u64().unwrap_or(200));
        }
        assert_eq!(said, [200, 200, 422, 200, 422, 200, 200, 400], "{path}");
        for name in ["gauge-1", "gauge-2"] {
            server.ok(&format!("DELETE {path}/{name}"), ()).await;
        }
        let free = json!({"finalizers": null});
        let alone = outcome(&server, &line, "gauge-1", json!({"metadata": free})).await;
        let whole = outcome(&server, &line, "gauge-2", json!({"metadata": free, "spec": {}})).await;
        assert_eq!(alone, whole);
        assert_eq!(alone.1["code"], 404, "nobody held it any more");
        assert_eq!(alone.0["spec"], whole.0["spec"]);
    }
}

/// The whole is read where somebody looks at it: here a rule that compares the status with the spec.
#[tokio::test]
async fn a_rule_that_spans_the_object_is_kept_by_its_status() {
    let server = Server::start(Profile::Hub).await;
    let mut bound = definition();
    bound["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["x-kubernetes-validations"] =
        json!([{"rule": "!has(self.status) || self.status.size <= self.spec.size", "message": "more than there is"}]);
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    server.ok(&format!("POST {definitions}"), bound).await;
    let gauge = json!({"apiVersion": "example.com/v1", "kind": "Gauge", "zone": "z", "spec": {"size": 2}, "metadata": {"name": "g"}});
    server.ok(&format!("POST {GAUGES}"), gauge).await;
    let line = format!("@merge PATCH {GAUGES}/g/status");
    server.ok(&line, json!({"status": {"size": 2}})).await;
    let refused = server.send(&line, json!({"status": {"size": 3}})).await.unwrap_err();
    assert!(
        refused.code == 422 && refused.message.contains("more than there is"),
        "{refused}"
    );
}
