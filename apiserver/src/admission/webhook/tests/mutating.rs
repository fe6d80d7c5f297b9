//! Order, reinvocation, and what becomes of a mutated object.

use serde_json::{Value, json};

use super::server::{Reply, Webhook};
use super::{MAPS, MUTATING, VALIDATING, configure, hub, map, only, patched, plain, webhook};

/// A webhook that appends its letter to `data.a`, until the text is this long.
async fn appending(letter: &'static str, longest: usize) -> Webhook {
    Webhook::start(move |review| {
        let text = review["request"]["object"]["data"]["a"].as_str().unwrap();
        if text.len() >= longest {
            return Reply::allow(review);
        }
        patched(
            review,
            &json!([{"op": "replace", "path": "/data/a", "value": format!("{text}{letter}")}]),
        )
    })
    .await
}

#[tokio::test]
async fn mutating_webhooks_run_by_name_and_again_when_needed() {
    let check = async |policies: [&str; 3], longest: [usize; 3], expected: &str| {
        let server = plain().await;
        let mut hooks = Vec::new();
        for ((letter, policy), longest) in ["x", "y", "z"].into_iter().zip(policies).zip(longest) {
            let hook = appending(letter, longest).await;
            let more = json!({"reinvocationPolicy": policy});
            // Stored the other way round: names decide.
            hooks.insert(
                0,
                (letter, webhook(&format!("{letter}.example.com"), &hook, &more), hook),
            );
        }
        for (letter, webhook, _) in &hooks {
            configure(&server, MUTATING, letter, vec![webhook.clone()]).await;
        }
        let made = server.ok(&format!("POST {MAPS}"), map("m")).await;
        assert_eq!(made["data"]["a"], expected, "{policies:?}");
    };
    let (never, needed) = ("Never", "IfNeeded");
    check([never, never, never], [9, 9, 9], "1xyz").await;
    // The first is told what the others did; the last changed nothing after itself.
    check([needed, never, needed], [9, 9, 9], "1xyzxz").await;
    check([never, never, needed], [9, 9, 9], "1xyz").await;
    // A second round changes what the others have seen: they are asked again, but there is no third round.
    check([needed, needed, needed], [9, 9, 9], "1xyzxyz").await;
    // Nothing changed after the first: it is not asked again.
    check([needed, never, never], [9, 1, 1], "1x").await;
    // The first has nothing to add when it is asked again, the second has.
    check([needed, needed, never], [2, 9, 9], "1xyzy").await;
}

#[tokio::test]
async fn webhooks_of_one_configuration_run_in_their_order() {
    let server = plain().await;
    let (one, two) = (appending("1", 9).await, appending("2", 9).await);
    let list = vec![
        webhook("z.example.com", &one, &Value::Null),
        webhook("a.example.com", &two, &Value::Null),
    ];
    configure(&server, MUTATING, "c", list).await;
    let made = server.ok(&format!("POST {MAPS}"), map("m")).await;
    assert_eq!(made["data"]["a"], "112");
}

