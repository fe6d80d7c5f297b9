//! Every code that an error can have, each with the reason and the message that clients look for.

use super::*;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// Sends one request and checks the `Status` that answers it.
async fn check(
    client: &mut Client,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
    expected: (u16, &str, &str),
) -> Value {
    let response = client.send(line, headers, body).await;
    let (code, retry) = (
        response.status().as_u16(),
        response.headers().get("retry-after").cloned(),
    );
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&bytes).unwrap();
    let found = (
        code,
        status["reason"].as_str().unwrap_or_default(),
        status["message"].as_str().unwrap_or_default(),
    );
    assert_eq!(found, expected, "{line}");
    assert_eq!(
        (
            &status["kind"],
            &status["apiVersion"],
            &status["status"],
            &status["code"]
        ),
        (&json!("Status"), &json!("v1"), &json!("Failure"), &json!(code)),
        "{line}"
    );
    assert!(status["metadata"].is_object(), "{line}");
    let seconds = status["details"]["retryAfterSeconds"]
        .as_u64()
        .map(|seconds| seconds.to_string());
    assert_eq!(retry.map(|value| value.to_str().unwrap().to_owned()), seconds, "{line}");
    status
}

#[tokio::test]
async fn a_400_says_what_cannot_be_understood() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let post = format!("POST {MAPS}");
    for (body, message) in [
        (
            r#"{"a":"#,
            r#"the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({"a":)"#,
        ),
        (
            "xyz",
            "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: invalid character 'x' looking for beginning of value (78797a)",
        ),
        (
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}"#,
            r#"Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion"#,
        ),
        (
            r#"{"apiVersion":"foo/v1","kind":"Bar","metadata":{"name":"x"}}"#,
            r#"Bar in version "v1" cannot be handled as a ConfigMap: no kind "Bar" is registered for version "foo/v1" in scheme "pkg/api/legacyscheme/scheme.go:30""#,
        ),
    ] {
        check(&mut admin, &post, &[], body, (400, "BadRequest", message)).await;
    }
    let strict =
        r#"ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "dat""#;
    check(
        &mut admin,
        &format!("{post}?fieldValidation=Strict"),
        &[],
        r#"{"metadata":{"name":"x"},"dat":{}}"#,
        (400, "BadRequest", strict),
    )
    .await;
    for (query, message) in [
        ("limit=x", r#"strconv.ParseInt: parsing "x": invalid syntax"#),
        (
            "continue=%21",
            "invalid continue token: continue key is not valid: Invalid symbol 33, offset 0.",
        ),
        (
            "fieldSelector=x%3Dy",
            r#""x" is not a known field selector: only "metadata.name", "metadata.namespace""#,
        ),
        (
            "timeout=x",
            r#"invalid timeout specified in the request URL - time: invalid duration "x""#,
        ),
    ] {
        check(
            &mut admin,
            &format!("GET {MAPS}?{query}"),
            &[],
            "",
            (400, "BadRequest", message),
        )
        .await;
    }
    let unknown = "field label not supported: spec.x";
    let pods = "GET /api/v1/namespaces/default/pods?fieldSelector=spec.x%3D1";
    check(&mut admin, pods, &[], "", (400, "BadRequest", unknown)).await;
}

#[tokio::test]
async fn a_401_is_for_bad_credentials() {
    let server = Server::start().await;
    let mut anybody = server.client(None).await;
    let bearer = ("authorization", "Bearer x");
    check(
        &mut anybody,
        "GET /api",
        &[bearer],
        "",
        (401, "Unauthorized", "Unauthorized"),
    )
    .await;
}

#[tokio::test]
async fn a_403_names_the_user_and_the_verb() {
    let server = Server::start().await;
    let mut anybody = server.client(None).await;
    let message = r#"configmaps "a" is forbidden: User "system:anonymous" cannot get resource "configmaps" in API group "" in the namespace "default""#;
    let status = check(
        &mut anybody,
        &format!("GET {MAPS}/a"),
        &[],
        "",
        (403, "Forbidden", message),
    )
    .await;
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    let mut admin = server.admin().await;
    let message = r#"namespaces "default" is forbidden: this namespace may not be deleted"#;
    check(
        &mut admin,
        "DELETE /api/v1/namespaces/default",
        &[],
        "",
        (403, "Forbidden", message),
    )
    .await;
}

