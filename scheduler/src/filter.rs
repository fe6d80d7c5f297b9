//! Which clusters may hold a workload at all, and the reason for each that may not.

use std::collections::BTreeMap;
use std::fmt;

use crds::placement::{ClusterAffinity, Expression, Placement};

use crate::{BindingView, ClusterView};

/// Why a cluster may not hold a workload. The texts are Karmada's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// It is being deleted.
    Deleting,
    /// It does not serve the kind.
    ApiNotEnabled,
    /// It has a taint that the policy does not tolerate.
    Taint {
        /// Taint key.
        key: String,
        /// Taint value.
        value: String,
        /// Taint effect.
        effect: String,
    },
    /// The policy's affinity does not name it.
    Affinity,
    /// The policy spreads by a field that it does not have.
    NoSpreadField {
        /// `provider`, `region` or `zones`.
        field: &'static str,
    },
    /// The workload is being evicted from it.
    Evicting,
    /// No weight of the policy names it.
    NoWeight,
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deleting => formatter.write_str("cluster(s) is being deleted"),
            Self::ApiNotEnabled => formatter.write_str("cluster(s) did not have the API resource"),
            Self::Taint { key, value, effect } if value.is_empty() => {
                write!(formatter, "cluster(s) had untolerated taint {{{key}:{effect}}}")
            }
            Self::Taint { key, value, effect } => {
                write!(formatter, "cluster(s) had untolerated taint {{{key}={value}:{effect}}}")
            }
            Self::Affinity => formatter.write_str("cluster(s) did not match the placement cluster affinity constraint"),
            Self::NoSpreadField { field } => write!(formatter, "cluster(s) did not have {field} property"),
            Self::Evicting => formatter.write_str("cluster(s) is in the process of eviction"),
            Self::NoWeight => formatter.write_str("cluster(s) had no weight in the static weight list"),
        }
    }
}

/// The first rule that a cluster breaks, in Karmada's order of plugins (§3.3). Where a workload already is, a missing API or a
/// new taint does not drive it out: that is failover's decision. `kind` is (apiVersion, kind) of the binding.
pub(crate) fn reject(
    cluster: &ClusterView,
    binding: &BindingView,
    kind: &(String, String),
    affinity: &ClusterAffinity,
) -> Option<Rejection> {
    if cluster.deleting {
        return Some(Rejection::Deleting);
    }
    let holds_it = binding.current.iter().any(|target| target.name == cluster.name);
    if !holds_it {
        if !cluster.enablements.contains(kind) {
            return Some(Rejection::ApiNotEnabled);
        }
        let untolerated = cluster.taints.iter().find(|taint| {
            matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
                && !binding
                    .placement
                    .cluster_tolerations
                    .iter()
                    .any(|toleration| toleration.tolerates(taint))
        });
        if let Some(taint) = untolerated {
            return Some(Rejection::Taint {
                key: taint.key.clone(),
                value: taint.value.clone(),
                effect: taint.effect.clone(),
            });
        }
    }
    if !matches(affinity, cluster) {
        return Some(Rejection::Affinity);
    }
    if let Some(field) = missing_field(cluster, &binding.placement) {
        return Some(Rejection::NoSpreadField { field });
    }
    binding.evicting.contains(&cluster.name).then_some(Rejection::Evicting)
}

/// The first field to spread by that a cluster lacks. It counts even where the constraint selects nothing (static weights).
fn missing_field(cluster: &ClusterView, placement: &Placement) -> Option<&'static str> {
    placement
        .spread_constraints
        .iter()
        .find_map(|constraint| match constraint.spread_by_field.as_str() {
            "provider" if cluster.provider.is_empty() => Some("provider"),
            "region" if cluster.region.is_empty() => Some("region"),
            "zone" if cluster.zones.is_empty() => Some("zones"),
            _ => None,
        })
}

/// Whether an affinity names a cluster (§3.3, `ClusterMatches`): excluded names first, then labels, fields and names, all of which must
/// hold. An empty affinity names every cluster.
pub fn matches(affinity: &ClusterAffinity, cluster: &ClusterView) -> bool {
    !affinity.exclude.contains(&cluster.name)
        && affinity
            .label_selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&cluster.labels))
        && affinity
            .field_selector
            .iter()
            .flat_map(|selector| &selector.match_expressions)
            .all(|expression| field_holds(expression, cluster))
        && (affinity.cluster_names.is_empty() || affinity.cluster_names.contains(&cluster.name))
}

fn field_holds(expression: &Expression, cluster: &ClusterView) -> bool {
    match expression.key.as_str() {
        "provider" => expression.holds(some(&cluster.provider)),
        "region" => expression.holds(some(&cluster.region)),
        // A cluster may lie in several zones: one of them is enough for In, none may be named by NotIn.
        "zone" if expression.operator == "In" => cluster.zones.iter().any(|zone| expression.holds(Some(zone))),
        "zone" => cluster.zones.iter().all(|zone| expression.holds(Some(zone))),
        _ => false,
    }
}

/// A field that is empty is a field that is not there.
fn some(field: &str) -> Option<&str> {
    (!field.is_empty()).then_some(field)
}

/// `0/N clusters are available: 2 …, 1 ….`, reasons sorted.
pub(crate) fn fit_message(rejected: &[(String, Rejection)]) -> String {
    if rejected.is_empty() {
        return "0/0 clusters are available: no cluster exists.".to_owned();
    }
    let mut counts = BTreeMap::<String, usize>::new();
    for (_, rejection) in rejected {
        *counts.entry(rejection.to_string()).or_default() += 1;
    }
    let mut reasons: Vec<String> = counts
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    reasons.sort();
    format!("0/{} clusters are available: {}.", rejected.len(), reasons.join(", "))
}
