//! Which requests a webhook is asked about.

use serde_json::{Value, json};

use super::server::{Reply, Webhook};
use super::{MAPS, MUTATING, VALIDATING, map, only, plain};
use crate::verbs::tests::Server;

/// Operations, groups, versions, resources, and a scope.
fn rule(operations: &[&str], groups: &[&str], versions: &[&str], resources: &[&str], scope: &str) -> Value {
    json!([{"operations": operations, "apiGroups": groups, "apiVersions": versions, "resources": resources, "scope": scope}])
}

/// What was asked about, as `OPERATION resource/subresource namespace/name`.
fn asked(hook: &Webhook) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    hook.asked()
        .iter()
        .map(|request| {
            format!(
                "{} {}/{} {}/{}",
                text(&request["operation"]),
                text(&request["resource"]["resource"]),
                text(&request["subResource"]),
                text(&request["namespace"]),
                text(&request["name"]),
            )
        })
        .collect()
}

async fn do_everything(server: &Server) {
    server.ok(&format!("POST {MAPS}"), map("m")).await;
    server.ok(&format!("PUT {MAPS}/m"), map("m")).await;
    server.ok(&format!("DELETE {MAPS}/m"), ()).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}});
    server.ok("POST /api/v1/namespaces", namespace).await;
    let status = json!({"status": {"phase": "Active"}});
    server.ok("PATCH /api/v1/namespaces/n/status", status).await;
}

#[tokio::test]
async fn rules_say_what_a_webhook_is_asked_about() {
    let check = async |rule: Value, expected: &[&str]| {
        for path in [MUTATING, VALIDATING] {
            let server = plain().await;
            let hook = Webhook::allowing().await;
            let more = json!({"rules": rule});
            only(&server, path, &hook, &more).await;
            do_everything(&server).await;
            assert_eq!(asked(&hook), expected, "{rule}");
        }
    };
    let any = ["*"].as_slice();
    let maps = [
        "CREATE configmaps/ default/m",
        "UPDATE configmaps/ default/m",
        "DELETE configmaps/ default/m",
    ];
    let namespace = ["CREATE namespaces/ n/n"];
    let status = ["UPDATE namespaces/status n/n"];
    let all = [maps.as_slice(), &namespace].concat();
    check(rule(any, any, any, &["*"], "*"), &all).await;
    check(rule(any, any, any, &["*/*"], "*"), &[all.as_slice(), &status].concat()).await;
    check(rule(any, any, any, &["*/status"], "*"), &status).await;
    check(
        rule(any, any, any, &["namespaces/*"], "*"),
        &[namespace.as_slice(), &status].concat(),
    )
    .await;
    check(rule(any, &[""], &["v1"], &["configmaps"], "*"), &maps).await;
    check(rule(any, &["apps"], any, &["*"], "*"), &[]).await;
    check(rule(any, any, &["v2"], &["*"], "*"), &[]).await;
    check(rule(&["DELETE"], any, any, &["*"], "*"), &maps[2..]).await;
    check(rule(&["CREATE", "UPDATE"], any, any, &["configmaps"], "*"), &maps[..2]).await;
    check(rule(any, any, any, &["*"], "Namespaced"), &maps).await;
    check(rule(any, any, any, &["*"], "Cluster"), &namespace).await;
    check(rule(&["CONNECT"], any, any, &["*/*"], "*"), &[]).await;
    check(json!([]), &[]).await;
}