#[tokio::test]
async fn what_a_webhook_writes_gets_defaults_and_is_validated() {
    let server = plain().await;
    let hook = Webhook::start(|review| {
        let object = &review["request"]["object"];
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match name {
            "bad" => patched(review, &json!([{"op": "replace", "path": "/spec/template/spec/restartPolicy", "value": "Sometimes"}])),
            _ => patched(
                review,
                &json!([
                    {"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "side", "image": "i", "colour": "blue"}},
                    {"op": "add", "path": "/metadata/uid", "value": "mine"},
                    {"op": "add", "path": "/status", "value": {"replicas": 7}},
                ]),
            ),
        }
    })
    .await;
    let rule = json!([{"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["*"], "resources": ["*"]}]);
    let more = json!({"rules": rule});
    only(&server, MUTATING, &hook, &more).await;
    let deployment = |name: &str| {
        json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name},
            "spec": {
                "selector": {"matchLabels": {"app": "a"}},
                "template": {
                    "metadata": {"labels": {"app": "a"}},
                    "spec": {"containers": [{"name": "main", "image": "i:1"}]},
                },
            },
        })
    };
    let path = "/apis/apps/v1/namespaces/default/deployments";
    let made = server
        .ok(&format!("POST {path}?fieldManager=me"), deployment("d"))
        .await;
    let side = &made["spec"]["template"]["spec"]["containers"][1];
    assert_eq!(
        (&side["name"], &side["imagePullPolicy"], &side["colour"]),
        (&json!("side"), &json!("Always"), &Value::Null)
    );
    assert_ne!(made["metadata"]["uid"], "mine");
    assert_eq!(made["status"]["replicas"], Value::Null);
    // The webhook saw defaults, and neither uid nor managedFields are its to give.
    let asked = hook.asked().remove(0);
    assert_eq!(asked["object"]["spec"]["replicas"], 1);
    assert_eq!(asked["object"]["metadata"]["uid"], Value::Null);
    assert_eq!(
        asked["options"],
        json!({"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"})
    );
    // Who sent the object owns what was sent, nobody what the webhook added.
    let owned = &made["metadata"]["managedFields"][0];
    let containers = &owned["fieldsV1"]["f:spec"]["f:template"]["f:spec"]["f:containers"];
    assert_eq!(owned["manager"], "me");
    assert!(containers.get(r#"k:{"name":"main"}"#).is_some(), "{containers}");
    assert!(containers.get(r#"k:{"name":"side"}"#).is_none(), "{containers}");
    let refused = server
        .send(&format!("POST {path}"), deployment("bad"))
        .await
        .unwrap_err();
    assert_eq!(refused.code, 422, "{refused}");
    assert!(
        refused.message.contains("spec.template.spec.restartPolicy"),
        "{refused}"
    );
}

#[tokio::test]
async fn custom_objects_are_pruned_and_defaulted_again() {
    let server = plain().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "names": {"plural": "things", "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "parts": {"type": "array", "items": {"type": "object", "properties": {
                        "name": {"type": "string", "maxLength": 3},
                        "count": {"type": "integer", "default": 1},
                    }}},
                }}}}},
            }],
        },
    });
    server
        .ok(
            "POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            definition,
        )
        .await;
    let hook = Webhook::start(|review| {
        let name = &review["request"]["object"]["metadata"]["name"];
        patched(
            review,
            &json!([{"op": "add", "path": "/spec", "value": {"parts": [{"name": name, "size": 1}]}}]),
        )
    })
    .await;
    let rule =
        json!([{"operations": ["*"], "apiGroups": ["example.com"], "apiVersions": ["*"], "resources": ["things"]}]);
    only(&server, MUTATING, &hook, &json!({"rules": rule})).await;
    let path = "/apis/example.com/v1/namespaces/default/things";
    let thing = |name: &str| json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}});
    let made = server.ok(&format!("POST {path}"), thing("abc")).await;
    assert_eq!(made["spec"], json!({"parts": [{"name": "abc", "count": 1}]}));
    let refused = server.send(&format!("POST {path}"), thing("abcd")).await.unwrap_err();
    assert_eq!(refused.code, 422, "{refused}");
}

#[tokio::test]
async fn generated_names_come_after_mutation_and_before_validation() {
    let server = plain().await;
    let mutating = Webhook::start(|review| {
        patched(
            review,
            &json!([{"op": "replace", "path": "/metadata/generateName", "value": "other-"}]),
        )
    })
    .await;
    let validating = Webhook::allowing().await;
    configure(
        &server,
        MUTATING,
        "c",
        vec![webhook("m.example.com", &mutating, &Value::Null)],
    )
    .await;
    configure(
        &server,
        VALIDATING,
        "c",
        vec![webhook("v.example.com", &validating, &Value::Null)],
    )
    .await;
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "m-"}});
    let made = server.ok(&format!("POST {MAPS}"), map).await;
    let name = made["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("other-") && name.len() == 11, "{name}");
    let (first, second) = (mutating.asked().remove(0), validating.asked().remove(0));
    assert_eq!((&first["name"], &second["name"]), (&Value::Null, &json!(name)));
    assert_eq!(second["object"]["metadata"]["uid"], made["metadata"]["uid"]);
}