#[tokio::test]
async fn a_404_is_for_objects_and_for_paths() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let none = r#"configmaps "none" not found"#;
    let status = check(
        &mut admin,
        &format!("GET {MAPS}/none"),
        &[],
        "",
        (404, "NotFound", none),
    )
    .await;
    assert_eq!(status["details"], json!({"name": "none", "kind": "configmaps"}));
    let message = "the server could not find the requested resource";
    for path in [
        "/api/v1/nothing",
        "/apis/apps/v9/deployments",
        "/api/v1/namespaces/default/pods/p/exec",
        "/api/v1/nodes/n/proxy",
    ] {
        check(&mut admin, &format!("GET {path}"), &[], "", (404, "NotFound", message)).await;
    }
    for path in ["/nothing", "/apis/none", "/apis/none/v1", "/apis/none/v1/things"] {
        let found = admin.text(&format!("GET {path}"), &[], "").await;
        assert_eq!(found, (404, "404 page not found\n".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_405_is_for_methods_that_mean_nothing() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let message = "the server does not allow this method on the requested resource";
    for line in [
        format!("PUT {MAPS}"),
        format!("POST {MAPS}/a"),
        format!("OPTIONS {MAPS}"),
        "DELETE /api/v1/configmaps".to_owned(),
        "DELETE /api/v1/namespaces".to_owned(),
        "GET /apis/authorization.k8s.io/v1/subjectaccessreviews".to_owned(),
    ] {
        check(&mut admin, &line, &[], "", (405, "MethodNotAllowed", message)).await;
    }
}

#[tokio::test]
async fn a_406_lists_what_can_be_had() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let cbor = ("accept", "application/cbor");
    let message = "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf";
    check(
        &mut admin,
        &format!("GET {MAPS}"),
        &[cbor],
        "",
        (406, "NotAcceptable", message),
    )
    .await;
    check(&mut admin, "GET /apis", &[cbor], "", (406, "NotAcceptable", message)).await;
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    let review = r#"{"spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}"#;
    let line = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    check(&mut admin, line, &[table], review, (406, "NotAcceptable", message)).await;
    let message = "only the following media types are accepted: application/json, application/yaml";
    let policies = "GET /apis/policy.karmada.io/v1alpha1/propagationpolicies";
    check(&mut admin, policies, &[cbor], "", (406, "NotAcceptable", message)).await;
}

#[tokio::test]
async fn a_409_tells_who_was_faster() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let post = format!("POST {MAPS}");
    let made = admin.ok(&post, &config_map("a", &json!({}))).await;
    let body = config_map("a", &json!({})).to_string();
    let status = check(
        &mut admin,
        &post,
        &[],
        &body,
        (409, "AlreadyExists", r#"configmaps "a" already exists"#),
    )
    .await;
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    let stale = r#"{"metadata":{"name":"a","resourceVersion":"1"}}"#;
    let message = r#"Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version and try again"#;
    check(
        &mut admin,
        &format!("PUT {MAPS}/a"),
        &[],
        stale,
        (409, "Conflict", message),
    )
    .await;
    let other = r#"{"preconditions":{"uid":"x"}}"#;
    let message = format!(
        r#"Operation cannot be fulfilled on ConfigMap "a": the UID in the precondition (x) does not match the UID in record ({}). The object might have been deleted and then recreated"#,
        made["metadata"]["uid"].as_str().unwrap()
    );
    check(
        &mut admin,
        &format!("DELETE {MAPS}/a"),
        &[],
        other,
        (409, "Conflict", &message),
    )
    .await;
}

#[tokio::test]
async fn a_413_is_for_bodies_that_are_too_large() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let large = "x".repeat((3 << 20) + 1);
    let message = "Request entity too large: limit is 3145728";
    let post = format!("POST {MAPS}");
    check(&mut admin, &post, &[], &large, (413, "RequestEntityTooLarge", message)).await;
}

#[tokio::test]
async fn a_415_lists_what_is_read() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let text = ("content-type", "text/plain");
    let prefix = "the body of the request was in an unknown format - accepted media types include: ";
    let bodies = format!("{prefix}application/json, application/yaml, application/vnd.kubernetes.protobuf");
    check(
        &mut admin,
        &format!("POST {MAPS}"),
        &[text],
        "{}",
        (415, "UnsupportedMediaType", &bodies),
    )
    .await;
    let patches = "application/json-patch+json, application/merge-patch+json";
    let all = format!("{prefix}{patches}, application/strategic-merge-patch+json, application/apply-patch+yaml");
    check(
        &mut admin,
        &format!("PATCH {MAPS}/a"),
        &[text],
        "{}",
        (415, "UnsupportedMediaType", &all),
    )
    .await;
    let custom = format!("{prefix}{patches}, application/apply-patch+yaml");
    let strategic = ("content-type", "application/strategic-merge-patch+json");
    let policies = "PATCH /apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies/p";
    check(
        &mut admin,
        policies,
        &[strategic],
        "{}",
        (415, "UnsupportedMediaType", &custom),
    )
    .await;
}

