//! Which clusters an affinity names (§3.3, `ClusterMatches`), prepared once and asked of every cluster.

use crds::placement::{ClusterAffinity, ClusterAffinityTerm, Expression, StaticClusterWeight};

use crate::view::ClusterView;
use crate::walk::Walk;

/// Whether an affinity names a cluster: excluded names first, then labels, fields and names, all of which must hold. An empty
/// affinity names every cluster. For many clusters prepare a [`Matcher`].
pub fn matches(affinity: &ClusterAffinity, cluster: &ClusterView) -> bool {
    Matcher::new(affinity).matches(cluster)
}

/// An affinity with its names sorted: policies may list thousands.
#[derive(Debug)]
pub struct Matcher<'a> {
    affinity: &'a ClusterAffinity,
    names: Walk<'a, ()>,
    exclude: Walk<'a, ()>,
}

impl<'a> Matcher<'a> {
    /// Prepares an affinity.
    pub fn new(affinity: &'a ClusterAffinity) -> Self {
        let sorted = |names: &'a [String]| Walk::new(names.iter().map(|name| (name.as_str(), ())));
        Self {
            affinity,
            names: sorted(&affinity.cluster_names),
            exclude: sorted(&affinity.exclude),
        }
    }

    /// Whether it names this cluster.
    pub fn matches(&self, cluster: &ClusterView) -> bool {
        let name = cluster.name.as_str();
        !self.exclude.contains(name)
            && (self.names.is_empty() || self.names.contains(name))
            && selects(self.affinity, cluster)
    }
}

/// Labels and fields.
fn selects(affinity: &ClusterAffinity, cluster: &ClusterView) -> bool {
    affinity
        .label_selector
        .as_ref()
        .is_none_or(|selector| selector.matches(&cluster.labels))
        && affinity
            .field_selector
            .iter()
            .flat_map(|selector| &selector.match_expressions)
            .all(|expression| field_holds(expression, cluster))
}

fn field_holds(expression: &Expression, cluster: &ClusterView) -> bool {
    match expression.key.as_str() {
        "provider" => expression.holds(some(&cluster.provider)),
        "region" => expression.holds(some(&cluster.region)),
        // A cluster may lie in several zones: all of them must be among those of In, none may be named by NotIn.
        "zone" => {
            let somewhere = !cluster.zones.is_empty() || expression.operator == "NotIn";
            somewhere && cluster.zones.iter().all(|zone| expression.holds(Some(zone)))
        }
        _ => false,
    }
}

/// A field that is empty is a field that is not there.
fn some(field: &str) -> Option<&str> {
    (!field.is_empty()).then_some(field)
}

/// A group of clusters with the groups that take what it has no room for.
#[derive(Debug)]
pub(crate) struct Tiers<'a>(Vec<Matcher<'a>>);

impl<'a> Tiers<'a> {
    /// Without overflow.
    pub(crate) fn single(affinity: &'a ClusterAffinity) -> Self {
        Self(vec![Matcher::new(affinity)])
    }

    /// A named group; `overflowing` says whether its further groups count (only for workloads).
    pub(crate) fn term(term: &'a ClusterAffinityTerm, overflowing: bool) -> Self {
        let further = term.overflow_affinities.iter().filter(|_| overflowing);
        Self(
            std::iter::once(&term.affinity)
                .chain(further.map(|term| &term.affinity))
                .map(Matcher::new)
                .collect(),
        )
    }

    /// The first group that names a cluster: 0 is the primary one.
    pub(crate) fn of(&self, cluster: &ClusterView) -> Option<usize> {
        self.0.iter().position(|matcher| matcher.matches(cluster))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The weights of a policy. Rules that list names are found by name, so that a list as long as the clusters costs no more than the clusters.
#[derive(Debug)]
pub(crate) struct Weights<'a> {
    /// Rules by the names that they list.
    named: Walk<'a, Rule<'a>>,
    /// Rules without names.
    general: Vec<Rule<'a>>,
}

/// A weight, with what must hold besides the name. Most rules say no more than names: they need not be looked at again for each cluster.
#[derive(Debug, Clone, Copy)]
struct Rule<'a> {
    weight: i64,
    besides: Option<&'a ClusterAffinity>,
}

impl<'a> Rule<'a> {
    fn new(rule: &'a StaticClusterWeight) -> Self {
        let affinity = &rule.target_cluster;
        let plain =
            affinity.exclude.is_empty() && affinity.label_selector.is_none() && affinity.field_selector.is_none();
        Self {
            weight: rule.weight,
            besides: (!plain).then_some(affinity),
        }
    }

    fn names(&self, cluster: &ClusterView) -> bool {
        self.besides
            .is_none_or(|affinity| !affinity.exclude.contains(&cluster.name) && selects(affinity, cluster))
    }
}

impl<'a> Weights<'a> {
    pub(crate) fn new(rules: &'a [StaticClusterWeight]) -> Self {
        let (mut named, mut general) = (Vec::with_capacity(rules.len()), Vec::new());
        for rule in rules {
            let (listed, rule) = (&rule.target_cluster.cluster_names, Rule::new(rule));
            if listed.is_empty() {
                general.push(rule);
            }
            named.extend(listed.iter().map(|name| (name.as_str(), rule)));
        }
        Self {
            named: Walk::new(named),
            general,
        }
    }

    /// The largest weight of the rules that name a cluster; 0 without any.
    pub(crate) fn of(&self, cluster: &ClusterView) -> i64 {
        let rules = self.named.of(&cluster.name).chain(&self.general);
        let weights = rules.filter(|rule| rule.names(cluster)).map(|rule| rule.weight);
        weights.max().unwrap_or_default().max(0)
    }
}
