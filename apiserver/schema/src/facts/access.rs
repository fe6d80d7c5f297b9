//! `access/SET.facts`: the roles and bindings that a server has from its first start.
//!
//! Read when asked and not kept: a server asks once.

use super::lines::{lines, list, pair};
use super::tables;

/// Who needs a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessSet {
    /// Any control plane.
    Core,
    /// The controllers of a control plane.
    Control,
    /// Controllers of workloads.
    Workloads,
    /// Nodes and what runs them.
    Nodes,
    /// Users of the federation's own kinds.
    Federation,
}

/// Roles and their bindings.
#[derive(Debug, Default)]
pub struct AccessFacts {
    /// Roles.
    pub roles: Vec<RoleFacts>,
    /// Bindings.
    pub bindings: Vec<BindingFacts>,
}

/// A role. A `ClusterRole` has an empty namespace.
#[derive(Debug)]
pub struct RoleFacts {
    /// Namespace, or empty.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// Labels of its own.
    pub labels: Vec<(&'static str, &'static str)>,
    /// Labels of the roles whose rules it has.
    pub aggregate: Vec<(&'static str, &'static str)>,
    /// What it allows.
    pub rules: Vec<GrantFacts>,
}

/// One rule of a role.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GrantFacts {
    /// Verbs.
    pub verbs: Vec<&'static str>,
    /// API groups.
    pub groups: Vec<&'static str>,
    /// Resources, with subresources behind a slash.
    pub resources: Vec<&'static str>,
    /// Names of objects; all when empty.
    pub names: Vec<&'static str>,
    /// Paths that are no resources.
    pub paths: Vec<&'static str>,
}

/// A binding. A `ClusterRoleBinding` has an empty namespace.
#[derive(Debug)]
pub struct BindingFacts {
    /// Namespace, or empty.
    pub namespace: &'static str,
    /// Name.
    pub name: &'static str,
    /// Name of the role, which lives where the binding does.
    pub role: &'static str,
    /// To whom.
    pub subjects: Vec<SubjectFacts>,
}

/// Whom a binding is about.
#[derive(Debug, PartialEq, Eq)]
pub enum SubjectFacts {
    /// A user.
    User(&'static str),
    /// A group.
    Group(&'static str),
    /// Namespace and name of a service account.
    ServiceAccount(&'static str, &'static str),
}

/// The roles and bindings of a set.
pub fn access(set: AccessSet) -> AccessFacts {
    let mut facts = AccessFacts::default();
    for (indented, line) in lines(tables::ACCESS[set as usize]) {
        let mut words = line.split(' ');
        if indented {
            if let Some(role) = facts.roles.last_mut() {
                role.rules.push(rule(words));
            }
            continue;
        }
        let (kind, place) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (namespace, name) = if kind.starts_with("cluster") {
            ("", place)
        } else {
            place.split_once('/').unwrap_or(("", place))
        };
        if kind.ends_with("binding") {
            facts.bindings.push(binding(namespace, name, words));
        } else {
            facts.roles.push(role(namespace, name, words));
        }
    }
    facts
}

fn role(namespace: &'static str, name: &'static str, words: impl Iterator<Item = &'static str>) -> RoleFacts {
    let mut role = RoleFacts {
        namespace,
        name,
        labels: Vec::new(),
        aggregate: Vec::new(),
        rules: Vec::new(),
    };
    for word in words {
        let (key, value) = pair(word);
        let labels = list(value).into_iter().map(pair).collect();
        match key {
            "labels" => role.labels = labels,
            "aggregate" => role.aggregate = labels,
            _ => {}
        }
    }
    role
}

fn rule(words: impl Iterator<Item = &'static str>) -> GrantFacts {
    let words: Vec<&str> = words.collect();
    let group = |text: &'static str| if text == "-" { "" } else { text };
    match words.as_slice() {
        [verbs, "path", paths] => GrantFacts {
            verbs: list(verbs),
            paths: list(paths),
            ..GrantFacts::default()
        },
        [verbs, groups, resources, rest @ ..] => GrantFacts {
            verbs: list(verbs),
            groups: list(groups).into_iter().map(group).collect(),
            resources: list(resources),
            names: rest.iter().flat_map(|word| list(pair(word).1)).collect(),
            paths: Vec::new(),
        },
        _ => GrantFacts::default(),
    }
}

fn binding(namespace: &'static str, name: &'static str, words: impl Iterator<Item = &'static str>) -> BindingFacts {
    let mut binding = BindingFacts {
        namespace,
        name,
        role: name,
        subjects: Vec::new(),
    };
    for word in words {
        match pair(word) {
            ("role", role) => binding.role = role,
            ("to", subjects) => binding.subjects = list(subjects).into_iter().filter_map(subject).collect(),
            _ => {}
        }
    }
    binding
}

fn subject(text: &'static str) -> Option<SubjectFacts> {
    match text.split_once(':')? {
        ("user", name) => Some(SubjectFacts::User(name)),
        ("group", name) => Some(SubjectFacts::Group(name)),
        ("sa", place) => {
            let (namespace, name) = place.split_once('/')?;
            Some(SubjectFacts::ServiceAccount(namespace, name))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: [AccessSet; 5] = [
        AccessSet::Core,
        AccessSet::Control,
        AccessSet::Workloads,
        AccessSet::Nodes,
        AccessSet::Federation,
    ];

    #[test]
    fn every_line_is_understood() {
        let all: Vec<AccessFacts> = SETS.into_iter().map(access).collect();
        let kubernetes = || all[..4].iter();
        let count = |namespaced: bool| {
            let roles = kubernetes().flat_map(|facts| &facts.roles);
            let bindings = kubernetes().flat_map(|facts| &facts.bindings);
            (
                roles.filter(|role| role.namespace.is_empty() != namespaced).count(),
                bindings.filter(|one| one.namespace.is_empty() != namespaced).count(),
            )
        };
        assert_eq!((count(false), count(true)), ((69, 50), (7, 7)));
        let rules = || all.iter().flat_map(|facts| &facts.roles).flat_map(|role| &role.rules);
        assert_eq!(
            kubernetes()
                .flat_map(|facts| &facts.roles)
                .map(|role| role.rules.len())
                .sum::<usize>(),
            324
        );
        for rule in rules() {
            assert!(!rule.verbs.is_empty(), "{rule:?}");
            let resources = !rule.groups.is_empty() && !rule.resources.is_empty();
            assert!(resources == rule.paths.is_empty(), "{rule:?}");
        }
        for binding in all.iter().flat_map(|facts| &facts.bindings) {
            let known = |role: &&RoleFacts| (role.namespace, role.name) == (binding.namespace, binding.role);
            assert!(
                all.iter().flat_map(|facts| &facts.roles).any(|role| known(&role)),
                "{binding:?}"
            );
            assert!(!binding.subjects.is_empty() || binding.name == "system:node");
        }
    }

    #[test]
    fn no_role_of_the_federation_reaches_works() {
        for role in access(AccessSet::Federation).roles {
            for rule in role.rules {
                let open = |list: &[&str]| list.contains(&"*");
                assert!(!open(&rule.groups) && !open(&rule.resources) && !open(&rule.verbs));
                assert!(!rule.resources.iter().any(|resource| resource.starts_with("works")));
            }
        }
    }
}
