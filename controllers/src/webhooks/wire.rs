//! `ResourceInterpreterContext`: the question to a webhook and the reading of its answer. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use interpreter::{Operation, Replicas};
use schema::patch::json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

const API_VERSION: &str = "config.karmada.io/v1alpha1";
const KIND: &str = "ResourceInterpreterContext";

/// What a webhook is asked.
pub(super) struct Question<'a> {
    pub(super) object: &'a Value,
    /// The object as a member has it.
    pub(super) observed: Option<&'a Value>,
    pub(super) replicas: i64,
    pub(super) aggregated_status: Vec<Value>,
}

impl<'a> Question<'a> {
    /// A question that is about an object only.
    pub(super) fn about(object: &'a Value) -> Self {
        Self {
            object,
            observed: None,
            replicas: 0,
            aggregated_status: Vec::new(),
        }
    }

    /// The body to send.
    pub(super) fn encode(&self, uid: &str, operation: Operation) -> serde_json::Result<Vec<u8>> {
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let api_version = text(&self.object["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let metadata = &self.object["metadata"];
        serde_json::to_vec(&Context {
            kind: KIND,
            api_version: API_VERSION,
            request: Request {
                uid,
                kind: Kind {
                    group,
                    version,
                    kind: text(&self.object["kind"]),
                },
                name: text(&metadata["name"]),
                namespace: text(&metadata["namespace"]),
                operation: operation.as_str(),
                object: self.object,
                observed_object: self.observed,
                replicas: self.replicas,
                aggregated_status: &self.aggregated_status,
            },
        })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    kind: &'static str,
    api_version: &'static str,
    request: Request<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: &'a str,
    kind: Kind<'a>,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    operation: &'static str,
    object: &'a Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_object: Option<&'a Value>,
    /// The replicas that are wanted; there in every question.
    replicas: i64,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    aggregated_status: &'a [Value],
}

#[derive(Serialize)]
#[allow(clippy::struct_field_names, reason = "the names of the wire")]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

/// An answer that speaks of the question.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Answer {
    uid: String,
    successful: bool,
    status: Option<Failure>,
    replicas: Option<i64>,
    replica_requirements: Option<Value>,
    components: Option<Vec<Value>>,
    dependencies: Option<Vec<Value>>,
    patch: Option<String>,
    patch_type: Option<String>,
    raw_status: Option<Value>,
    healthy: Option<bool>,
}

/// Why a webhook could not answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failure {
    message: String,
    code: i64,
}

impl Answer {
    /// Reads an answer to the question of this uid; the texts are Karmada's.
    pub(super) fn read(body: &[u8], uid: &str) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Envelope {
            api_version: String,
            kind: String,
            response: Option<Answer>,
        }
        let envelope: Envelope = serde_json::from_slice(body).map_err(|problem| {
            format!("failed to call webhook: couldn't get version/kind; json parse error: {problem}")
        })?;
        let invalid = |text: String| Err(format!("received invalid webhook response: {text}"));
        if envelope.api_version != API_VERSION || envelope.kind != KIND {
            let (api_version, kind) = (envelope.api_version, envelope.kind);
            return invalid(format!(
                "expected {API_VERSION}, Kind={KIND}, got {api_version}, Kind={kind}"
            ));
        }
        let Some(answer) = envelope.response else {
            return invalid("webhook response was absent".to_owned());
        };
        if answer.uid != uid {
            return invalid(format!("expected response.uid {uid:?}, got {:?}", answer.uid));
        }
        if answer.successful {
            return Ok(answer);
        }
        let Some(Failure { message, code }) = answer.status else {
            return invalid("webhook require response.status when response.successful is false".to_owned());
        };
        // A webhook chooses its words, and they end up in conditions.
        let message: String = message.chars().take(512).collect();
        Err(format!("webhook call failed, get status code: {code}, msg: {message}"))
    }

    pub(super) fn replicas(self) -> Result<Replicas, String> {
        let count = self.replicas.ok_or("webhook returned nil response.replicas")?;
        if !(0..=i64::from(i32::MAX)).contains(&count) {
            return Err(format!("{count} is no number of replicas"));
        }
        let requirements = self.replica_requirements.filter(|requirements| !requirements.is_null());
        if requirements
            .as_ref()
            .is_some_and(|requirements| !requirements.is_object())
        {
            return Err("response.replicaRequirements is no object".to_owned());
        }
        Ok(Replicas { count, requirements })
    }

    pub(super) fn components(self) -> Result<Option<Vec<Value>>, String> {
        let named = |part: &Value| part["name"].is_string() && part["replicas"].is_i64();
        let parts = self.components.filter(|parts| !parts.is_empty());
        if parts.as_ref().is_some_and(|parts| !parts.iter().all(named)) {
            return Err("a component without a name or replicas".to_owned());
        }
        Ok(parts)
    }

    pub(super) fn dependencies(self) -> Result<Vec<Value>, String> {
        let found = self.dependencies.unwrap_or_default();
        let told = |reference: &Value, field: &str| reference[field].as_str().is_some_and(|text| !text.is_empty());
        for (index, reference) in found.iter().enumerate() {
            for field in ["apiVersion", "kind"] {
                if !told(reference, field) {
                    return Err(format!("dependencies[{index}]: missing required {field}"));
                }
            }
            if told(reference, "name") == reference["labelSelector"].is_object() {
                return Err(format!(
                    "dependencies[{index}]: exactly one of name and labelSelector is required"
                ));
            }
        }
        Ok(found)
    }

    pub(super) fn raw_status(self) -> Result<Value, String> {
        let status = self.raw_status.filter(|status| !status.is_null());
        let status = status.ok_or("webhook returned nil response.rawStatus")?;
        if status.is_object() {
            Ok(status)
        } else {
            Err("response.rawStatus is no object".to_owned())
        }
    }

    pub(super) fn healthy(self) -> Result<bool, String> {
        self.healthy
            .ok_or_else(|| "webhook returned nil response.healthy".to_owned())
    }

    /// The object as the answer wants it.
    pub(super) fn patched(self, object: &Value) -> Result<Value, String> {
        let patch = self.patch.filter(|patch| !patch.is_empty());
        let patch = match (patch, self.patch_type.as_deref()) {
            (None, None) => return Ok(object.clone()),
            (Some(_), None) => return Err("webhook returned nil response.patchType".to_owned()),
            (None, Some(_)) => return Err("webhook returned empty response.patch".to_owned()),
            (Some(patch), Some("JSONPatch")) => patch,
            (Some(_), Some(other)) => {
                return Err(format!("webhook returned invalid response.patchType of {other:?}"));
            }
        };
        let patch = STANDARD
            .decode(patch)
            .map_err(|problem| format!("response.patch: {problem}"))?;
        let patch = json::parse(&patch).map_err(|status| status.message)?;
        let patched = json::apply(object.clone(), &patch).map_err(|status| status.message)?;
        // Whatever else it changes, it answers about the object that it was asked about.
        let same = |path: &str| patched.pointer(path) == object.pointer(path);
        if ["/apiVersion", "/kind", "/metadata/name", "/metadata/namespace"]
            .into_iter()
            .all(same)
        {
            Ok(patched)
        } else {
            Err("the patched object has another kind or name".to_owned())
        }
    }
}
