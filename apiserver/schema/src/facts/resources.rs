//! Reads the tables of groups, versions, resources and subresources.

use super::lines::{gvk, lines, list, pair};
use crate::model::GroupVersionKind;

/// All groups and resources.
pub(super) struct Catalog {
    pub(super) groups: Vec<GroupFacts>,
    pub(super) resources: Vec<ResourceFacts>,
}

/// An API group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// Name, empty for core.
    pub name: &'static str,
    /// The version that discovery prefers.
    pub preferred: &'static str,
    /// All versions, preferred first.
    pub versions: Vec<VersionFacts>,
}

/// A version of an API group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFacts {
    /// Name, for example `v1`.
    pub name: &'static str,
    /// Offered by default.
    pub enabled: bool,
}

/// A resource in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact about the resource"
)]
pub struct ResourceFacts {
    /// API group, empty for core.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Offered by default (its version is).
    pub enabled: bool,
    /// Plural name, as in URLs.
    pub plural: &'static str,
    /// Singular name.
    pub singular: &'static str,
    /// Kind of its objects.
    pub kind: GroupVersionKind,
    /// Lives in namespaces.
    pub namespaced: bool,
    /// Short names.
    pub short_names: Vec<&'static str>,
    /// Categories, for example `all`.
    pub categories: Vec<&'static str>,
    /// Verbs as discovery lists them.
    pub verbs: Vec<&'static str>,
    /// Kind that is written to storage; none for kinds that are never stored. Together with `plural` its group names the
    /// stored collection: events of both groups are one.
    pub storage: Option<GroupVersionKind>,
    /// `storageVersionHash` of discovery, or empty.
    pub storage_hash: &'static str,
    /// Field selector labels.
    pub field_selectors: Vec<FieldSelector>,
    /// Body kind of create when it is not `kind`.
    pub create_input: Option<GroupVersionKind>,
    /// Answer of create when it is not `kind`.
    pub create_output: Option<GroupVersionKind>,
    /// What DELETE by name answers.
    pub delete_answer: DeleteAnswer,
    /// Does not take strategic merge patches.
    pub no_strategic: bool,
    /// PUT to a missing name creates it.
    pub upsert: bool,
    /// PUT without a resourceVersion is refused.
    pub need_revision: bool,
    /// Subresources, by name.
    pub subresources: Vec<SubresourceFacts>,
}

/// A field selector label and the field that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSelector {
    /// What a request may write.
    pub label: &'static str,
    /// Path that is compared; mostly the label itself.
    pub field: &'static str,
}

/// What DELETE by name answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteAnswer {
    /// A `Status`.
    Status,
    /// The deleted object.
    Object,
}

/// A subresource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubresourceFacts {
    /// Name, for example `status`.
    pub name: &'static str,
    /// Kind as discovery shows it.
    pub kind: GroupVersionKind,
    /// Verbs as discovery lists them.
    pub verbs: Vec<&'static str>,
    /// Bodies of requests by HTTP method in lower case, where they are not `kind`.
    pub input: Vec<(&'static str, GroupVersionKind)>,
    /// Bodies of answers by HTTP method in lower case, where they are not `kind`.
    pub output: Vec<(&'static str, Body)>,
}

/// The body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// An object of a kind.
    Kind(GroupVersionKind),
    /// Not an object: a log, a stream, another server's answer.
    Raw,
}

const ALL_VERBS: &str = "create,delete,deletecollection,get,list,patch,update,watch";

pub(super) fn parse(texts: &[&'static str]) -> Catalog {
    let mut catalog = Catalog {
        groups: Vec::new(),
        resources: Vec::new(),
    };
    for text in texts {
        let (mut group, mut version, mut enabled) = ("", "", true);
        for (indented, line) in lines(text) {
            let mut words = line.split(' ');
            let first = words.next().unwrap_or_default();
            if indented {
                if let Some(resource) = catalog.resources.last_mut() {
                    resource.subresources.push(subresource(first, words));
                }
                continue;
            }
            match first {
                "group" => {
                    group = words.next().filter(|name| *name != "\"\"").unwrap_or_default();
                    let preferred = words.next().map_or("", |word| pair(word).1);
                    catalog.groups.push(GroupFacts {
                        name: group,
                        preferred,
                        versions: Vec::new(),
                    });
                }
                "version" => {
                    version = words.next().unwrap_or_default();
                    enabled = words.next() != Some("off");
                    if let Some(facts) = catalog.groups.last_mut() {
                        facts.versions.push(VersionFacts { name: version, enabled });
                    }
                }
                plural => catalog.resources.push(ResourceFacts {
                    group,
                    version,
                    enabled,
                    ..resource(plural, words)
                }),
            }
        }
    }
    catalog
}

fn resource(plural: &'static str, mut words: impl Iterator<Item = &'static str>) -> ResourceFacts {
    let mut facts = ResourceFacts {
        group: "",
        version: "",
        enabled: true,
        plural,
        singular: words.next().unwrap_or_default(),
        kind: gvk(words.next().unwrap_or_default(), ""),
        namespaced: words.next() == Some("namespaced"),
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: Vec::new(),
        storage: None,
        storage_hash: "",
        field_selectors: Vec::new(),
        create_input: None,
        create_output: None,
        delete_answer: DeleteAnswer::Status,
        no_strategic: false,
        upsert: false,
        need_revision: false,
        subresources: Vec::new(),
    };
    for word in words {
        match pair(word) {
            ("verbs", text) => facts.verbs = verbs(text),
            ("short", text) => facts.short_names = list(text),
            ("categories", text) => facts.categories = list(text),
            ("stored", text) => facts.storage = Some(gvk(text, "")),
            ("hash", _) => facts.storage_hash = &word["hash=".len()..],
            ("selectors", text) => facts.field_selectors = list(text).into_iter().map(selector).collect(),
            ("create-in", text) => facts.create_input = Some(gvk(text, "")),
            ("create-out", text) => facts.create_output = Some(gvk(text, "")),
            ("delete", "object") => facts.delete_answer = DeleteAnswer::Object,
            ("no-strategic", _) => facts.no_strategic = true,
            ("upsert", _) => facts.upsert = true,
            ("need-revision", _) => facts.need_revision = true,
            _ => {}
        }
    }
    facts
}

fn verbs(text: &'static str) -> Vec<&'static str> {
    list(if text == "all" { ALL_VERBS } else { text })
}

fn selector(text: &'static str) -> FieldSelector {
    let (label, field) = text.split_once('>').unwrap_or((text, text));
    FieldSelector { label, field }
}

fn subresource(name: &'static str, mut words: impl Iterator<Item = &'static str>) -> SubresourceFacts {
    let kind = gvk(words.next().unwrap_or_default(), "");
    let mut facts = SubresourceFacts {
        name,
        kind,
        verbs: Vec::new(),
        input: Vec::new(),
        output: Vec::new(),
    };
    for word in words {
        let (key, text) = pair(word);
        if key == "verbs" {
            facts.verbs = verbs(text);
        } else if let Some(method) = key.strip_prefix("in.") {
            facts.input.push((method, gvk(text, "")));
        } else if let Some(method) = key.strip_prefix("out.") {
            facts.output.push((
                method,
                if text == "raw" {
                    Body::Raw
                } else {
                    Body::Kind(gvk(text, ""))
                },
            ));
        }
    }
    facts
}
