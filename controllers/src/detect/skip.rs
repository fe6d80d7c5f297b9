//! What is no template (§2.1): the federation's own, what changes all the time, what a user leaves out, and what lies where nothing is
//! propagated from.

use std::collections::HashSet;
use std::str::FromStr;

use regex::Regex;
use runtime::hub::Resource;
use schema::entry::{GroupResource, Key};

use crate::namespaces;

/// Whether no object of a resource can be a template, whatever a user says.
pub(crate) fn skipped_group(resource: &GroupResource) -> bool {
    const GROUPS: [&str; 8] = [
        "cluster",
        "policy",
        "work",
        "config",
        "networking",
        "autoscaling",
        "remedy",
        "apps",
    ];
    match resource.group.strip_suffix(".karmada.io") {
        Some(group) => GROUPS.contains(&group),
        None => match &*resource.group {
            "events.k8s.io" | "coordination.k8s.io" => true,
            "" => &*resource.resource == "events",
            group => group.ends_with(".flotilla.dev") || group == "flotilla.dev",
        },
    }
}

/// Whether an object is never propagated, whatever policies name it: it lies in a namespace that stays at home, or every API server
/// makes one of its own. `skipped` are the namespaces that the administrator leaves out.
pub(crate) fn stays_home(key: &Key, skipped: &[Regex]) -> bool {
    let (namespace, name) = (&*key.namespace, &*key.name);
    let is_servers_own = || {
        let GroupResource { group, resource } = &key.resource;
        (&**group, &**resource) == ("", "configmaps")
            && (namespace, name) == ("kube-system", "extension-apiserver-authentication")
    };
    !namespace.is_empty() && (namespaces::plan::skips(namespace, skipped) || is_servers_own())
}

/// `--skipped-propagating-apis`: entries separated by `;`, each a group, `group/version`, `group/version/Kind,Kind`, or `v1/Kind,Kind`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SkippedApis {
    groups: HashSet<String>,
    versions: HashSet<String>,
    /// `apiVersion` and kind.
    kinds: HashSet<(String, String)>,
}

/// An entry of `--skipped-propagating-apis` that means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid entry {0:?}: expected GROUP, GROUP/VERSION, GROUP/VERSION/KIND[,KIND...] or v1/KIND[,KIND...]")]
pub struct BadEntry(String);

impl SkippedApis {
    /// Whether objects of this resource are left alone.
    pub fn skips(&self, resource: &Resource) -> bool {
        if self.groups.is_empty() && self.versions.is_empty() && self.kinds.is_empty() {
            return false;
        }
        let api_version = resource.api_version();
        self.groups.contains(&*resource.group_resource.group)
            || self.versions.contains(&api_version)
            || self.kinds.contains(&(api_version, resource.kind.to_string()))
    }

    fn add(&mut self, entry: &str) -> Option<()> {
        let parts: Vec<&str> = entry.split('/').collect();
        let (api_version, kinds) = match *parts.as_slice() {
            [group] => {
                self.groups.insert(group.to_owned());
                return Some(());
            }
            ["v1", kinds] => ("v1".to_owned(), kinds),
            [_, _] => {
                self.versions.insert(entry.to_owned());
                return Some(());
            }
            [group, version, kinds] => (format!("{group}/{version}"), kinds),
            _ => return None,
        };
        for kind in kinds.split(',').map(str::trim) {
            if kind.is_empty() {
                return None;
            }
            self.kinds.insert((api_version.clone(), kind.to_owned()));
        }
        Some(())
    }
}

impl FromStr for SkippedApis {
    type Err = BadEntry;

    fn from_str(text: &str) -> Result<Self, BadEntry> {
        let mut apis = Self::default();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            apis.add(entry).ok_or_else(|| BadEntry(entry.to_owned()))?;
        }
        Ok(apis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(group: &str, version: &str, kind: &str) -> Resource {
        Resource {
            group_resource: GroupResource::new(group, kind.to_lowercase() + "s"),
            version: version.into(),
            kind: kind.into(),
            namespaced: true,
        }
    }

    #[track_caller]
    fn check(text: &str, of: (&str, &str, &str), expected: bool) {
        let apis: SkippedApis = text.parse().unwrap();
        assert_eq!(apis.skips(&resource(of.0, of.1, of.2)), expected, "{text} {of:?}");
    }

    #[test]
    fn section_2_1_skipped_apis() {
        let deployment = ("apps", "v1", "Deployment");
        check("", deployment, false);
        check("apps", deployment, true);
        check("batch; apps", deployment, true);
        check("apps/v1", deployment, true);
        check("apps/v1beta1", deployment, false);
        check("apps/v1/Deployment,DaemonSet", deployment, true);
        check("apps/v1/DaemonSet", deployment, false);
        check("v1/Pod,Secret", ("", "v1", "Secret"), true);
        check("v1/Pod", ("", "v1", "Secret"), false);
        for wrong in ["a/b/c/d", "v1/", "apps/v1/Deployment,,"] {
            assert!(wrong.parse::<SkippedApis>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn section_2_1_what_stays_home() {
        let skipped = [Regex::new("^(?:kube-.*)$").unwrap()];
        let check = |resource: &str, namespace: &str, name: &str, skipped: &[Regex], expected: bool| {
            let key = Key::new(GroupResource::new("", resource), namespace, name);
            assert_eq!(stays_home(&key, skipped), expected, "{key}");
        };
        check("configmaps", "default", "a", &skipped, false);
        check("configmaps", "kube-system", "a", &skipped, true);
        check("configmaps", "karmada-es-eu", "a", &[], true);
        // A namespace itself is not in one: whether it travels is another question.
        check("namespaces", "", "kube-system", &skipped, false);
        check("configmaps", "kube-system", "a", &[], false);
        let own = "extension-apiserver-authentication";
        check("configmaps", "kube-system", own, &[], true);
        check("configmaps", "default", own, &[], false);
        check("secrets", "kube-system", own, &[], false);
    }

    #[test]
    fn section_2_1_skipped_always() {
        for (group, plural, expected) in [
            ("policy.karmada.io", "propagationpolicies", true),
            ("apps.karmada.io", "workloadrebalancers", true),
            ("search.karmada.io", "resourceregistries", false),
            ("", "events", true),
            ("events.k8s.io", "events", true),
            ("coordination.k8s.io", "leases", true),
            ("", "pods", false),
            ("placement.flotilla.dev", "explanations", true),
        ] {
            assert_eq!(
                skipped_group(&GroupResource::new(group, plural)),
                expected,
                "{group} {plural}"
            );
        }
    }
}