#[tokio::test]
async fn a_422_has_a_cause_for_each_field() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let message = r#"ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required"#;
    let status = check(
        &mut admin,
        &format!("POST {MAPS}"),
        &[],
        "{}",
        (422, "Invalid", message),
    )
    .await;
    let cause = json!({"reason": "FieldValueRequired", "field": "metadata.name", "message": "Required value: name or generateName is required"});
    assert_eq!(status["details"], json!({"kind": "ConfigMap", "causes": [cause]}));
    let line = format!("DELETE {MAPS}/a?propagationPolicy=x");
    let message = r#"DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil""#;
    let status = check(&mut admin, &line, &[], "", (422, "Invalid", message)).await;
    assert_eq!(status["details"]["causes"][0]["reason"], "FieldValueNotSupported");
    let line = format!("GET {MAPS}?resourceVersionMatch=x");
    let message = r#"ListOptions.meta.k8s.io "" is invalid: [resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided, resourceVersionMatch: Unsupported value: "x": supported values: "Exact", "NotOlderThan", ""]"#;
    let status = check(&mut admin, &line, &[], "", (422, "Invalid", message)).await;
    let reasons: Vec<&Value> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| &cause["reason"])
        .collect();
    assert_eq!(reasons, ["FieldValueForbidden", "FieldValueNotSupported"]);
    let service = r#"{"metadata":{"name":"s"},"spec":{"ports":[{"name":"a","port":0},{"name":"a","port":2}]}}"#;
    let (code, status) = admin
        .json(
            "POST /api/v1/namespaces/default/services",
            &[],
            &serde_json::from_str(service).unwrap(),
        )
        .await;
    assert_eq!(code, 422);
    let mut reasons: Vec<&str> = status["details"]["causes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|cause| cause["reason"].as_str())
        .collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["FieldValueDuplicate", "FieldValueInvalid", "FieldValueInvalid"]
    );
}

#[tokio::test]
async fn a_429_says_when_to_try_again() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let pod = json!({"metadata": {"name": "p", "labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    admin.ok("POST /api/v1/namespaces/default/pods", &pod).await;
    let running = json!({"metadata": {"name": "p"}, "status": {"phase": "Running"}});
    let patch = ("content-type", "application/merge-patch+json");
    admin
        .json("PATCH /api/v1/namespaces/default/pods/p/status", &[patch], &running)
        .await;
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}});
    admin
        .ok("POST /apis/policy/v1/namespaces/default/poddisruptionbudgets", &budget)
        .await;
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let line = "POST /api/v1/namespaces/default/pods/p/eviction";
    let body = r#"{"metadata":{"name":"p"}}"#;
    let status = check(&mut admin, line, &[], body, (429, "TooManyRequests", message)).await;
    assert_eq!(
        status["details"]["causes"][0]["message"],
        "The disruption budget b is still being processed by the server."
    );
}

#[tokio::test]
async fn a_500_is_our_fault() {
    let server = Server::start().await;
    server.api.readiness.register("broken", || panic!("broken"));
    let mut anybody = server.client(None).await;
    let message = "Internal error occurred: the request could not be handled";
    check(&mut anybody, "GET /readyz", &[], "", (500, "InternalError", message)).await;
}

#[tokio::test]
async fn a_503_is_for_what_is_not_there_now() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    server.api.store.close().await;
    let message = "the server is shutting down";
    let body = config_map("a", &json!({})).to_string();
    check(
        &mut admin,
        &format!("POST {MAPS}"),
        &[],
        &body,
        (503, "ServiceUnavailable", message),
    )
    .await;
}

#[tokio::test]
async fn a_504_is_for_a_revision_that_does_not_come() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let current = server.api.store.revision();
    let message = format!("Timeout: Too large resource version: 99999999, current: {current}");
    let line = format!("GET {MAPS}?resourceVersion=99999999");
    let status = check(&mut admin, &line, &[], "", (504, "Timeout", &message)).await;
    let cause = json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
    assert_eq!(status["details"], json!({"causes": [cause], "retryAfterSeconds": 1}));
}

#[tokio::test]
async fn what_cannot_be_answered_changes_nothing() {
    let server = Server::start().await;
    let mut admin = server.admin().await;
    let maps = "/api/v1/namespaces/default/configmaps";
    let kept = config_map("kept", &json!({}));
    let made = admin.ok(&format!("POST {maps}"), &kept).await;
    let policies = "/apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";
    let policy = json!({"apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy", "metadata": {"name": "p"},
        "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]}});
    let patch = json!({"data": {"c": "d"}});
    for (line, accept, body) in [
        (format!("POST {maps}"), "text/html", config_map("other", &json!({}))),
        (
            format!("PUT {maps}/kept"),
            "application/cbor",
            config_map("kept", &json!({"a": "b"})),
        ),
        (format!("PATCH {maps}/kept"), "application/json;as=Other", patch),
        (format!("DELETE {maps}/kept"), "text/html", Value::Null),
        (format!("DELETE {maps}"), "text/html", Value::Null),
        (
            format!("POST {policies}"),
            "application/vnd.kubernetes.protobuf",
            policy,
        ),
    ] {
        let headers = [("accept", accept), ("content-type", "application/merge-patch+json")];
        let headers = if line.starts_with("PATCH") {
            &headers[..]
        } else {
            &headers[..1]
        };
        let response = admin.send(&line, headers, &body.to_string().replace("null", "")).await;
        assert_eq!(response.status(), 406, "{line}");
        response.into_body().collect().await.unwrap();
    }
    assert_eq!(admin.ok(&format!("GET {maps}/kept"), &Value::Null).await, made);
    assert_eq!(admin.json(&format!("GET {maps}/other"), &[], &Value::Null).await.0, 404);
    assert_eq!(admin.json(&format!("GET {policies}/p"), &[], &Value::Null).await.0, 404);
}