#[tokio::test]
async fn selectors_look_at_labels_of_both_states_and_of_the_namespace() {
    let check = async |more: Value, expected: &[&str]| {
        let server = plain().await;
        let hook = Webhook::allowing().await;
        let mut more = more;
        more["rules"] = rule(&["*"], &["*"], &["*"], &["*"], "*");
        only(&server, VALIDATING, &hook, &more).await;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"team": "red"}}});
        server.ok("POST /api/v1/namespaces", namespace).await;
        let role =
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "r"}});
        server
            .ok("POST /apis/rbac.authorization.k8s.io/v1/clusterroles", role)
            .await;
        let maps = "/api/v1/namespaces/n/configmaps";
        let mut labelled = map("m");
        labelled["metadata"]["labels"] = json!({"colour": "blue"});
        server.ok(&format!("POST {maps}"), labelled).await;
        server.ok(&format!("PUT {maps}/m"), map("m")).await;
        server.ok(&format!("PATCH {maps}/m"), json!({"data": {"b": "1"}})).await;
        server.ok(&format!("POST {MAPS}"), map("other")).await;
        let relabel = json!({"metadata": {"labels": {"team": "green"}}});
        server.ok("PATCH /api/v1/namespaces/n", relabel).await;
        server.ok(&format!("DELETE {maps}/m"), ()).await;
        assert_eq!(asked(&hook), expected, "{more}");
    };
    let role = "CREATE clusterroles/ /r";
    check(
        json!({"objectSelector": {"matchLabels": {"colour": "blue"}}}),
        &["CREATE configmaps/ n/m", "UPDATE configmaps/ n/m"],
    )
    .await;
    // What is in no namespace is not kept away by a selector for namespaces.
    check(
        json!({"namespaceSelector": {"matchLabels": {"team": "red"}}}),
        &[
            "CREATE namespaces/ n/n",
            role,
            "CREATE configmaps/ n/m",
            "UPDATE configmaps/ n/m",
            "UPDATE configmaps/ n/m",
        ],
    )
    .await;
    // A namespace is judged by what it becomes.
    check(
        json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "In", "values": ["green"]}]}}),
        &[role, "UPDATE namespaces/ n/n", "DELETE configmaps/ n/m"],
    )
    .await;
    check(
        json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}),
        &[role, "CREATE configmaps/ default/other"],
    )
    .await;
}

#[tokio::test]
async fn equivalent_versions_are_seen_as_the_rules_name_them() {
    let server = plain().await;
    let version = |name: &str, storage: bool| {
        json!({
            "name": name,
            "served": true,
            "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
        })
    };
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "things", "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [version("v1", true), version("v2", false)],
        },
    });
    server
        .ok(
            "POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition,
        )
        .await;
    let hook = Webhook::start(|review| {
        super::patched(
            review,
            &json!([{"op": "add", "path": "/seen", "value": review["request"]["object"]["apiVersion"]}]),
        )
    })
    .await;
    for (policy, asks) in [("Exact", false), ("Equivalent", true)] {
        let more = json!({"matchPolicy": policy, "rules": rule(&["*"], &["example.com"], &["v1"], &["things"], "*")});
        only(&server, MUTATING, &hook, &more).await;
        let thing =
            json!({"apiVersion": "example.com/v2", "kind": "Thing", "metadata": {"name": policy.to_lowercase()}});
        let made = server
            .ok("POST /apis/example.com/v2/namespaces/default/things", thing)
            .await;
        server.ok(&format!("DELETE {MUTATING}/c"), ()).await;
        let mut requests = hook.asked();
        assert_eq!(requests.len(), usize::from(asks));
        if let Some(request) = requests.pop() {
            assert_eq!(made["seen"], "example.com/v1");
            assert_eq!(made["apiVersion"], "example.com/v1", "as it is stored");
            assert_eq!(
                (&request["resource"]["version"], &request["requestResource"]["version"]),
                (&json!("v1"), &json!("v2"))
            );
            assert_eq!(
                (&request["kind"]["version"], &request["requestKind"]["version"]),
                (&json!("v1"), &json!("v2"))
            );
        }
    }
}

#[tokio::test]
async fn a_review_says_who_does_what() {
    let server = plain().await;
    let hook = Webhook::allowing().await;
    only(&server, VALIDATING, &hook, &Value::Null).await;
    server
        .ok(&format!("POST {MAPS}?fieldManager=me&fieldValidation=Strict"), map("m"))
        .await;
    let made = hook.asked().remove(0);
    let kind = json!({"group": "", "version": "v1", "kind": "ConfigMap"});
    let resource = json!({"group": "", "version": "v1", "resource": "configmaps"});
    for (field, expected) in [
        ("kind", kind.clone()),
        ("resource", resource.clone()),
        ("requestKind", kind),
        ("requestResource", resource),
        ("subResource", Value::Null),
        ("name", json!("m")),
        ("namespace", json!("default")),
        ("operation", json!("CREATE")),
        (
            "userInfo",
            json!({"username": "system:apiserver", "groups": ["system:masters"]}),
        ),
        ("oldObject", Value::Null),
        ("dryRun", json!(false)),
        (
            "options",
            json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me", "fieldValidation": "Strict"}),
        ),
    ] {
        assert_eq!(made[field], expected, "{field}");
    }
    assert_eq!(made["uid"].as_str().unwrap().len(), 36);
    server.ok(&format!("PUT {MAPS}/m"), map("m")).await;
    assert_eq!(hook.asked()[0]["options"]["kind"], "UpdateOptions");
    let options = json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 5});
    server
        .ok(&format!("DELETE {MAPS}/m?propagationPolicy=Foreground"), options)
        .await;
    let gone = hook.asked().remove(0);
    assert_eq!(
        (&gone["object"], &gone["oldObject"]["data"]["a"]),
        (&Value::Null, &json!("1"))
    );
    assert_eq!(
        gone["options"],
        json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1", "gracePeriodSeconds": 5, "propagationPolicy": "Foreground"})
    );
}

