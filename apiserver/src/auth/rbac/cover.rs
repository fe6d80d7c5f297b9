//! Whether somebody who holds some rules holds others too: what keeps people from giving away more than they have.
//!
//! Start with [`missing`]. A rule is covered when each of its single permissions is covered by one rule of the owner. The
//! work is bounded: a rule that would fall into too many single permissions is covered as a whole or not at all.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::rule::{PolicyRule, any, path_covers};

/// The most comparisons of single permissions that one question may cost.
const EFFORT: usize = 1 << 20;

/// What of `wanted` no rule of `held` covers, in single permissions; empty when everything is covered.
pub fn missing(held: &[PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut left = EFFORT;
    let mut found = Vec::new();
    for rule in wanted {
        if held.iter().any(|own| covers(own, rule)) {
            continue;
        }
        let cost = size(rule).saturating_mul(held.len() + 1);
        if cost > left {
            found.push(rule.clone());
            continue;
        }
        left -= cost;
        found.extend(single(rule).filter(|part| !held.iter().any(|own| covers(own, part))));
    }
    found
}

/// One text per resource: permissions that differ in the verb only are told of together.
pub fn describe(missing: Vec<PolicyRule>) -> Vec<String> {
    let texts: BTreeSet<String> = compact(missing).iter().map(ToString::to_string).collect();
    texts.into_iter().collect()
}

/// Puts together rules of one resource (or one object of it) that differ in the verbs only.
pub fn compact(rules: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut compacted: Vec<PolicyRule> = Vec::new();
    let mut known: BTreeMap<(String, String, Option<String>), usize> = BTreeMap::new();
    for rule in rules {
        let ([group], [resource], [], names @ ([] | [_])) = (
            rule.api_groups.as_slice(),
            rule.resources.as_slice(),
            rule.non_resource_urls.as_slice(),
            rule.resource_names.as_slice(),
        ) else {
            compacted.push(rule);
            continue;
        };
        let key = (group.clone(), resource.clone(), names.first().cloned());
        if let Some(other) = known.get(&key).and_then(|index| compacted.get_mut(*index)) {
            other.verbs.extend(rule.verbs);
        } else {
            known.insert(key, compacted.len());
            compacted.push(rule);
        }
    }
    compacted
}

/// Whether one rule covers all of another.
fn covers(own: &PolicyRule, other: &PolicyRule) -> bool {
    let all = |own: &[String], other: &[String]| other.iter().all(|item| any(own, item));
    let names = match (own.resource_names.as_slice(), other.resource_names.as_slice()) {
        ([], _) => true,
        (_, []) => false,
        (own, other) => other.iter().all(|name| own.contains(name)),
    };
    names
        && all(&own.verbs, &other.verbs)
        && all(&own.api_groups, &other.api_groups)
        && other
            .resources
            .iter()
            .all(|resource| covers_resource(&own.resources, resource))
        && other
            .non_resource_urls
            .iter()
            .all(|path| own.non_resource_urls.iter().any(|own| path_covers(own, path)))
}

fn covers_resource(own: &[String], resource: &str) -> bool {
    let of_any = || resource.split_once('/').map(|(_, part)| format!("*/{part}"));
    any(own, resource) || of_any().is_some_and(|all| own.contains(&all))
}

/// How many single permissions a rule has.
fn size(rule: &PolicyRule) -> usize {
    let verbs = rule.verbs.len();
    let of_resources = [&rule.api_groups, &rule.resources]
        .iter()
        .fold(verbs, |size, list| size.saturating_mul(list.len()))
        .saturating_mul(rule.resource_names.len().max(1));
    of_resources.saturating_add(rule.non_resource_urls.len().saturating_mul(verbs))
}

/// The single permissions of a rule.
fn single(rule: &PolicyRule) -> impl Iterator<Item = PolicyRule> {
    let names: Cow<'_, [String]> = Cow::Borrowed(&rule.resource_names);
    let names: Vec<Vec<String>> = if names.is_empty() {
        vec![Vec::new()]
    } else {
        names.iter().map(|name| vec![name.clone()]).collect()
    };
    let one = |text: &String| vec![text.clone()];
    let of_resources = rule.api_groups.iter().flat_map(move |group| {
        let names = names.clone();
        rule.resources.iter().flat_map(move |resource| {
            let names = names.clone();
            rule.verbs.iter().flat_map(move |verb| {
                let names = names.clone();
                names.into_iter().map(move |resource_names| PolicyRule {
                    verbs: one(verb),
                    api_groups: one(group),
                    resources: one(resource),
                    resource_names,
                    non_resource_urls: Vec::new(),
                })
            })
        })
    });
    let of_paths = rule.non_resource_urls.iter().flat_map(move |path| {
        rule.verbs.iter().map(move |verb| PolicyRule {
            verbs: one(verb),
            non_resource_urls: one(path),
            ..PolicyRule::default()
        })
    });
    of_resources.chain(of_paths)
}
