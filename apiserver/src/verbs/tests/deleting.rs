//! Deletion, namespaces and definitions.

use serde_json::{Value, json};

use super::Server;
use crate::api::Profile;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn deletion_waits_for_finalizers() {
    let server = Server::start(Profile::Hub).await;
    let map = |name: &str, finalizers: Value| json!({"metadata": {"name": name, "finalizers": finalizers}});
    server.ok(&format!("POST {MAPS}"), map("plain", json!([]))).await;
    let done = server.ok(&format!("DELETE {MAPS}/plain"), ()).await;
    assert_eq!(
        (&done["kind"], &done["status"], &done["details"]["kind"]),
        (&json!("Status"), &json!("Success"), &json!("configmaps"))
    );
    server
        .check(
            &format!("DELETE {MAPS}/plain"),
            (),
            r#"404 NotFound: configmaps "plain" not found"#,
        )
        .await;

    server.ok(&format!("POST {MAPS}"), map("held", json!(["a.b/c"]))).await;
    let held = server.ok(&format!("DELETE {MAPS}/held"), ()).await;
    assert_eq!(held["metadata"]["deletionTimestamp"], "2027-01-15T08:00:00Z");
    assert_eq!(held["metadata"]["deletionGracePeriodSeconds"], 0);
    server.advance(5);
    let again = server.ok(&format!("DELETE {MAPS}/held"), ()).await;
    assert_eq!(again, held, "a second deletion changes nothing");
    let more = json!({"metadata": {"finalizers": ["a.b/c", "d.e/f"]}});
    assert_eq!(
        server.send(&format!("PATCH {MAPS}/held"), more).await.unwrap_err().code,
        422
    );
    server
        .ok(&format!("PATCH {MAPS}/held"), json!({"metadata": {"finalizers": null}}))
        .await;
    server
        .check(
            &format!("GET {MAPS}/held"),
            (),
            r#"404 NotFound: configmaps "held" not found"#,
        )
        .await;
}

#[tokio::test]
async fn deletion_has_preconditions_and_policies() {
    let server = Server::start(Profile::Hub).await;
    let made = server
        .ok(&format!("POST {MAPS}"), json!({"metadata": {"name": "m"}}))
        .await;
    let line = format!("DELETE {MAPS}/m");
    let wrong = json!({"preconditions": {"uid": "x"}});
    assert_eq!(server.send(&line, wrong).await.unwrap_err().code, 409);
    let wrong = json!({"preconditions": {"resourceVersion": "1"}});
    assert_eq!(server.send(&line, wrong).await.unwrap_err().code, 409);
    server
        .check(
            &line,
            json!({"propagationPolicy": "Never"}),
            r#"422 Invalid: DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: "Never": supported values: "Foreground", "Background", "Orphan", "nil""#,
        )
        .await;
    server.check(&format!("{line}?dryRun=All"), (), "200").await;
    let held = server.ok(&line, json!({"propagationPolicy": "Foreground"})).await;
    assert_eq!(held["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let done = json!({"propagationPolicy": "Background", "preconditions": {"uid": made["metadata"]["uid"]}});
    server.ok(&line, done).await;
    assert_eq!(server.send(&format!("GET {MAPS}/m"), ()).await.unwrap_err().code, 404);
}

#[tokio::test]
async fn a_collection_goes_by_selector() {
    let server = Server::start(Profile::Hub).await;
    for (name, app) in [("a", "x"), ("b", "x"), ("c", "y")] {
        server
            .ok(
                &format!("POST {MAPS}"),
                json!({"metadata": {"name": name, "labels": {"app": app}}}),
            )
            .await;
    }
    let gone = server.ok(&format!("DELETE {MAPS}?labelSelector=app=x"), ()).await;
    assert_eq!(gone.as_array().unwrap().len(), 2);
    let left = server.ok(&format!("GET {MAPS}"), ()).await;
    assert_eq!(left.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn namespaces_end_through_their_content() {
    let server = Server::start(Profile::Hub).await;
    for name in ["default", "kube-system", "kube-public"] {
        let text = format!(r#"403 Forbidden: namespaces "{name}" is forbidden: this namespace may not be deleted"#);
        server
            .check(&format!("DELETE /api/v1/namespaces/{name}"), (), &text)
            .await;
    }
    let made = server
        .ok("POST /api/v1/namespaces", json!({"metadata": {"name": "n"}}))
        .await;
    assert_eq!(made["spec"]["finalizers"], json!(["kubernetes"]));
    assert_eq!(made["status"]["phase"], "Active");
    assert_eq!(made["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    let mut ending = server.ok("DELETE /api/v1/namespaces/n", ()).await;
    assert_eq!(ending["status"]["phase"], "Terminating");
    let status = server
        .send(
            "POST /api/v1/namespaces/n/configmaps",
            json!({"metadata": {"name": "m"}}),
        )
        .await
        .unwrap_err();
    assert_eq!(status.code, 403);
    assert_eq!(
        status.message,
        r#"configmaps "m" is forbidden: unable to create new content in namespace n because it is being terminated"#
    );
    assert_eq!(status.details.unwrap().causes[0].reason, "NamespaceTerminating");
    ending["spec"]["finalizers"] = json!([]);
    server.ok("PUT /api/v1/namespaces/n/finalize", ending).await;
    server
        .check(
            "GET /api/v1/namespaces/n",
            (),
            r#"404 NotFound: namespaces "n" not found"#,
        )
        .await;
}

fn widgets() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {
                        "spec": {"type": "object", "properties": {
                            "size": {"type": "integer", "minimum": 0, "default": 1},
                        }},
                        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    },
                }},
            }],
        },
    })
}

