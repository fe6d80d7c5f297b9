//! What a template waits for before its binding says what it should.

use schema::entry::{Draft, Entry};
use serde_json::Value;

use super::{Evidence, is_deleting, policy};
use crate::depend::plan::has_policy;
use crate::detect::plan::{Policy, Template, best};
use crate::kinds;
use crate::names;

/// Why there is no binding.
pub(super) fn missing(evidence: &Evidence<'_>) -> String {
    let template = evidence.template;
    if is_deleting(template) {
        return "the template is being deleted".to_owned();
    }
    let namespace = template["metadata"]["namespace"].as_str().unwrap_or_default();
    if names::reserved_namespace(namespace) {
        return format!("nothing is propagated from the namespace {namespace}");
    }
    let policies = parsed(evidence);
    if let Some(title) = policy(template) {
        let claims = |policy: &&Policy| self::title(policy) == title;
        return match policies.iter().find(claims) {
            Some(policy) if policy.lazy => {
                format!("{title} has claimed the template and is lazy: it acts when the template changes next")
            }
            known => known
                .and_then(|policy| without_overrides(evidence, policy))
                .unwrap_or_else(|| format!("{title} has claimed the template; its binding is not written yet")),
        };
    }
    match chosen(template, policies) {
        Some(policy) => without_overrides(evidence, &policy)
            .unwrap_or_else(|| format!("{} selects the template; it is not claimed yet", title(&policy))),
        None => "no policy selects the template: apply a PropagationPolicy that does".to_owned(),
    }
}

/// Why a binding does not follow its template.
pub(super) fn behind(evidence: &Evidence<'_>, binding: &Value) -> Option<String> {
    if is_deleting(binding) || !has_policy(binding) {
        return None;
    }
    let Some(title) = policy(evidence.template) else {
        let text = "no policy has the template any more: it stays where it is, and changes are not followed";
        return Some(text.to_owned());
    };
    let policies = parsed(evidence);
    let policy = policies.iter().find(|policy| self::title(policy) == title)?;
    without_overrides(evidence, policy)
}

/// The override policies that a policy waits for.
fn without_overrides(evidence: &Evidence<'_>, policy: &Policy) -> Option<String> {
    let namespace = &*policy.key.namespace;
    let known = |name: &str| {
        evidence.overrides.iter().any(|object| {
            let metadata = &object["metadata"];
            metadata["name"] == name && metadata["namespace"].as_str().unwrap_or_default() == namespace
        })
    };
    let names = policy.dependent_overrides.iter().map(String::as_str);
    let missing: Vec<&str> = names.filter(|name| !known(name)).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "{} waits for override policies that are not there: {} (spec.dependentOverrides)",
            title(policy),
            missing.join(", ")
        )
    })
}

fn title(policy: &Policy) -> String {
    if policy.namespaced() {
        format!("PropagationPolicy {}/{}", policy.key.namespace, policy.key.name)
    } else {
        format!("ClusterPropagationPolicy {}", policy.key.name)
    }
}

fn parsed(evidence: &Evidence<'_>) -> Vec<Policy> {
    evidence
        .policies
        .iter()
        .filter_map(|policy| Policy::parse(&sealed(policy)?))
        .collect()
}

/// A policy as if it were stored; what it is tells its namespace.
fn sealed(policy: &Value) -> Option<Entry> {
    let draft = Draft::new(policy.clone()).ok()?;
    let meta = draft.meta();
    let resource = if meta.namespace.is_empty() {
        &kinds::CLUSTER_POLICY
    } else {
        &kinds::POLICY
    };
    let key = kinds::key(resource, &meta.namespace, &meta.name);
    Some(draft.seal(key, 0))
}

/// The policy that would take a template.
fn chosen(template: &Value, policies: Vec<Policy>) -> Option<Policy> {
    let draft = Draft::new(template.clone()).ok()?;
    let text = |field: &str| template[field].as_str().unwrap_or_default();
    let view = Template {
        api_version: text("apiVersion"),
        kind: text("kind"),
        meta: draft.meta(),
    };
    let policies = policies.into_iter().map(Shared);
    let (own, wide): (Vec<Shared>, Vec<Shared>) = policies.partition(|policy| policy.0.namespaced());
    let found = best(&own, &view).or_else(|| best(&wide, &view))?;
    Some(found.0.clone())
}

/// The choice among policies is made over references.
struct Shared(Policy);

impl AsRef<Policy> for Shared {
    fn as_ref(&self) -> &Policy {
        &self.0
    }
}
