//! Certificate requests: those of agents (and nodes) are approved when their sender may have them, approved ones are signed,
//! and all of them go after a while. [`plan`] decides.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use runtime::hub::{Action, Request};
use runtime::queue;
use schema::status::Status;
use serde_json::{Value, json};

use super::{Identity, resource, until};
use crate::auth::authorize::Attributes;
use crate::pki::{AGENT_PREFIX, AGENTS, CertificateRequest};
use crate::request::User;
use crate::strategy::certificates::request;
use crate::verbs::object::{texts, time};

const GROUP: &str = "certificates.k8s.io";
const PLURAL: &str = "certificatesigningrequests";
/// Certificates for clients of this server.
const CLIENTS: &str = "kubernetes.io/kube-apiserver-client";
/// Certificates for its nodes.
const NODES: &str = "kubernetes.io/kube-apiserver-client-kubelet";
/// How long a request that was answered stays, in seconds.
const ANSWERED: i64 = 3600;
/// How long one stays that nobody answers.
const PENDING: i64 = 24 * 3600;

/// Who gets certificates without a person's approval, if they may `create` the subresource of requests that is named here.
struct Kind {
    signer: &'static str,
    prefix: &'static str,
    organization: &'static str,
    /// For somebody who has no certificate yet.
    first: &'static str,
    /// For the owner of the same name.
    renewal: &'static str,
    what: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        signer: CLIENTS,
        prefix: AGENT_PREFIX,
        organization: AGENTS,
        first: "clusteragent",
        renewal: "selfclusteragent",
        what: "agent",
    },
    Kind {
        signer: NODES,
        prefix: "system:node:",
        organization: "system:nodes",
        first: "nodeclient",
        renewal: "selfnodeclient",
        what: "kubelet",
    },
];

