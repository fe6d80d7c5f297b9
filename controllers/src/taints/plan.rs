//! Which taints a cluster has by its conditions. Pure.

use crds::placement::ClusterAffinity;
use scheduler::ClusterView;
use schema::entry::Entry;
use serde::Deserialize;
use serde_json::Value;

use crate::conditions::seconds;

/// A `ClusterTaintPolicy` as far as it decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// What it says.
    pub spec: Spec,
}

/// See [`Policy`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    target_clusters: Option<ClusterAffinity>,
    add_on_conditions: Vec<Match>,
    remove_on_conditions: Vec<Match>,
    taints: Vec<Taint>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Match {
    condition_type: String,
    operator: String,
    status_values: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Taint {
    key: String,
    effect: String,
    value: String,
}

impl Match {
    /// Both operators need the condition to be there.
    fn holds(&self, cluster: &Value) -> bool {
        let Some(condition) = crate::conditions::find(cluster, &self.condition_type) else {
            return false;
        };
        let status = condition["status"].as_str().unwrap_or_default();
        let listed = self.status_values.iter().any(|value| value == status);
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            _ => false,
        }
    }
}

/// All of them hold; none means never.
fn all_hold(matches: &[Match], cluster: &Value) -> bool {
    !matches.is_empty() && matches.iter().all(|condition| condition.holds(cluster))
}

impl Taint {
    fn is(&self, taint: &Value) -> bool {
        taint["key"] == self.key.as_str() && taint["effect"] == self.effect.as_str()
    }
}

/// The order in which policies have their say: by age, then by name.
pub fn sorted(mut policies: Vec<(std::sync::Arc<Entry>, Policy)>) -> Vec<Policy> {
    policies.sort_by(|(left, _), (right, _)| {
        let age = |entry: &Entry| (entry.meta().creation_timestamp, entry.name().to_owned());
        age(left).cmp(&age(right))
    });
    policies.into_iter().map(|(_, policy)| policy).collect()
}

/// `spec.taints` of a cluster after every policy has had its say.
pub fn taints(cluster: &Value, view: &ClusterView, policies: &[Policy], now: jiff::Timestamp) -> Vec<Value> {
    let mut taints = cluster["spec"]["taints"].as_array().cloned().unwrap_or_default();
    for Policy { spec } in policies {
        let targeted = spec.target_clusters.as_ref();
        if !targeted.is_none_or(|affinity| scheduler::affinity::matches(affinity, view)) {
            continue;
        }
        if all_hold(&spec.add_on_conditions, cluster) {
            for taint in &spec.taints {
                if !taints.iter().any(|present| taint.is(present)) {
                    taints.push(taint_value(taint, now));
                }
            }
        }
        if all_hold(&spec.remove_on_conditions, cluster) {
            taints.retain(|present| !spec.taints.iter().any(|taint| taint.is(present)));
        }
    }
    taints
}

fn taint_value(taint: &Taint, now: jiff::Timestamp) -> Value {
    let mut value = serde_json::json!({"key": taint.key, "effect": taint.effect, "timeAdded": seconds(now)});
    if !taint.value.is_empty() {
        value["value"] = taint.value.clone().into();
    }
    value
}

#[cfg(test)]
mod tests;
