//! Sums of resources against the limits of a `FederatedResourceQuota` (§6.11): what a binding uses, what a quota allows.
//!
//! Pure, and the same for whoever writes a binding: the hub's own loops and admission count by it. Start with [`usage`] and [`charged`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Amounts by resource name, in thousandths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts(BTreeMap<String, i128>);

impl Amounts {
    /// Reads a `ResourceList`; what is no quantity counts as nothing.
    pub fn of(list: &Value) -> Self {
        let entries = list.as_object().into_iter().flatten();
        let amount = |value: &Value| match value {
            Value::String(text) => crate::quantity::milli(text),
            Value::Number(number) => crate::quantity::milli(&number.to_string()),
            _ => None,
        };
        Self(
            entries
                .filter_map(|(name, value)| Some((name.clone(), amount(value)?)))
                .collect(),
        )
    }

    /// Adds a multiple.
    pub fn add(&mut self, other: &Self, times: i128) {
        for (name, amount) in &other.0 {
            *self.0.entry(name.clone()).or_default() += amount.saturating_mul(times);
        }
    }

    /// Only the resources that a limit names, each of them, with what there is of it.
    #[must_use]
    pub fn within(&self, limit: &Self) -> Self {
        let names = limit.0.keys();
        Self(
            names
                .map(|name| (name.clone(), self.0.get(name).copied().unwrap_or(0)))
                .collect(),
        )
    }

    /// Whether any amount is larger than in `other`, or stands there alone: a limit that is gone limits nothing.
    pub fn exceeds(&self, other: &Self) -> bool {
        let mut others = other.0.iter();
        others.any(|(name, amount)| self.0.get(name).is_none_or(|own| amount < own))
    }

    /// As a `ResourceList`. Bytes are written in binary form, everything else in decimal.
    pub fn to_value(&self) -> Value {
        let entries = self
            .0
            .iter()
            .map(|(name, amount)| (name.clone(), Value::from(written(name, *amount))));
        Value::Object(entries.collect::<Map<_, _>>())
    }

    fn is_zero(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
    }
}

fn written(name: &str, amount: i128) -> String {
    if ["memory", "storage", "hugepages-"]
        .iter()
        .any(|part| name.contains(part))
    {
        crate::quantity::format_bytes(amount)
    } else {
        crate::quantity::format(amount)
    }
}

/// What counts of a binding.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Binding {
    spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replica_requirements: Requirements,
    components: Vec<Component>,
    clusters: Vec<Target>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Requirements {
    resource_request: Value,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Component {
    name: String,
    replicas: i64,
    replica_requirements: Requirements,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Target {
    replicas: i64,
    components: Vec<Component>,
}

/// What a binding uses where it is placed: what a replica requests, times the replicas that are placed.
pub fn usage(binding: &Binding) -> Amounts {
    let spec = &binding.spec;
    let mut used = Amounts::default();
    let replica = Amounts::of(&spec.replica_requirements.resource_request);
    let placed: i64 = spec.clusters.iter().map(|target| target.replicas).sum();
    used.add(&replica, placed.into());
    for component in &spec.components {
        let each = Amounts::of(&component.replica_requirements.resource_request);
        let replicas = spec.clusters.iter().map(|target| {
            let own = target.components.iter().find(|own| own.name == component.name);
            own.map_or(component.replicas, |own| own.replicas)
        });
        used.add(&each, replicas.sum::<i64>().into());
    }
    used
}

/// A quota that a change does not fit into.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("FederatedResourceQuota({quota}) exceeded for resource {resource}: requested sum {sum}, limit {limit}.")]
pub struct Exceeded {
    quota: String,
    resource: String,
    sum: String,
    limit: String,
}

/// `status.overallUsed` of a quota after a binding has changed from `before` to `after`; `None` when nothing that it limits changes.
pub fn charged(
    title: &str,
    overall: &Amounts,
    used: &Amounts,
    before: &Amounts,
    after: &Amounts,
) -> Result<Option<Amounts>, Exceeded> {
    let mut change = after.within(overall);
    change.add(&before.within(overall), -1);
    if change.is_zero() {
        return Ok(None);
    }
    let mut sum = used.within(overall);
    sum.add(&change, 1);
    for (resource, limit) in &overall.0 {
        let (grows, total) = (0 < change.0[resource], sum.0[resource]);
        // Whoever needs less is let through, however much there is already.
        if grows && *limit < total {
            return Err(Exceeded {
                quota: title.to_owned(),
                resource: resource.clone(),
                sum: written(resource, total),
                limit: written(resource, *limit),
            });
        }
    }
    Ok(Some(sum))
}
