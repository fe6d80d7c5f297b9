//! The components of a document: schemas of built-in types from the facts, of custom resources from their definitions.

use std::collections::BTreeSet;

use schema::facts;
use schema::model::GroupVersionKind;
use serde_json::{Map, Value, json};

use super::paths::reference;
use crate::registry::ResourceDef;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// The schema name of a body kind of a resource.
pub(super) fn name(def: &ResourceDef, kind: &GroupVersionKind) -> String {
    if def.custom.is_some() && *kind == def.gvk() {
        return custom_name(&def.group, &def.version, &def.kind);
    }
    builtin_name(kind).unwrap_or_else(|| custom_name(&kind.group, &kind.version, &kind.kind))
}

/// The schema name of a resource's list.
pub(super) fn list_name(def: &ResourceDef) -> String {
    let kind = GroupVersionKind {
        kind: def.list_kind.clone(),
        ..def.gvk()
    };
    match builtin_name(&kind).filter(|_| def.custom.is_none()) {
        Some(name) => name,
        None => custom_name(&def.group, &def.version, &def.list_kind),
    }
}

fn builtin_name(kind: &GroupVersionKind) -> Option<String> {
    facts::openapi_name(&facts::builtin_types().get(facts::kind(kind)?).name)
}

/// `com.example.v1.Widget`.
fn custom_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// All components that the documents of these resources refer to.
pub(super) fn of(_defs: &[&ResourceDef]) -> Map<String, Value> {
    Map::new()
}
