//! Which policy takes a template, and what a claim looks like on the template and its binding.
//!
//! Start with [`best`] for the choice among policies and [`claim_of`] for what an object says about its claim.

use std::collections::BTreeMap;

use schema::entry::{Entry, Key, Meta, Pairs};
use schema::selector::LabelSelector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::kinds;
use crate::names;

/// A propagation policy, namespaced or not, parsed once per change.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Its name in the store.
    pub key: Key,
    /// Its permanent id; empty until it has one.
    pub id: String,
    /// It is being deleted and takes nothing any more.
    pub deleting: bool,
    /// Its generation, by which a change of its spec is recognised.
    pub generation: i64,
    /// Explicit priority.
    pub priority: i64,
    /// Changes of the policy wait for a change of the template (`activationPreference: Lazy`).
    pub lazy: bool,
    /// Takes what policies of lower priority have (`preemption: Always`, and every selector names its object).
    pub preempts: bool,
    /// What it selects.
    pub selectors: Vec<Selector>,
    /// Override policies that must exist first.
    pub dependent_overrides: Vec<String>,
    /// The class that gives the binding its scheduling priority.
    pub priority_class: Option<String>,
    /// The fields of its spec that a binding carries on unchanged.
    pub carried: Map<String, Value>,
}

/// One `resourceSelectors` entry.
#[derive(Debug, Clone)]
pub struct Selector {
    /// `apiVersion` to match.
    pub api_version: String,
    /// Kind to match.
    pub kind: String,
    /// Namespace to match; empty for any.
    pub namespace: String,
    /// Name to match; empty for any, and then labels count.
    pub name: String,
    /// Labels to match when there is no name; `None` for any.
    pub labels: Option<LabelSelector>,
}

/// The fields of a policy's spec that a binding takes over as they are.
pub const CARRIED: [&str; 7] = [
    "conflictResolution",
    "failover",
    "placement",
    "preserveResourcesOnDeletion",
    "propagateDeps",
    "schedulerName",
    "suspension",
];

#[derive(Deserialize)]
struct RawPolicy {
    spec: RawSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(default)]
    resource_selectors: Vec<RawSelector>,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    activation_preference: String,
    #[serde(default)]
    preemption: String,
    #[serde(default)]
    dependent_overrides: Vec<String>,
    schedule_priority: Option<RawPriority>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSelector {
    api_version: String,
    kind: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    label_selector: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPriority {
    priority_class_name: String,
}

impl Policy {
    /// Parses a stored policy; `None` when it is not one that can be understood.
    pub fn parse(entry: &Entry) -> Option<Self> {
        let raw: RawPolicy = entry.typed().ok()?;
        let namespaced = entry.key().resource == kinds::POLICY.group_resource;
        let meta = entry.meta();
        let label = if namespaced {
            names::POLICY_ID
        } else {
            names::CLUSTER_POLICY_ID
        };
        // Without a name a policy would take more than anybody foresees.
        let named = raw
            .spec
            .resource_selectors
            .iter()
            .all(|selector| !selector.name.is_empty());
        let selectors = raw.spec.resource_selectors.into_iter().map(|selector| {
            // A selector that cannot be read selects nothing: better than too much.
            let labels = selector
                .label_selector
                .map(|labels| LabelSelector::from_json(&labels).unwrap_or_else(|_| LabelSelector::nothing()));
            // A policy of a namespace never looks beyond it.
            let namespace = if namespaced {
                meta.namespace.to_string()
            } else {
                selector.namespace
            };
            Selector {
                api_version: selector.api_version,
                kind: selector.kind,
                namespace,
                name: selector.name,
                labels,
            }
        });
        let mut carried = raw.spec.rest;
        carried.retain(|key, value| CARRIED.contains(&key.as_str()) && !value.is_null());
        Some(Self {
            key: entry.key().clone(),
            id: meta.labels.get(label).unwrap_or_default().to_owned(),
            deleting: meta.deletion_timestamp.is_some(),
            generation: meta.generation,
            priority: raw.spec.priority,
            lazy: raw.spec.activation_preference == "Lazy",
            preempts: named && raw.spec.preemption == "Always",
            selectors: selectors.collect(),
            dependent_overrides: raw.spec.dependent_overrides,
            priority_class: raw.spec.schedule_priority.map(|priority| priority.priority_class_name),
            carried,
        })
    }

    /// Belongs to a namespace.
    pub fn namespaced(&self) -> bool {
        !self.key.namespace.is_empty()
    }

    /// How closely it selects a template: 3 by name, 2 by labels, 1 by kind alone, 0 not at all.
    pub fn implicit_priority(&self, template: &Template<'_>) -> u8 {
        self.selectors
            .iter()
            .map(|selector| selector.closeness(template))
            .max()
            .unwrap_or(0)
    }

    /// Whether any selector takes the template.
    pub fn selects(&self, template: &Template<'_>) -> bool {
        self.implicit_priority(template) > 0
    }

    /// Whether it may take what another policy has (§2.6): a policy of a namespace takes from its like of lower priority and
    /// from any cluster-wide one, a cluster-wide policy only from its like of lower priority.
    pub fn may_preempt(&self, owner: &Self) -> bool {
        if !self.preempts || self.deleting || self.key == owner.key {
            return false;
        }
        match (self.namespaced(), owner.namespaced()) {
            (true, true) => self.key.namespace == owner.key.namespace && self.priority > owner.priority,
            (true, false) => true,
            (false, true) => false,
            (false, false) => self.priority > owner.priority,
        }
    }

    /// As Events name it.
    pub fn title(&self) -> String {
        if self.namespaced() {
            format!("policy({}/{})", self.key.namespace, self.key.name)
        } else {
            format!("cluster policy({})", self.key.name)
        }
    }

    /// The claim that it puts on what it takes.
    pub fn claim(&self) -> Claim {
        let (namespace, name) = (self.key.namespace.to_string(), self.key.name.to_string());
        if self.namespaced() {
            Claim::Policy {
                id: self.id.clone(),
                namespace,
                name,
            }
        } else {
            Claim::ClusterPolicy {
                id: self.id.clone(),
                name,
            }
        }
    }
}

/// What selectors look at.
#[derive(Debug, Clone, Copy)]
pub struct Template<'a> {
    /// `apiVersion` in which the hub lists it.
    pub api_version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Metadata.
    pub meta: &'a Meta,
}

