//! Which clusters may hold a workload at all, and the plugin and reason for each that may not (§3.3).
//!
//! The plugins run in Karmada's order; the first that objects gives the reason. Where a workload already is, a missing API or a new taint
//! does not drive it out: that is failover's decision.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crds::placement::{Placement, SpreadConstraint, Taint};

use crate::affinity::Tiers;
use crate::options::{Plugin, Plugins};
use crate::view::{BindingView, ClusterView, Enablements};

/// Why a cluster may not hold a workload. The texts are Karmada's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rejection<'a> {
    /// It is being deleted.
    Deleting,
    /// It does not serve the kind.
    ApiNotEnabled,
    /// It has a taint that the policy does not tolerate.
    Taint(&'a Taint),
    /// The policy's affinity does not name it.
    Affinity,
    /// The policy spreads by a field that it does not have: `provider`, `region` or `zones`.
    NoField(&'static str),
    /// The policy spreads by a label that it does not have.
    NoLabel(&'a str),
    /// The workload is being evicted from it.
    Evicting,
    /// Other workloads of the affinity group are elsewhere.
    GroupElsewhere,
    /// A workload of the anti-affinity group is there.
    GroupThere,
}

impl Rejection<'_> {
    /// The plugin that objects, by Karmada's name.
    pub(crate) fn plugin(&self) -> &'static str {
        match self {
            Self::Deleting => "Deletion",
            Self::ApiNotEnabled => Plugin::ApiEnablement.name(),
            Self::Taint(_) => Plugin::TaintToleration.name(),
            Self::Affinity => Plugin::ClusterAffinity.name(),
            Self::NoField(_) | Self::NoLabel(_) => Plugin::SpreadConstraint.name(),
            Self::Evicting => Plugin::ClusterEviction.name(),
            Self::GroupElsewhere => Plugin::WorkloadAffinity.name(),
            Self::GroupThere => Plugin::WorkloadAntiAffinity.name(),
        }
    }

    /// What is said of the clusters.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        let text = match self {
            Self::Deleting => "cluster(s) is being deleted",
            Self::ApiNotEnabled => "cluster(s) did not have the API resource",
            Self::Affinity => "cluster(s) did not match the placement cluster affinity constraint",
            Self::Evicting => "cluster(s) is in the process of eviction",
            Self::GroupElsewhere => "ResourceBinding with the same affinity group does not target this cluster",
            Self::GroupThere => "cluster already has workload with the same anti-affinity group",
            Self::Taint(taint) => return format!("cluster(s) had untolerated taint {{{}}}", taint_text(taint)).into(),
            Self::NoField(field) => return format!("cluster(s) did not have {field} property").into(),
            Self::NoLabel(key) => return format!("cluster(s) did not have the label {key}").into(),
        };
        text.into()
    }

    /// What would let such a cluster in.
    pub(crate) fn remedy(&self, binding: &BindingView) -> String {
        match self {
            Self::Deleting => "nothing: the cluster is leaving".to_owned(),
            Self::ApiNotEnabled => format!(
                "serve {} {} in the cluster, or wait until its agent reports it",
                binding.api_version, binding.kind
            ),
            Self::Taint(taint) => format!(
                "tolerate {} in placement.clusterTolerations, or take the taint off the cluster",
                taint_text(taint)
            ),
            Self::Affinity => "let the cluster match the placement's cluster affinity".to_owned(),
            Self::NoField(field) => format!("set spec.{field} of the cluster, or drop the spread constraint"),
            Self::NoLabel(key) => format!("give the cluster the label {key}, or drop the spread constraint"),
            Self::Evicting => "wait for the end of the eviction (spec.gracefulEvictionTasks of the binding)".to_owned(),
            Self::GroupElsewhere => "move the other workloads of the group, or leave the affinity group".to_owned(),
            Self::GroupThere => {
                "move the other workloads of the group away, or leave the anti-affinity group".to_owned()
            }
        }
    }
}

fn taint_text(taint: &Taint) -> String {
    if taint.value.is_empty() {
        format!("{}:{}", taint.key, taint.effect)
    } else {
        format!("{}={}:{}", taint.key, taint.value, taint.effect)
    }
}

