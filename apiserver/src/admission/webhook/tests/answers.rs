//! What a webhook may answer, and what comes of it.

use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::review::{Decision, Verdict, read};
use super::server::{Reply, Webhook};
use super::{MAPS, MUTATING, VALIDATING, configure, map, patched, plain, webhook};
use crate::verbs::tests::Server;

/// A server and a webhook that answers as it is told.
struct Desk {
    server: Server,
    hook: Webhook,
    answer: Arc<Mutex<Answer>>,
}

impl Desk {
    async fn new() -> Self {
        let answer = Arc::new(Mutex::new(Answer::Raw(500, Vec::new())));
        let told = answer.clone();
        Self {
            server: plain().await,
            hook: Webhook::start(move |review| told.lock().unwrap().reply(review)).await,
            answer,
        }
    }

    /// How the answer to a write of a config map reads when the webhook answers like this. `UID` stands for the review's uid.
    async fn check(&self, path: &str, policy: &str, answer: impl Into<Answer>, expected: &str) {
        *self.answer.lock().unwrap() = answer.into();
        let more = json!({"failurePolicy": policy});
        configure(
            &self.server,
            path,
            "c",
            vec![webhook("x.example.com", &self.hook, &more)],
        )
        .await;
        let actual = match self.server.send(&format!("POST {MAPS}?dryRun=All"), map("m")).await {
            Ok(answer) => format!("{} {}", answer.code, answer.warnings.join("|"))
                .trim_end()
                .to_owned(),
            Err(status) => {
                let reason = serde_json::to_value(&status.reason).unwrap();
                format!(
                    "{} {}: {}",
                    status.code,
                    reason.as_str().unwrap_or_default(),
                    status.message
                )
            }
        };
        self.server.ok(&format!("DELETE {path}/c"), ()).await;
        let asked = self.hook.asked();
        assert_eq!(asked.len(), 1);
        assert_eq!(actual, expected.replace("UID", asked[0]["uid"].as_str().unwrap()));
    }
}

#[derive(Clone)]
enum Answer {
    /// Fields of the response, beside the uid.
    Response(Value),
    /// A whole body.
    Body(Value),
    Raw(u16, Vec<u8>),
    Patch(Value),
}

impl From<Value> for Answer {
    fn from(response: Value) -> Self {
        Self::Response(response)
    }
}

impl Answer {
    fn reply(&self, review: &Value) -> Reply {
        match self {
            Self::Response(response) => Reply::answer(review, response),
            Self::Body(body) => Reply::Raw(200, body.to_string().into_bytes()),
            Self::Raw(code, body) => Reply::Raw(*code, body.clone()),
            Self::Patch(patch) => patched(review, patch),
        }
    }
}

#[tokio::test]
async fn a_refusal_carries_the_words_of_the_webhook() {
    let desk = Desk::new().await;
    for path in [MUTATING, VALIDATING] {
        let denied = r#"admission webhook "x.example.com" denied the request"#;
        desk.check(
            path,
            "Fail",
            json!({"allowed": true, "warnings": ["careful", "twice"]}),
            "201 careful|twice",
        )
        .await;
        desk.check(
            path,
            "Ignore",
            json!({"allowed": false}),
            &format!("400 : {denied} without explanation"),
        )
        .await;
        desk.check(
            path,
            "Ignore",
            json!({"allowed": false, "status": {"message": "not on Fridays", "code": 418, "reason": "Teapot"}}),
            &format!("418 Teapot: {denied}: not on Fridays"),
        )
        .await;
        desk.check(
            path,
            "Fail",
            json!({"allowed": false, "status": {"reason": "Forbidden", "code": 200}}),
            &format!("400 Forbidden: {denied}: Forbidden"),
        )
        .await;
    }
}