/// What is to be done about a request.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing before this time.
    Wait(Timestamp),
    /// It has been there for long enough.
    Delete,
    /// Ask whether its sender may have it without a person's approval: one of these subresources, with what to say then.
    Ask(Vec<(&'static str, String)>),
    /// Give a certificate.
    Sign(Box<CertificateRequest>),
    /// Tell why there will be none.
    Fail(String),
}

/// Decides about a request.
pub(super) fn plan(object: &Value, now: Timestamp) -> Step {
    let created = at(&object["metadata"]["creationTimestamp"]);
    let list = object["status"]["conditions"].as_array();
    let condition = |kind: &str| {
        let found = list?
            .iter()
            .find(|own| own["type"] == kind && own["status"] == "True")?;
        Some(at(&found["lastUpdateTime"]).or(created).unwrap_or(now))
    };
    let [approved, denied, failed] = ["Approved", "Denied", "Failed"].map(condition);
    let (since, stays) = match denied.or(failed).or(approved) {
        Some(since) => (since, ANSWERED),
        None => (created.unwrap_or(now), PENDING),
    };
    let end = Timestamp::from_second(since.as_second() + stays).unwrap_or(Timestamp::MAX);
    if end <= now {
        return Step::Delete;
    }
    let signer = object["spec"]["signerName"].as_str().unwrap_or_default();
    let ours = matches!(signer, CLIENTS | NODES);
    let issued = object["status"]["certificate"]
        .as_str()
        .is_some_and(|text| !text.is_empty());
    if !ours || issued || denied.is_some() || failed.is_some() {
        return Step::Wait(end);
    }
    let request = request(object);
    if approved.is_some() {
        return match request.and_then(|request| check(object, signer, &request).map(|()| request)) {
            Ok(request) => Step::Sign(Box::new(request)),
            Err(reason) => Step::Fail(reason),
        };
    }
    let questions = request.map_or_else(|_| Vec::new(), |request| questions(object, signer, &request));
    if questions.is_empty() {
        Step::Wait(end)
    } else {
        Step::Ask(questions)
    }
}

fn at(time: &Value) -> Option<Timestamp> {
    time.as_str()?.parse().ok()
}

/// Whether a request is one that its signer signs.
fn check(object: &Value, signer: &str, request: &CertificateRequest) -> Result<(), String> {
    if signer == NODES {
        check_names(&KINDS[1], request)?;
    }
    let usages = texts(&object["spec"]["usages"]);
    for usage in &usages {
        if !matches!(usage.as_str(), "client auth" | "digital signature" | "key encipherment") {
            return Err(format!("invalid usage for client certificate: {usage}"));
        }
    }
    if usages.iter().any(|usage| usage == "client auth") {
        return Ok(());
    }
    Err("missing required usage for client certificate: client auth".to_owned())
}

fn check_names(kind: &Kind, request: &CertificateRequest) -> Result<(), String> {
    if request.organizations != [kind.organization] {
        return Err(format!("subject organization is not {}", kind.organization));
    }
    if request.name.strip_prefix(kind.prefix).is_none_or(str::is_empty) {
        return Err(format!("subject common name does not begin with {}", kind.prefix));
    }
    match request.alternatives.first() {
        Some(names) => Err(format!("{names} subjectAltNames are not allowed")),
        None => Ok(()),
    }
}

/// What the sender may be allowed to do to have this request approved.
fn questions(object: &Value, signer: &str, request: &CertificateRequest) -> Vec<(&'static str, String)> {
    let usages = texts(&object["spec"]["usages"]);
    let has = |usage: &str| usages.iter().any(|own| own == usage);
    let usual =
        has("client auth") && has("digital signature") && usages.len() == if has("key encipherment") { 3 } else { 2 };
    let kind = KINDS
        .iter()
        .find(|kind| kind.signer == signer && usual && check_names(kind, request).is_ok());
    let Some(kind) = kind else {
        return Vec::new();
    };
    let text = |own: &str| {
        format!(
            "Auto approving {own}{} client certificate after SubjectAccessReview.",
            kind.what
        )
    };
    let mut questions = vec![(kind.first, text(""))];
    if object["spec"]["username"] == request.name.as_str() {
        questions.insert(0, (kind.renewal, text("self ")));
    }
    questions
}

impl Identity {
    /// One look at a request.
    pub(super) async fn look_at_request(&self, name: &str) -> Result<queue::Action, Status> {
        let Some(entry) = self.get(GROUP, PLURAL, "", name) else {
            return Ok(queue::Action::Done);
        };
        let object = entry.value();
        let now = self.now();
        let requests = resource(GROUP, PLURAL, "CertificateSigningRequest", false);
        let (subresource, status) = match plan(&object, now) {
            Step::Wait(end) => return Ok(queue::Action::After(until(end, now))),
            Step::Delete => {
                self.delete(requests, &entry).await?;
                return Ok(queue::Action::Done);
            }
            Step::Ask(questions) => {
                let Some(text) = self.permitted(&object["spec"], questions) else {
                    // Roles may change, and requests go after a day.
                    return Ok(queue::Action::After(std::time::Duration::from_mins(1)));
                };
                let added = condition(&object, "Approved", "AutoApproved", &text, now);
                ("approval", json!({"conditions": added}))
            }
            Step::Fail(reason) => {
                let added = condition(&object, "Failed", "SignerValidationFailure", &reason, now);
                ("status", json!({"conditions": added}))
            }
            Step::Sign(request) => {
                let seconds = object["spec"]["expirationSeconds"].as_i64();
                let usages = texts(&object["spec"]["usages"]);
                let (api, serial) = (&self.api, self.api.random.bits());
                let signed = api
                    .pki
                    .sign_request(&request, &usages, seconds, serial, api.clock.as_ref());
                let status = match signed {
                    Ok(pem) => json!({"certificate": STANDARD.encode(pem)}),
                    Err(error) => {
                        let text = error.to_string();
                        json!({"conditions": condition(&object, "Failed", "SignerValidationFailure", &text, now)})
                    }
                };
                ("status", status)
            }
        };
        let revision = entry.revision().to_string();
        let patch = json!({"metadata": {"resourceVersion": revision}, "status": status});
        let request = Request {
            subresource: Some(subresource),
            ..super::super::about(&requests, &entry, Action::Merge(patch))
        };
        // The change brings the next look.
        self.write(request).await?;
        Ok(queue::Action::Done)
    }

    /// What to say about a request whose sender may have it.
    fn permitted(&self, spec: &Value, questions: Vec<(&'static str, String)>) -> Option<String> {
        let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
        let extra = spec["extra"].as_object().into_iter().flatten();
        let sender = User {
            name: text("username"),
            uid: text("uid"),
            groups: texts(&spec["groups"]),
            extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
        };
        let may = |subresource: &str| {
            let attributes = Attributes {
                verb: "create".to_owned(),
                group: GROUP.to_owned(),
                version: "*".to_owned(),
                resource: PLURAL.to_owned(),
                subresource: subresource.to_owned(),
                ..Attributes::default()
            };
            self.api.authorizers.authorize(&sender, &attributes)
        };
        questions
            .into_iter()
            .find(|(subresource, _)| may(subresource))
            .map(|(_, text)| text)
    }
}

/// The conditions of a request with one more.
fn condition(object: &Value, kind: &str, reason: &str, message: &str, now: Timestamp) -> Vec<Value> {
    let mut list = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    list.push(json!({
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": message,
        "lastUpdateTime": time(now),
        "lastTransitionTime": time(now),
    }));
    list
}