impl Selector {
    /// How closely it selects a template: 3 by name, 2 by labels, 1 by kind alone, 0 not at all.
    pub(crate) fn closeness(&self, template: &Template<'_>) -> u8 {
        let meta = template.meta;
        if self.api_version != template.api_version
            || self.kind != template.kind
            || (!self.namespace.is_empty() && *self.namespace != *meta.namespace)
        {
            return 0;
        }
        match &self.labels {
            _ if !self.name.is_empty() => 3 * u8::from(*self.name == *meta.name),
            Some(labels) => 2 * u8::from(labels.matches(&meta.labels)),
            None => 1,
        }
    }
}

/// The policy that takes a template: highest priority, then closest selector, then first name.
pub fn best<'p, P: AsRef<Policy>>(policies: &'p [P], template: &Template<'_>) -> Option<&'p P> {
    policies
        .iter()
        .filter(|policy| !policy.as_ref().deleting)
        .filter_map(|policy| {
            let closeness = policy.as_ref().implicit_priority(template);
            (closeness > 0).then_some((policy, closeness))
        })
        .max_by(|(left, left_closeness), (right, right_closeness)| {
            let (left, right) = (left.as_ref(), right.as_ref());
            (left.priority, left_closeness)
                .cmp(&(right.priority, right_closeness))
                .then_with(|| right.key.name.cmp(&left.key.name))
        })
        .map(|(policy, _)| policy)
}

/// Whose a template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// A policy of its namespace has it.
    Policy {
        /// Permanent id of the policy.
        id: String,
        /// Namespace of the policy.
        namespace: String,
        /// Name of the policy.
        name: String,
    },
    /// A cluster-wide policy has it.
    ClusterPolicy {
        /// Permanent id of the policy.
        id: String,
        /// Name of the policy.
        name: String,
    },
}

impl Claim {
    /// The policy's name in the store.
    pub fn policy(&self) -> Key {
        match self {
            Self::Policy { namespace, name, .. } => kinds::key(&kinds::POLICY, namespace, name),
            Self::ClusterPolicy { name, .. } => kinds::key(&kinds::CLUSTER_POLICY, "", name),
        }
    }

    /// Labels that say so.
    pub fn labels(&self) -> BTreeMap<&'static str, &str> {
        match self {
            Self::Policy { id, .. } => BTreeMap::from([(names::POLICY_ID, id.as_str())]),
            Self::ClusterPolicy { id, .. } => BTreeMap::from([(names::CLUSTER_POLICY_ID, id.as_str())]),
        }
    }

    /// Annotations that say so.
    pub fn annotations(&self) -> BTreeMap<&'static str, &str> {
        match self {
            Self::Policy { namespace, name, .. } => BTreeMap::from([
                (names::POLICY_NAMESPACE, namespace.as_str()),
                (names::POLICY_NAME, name.as_str()),
            ]),
            Self::ClusterPolicy { name, .. } => BTreeMap::from([(names::CLUSTER_POLICY_NAME, name.as_str())]),
        }
    }
}