#[tokio::test]
async fn a_bad_answer_is_a_failed_call() {
    let desk = Desk::new().await;
    let failed = |text: &str| {
        format!("500 InternalError: Internal error occurred: failed calling webhook \"x.example.com\": {text}")
    };
    let rows: Vec<(Answer, &str)> = vec![
        (
            json!({"uid": "other", "allowed": true}).into(),
            r#"received invalid webhook response: expected response.uid="UID", got "other""#,
        ),
        (
            Answer::Body(json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"})),
            "received invalid webhook response: webhook response was absent",
        ),
        (
            Answer::Raw(200, b"hello".to_vec()),
            "failed to call webhook: couldn't get version/kind; json parse error: expected value at line 1 column 1",
        ),
        (
            Answer::Raw(200, vec![b' '; runtime::webhook::ANSWER + 1]),
            "failed to call webhook: response body exceeds the limit of 6291456 bytes",
        ),
        (
            Answer::Raw(500, b"boom".to_vec()),
            r#"failed to call webhook: an error on the server ("boom") has prevented the request from succeeding"#,
        ),
        (
            Answer::Raw(404, Vec::new()),
            "failed to call webhook: the server could not find the requested resource",
        ),
        (
            Answer::Raw(
                403,
                json!({"kind": "Status", "apiVersion": "v1", "message": "no way", "code": 403})
                    .to_string()
                    .into_bytes(),
            ),
            "failed to call webhook: no way",
        ),
        (
            Answer::Raw(302, Vec::new()),
            "failed to call webhook: the server responded with the status code 302 but did not return more details",
        ),
    ];
    for (answer, text) in rows {
        for path in [MUTATING, VALIDATING] {
            desk.check(path, "Fail", answer.clone(), &failed(text)).await;
            desk.check(path, "Ignore", answer.clone(), "201").await;
        }
    }
}

#[tokio::test]
async fn a_patch_that_cannot_be_applied_is_an_error_whatever_the_policy() {
    let desk = Desk::new().await;
    for policy in ["Fail", "Ignore"] {
        let rows = [
            (
                json!([{"op": "add", "path": "/nowhere/at/all", "value": 1}]),
                "500 InternalError: Internal error occurred: add operation 0 failed at path \"/nowhere/at/all\": path is invalid",
            ),
            (
                json!([{"op": "replace", "path": "/data", "value": [1]}]),
                "500 InternalError: Internal error occurred: ConfigMap in version \"v1\" cannot be handled as a ConfigMap: \
                 json: cannot unmarshal array into Go struct field ConfigMap.data of type map[string]string",
            ),
            (
                json!([{"op": "replace", "path": "/kind", "value": "Secret"}]),
                "500 InternalError: Internal error occurred: the patch changes the object's kind",
            ),
            (
                json!([{"op": "replace", "path": "/metadata/name", "value": "NO"}]),
                "422 Invalid: ConfigMap \"NO\" is invalid: metadata.name: Invalid value: \"NO\": a lowercase RFC 1123 subdomain must \
                 consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric \
                 character (e.g. 'example.com', regex used for validation is \
                 '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            ),
        ];
        for (patch, expected) in rows {
            desk.check(MUTATING, policy, Answer::Patch(patch), expected).await;
        }
        let garbage = json!({"allowed": true, "patchType": "JSONPatch", "patch": "e30="});
        desk.check(
            MUTATING,
            policy,
            garbage,
            "500 InternalError: Internal error occurred: error decoding JSON patch: invalid type: map, expected a sequence at line 1 column 0",
        )
        .await;
    }
}

#[test]
fn answers_are_held_to_their_version() {
    let check = |version: &str, mutating: bool, response: Value, expected: Result<usize, &str>| {
        let mut body = json!({
            "apiVersion": format!("admission.k8s.io/{version}"),
            "kind": "AdmissionReview",
            "response": {"uid": "u", "allowed": true},
        });
        for (field, value) in response.as_object().into_iter().flatten() {
            body["response"][field] = value.clone();
        }
        let read = read("x", version, "u", mutating, body.to_string().as_bytes());
        let actual = read.map_err(|problem| problem.text()).map(|verdict| match verdict {
            Verdict {
                decision: Decision::Allow(patch),
                ..
            } => patch.len(),
            Verdict { decision, .. } => panic!("{decision:?}"),
        });
        let expected = expected.map_err(|text| format!("received invalid webhook response: {text}"));
        assert_eq!(actual, expected, "{version} {mutating} {response}");
    };
    let patch = json!({"patch": "W10=", "patchType": "JSONPatch"});
    check("v1", true, patch.clone(), Ok(2));
    check(
        "v1",
        false,
        patch,
        Err("validating webhook may not return response.patch"),
    );
    check(
        "v1",
        true,
        json!({"patch": "W10="}),
        Err("webhook returned response.patch but not response.patchType"),
    );
    check(
        "v1",
        true,
        json!({"patchType": "JSONPatch"}),
        Err("webhook returned response.patchType but not response.patch"),
    );
    check(
        "v1",
        true,
        json!({"patch": "W10=", "patchType": ""}),
        Err(r#"webhook returned invalid response.patchType of """#),
    );
    check(
        "v1",
        false,
        json!({"patchType": "JSONPatch"}),
        Err("validating webhook may not return response.patchType"),
    );
    check(
        "v1",
        true,
        json!({"patch": null, "patchType": null, "warnings": null, "auditAnnotations": {"a": "b"}}),
        Ok(0),
    );
    check("v1beta1", true, json!({"uid": "", "patch": "W10="}), Ok(2));
    check("v1beta1", false, json!({"uid": "other"}), Ok(0));
    let wrong = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "response": {"uid": "u"}});
    assert_eq!(
        read("x", "v1", "u", true, wrong.to_string().as_bytes())
            .unwrap_err()
            .text(),
        "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got \
         admission.k8s.io/v1beta1, Kind=AdmissionReview"
    );
    let unknown = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "response": {"uid": "u", "allowed": true, "patch": "W10=", "patchType": "Merge"}});
    assert_eq!(
        read("x", "v1", "u", true, unknown.to_string().as_bytes())
            .unwrap_err()
            .text(),
        r#"unsupported patch type "Merge""#
    );
}

/// Something in the place of a field of an answer.
fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-zA-Z0-9=/]{0,8}".prop_map(Value::from),
        Just(json!("JSONPatch")),
        Just(json!("W10=")),
        Just(json!({"code": 70000, "message": "m", "details": {"causes": 3}})),
        Just(json!(["a", 1])),
    ]
}

proptest! {
    #[test]
    fn any_answer_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), mutating in any::<bool>()) {
        let _ = read("x", "v1", "u", mutating, &bytes);
    }

    #[test]
    fn an_answer_of_another_shape_allows_nothing(
        fields in proptest::collection::btree_map(
            "allowed|status|patch|patchType|warnings|auditAnnotations|uid", any_value(), 0..6,
        ),
        mutating in any::<bool>(),
    ) {
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": fields});
        if let Ok(verdict) = read("x", "v1", "u", mutating, body.to_string().as_bytes()) {
            prop_assert_eq!(&fields["uid"], "u");
            let allowed = fields.get("allowed") == Some(&json!(true));
            match verdict.decision {
                Decision::Allow(patch) => prop_assert!(allowed && (mutating || patch.is_empty())),
                Decision::Deny(status) => prop_assert!(!allowed && (400..1000).contains(&status.code)),
            }
        }
    }
}
