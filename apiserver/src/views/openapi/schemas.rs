//! The components of a document: schemas of built-in types from the facts, of custom resources from their definitions.

use std::collections::BTreeSet;

use schema::facts;
use schema::model::{GroupVersionKind, StructId};
use schema::openapi::{self, reference};
use serde_json::{Map, Value, json};

use super::descriptions;
use super::paths::META;
use crate::registry::ResourceDef;

/// Types of `meta.k8s.io` that the operations of every resource refer to.
const COMMON: [&str; 3] = ["meta.v1.DeleteOptions", "meta.v1.Patch", "meta.v1.Status"];

/// Types of `meta.k8s.io` that custom resources refer to.
const OF_CUSTOM: [&str; 2] = ["meta.v1.ListMeta", "meta.v1.ObjectMeta"];

/// The schema name of a body kind of a resource.
pub(super) fn name(def: &ResourceDef, kind: &GroupVersionKind) -> String {
    if def.custom.is_some() && kind == def.gvk() {
        return custom_name(&def.group, &def.version, &def.kind);
    }
    builtin(kind)
        .and_then(|id| facts::openapi_name(&facts::builtin_types().get(id).name))
        .unwrap_or_else(|| custom_name(&kind.group, &kind.version, &kind.kind))
}

/// The schema name of a resource's list.
pub(super) fn list_name(def: &ResourceDef) -> String {
    let kind = list_kind(def);
    if def.custom.is_some() {
        custom_name(&def.group, &def.version, &def.list_kind)
    } else {
        name(def, &kind)
    }
}

fn list_kind(def: &ResourceDef) -> GroupVersionKind {
    GroupVersionKind {
        kind: def.list_kind.clone(),
        ..def.gvk().clone()
    }
}

fn builtin(kind: &GroupVersionKind) -> Option<StructId> {
    facts::kind(kind)
}

/// `com.example.v1.Widget`.
fn custom_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([version, kind]);
    parts.join(".")
}

/// Group and version.
pub(super) type Version<'a> = (&'a str, &'a str);

/// The group-versions of some resources, each once.
pub(super) fn versions<'a>(defs: &[&'a ResourceDef]) -> Vec<Version<'a>> {
    let all: BTreeSet<Version<'_>> = defs
        .iter()
        .map(|def| (def.group.as_str(), def.version.as_str()))
        .collect();
    all.into_iter().collect()
}

/// All components that the documents of these resources refer to. Kinds that exist in every group-version are listed under
/// `everywhere`.
pub(super) fn of(defs: &[&ResourceDef], everywhere: &[Version<'_>]) -> Map<String, Value> {
    let types = facts::builtin_types();
    let mut roots: BTreeSet<String> = COMMON.iter().map(|name| (*name).to_owned()).collect();
    let mut schemas = Map::new();
    for def in defs {
        let bodies = def.subresources.iter().map(|subresource| subresource.kind.clone());
        if def.custom.is_some() {
            roots.extend(OF_CUSTOM.map(str::to_owned));
            schemas.extend(custom(def));
            roots.extend(
                bodies
                    .filter_map(|kind| builtin(&kind))
                    .map(|id| types.get(id).name.clone()),
            );
        } else {
            let kinds = bodies.chain([def.gvk().clone(), list_kind(def)]);
            roots.extend(
                kinds
                    .filter_map(|kind| builtin(&kind))
                    .map(|id| types.get(id).name.clone()),
            );
        }
    }
    let roots: Vec<&str> = roots.iter().map(String::as_str).collect();
    schemas.extend(openapi::components(types, &roots, everywhere));
    descriptions::add(&versions(defs), &mut schemas);
    schemas
}

/// The schemas of a custom resource and its list.
fn custom(def: &ResourceDef) -> Vec<(String, Value)> {
    let mut object = def
        .custom
        .as_ref()
        .map(|custom| custom.open_api.clone())
        .unwrap_or_default();
    if !object.is_object() {
        object = json!({});
    }
    object["type"] = json!("object");
    object["x-kubernetes-group-version-kind"] = gvk(&def.group, &def.version, &def.kind);
    if !object["properties"].is_object() {
        object["properties"] = json!({});
    }
    let properties = &mut object["properties"];
    type_meta(properties);
    properties["metadata"] = json!({
        "description": "Standard object metadata.",
        "allOf": [reference(&format!("{META}.ObjectMeta"))],
        "default": {},
    });
    let name = custom_name(&def.group, &def.version, &def.kind);
    let mut list = json!({
        "description": format!("{} is a list of {}.", def.list_kind, def.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {"type": "array", "items": reference(&name)},
            "metadata": {"description": "Standard list metadata.", "allOf": [reference(&format!("{META}.ListMeta"))], "default": {}},
        },
        "x-kubernetes-group-version-kind": gvk(&def.group, &def.version, &def.list_kind),
    });
    type_meta(&mut list["properties"]);
    vec![
        (name, object),
        (custom_name(&def.group, &def.version, &def.list_kind), list),
    ]
}

fn type_meta(properties: &mut Value) {
    properties["apiVersion"] = json!({"type": "string", "description": "Group and version of this representation."});
    properties["kind"] = json!({"type": "string", "description": "What this object is, in CamelCase."});
}

fn gvk(group: &str, version: &str, kind: &str) -> Value {
    json!([{"group": group, "version": version, "kind": kind}])
}