/// The claim that an object carries, if it is whole.
pub fn claim_of(meta: &Meta) -> Option<Claim> {
    let annotation = |key| meta.annotations.get(key).map(str::to_owned);
    if let Some(id) = meta.labels.get(names::POLICY_ID)
        && let (Some(namespace), Some(name)) = (annotation(names::POLICY_NAMESPACE), annotation(names::POLICY_NAME))
    {
        return Some(Claim::Policy {
            id: id.to_owned(),
            namespace,
            name,
        });
    }
    let id = meta.labels.get(names::CLUSTER_POLICY_ID)?;
    Some(Claim::ClusterPolicy {
        id: id.to_owned(),
        name: annotation(names::CLUSTER_POLICY_NAME)?,
    })
}

/// The patch that makes an object carry this claim and no other (`None`: no claim at all); nothing when it does already.
pub fn claim_patch(meta: &Meta, claim: Option<&Claim>) -> Option<Value> {
    let labels = change(
        &meta.labels,
        &[names::POLICY_ID, names::CLUSTER_POLICY_ID],
        &claim.map(Claim::labels).unwrap_or_default(),
    );
    let annotations = change(
        &meta.annotations,
        &[names::POLICY_NAMESPACE, names::POLICY_NAME, names::CLUSTER_POLICY_NAME],
        &claim.map(Claim::annotations).unwrap_or_default(),
    );
    let mut metadata = Map::new();
    if !labels.is_empty() {
        metadata.insert("labels".into(), labels.into());
    }
    if !annotations.is_empty() {
        metadata.insert("annotations".into(), annotations.into());
    }
    (!metadata.is_empty()).then(|| json!({"metadata": metadata}))
}

fn change(have: &Pairs, owned: &[&str], want: &BTreeMap<&str, &str>) -> Map<String, Value> {
    owned
        .iter()
        .filter_map(|key| {
            let (have, want) = (have.get(key), want.get(key).copied());
            (have != want).then(|| ((*key).to_owned(), want.map_or(Value::Null, Value::from)))
        })
        .collect()
}

/// Whether a change of a template is one that propagation must follow: anything but its status and bookkeeping.
pub fn content_changed(old: &Entry, new: &Entry) -> bool {
    let (before, after) = (old.meta(), new.meta());
    if before.uid != after.uid
        || before.labels != after.labels
        || before.annotations != after.annotations
        || before.finalizers != after.finalizers
        || before.owner_references != after.owner_references
        || before.deletion_timestamp != after.deletion_timestamp
    {
        return true;
    }
    if before.generation != 0 && after.generation != 0 {
        return before.generation != after.generation;
    }
    stripped(old) != stripped(new)
}

/// Whether only what the federation itself writes has changed (claims), which a Lazy policy does not react to.
pub fn changed_by_federation(old: &Entry, new: &Entry) -> bool {
    let keep = |key: &str| !key.contains(".karmada.io") || key == names::SKIP_AUTO_PROPAGATION;
    let (before, after) = (old.meta(), new.meta());
    if before.generation != 0 && before.generation == after.generation {
        // What they ask for is the same.
        let same = |before: &Pairs, after: &Pairs| {
            let kept = |(key, _): &(&str, &str)| keep(key);
            before.iter().filter(kept).eq(after.iter().filter(kept))
        };
        return before.uid == after.uid
            && same(&before.labels, &after.labels)
            && same(&before.annotations, &after.annotations)
            && before.finalizers == after.finalizers
            && before.owner_references == after.owner_references
            && before.deletion_timestamp == after.deletion_timestamp;
    }
    let own = |entry: &Entry| {
        let mut value = stripped(entry);
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("generation");
            for field in ["labels", "annotations"] {
                let mut empty = false;
                if let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) {
                    map.retain(|key, _| keep(key));
                    empty = map.is_empty();
                }
                if empty {
                    metadata.remove(field);
                }
            }
        }
        value
    };
    own(old) == own(new)
}

fn stripped(entry: &Entry) -> Value {
    let mut value = entry.unowned();
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
    }
    value
}

#[cfg(test)]
mod tests;
