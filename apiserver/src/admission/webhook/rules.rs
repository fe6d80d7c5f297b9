//! What a configuration says about one webhook, in the form in which requests are compared with it.
//!
//! Pure: nothing here knows the store. A stored configuration was checked when it was written; what still makes no sense
//! (an unreadable selector, say) fails when it is used, as the webhook's failure policy has it.

use std::time::Duration;

use runtime::webhook::Target;
use schema::selector::LabelSelector;
use serde::Deserialize;
use serde_json::Value;

use super::conditions::Conditions;
use crate::registry::ResourceDef;

/// `timeoutSeconds` where none is given.
const TIMEOUT: u64 = 10;

/// What is done to an object, in the words of admission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub(crate) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    /// As an `AdmissionReview` writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub(super) webhooks: Vec<Webhook>,
}

/// One webhook of a configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Webhook {
    pub(super) name: String,
    pub(super) client_config: Target,
    rules: Vec<Rule>,
    failure_policy: Option<String>,
    match_policy: Option<String>,
    namespace_selector: Value,
    object_selector: Value,
    side_effects: Option<String>,
    timeout_seconds: Option<u64>,
    admission_review_versions: Vec<String>,
    reinvocation_policy: Option<String>,
    match_conditions: Vec<MatchCondition>,
}

/// `MatchCondition`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct MatchCondition {
    pub(super) name: String,
    pub(super) expression: String,
}

/// `RuleWithOperations`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Rule {
    operations: Vec<String>,
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    scope: Option<String>,
}

impl Rule {
    /// Whether the rule speaks of this operation on this resource.
    pub(super) fn covers(&self, operation: Operation, def: &ResourceDef, subresource: &str) -> bool {
        self.in_scope(def.namespaced)
            && has(&self.operations, operation.as_str())
            && has(&self.api_groups, &def.group)
            && has(&self.api_versions, &def.version)
            && self.resources.iter().any(|rule| {
                let (resource, part) = rule.split_once('/').unwrap_or((rule, ""));
                (resource == "*" || resource == def.plural) && (part == "*" || part == subresource)
            })
    }

    fn in_scope(&self, namespaced: bool) -> bool {
        match self.scope.as_deref() {
            Some("Namespaced") => namespaced,
            Some("Cluster") => !namespaced,
            _ => true,
        }
    }
}

fn has(list: &[String], name: &str) -> bool {
    list.iter().any(|own| own == "*" || own == name)
}

/// What the selectors of a webhook look at.
#[derive(Debug)]
pub(super) struct Selectors {
    pub(super) namespace: Result<LabelSelector, String>,
    pub(super) object: Result<LabelSelector, String>,
}

/// One webhook, ready to be compared with requests.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a field of the configuration")]
pub(super) struct Terms {
    /// For messages.
    pub(super) name: String,
    pub(super) rules: Vec<Rule>,
    /// `matchPolicy: Equivalent`.
    pub(super) equivalent: bool,
    pub(super) selectors: Selectors,
    pub(super) conditions: Conditions,
    /// `failurePolicy: Ignore`.
    pub(super) open: bool,
    /// May be called on a dry run.
    pub(super) pure: bool,
    pub(super) timeout: Duration,
    /// `reinvocationPolicy: IfNeeded`.
    pub(super) again: bool,
    /// The version of `AdmissionReview` to talk in; `None`: none that is known here.
    pub(super) version: Option<&'static str>,
}

impl Terms {
    pub(super) fn new(webhook: Webhook) -> Self {
        let Webhook {
            name,
            client_config: _,
            rules,
            failure_policy,
            match_policy,
            namespace_selector,
            object_selector,
            side_effects,
            timeout_seconds,
            admission_review_versions,
            reinvocation_policy,
            match_conditions,
        } = webhook;
        let known = |version: &String| ["v1", "v1beta1"].into_iter().find(|known| known == version);
        Self {
            rules,
            equivalent: match_policy.as_deref() != Some("Exact"),
            selectors: Selectors {
                namespace: selector(&namespace_selector),
                object: selector(&object_selector),
            },
            conditions: Conditions::compile(&match_conditions),
            open: failure_policy.as_deref() == Some("Ignore"),
            pure: matches!(side_effects.as_deref(), Some("None" | "NoneOnDryRun")),
            timeout: Duration::from_secs(timeout_seconds.unwrap_or(TIMEOUT).clamp(1, 30)),
            again: reinvocation_policy.as_deref() == Some("IfNeeded"),
            version: admission_review_versions.iter().find_map(known),
            name,
        }
    }
}

/// A selector that is not there selects everything, unlike elsewhere in Kubernetes: it is a default.
fn selector(value: &Value) -> Result<LabelSelector, String> {
    if value.is_null() {
        return Ok(LabelSelector::everything());
    }
    LabelSelector::from_json(value).map_err(|status| status.message)
}
