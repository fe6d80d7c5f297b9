//! Small registries and entries for tests of views.

use std::sync::Arc;

use schema::entry::{Draft, Entry, GroupResource, Key};
use schema::model::{GroupVersionKind, Shape, StructDef, Types};
use serde_json::Value;

use crate::registry::{CustomVersion, Registry, ResourceDef, SubresourceDef, TypeTree, TypesHandle};

/// A resource with every verb and no types.
pub(crate) fn resource(group: &str, version: &str, plural: &str, kind: &str, namespaced: bool) -> ResourceDef {
    let mut types = Types::default();
    let root = types.insert(StructDef::named("root"));
    let verbs = [
        "create",
        "delete",
        "deletecollection",
        "get",
        "list",
        "patch",
        "update",
        "watch",
    ];
    ResourceDef {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: kind.to_lowercase(),
        kind: kind.to_owned(),
        list_kind: format!("{kind}List"),
        namespaced,
        short_names: Vec::new(),
        categories: Vec::new(),
        verbs: verbs.map(str::to_owned).to_vec(),
        subresources: Vec::new(),
        storage_hash: String::new(),
        selectable_fields: Vec::new(),
        upsert: false,
        needs_revision: false,
        delete_returns_object: false,
        strategic: true,
        storage: GroupResource::new(group, plural),
        storage_version: schema::model::api_version(group, version),
        types: Arc::new(TypeTree {
            types: TypesHandle::Custom(Arc::new(types)),
            root,
            shape: Shape::Struct(root),
        }),
        custom: None,
        names: std::sync::OnceLock::new(),
    }
}

/// A subresource.
pub(crate) fn subresource(name: &str, (group, version, kind): (&str, &str, &str), verbs: &[&str]) -> SubresourceDef {
    SubresourceDef {
        name: name.to_owned(),
        kind: GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
        },
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
    }
}

/// Namespaces, deployments and a custom resource `widgets`.
pub(crate) fn registry() -> Registry {
    let namespaces = resource("", "v1", "namespaces", "Namespace", false);
    let mut deployments = resource("apps", "v1", "deployments", "Deployment", true);
    deployments.short_names = vec!["deploy".to_owned()];
    deployments.categories = vec!["all".to_owned()];
    deployments.storage_hash = "hash=".to_owned();
    deployments.subresources = vec![
        subresource("scale", ("autoscaling", "v1", "Scale"), &["get", "patch", "update"]),
        subresource("status", ("apps", "v1", "Deployment"), &["get", "patch", "update"]),
    ];
    let mut widgets = resource("example.com", "v1", "widgets", "Widget", true);
    widgets.strategic = false;
    widgets.custom = Some(Arc::new(CustomVersion {
        printer_columns: vec![
            serde_json::json!({"name": "Size", "type": "integer", "jsonPath": ".spec.size", "description": "How large"}),
            serde_json::json!({"name": "Ready", "type": "string",
                "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "priority": 1}),
            serde_json::json!({"name": "Since", "type": "date", "jsonPath": ".spec.since"}),
        ],
        open_api: serde_json::json!({"type": "object", "description": "A widget.", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}}}),
        status: true,
        ..CustomVersion::default()
    }));
    widgets.subresources = vec![subresource(
        "status",
        ("example.com", "v1", "Widget"),
        &["get", "patch", "update"],
    )];
    Registry::new([namespaces, deployments, widgets].into_iter().map(Arc::new).collect())
}

/// A stored object at revision 7.
pub(crate) fn entry(def: &ResourceDef, object: Value) -> Arc<Entry> {
    let draft = Draft::new(object).unwrap();
    let key = Key::new(
        def.storage.clone(),
        draft.meta().namespace.clone(),
        draft.meta().name.clone(),
    );
    Arc::new(draft.seal(key, 7))
}
