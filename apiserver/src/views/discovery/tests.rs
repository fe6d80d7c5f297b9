use serde_json::Value;

use super::*;
use crate::views::testing::registry;

const V2: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

fn body(answer: &NonResource) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn get(path: &str, accept: &str) -> Value {
    body(&serve(&registry(), path, accept, None).unwrap())
}

#[test]
fn aggregated_discovery_names_groups_versions_and_subresources() {
    let answer = serve(&registry(), "/apis", V2, None).unwrap();
    assert_eq!(
        answer.content_type,
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    );
    assert!(answer.headers.contains(&("Vary", "Accept".to_owned())));
    let document = body(&answer);
    assert_eq!(document["apiVersion"], "apidiscovery.k8s.io/v2");
    let names: Vec<&str> = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["apps", "example.com"]);
    let deployments = &document["items"][0]["versions"][0]["resources"][0];
    assert_eq!(deployments["scope"], "Namespaced");
    assert_eq!(deployments["subresources"][0]["responseKind"]["group"], "autoscaling");
    assert_eq!(document["items"][0]["versions"][0]["freshness"], "Current");
    assert_eq!(
        get("/api", V2)["items"][0]["versions"][0]["resources"][0]["resource"],
        "namespaces"
    );
}

#[test]
fn an_entity_tag_saves_the_body() {
    let registry = registry();
    let first = serve(&registry, "/apis", V2, None).unwrap();
    let etag = first
        .headers
        .iter()
        .find(|(name, _)| *name == "ETag")
        .unwrap()
        .1
        .clone();
    let second = serve(&registry, "/apis", V2, Some(&etag)).unwrap();
    assert_eq!((second.code, second.body.len()), (304, 0));
    assert_eq!(serve(&registry, "/apis", V2, Some("\"other\"")).unwrap().code, 200);
}

#[test]
fn the_form_follows_the_accept_header() {
    let check = |accept: &str, expected: &str| {
        let answer = serve(&registry(), "/apis", accept, None).unwrap();
        assert_eq!(
            (answer.code, body(&answer)["kind"].as_str().unwrap()),
            (if expected == "Status" { 406 } else { 200 }, expected)
        );
    };
    check("", "APIGroupList");
    check("*/*", "APIGroupList");
    check("application/json", "APIGroupList");
    check("application/vnd.kubernetes.protobuf,application/json", "APIGroupList");
    check(
        "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
        "APIGroupDiscoveryList",
    );
    check(
        "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList",
        "Status",
    );
    check("application/json;as=Other", "Status");
    check("application/json;as=Other,application/json", "APIGroupList");
    check("text/html", "Status");
}

#[test]
fn old_documents_list_resources_and_subresources() {
    let list = get("/apis/apps/v1", "application/json");
    assert_eq!(list["groupVersion"], "apps/v1");
    let names: Vec<&str> = list["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["deployments", "deployments/scale", "deployments/status"]);
    assert_eq!(list["resources"][1]["group"], "autoscaling");
    assert_eq!(list["resources"][2].get("group"), None);
    assert_eq!(get("/apis/apps", "")["preferredVersion"]["groupVersion"], "apps/v1");
    assert_eq!(get("/api", "")["versions"][0], "v1");
    assert_eq!(get("/api/v1", "")["groupVersion"], "v1");
    assert!(
        get("/", "")["paths"]
            .as_array()
            .unwrap()
            .contains(&Value::from("/apis/example.com/v1"))
    );
    for missing in [
        "/apis/none",
        "/apis/apps/v2",
        "/api/v2",
        "/other",
        "/apis/apps/v1/deployments",
    ] {
        assert_eq!(serve(&registry(), missing, "", None), None, "{missing}");
    }
}