#[tokio::test]
async fn a_definition_is_served_at_once_and_until_it_is_gone() {
    let server = Server::start(Profile::Kubernetes).await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let things = "/apis/example.com/v1/namespaces/default/widgets";
    let widget = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec});
    server
        .check(
            &format!("GET {things}"),
            (),
            "404 NotFound: the server could not find the requested resource",
        )
        .await;
    let made = server.ok(&format!("POST {definitions}"), widgets()).await;
    assert_eq!(made["status"]["acceptedNames"]["singular"], "widget");
    assert_eq!(made["status"]["storedVersions"], json!(["v1"]));
    assert!(
        made["status"]["conditions"]
            .as_array()
            .unwrap()
            .iter()
            .all(|condition| condition["status"] == "True")
    );

    let thing = server
        .ok(&format!("POST {things}"), widget(json!({"unknown": 1})))
        .await;
    assert_eq!(thing["spec"], json!({"size": 1}), "defaulted and pruned");
    let status = server
        .send(&format!("POST {things}"), widget(json!({"size": -1})))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code, status.message.contains("spec.size")),
        (422, true),
        "{status}"
    );
    let scale = server
        .ok(&format!("PATCH {things}/w/scale"), json!({"spec": {"replicas": 4}}))
        .await;
    assert_eq!(scale["spec"]["replicas"], 4);
    assert_eq!(
        server.ok(&format!("GET {things}/w"), ()).await["metadata"]["generation"],
        2
    );

    let ending = server
        .ok(&format!("DELETE {definitions}/widgets.example.com"), ())
        .await;
    assert_eq!(
        ending["metadata"]["finalizers"],
        json!(["customresourcecleanup.apiextensions.k8s.io"])
    );
    assert_eq!(
        server
            .send(&format!("POST {things}"), widget(json!({})))
            .await
            .unwrap_err()
            .code,
        405
    );
    server.ok(&format!("GET {things}/w"), ()).await;
    server
        .ok(
            &format!("PATCH {definitions}/widgets.example.com"),
            json!({"metadata": {"finalizers": []}}),
        )
        .await;
    assert_eq!(server.send(&format!("GET {things}/w"), ()).await.unwrap_err().code, 404);
}

