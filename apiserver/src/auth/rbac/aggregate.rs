//! The rules of an aggregated role: those of the roles that it selects by label.

use schema::entry::Pairs;
use schema::selector::LabelSelector;
use serde_json::Value;

use super::rule::PolicyRule;

/// A role that may be a part of others.
pub(crate) struct Part<'a> {
    pub(crate) name: &'a str,
    pub(crate) labels: &'a Pairs,
    /// Its rules, read when they are wanted.
    pub(crate) rules: Box<dyn Fn() -> Vec<PolicyRule> + 'a>,
}

/// The selectors of a role; `None` when it is not an aggregated one. What is no selector selects nothing.
pub(crate) fn selectors(role: &Value) -> Option<Vec<LabelSelector>> {
    let list = role["aggregationRule"]["clusterRoleSelectors"].as_array()?;
    if list.is_empty() {
        return None;
    }
    Some(
        list.iter()
            .filter_map(|one| LabelSelector::from_json(one).ok())
            .collect(),
    )
}

/// What the role `own` is to have, given all roles ordered by name: each rule once.
pub(crate) fn gather(own: &str, selectors: &[LabelSelector], parts: &[Part<'_>]) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for selector in selectors {
        for part in parts {
            if part.name == own || !selector.matches(part.labels) {
                continue;
            }
            for rule in (part.rules)() {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    rules
}