#[tokio::test]
async fn dry_runs_are_only_for_webhooks_that_can_tell() {
    let server = plain().await;
    let hook = Webhook::allowing().await;
    for path in [MUTATING, VALIDATING] {
        for (side_effects, expected) in [("None", "201"), ("NoneOnDryRun", "201")] {
            let more = json!({"sideEffects": side_effects});
            only(&server, path, &hook, &more).await;
            server
                .check(&format!("POST {MAPS}?dryRun=All"), map("m"), expected)
                .await;
            let asked = hook.asked().remove(0);
            assert_eq!(
                (&asked["dryRun"], &asked["options"]["dryRun"]),
                (&json!(true), &json!(["All"]))
            );
            server.ok(&format!("DELETE {path}/c"), ()).await;
        }
    }
}

#[tokio::test]
async fn apply_and_patch_go_through_webhooks() {
    let server = plain().await;
    let hook = Webhook::start(|review| {
        patched(
            review,
            &json!([{"op": "add", "path": "/data/hook", "value": "was here"}]),
        )
    })
    .await;
    only(&server, MUTATING, &hook, &Value::Null).await;
    let config = r#"{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": {"a": "1"}}"#;
    let line = format!("@apply PATCH {MAPS}/m?fieldManager=me");
    let made = server.ok(&line, config).await;
    assert_eq!(made["data"]["hook"], "was here");
    let fields = &made["metadata"]["managedFields"];
    assert_eq!(fields.as_array().unwrap().len(), 1, "{fields}");
    assert_eq!(fields[0]["fieldsV1"], json!({"f:data": {"f:a": {}}}));
    let asked = hook.asked().remove(0);
    assert_eq!(
        (&asked["operation"], &asked["options"]["kind"]),
        (&json!("CREATE"), &json!("CreateOptions"))
    );
    // Applied once more nothing changes, though the webhook is asked.
    let again = server.ok(&line, config).await;
    assert_eq!(
        again["metadata"]["resourceVersion"],
        made["metadata"]["resourceVersion"]
    );
    let asked = hook.asked().remove(0);
    assert_eq!(
        (&asked["operation"], &asked["options"]["kind"]),
        (&json!("UPDATE"), &json!("PatchOptions"))
    );
    assert_eq!(asked["oldObject"]["data"]["hook"], "was here");
    let merged = server
        .ok(&format!("PATCH {MAPS}/m"), json!({"data": {"hook": null}}))
        .await;
    assert_eq!(merged["data"]["hook"], "was here");
}

#[tokio::test]
async fn federation_kinds_have_their_defaults_before_webhooks_and_after() {
    let server = hub().await;
    let hook = Webhook::start(|review| {
        let namespace = match review["request"]["object"]["metadata"]["name"].as_str() {
            Some("bad") => json!("elsewhere"),
            _ => json!(""),
        };
        patched(
            review,
            &json!([{"op": "add", "path": "/spec/resourceSelectors/-", "value": {"apiVersion": "v1", "kind": "Secret", "namespace": namespace}}]),
        )
    })
    .await;
    let rule = json!([{"operations": ["CREATE"], "apiGroups": ["policy.karmada.io"], "apiVersions": ["*"], "resources": ["*"]}]);
    only(&server, MUTATING, &hook, &json!({"rules": rule})).await;
    let policies = "POST /apis/policy.karmada.io/v1alpha1/namespaces/default/propagationpolicies";
    let policy = |name: &str| {
        json!({
            "apiVersion": "policy.karmada.io/v1alpha1",
            "kind": "PropagationPolicy",
            "metadata": {"name": name},
            "spec": {"resourceSelectors": [{"apiVersion": "v1", "kind": "ConfigMap"}]},
        })
    };
    let made = server.ok(policies, policy("p")).await;
    let seen = hook.asked().remove(0);
    assert_eq!(seen["object"]["spec"]["resourceSelectors"][0]["namespace"], "default");
    assert_ne!(seen["object"]["metadata"]["finalizers"], Value::Null);
    // What the webhook adds gets its defaults too, and is held to the same rules.
    assert_eq!(made["spec"]["resourceSelectors"][1]["namespace"], "default");
    let refused = server.send(policies, policy("bad")).await.unwrap_err();
    assert_eq!(refused.code, 422, "{refused}");
    assert!(
        refused.message.contains("spec.resourceSelectors[1].namespace"),
        "{refused}"
    );
}
