//! Facts about the built-in kinds: their types, the resources that serve them, and rules about names and updates.
//!
//! The tables lie in `facts/` beside the sources, are embedded, and are parsed once, at first use. Start with
//! [`builtin_types`] for what a value looks like and [`resources`] for what is served.
//!
//! Never here: behaviour. Code that interprets a rule is in [`crate::defaults`] and [`crate::validate`].

mod access;
mod default_rules;
mod lines;
mod resources;
mod rules;
mod tables;
mod types;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use access::{AccessFacts, AccessSet, BindingFacts, GrantFacts, RoleFacts, SubjectFacts, access};
pub(crate) use default_rules::{
    Call, Condition, DefaultRule, Expression, Operation, ROUNDED_QUANTITIES, Target, Test, TypeRules, default_rules,
};
pub use resources::{Body, DeleteAnswer, FieldSelector, GroupFacts, ResourceFacts, SubresourceFacts, VersionFacts};
pub use rules::{NameFormat, NameRule, RuleAction, RuleCondition, RuleTest, Side, UpdateRule};

use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::model::{GroupVersionKind, StructId, Types};

struct Builtin {
    types: Types,
    prefixes: HashMap<&'static str, &'static str>,
    kinds: HashMap<GroupVersionKind, StructId>,
    everywhere: HashMap<String, StructId>,
}

fn builtin() -> &'static Builtin {
    static BUILTIN: OnceLock<Builtin> = OnceLock::new();
    BUILTIN.get_or_init(|| {
        let (types, prefixes) = types::parse(tables::TYPES);
        let mut kinds = HashMap::new();
        let mut everywhere = HashMap::new();
        for (id, def) in types.iter() {
            for gvk in &def.gvks {
                if gvk.group == "*" {
                    everywhere.insert(gvk.kind.clone(), id);
                } else {
                    kinds.insert(gvk.clone(), id);
                }
            }
        }
        Builtin {
            types,
            prefixes,
            kinds,
            everywhere,
        }
    })
}

/// The types of all built-in kinds and of the messages around them (options, lists, `Status`, `Table`, reviews).
pub fn builtin_types() -> &'static Types {
    &builtin().types
}

/// The struct of a built-in kind. Option kinds (`DeleteOptions`, `CreateOptions`, ...) and `WatchEvent` exist in every
/// group and version.
pub fn kind(gvk: &GroupVersionKind) -> Option<StructId> {
    let builtin = builtin();
    builtin
        .kinds
        .get(gvk)
        .or_else(|| builtin.everywhere.get(&gvk.kind))
        .copied()
}

/// The OpenAPI name of a type of [`builtin_types`]: `io.k8s.api.core.v1.Pod` for `core.v1.Pod`.
pub fn openapi_name(type_name: &str) -> Option<String> {
    let (package, name) = type_name.rsplit_once('.')?;
    let prefix = builtin().prefixes.get(package)?;
    Some(format!("{prefix}.{}", name.split('#').next().unwrap_or(name)))
}

/// Every built-in resource in every version, also those that are off by default; groups in the order of discovery,
/// versions by preference, then by name.
pub fn resources() -> &'static [ResourceFacts] {
    &catalog().resources
}

/// Every built-in group in the order of discovery.
pub fn groups() -> &'static [GroupFacts] {
    &catalog().groups
}

fn catalog() -> &'static resources::Catalog {
    static CATALOG: OnceLock<resources::Catalog> = OnceLock::new();
    CATALOG.get_or_init(|| resources::parse(tables::RESOURCES))
}

fn rule_table() -> &'static rules::Table {
    static RULES: OnceLock<rules::Table> = OnceLock::new();
    RULES.get_or_init(|| rules::parse(tables::RULES))
}

/// How names of a kind are checked. All versions of a kind follow the same rule; a kind that is not in the tables
/// (every custom resource) has a DNS-1123 subdomain for a name.
pub fn name_rule(gvk: &GroupVersionKind) -> NameRule {
    rule_table()
        .find(gvk)
        .map_or_else(NameRule::default, |facts| facts.name.clone())
}

/// What an update of a kind may not do.
pub fn update_rules(gvk: &GroupVersionKind) -> &'static [UpdateRule] {
    rule_table().find(gvk).map_or(&[], |facts| &facts.updates)
}

/// A time zone by its name in the IANA database, in the letters of the database.
pub fn time_zone(name: &str) -> Option<TimeZone> {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    let found = DATABASE.get_or_init(TimeZoneDatabase::bundled).get(name).ok()?;
    (found.iana_name() == Some(name)).then_some(found)
}