#[tokio::test]
async fn the_protection_label_protects() {
    let server = Server::start(Profile::Hub).await;
    let label = "resourcetemplate.karmada.io/deletion-protected";
    server
        .ok(
            &format!("POST {MAPS}"),
            json!({"metadata": {"name": "p", "labels": {label: "Always"}}}),
        )
        .await;
    let status = server.send(&format!("DELETE {MAPS}/p"), ()).await.unwrap_err();
    assert_eq!(status.code, 403);
    assert!(status.message.contains("This resource is protected"), "{status}");
}

#[tokio::test]
async fn pods_are_bound_once_and_evicted() {
    let server = Server::start(Profile::Kubernetes).await;
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let made = server.ok(&format!("POST {pods}"), pod).await;
    assert_eq!(
        (&made["status"]["phase"], &made["status"]["qosClass"]),
        (&json!("Pending"), &json!("BestEffort"))
    );
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    server
        .check(&format!("POST {pods}/p/binding"), binding.clone(), "201")
        .await;
    let bound = server.ok(&format!("GET {pods}/p"), ()).await;
    assert_eq!(bound["spec"]["nodeName"], "n1");
    assert_eq!(bound["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(
        server
            .send(&format!("POST {pods}/p/binding"), binding)
            .await
            .unwrap_err()
            .code,
        409
    );
    let moved = json!({"spec": {"nodeName": "n2"}});
    assert_eq!(
        server.send(&format!("PATCH {pods}/p"), moved).await.unwrap_err().code,
        422
    );
    let other = json!({"metadata": {"name": "other"}});
    let misnamed = "400 BadRequest: name in URL does not match name in Eviction object";
    server.check(&format!("POST {pods}/p/eviction"), other, misnamed).await;
    server
        .check(
            &format!("POST {pods}/p/eviction"),
            json!({"metadata": {"name": "p"}}),
            "201",
        )
        .await;
    server
        .check(&format!("GET {pods}/p"), (), r#"404 NotFound: pods "p" not found"#)
        .await;
    let log = "404 NotFound: the server could not find the requested resource";
    server.check(&format!("GET {pods}/p/log"), (), log).await;
}

#[tokio::test]
async fn an_eviction_takes_from_the_budget_of_its_pod() {
    let server = Server::start(Profile::Kubernetes).await;
    let pods = "/api/v1/namespaces/default/pods";
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    for name in ["a", "b", "c"] {
        let pod = json!({"metadata": {"name": name, "labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
        server.ok(&format!("POST {pods}"), pod).await;
        let ready = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
        server
            .ok(&format!("PATCH {pods}/{name}/status"), json!({"status": ready}))
            .await;
    }
    let budget =
        json!({"metadata": {"name": "one"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "x"}}}});
    server.ok(&format!("POST {budgets}"), budget.clone()).await;
    let status = json!({"observedGeneration": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3, "disruptionsAllowed": 1});
    server
        .ok(&format!("PATCH {budgets}/one/status"), json!({"status": status}))
        .await;
    let evict = |name: &str| {
        (
            format!("POST {pods}/{name}/eviction"),
            json!({"metadata": {"name": name}}),
        )
    };

    let (line, mut pretend) = evict("a");
    pretend["deleteOptions"] = json!({"dryRun": ["All"]});
    server.check(&line, pretend, "201").await;
    let (line, body) = evict("a");
    server.check(&line, body, "201").await;
    let left = server.ok(&format!("GET {budgets}/one"), ()).await;
    assert_eq!(left["status"]["disruptionsAllowed"], 0);
    assert!(left["status"]["disruptedPods"]["a"].is_string(), "{left}");

    let (line, body) = evict("b");
    let refused = server.send(&line, body).await.unwrap_err();
    assert_eq!(refused.code, 429);
    assert_eq!(
        refused.details.unwrap().causes[0].message,
        "The disruption budget one needs 2 healthy pods and has 3 currently"
    );
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    server.ok(&format!("PATCH {pods}/b/status"), unready).await;
    let (line, body) = evict("b");
    server.check(&line, body, "201").await;

    let mut second = budget;
    second["metadata"]["name"] = json!("two");
    server.ok(&format!("POST {budgets}"), second).await;
    let (line, body) = evict("c");
    let two = "500 InternalError: Internal error occurred: This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
    server.check(&line, body, two).await;
}