/// The filters of one placement.
pub(crate) struct Filters<'a> {
    binding: &'a BindingView,
    plugins: Plugins,
    kind: (String, String),
    evicting: Vec<&'a str>,
    /// The set that was asked last, and its answer: most clusters share one.
    enabled: std::cell::Cell<Option<(*const Enablements, bool)>>,
}

impl<'a> Filters<'a> {
    pub(crate) fn new(binding: &'a BindingView, plugins: Plugins) -> Self {
        let mut evicting: Vec<&str> = binding.evicting.iter().map(String::as_str).collect();
        evicting.sort_unstable();
        Self {
            binding,
            plugins,
            kind: (binding.api_version.clone(), binding.kind.clone()),
            evicting,
            enabled: std::cell::Cell::new(None),
        }
    }

    /// The tier (0: the primary group) of a cluster that may hold the workload; `holds` says that it does now.
    pub(crate) fn pass(
        &self,
        cluster: &'a ClusterView,
        tiers: &Tiers<'_>,
        holds: bool,
    ) -> Result<usize, Rejection<'a>> {
        let (binding, plugins) = (self.binding, self.plugins);
        if cluster.deleting {
            return Err(Rejection::Deleting);
        }
        if !holds {
            if plugins.on(Plugin::ApiEnablement) && !self.enabled(cluster) {
                return Err(Rejection::ApiNotEnabled);
            }
            if plugins.on(Plugin::TaintToleration)
                && let Some(taint) = untolerated(cluster, &binding.placement)
            {
                return Err(Rejection::Taint(taint));
            }
        }
        let tier = match tiers.of(cluster) {
            None if plugins.on(Plugin::ClusterAffinity) => return Err(Rejection::Affinity),
            tier => tier.unwrap_or_default(),
        };
        let mut constraints = binding.placement.spread_constraints.iter();
        if plugins.on(Plugin::SpreadConstraint)
            && let Some(rejection) = constraints.find_map(|constraint| lacks(cluster, constraint))
        {
            return Err(rejection);
        }
        if plugins.on(Plugin::ClusterEviction) && self.evicting.binary_search(&cluster.name.as_str()).is_ok() {
            return Err(Rejection::Evicting);
        }
        if !holds {
            let neighbours = &binding.neighbours;
            let elsewhere = |common: &BTreeSet<String>| !common.contains(&cluster.name);
            if plugins.on(Plugin::WorkloadAffinity) && neighbours.together.as_ref().is_some_and(elsewhere) {
                return Err(Rejection::GroupElsewhere);
            }
            if plugins.on(Plugin::WorkloadAntiAffinity) && neighbours.apart.contains(&cluster.name) {
                return Err(Rejection::GroupThere);
            }
        }
        Ok(tier)
    }

    fn enabled(&self, cluster: &ClusterView) -> bool {
        let set: *const Enablements = &raw const *cluster.enablements;
        if let Some((known, answer)) = self.enabled.get()
            && std::ptr::eq(known, set)
        {
            return answer;
        }
        let answer = cluster.enablements.contains(&self.kind);
        self.enabled.set(Some((set, answer)));
        answer
    }
}

fn untolerated<'a>(cluster: &'a ClusterView, placement: &Placement) -> Option<&'a Taint> {
    cluster.taints.iter().find(|taint| {
        matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute")
            && !placement
                .cluster_tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
    })
}

/// What a cluster lacks to be spread over. It counts even where the constraint selects nothing (static weights).
fn lacks<'a>(cluster: &ClusterView, constraint: &'a SpreadConstraint) -> Option<Rejection<'a>> {
    match constraint.spread_by_field.as_str() {
        "provider" if cluster.provider.is_empty() => Some(Rejection::NoField("provider")),
        "region" if cluster.region.is_empty() => Some(Rejection::NoField("region")),
        "zone" if cluster.zones.is_empty() => Some(Rejection::NoField("zones")),
        "" if !constraint.spread_by_label.is_empty() && !cluster.labels.contains_key(&constraint.spread_by_label) => {
            Some(Rejection::NoLabel(&constraint.spread_by_label))
        }
        _ => None,
    }
}
