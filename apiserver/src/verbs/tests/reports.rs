//! Reports on several Works at once: each is held against the patch of a status that it stands for.

use serde_json::{Value, json};

use super::{Body, Server, request, value};
use crate::api::Profile;
use crate::request::User;

const NAMESPACE: &str = "karmada-es-eu";
const REPORTS: &str = "/apis/work.flotilla.dev/v1alpha1/namespaces/karmada-es-eu/workreports";
const WORKS: &str = "/apis/work.karmada.io/v1alpha1/namespaces/karmada-es-eu/works";

async fn server(works: &[&str]) -> Server {
    let server = Server::start(Profile::Hub).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    server.ok("POST /api/v1/namespaces", namespace).await;
    for name in works {
        let manifest =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "default"}});
        let work = json!({"apiVersion": "work.karmada.io/v1alpha1", "kind": "Work", "metadata": {"name": name},
            "spec": {"workload": {"manifests": [manifest]}}});
        server.ok(&format!("POST {WORKS}"), work).await;
    }
    server
}

fn report(works: &[(&str, Value)]) -> Value {
    let works: Vec<Value> = works
        .iter()
        .map(|(name, status)| json!({"name": name, "status": status}))
        .collect();
    json!({"apiVersion": "work.flotilla.dev/v1alpha1", "kind": "WorkReport", "metadata": {"name": "eu"}, "spec": {"works": works}})
}

fn applied(status: &str) -> Value {
    json!({"conditions": [{"type": "Applied", "status": status, "reason": "R", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
}

async fn stored(server: &Server, name: &str) -> Value {
    let mut work = server.ok(&format!("GET {WORKS}/{name}"), ()).await;
    // All that two of them may differ in.
    work["metadata"]["labels"].take();
    for field in ["uid", "resourceVersion", "name"] {
        work["metadata"].as_object_mut().unwrap().remove(field);
    }
    work
}

/// An agent's user.
fn agent(cluster: &str) -> User {
    User {
        name: format!("system:karmada:agent:{cluster}"),
        groups: vec!["system:karmada:agents".to_owned()],
        ..User::default()
    }
}

#[tokio::test]
async fn a_report_is_the_patches_that_it_is_made_of() {
    let server = server(&["a-1", "b-1", "c-1", "a-2", "b-2", "c-2"]).await;
    let good = applied("True");
    let wrong = json!({"conditions": [{"type": "Applied", "status": "Perhaps"}]});
    let rounds = [
        [("a", good.clone()), ("b", applied("False")), ("c", json!({}))],
        [("a", json!({"conditions": null})), ("none", good.clone()), ("b", wrong)],
        [
            ("c", json!({"manifestStatuses": "none"})),
            ("b", json!({"conditions": []})),
            ("a", good),
        ],
    ];
    let mut refused = Vec::new();
    for works in rounds {
        let mut expected = Vec::new();
        for (name, status) in &works {
            let line = format!("PATCH {WORKS}/{name}-1/status?fieldManager=agent");
            if let Err(reason) = server.send(&line, json!({"status": status})).await {
                expected.push(json!({"name": format!("{name}-2"), "reason": reason}));
            }
        }
        let twins: Vec<(String, Value)> = works
            .iter()
            .map(|(name, status)| (format!("{name}-2"), status.clone()))
            .collect();
        let twins: Vec<(&str, Value)> = twins
            .iter()
            .map(|(name, status)| (name.as_str(), status.clone()))
            .collect();
        let answer = server
            .ok(&format!("POST {REPORTS}?fieldManager=agent"), report(&twins))
            .await;
        assert_eq!(answer["spec"], json!({}), "nothing is repeated");
        let found = answer["status"]["refused"].as_array().cloned().unwrap_or_default();
        let one: Value = serde_json::from_str(&json!(expected).to_string().replace("-1", "-2")).unwrap();
        assert_eq!(json!(found), one);
        refused.extend(found.iter().map(|refused| refused["reason"]["code"].clone()));
        for name in ["a", "b", "c"] {
            let (first, second) = (format!("{name}-1"), format!("{name}-2"));
            assert_eq!(stored(&server, &first).await, stored(&server, &second).await, "{name}");
        }
    }
    assert_eq!(refused, [404, 422, 422], "both kinds of answers were compared");
}

#[tokio::test]
async fn a_report_is_judged_work_by_work() {
    let server = server(&["a", "b"]).await;
    let send = async |user: User, line: &str, works: &[(&str, Value)]| {
        let mut request = request(line, Body::Json(report(works)));
        request.user = user;
        let answer = server.api.serve(request).await;
        answer.map(|answer| value(&answer)["status"].clone())
    };
    let (line, both) = (
        format!("POST {REPORTS}"),
        [("a", applied("True")), ("b", applied("True"))],
    );
    // Who may send reports and change no Work changes none. (Who may send them is for the authorizer to say, before.)
    let nobody = User {
        name: "nobody".to_owned(),
        ..User::default()
    };
    for user in [nobody, agent("us")] {
        let status = send(user, &line, &both).await.unwrap();
        let codes: Vec<&Value> = status["refused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|refused| &refused["reason"]["code"])
            .collect();
        assert_eq!(codes, [403, 403]);
        assert_eq!(stored(&server, "a").await["status"], Value::Null);
    }
    // A rehearsal stores nothing.
    let status = send(agent("eu"), &format!("{line}?dryRun=All"), &both).await.unwrap();
    assert_eq!(status, json!({}));
    assert_eq!(stored(&server, "a").await["status"], Value::Null);
    assert_eq!(send(agent("eu"), &line, &both).await.unwrap(), json!({}));
    assert_eq!(stored(&server, "b").await["status"], applied("True"));
    assert_eq!(send(agent("eu"), &line, &[]).await.unwrap(), json!({}));
    // One Work twice would leave to chance what is said of it.
    let twice = [("a", applied("True")), ("a", applied("False"))];
    let refused = send(agent("eu"), &line, &twice).await.unwrap_err();
    assert_eq!(
        (refused.code, refused.message.contains("spec.works[1]")),
        (422, true),
        "{refused}"
    );
    let nameless = send(agent("eu"), &line, &[("", applied("True"))]).await.unwrap_err();
    assert_eq!(
        (nameless.code, nameless.message.contains("spec.works[0].name")),
        (422, true),
        "{nameless}"
    );
    let text = send(agent("eu"), &line, &[("a", json!("text"))]).await.unwrap_err();
    assert_eq!(
        (text.code, text.message.contains("spec.works[0].status")),
        (422, true),
        "{text}"
    );
    assert_eq!(stored(&server, "a").await["status"], applied("True"));
}