#[tokio::test]
async fn configurations_are_not_subject_to_themselves() {
    let server = plain().await;
    let hook = Webhook::start(|review| Reply::answer(review, &json!({"allowed": false}))).await;
    let more = json!({"rules": rule(&["*"], &["*"], &["*"], &["*/*"], "*")});
    for path in [VALIDATING, MUTATING] {
        only(&server, path, &hook, &more).await;
    }
    let label = json!({"metadata": {"labels": {"a": "b"}}});
    server.ok(&format!("PATCH {VALIDATING}/c"), label).await;
    for path in [VALIDATING, MUTATING] {
        server.ok(&format!("DELETE {path}/c"), ()).await;
    }
    assert_eq!(asked(&hook), [""; 0]);
    server.check(&format!("POST {MAPS}"), map("m"), "201").await;
}

#[tokio::test]
async fn nobody_is_asked_about_what_goes_nowhere() {
    let server = plain().await;
    let hook = Webhook::allowing().await;
    only(&server, MUTATING, &hook, &Value::Null).await;
    server
        .check(
            "POST /api/v1/namespaces/nowhere/configmaps",
            map("m"),
            "404 NotFound: namespaces \"nowhere\" not found",
        )
        .await;
    server
        .check(
            &format!("DELETE {MAPS}/m"),
            (),
            "404 NotFound: configmaps \"m\" not found",
        )
        .await;
    assert_eq!(asked(&hook), [""; 0]);
}

#[tokio::test]
async fn conditions_spare_a_webhook_the_call() {
    let server = plain().await;
    let hook = Webhook::allowing().await;
    let check = async |conditions: &[&str], policy: &str, expected: Result<bool, &str>| {
        let conditions: Vec<Value> = conditions
            .iter()
            .enumerate()
            .map(|(index, expression)| json!({"name": format!("c{index}"), "expression": expression}))
            .collect();
        for path in [MUTATING, VALIDATING] {
            let more = json!({"matchConditions": conditions, "failurePolicy": policy});
            only(&server, path, &hook, &more).await;
            let result = server.send(&format!("POST {MAPS}?dryRun=All"), map("m")).await;
            let asks = hook.asked().len() == 1;
            server.ok(&format!("DELETE {path}/c"), ()).await;
            let told = result
                .map(|_| asks)
                .map_err(|status| format!("{} {}", status.code, status.message));
            let expected = expected.map_err(|text| format!("403 configmaps \"m\" is forbidden: {text}"));
            assert_eq!(told, expected, "{conditions:?}");
        }
    };
    let (fail, ignore) = ("Fail", "Ignore");
    check(&["object.data.a == '1'"], fail, Ok(true)).await;
    check(&["object.data.a == '2'"], fail, Ok(false)).await;
    check(
        &["oldObject == null && request.operation == 'CREATE' && request.dryRun"],
        fail,
        Ok(true),
    )
    .await;
    check(
        &["request.kind.kind == 'ConfigMap' && request.namespace == 'default' && request.userInfo.username == 'system:apiserver'"],
        fail,
        Ok(true),
    )
    .await;
    check(&["true", "false"], fail, Ok(false)).await;
    // What fails leaves the decision to the policy, unless another condition is false.
    let missing = "object.data.b == '1'";
    let problem = "expression 'object.data.b == '1'' resulted in error: no such key: b";
    check(&[missing], fail, Err(problem)).await;
    check(&[missing, "true"], fail, Err(problem)).await;
    check(&[missing, "false"], fail, Ok(false)).await;
    check(&[missing], ignore, Ok(false)).await;
}
