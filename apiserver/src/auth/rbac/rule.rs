//! One rule of a role, and what it allows.

use std::fmt;

use schema::facts::GrantFacts;
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::authorize::Attributes;

/// Everything, wherever a rule lists something.
const ALL: &str = "*";

/// A `PolicyRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyRule {
    /// Verbs, or `*`.
    #[serde(deserialize_with = "list")]
    pub verbs: Vec<String>,
    /// API groups, or `*`; the core group is empty.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// `pods`, `pods/log`, `*/scale` or `*`.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// Names of objects; all when empty.
    #[serde(deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are no resources; a `*` at the end stands for any rest.
    #[serde(
        rename = "nonResourceURLs",
        deserialize_with = "list",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub non_resource_urls: Vec<String>,
}

/// A list that may be null.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl From<&GrantFacts> for PolicyRule {
    fn from(facts: &GrantFacts) -> Self {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Self {
            verbs: own(&facts.verbs),
            api_groups: own(&facts.groups),
            resources: own(&facts.resources),
            resource_names: own(&facts.names),
            non_resource_urls: own(&facts.paths),
        }
    }
}

impl PolicyRule {
    /// Whether the rule allows a request.
    pub fn allows(&self, asked: &Attributes) -> bool {
        if !any(&self.verbs, &asked.verb) {
            return false;
        }
        if asked.resource.is_empty() {
            return self.non_resource_urls.iter().any(|own| path_covers(own, &asked.path));
        }
        let named = self.resource_names.is_empty() || self.resource_names.contains(&asked.name);
        named
            && any(&self.api_groups, &asked.group)
            && self
                .resources
                .iter()
                .any(|own| resource_matches(own, &asked.resource, &asked.subresource))
    }
}

/// Whether a list has an item or stands for everything.
pub(super) fn any(list: &[String], item: &str) -> bool {
    list.iter().any(|own| own == ALL || own == item)
}

/// Whether `*` or the very path, or what a path with `*` at its end begins with.
pub(super) fn path_covers(own: &str, path: &str) -> bool {
    own == ALL
        || own == path
        || own
            .strip_suffix('*')
            .is_some_and(|start| path.starts_with(start.trim_end_matches('*')))
}

fn resource_matches(own: &str, resource: &str, subresource: &str) -> bool {
    if own == ALL {
        return true;
    }
    if subresource.is_empty() {
        return own == resource;
    }
    own.split_once('/')
        .is_some_and(|(parent, part)| part == subresource && (parent == ALL || parent == resource))
}

/// The form in which Kubernetes tells of a rule: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.non_resource_urls),
            ("ResourceNames", &self.resource_names),
            ("Verbs", &self.verbs),
        ];
        let shown = parts.iter().filter(|(_, list)| !list.is_empty());
        let texts: Vec<String> = shown.map(|(name, list)| format!("{name}:{}", quoted(list))).collect();
        write!(formatter, "{{{}}}", texts.join(", "))
    }
}

/// `["a" "b"]`.
pub(super) fn quoted(list: &[String]) -> String {
    let texts: Vec<String> = list.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}
