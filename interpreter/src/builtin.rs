//! The rules that ship: those of Karmada's own kinds in code ([`crate::rules`]), those of other projects as data
//! ([`crate::declared`]), and the common conventions of status for everything else.
//!
//! Never here: rules of users; [`crate::customize`] comes before this.

use serde_json::Value;

use crate::{ClusterStatus, Health, Replicas, conventions, declared, rules};

/// Answers by what ships with the product. It never fails.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct BuiltIn;

impl BuiltIn {
    /// `InterpretReplica`: replicas and requirements; `None` for a kind that has no replicas.
    pub(crate) fn replicas(object: &Value) -> Option<Replicas> {
        match declared::of(object) {
            Some(rule) => rule.replicas(object),
            None => rules::of(object)
                .and_then(|rule| rule.replicas)
                .map(|replicas| replicas(object)),
        }
    }

    /// `ReviseReplica`: gives a manifest another number of replicas. Kinds without replicas, and objects without the field, stay as
    /// they are.
    pub(crate) fn revise_replicas(object: &mut Value, count: i64) {
        if let Some(rule) = declared::of(object) {
            rule.revise(object, count);
            return;
        }
        if let Some(field) = rules::of(object).and_then(|rule| rule.replica_field)
            && let Some(replicas) = object.get_mut("spec").and_then(|spec| spec.get_mut(field))
        {
            *replicas = count.into();
        }
    }

    /// `Retain`: the desired object with the fields that the member owns taken from what is there.
    pub(crate) fn retain(mut desired: Value, observed: &Value) -> Value {
        if let Some(rule) = declared::of(&desired) {
            rule.retain(&mut desired, observed);
        } else if let Some(retain) = rules::of(&desired).and_then(|rule| rule.retain) {
            retain(&mut desired, observed);
        }
        desired
    }

    /// `InterpretStatus`: what of the status travels back; the whole of it unless the kind says otherwise.
    pub(crate) fn reflect_status(object: &Value) -> Option<Value> {
        if let Some(rule) = declared::of(object) {
            return rule.reflect(object);
        }
        match rules::of(object).and_then(|rule| rule.reflect) {
            Some(reflect) => reflect(object),
            None => object.get("status").filter(|status| !status.is_null()).cloned(),
        }
    }

    /// Whether the kind has a rule for `AggregateStatus` at all.
    pub(crate) fn aggregates(template: &Value) -> bool {
        match declared::of(template) {
            Some(rule) => rule.aggregates(),
            None => rules::of(template).is_some_and(|rule| rule.aggregate.is_some()),
        }
    }

    /// `AggregateStatus`: the status of the template from those of the clusters; `None` when the kind has no rule, or when
    /// nothing changes.
    pub(crate) fn aggregate_status(template: &Value, items: &[ClusterStatus]) -> Option<Value> {
        let status = if let Some(rule) = declared::of(template) {
            rule.aggregate(template, items)?
        } else {
            let aggregate = rules::of(template).and_then(|rule| rule.aggregate)?;
            aggregate(template, items)?
        };
        let before = &template["status"];
        // A status that says nothing is as good as none.
        let nothing = before.is_null() && status.as_object().is_some_and(serde_json::Map::is_empty);
        (!nothing && *before != status).then_some(status)
    }

    /// `InterpretHealth`: a native kind without a rule is healthy, any other is judged by the common conventions.
    pub(crate) fn interpret_health(object: &Value) -> Health {
        let healthy = match (declared::of(object), rules::of(object)) {
            (Some(rule), _) => rule.healthy(object),
            (None, Some(rule)) => rule.healthy.is_none_or(|healthy| healthy(object)),
            (None, None) => conventions::healthy(object),
        };
        if healthy { Health::Healthy } else { Health::Unhealthy }
    }

    /// `InterpretComponent`: the parts of a workload that has several.
    pub(crate) fn components(object: &Value) -> Option<Vec<Value>> {
        declared::of(object)?.components(object)
    }

    /// `InterpretDependency`: what must be in a member beside the object, as `DependentObjectReference`s; each once.
    pub(crate) fn dependencies(object: &Value) -> Vec<Value> {
        if let Some(rule) = declared::of(object) {
            return rule.dependencies(object);
        }
        rules::of(object)
            .and_then(|rule| rule.dependencies)
            .map(|dependencies| dependencies(object))
            .unwrap_or_default()
    }
}
