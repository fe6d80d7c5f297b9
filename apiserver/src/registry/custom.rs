//! Custom resources, made from the `CustomResourceDefinition` objects that are stored.
//!
//! A definition that is not established, or whose names another resource has, is not served.

use std::sync::{Arc, OnceLock};

use schema::entry::GroupResource;
use schema::model::{GroupVersionKind, Shape, api_version};
use schema::status::FieldError;
use schema::structural;
use serde_json::Value;

use super::{CustomVersion, ResourceDef, SubresourceDef, TypeTree, TypesHandle};

const ALL_VERBS: [&str; 8] = [
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "create",
    "update",
    "watch",
];

/// The resources of all served versions of a definition, best version first. `crd` is the whole object.
pub(crate) fn resources(crd: &Value) -> Result<Vec<ResourceDef>, Vec<FieldError>> {
    let spec = &crd["spec"];
    let mut served: Vec<&Value> = versions(crd).filter(|version| version["served"] == true).collect();
    served.sort_by_key(|version| version_rank(text(&version["name"])));
    let terminating = crd["metadata"].get("deletionTimestamp").is_some();
    served
        .into_iter()
        .map(|version| definition(spec, version, &storage_version(crd), terminating))
        .collect()
}

/// The resource of a definition that changed last at this revision.
pub(super) fn since(mut def: ResourceDef, revision: u64) -> ResourceDef {
    let has_defaults = def
        .types
        .types
        .get()
        .iter()
        .any(|(_, own)| own.custom && own.fields.iter().any(|field| field.default.is_some()));
    if let Some(custom) = &mut def.custom {
        let custom = Arc::make_mut(custom);
        custom.since = revision;
        custom.defaults_since = has_defaults.then_some(revision);
    }
    def
}

/// Whether a definition is to be served.
pub(crate) fn is_established(crd: &Value) -> bool {
    crd["status"]["conditions"].as_array().is_some_and(|list| {
        list.iter()
            .any(|entry| entry["type"] == "Established" && entry["status"] == "True")
    })
}

/// The raw versions of a definition.
pub(crate) fn versions(crd: &Value) -> impl Iterator<Item = &Value> {
    crd["spec"]["versions"].as_array().into_iter().flatten()
}

/// The name of the version that objects are stored in.
pub(crate) fn storage_version(crd: &Value) -> String {
    versions(crd)
        .find(|version| version["storage"] == true)
        .map(|version| text(&version["name"]).to_owned())
        .unwrap_or_default()
}

fn definition(
    spec: &Value,
    version: &Value,
    storage_version: &str,
    terminating: bool,
) -> Result<ResourceDef, Vec<FieldError>> {
    let names = &spec["names"];
    let group = text(&spec["group"]);
    let version_name = text(&version["name"]);
    let kind = GroupVersionKind {
        group: group.to_owned(),
        version: version_name.to_owned(),
        kind: text(&names["kind"]).to_owned(),
    };
    let open_api = version["schema"]["openAPIV3Schema"].clone();
    let (types, root) = structural::from_crd_schema(&open_api)?;
    let subresources = &version["subresources"];
    let scale = subresources.get("scale").filter(|value| value.is_object()).cloned();
    let status = subresources.get("status").is_some_and(|value| !value.is_null());
    let mut shown = Vec::new();
    if status {
        shown.push(subresource("status", kind.clone()));
    }
    if scale.is_some() {
        shown.push(subresource("scale", super::scale_kind()));
    }
    let singular = text(&names["singular"]);
    let list_kind = text(&names["listKind"]);
    Ok(ResourceDef {
        group: group.to_owned(),
        version: version_name.to_owned(),
        plural: text(&names["plural"]).to_owned(),
        singular: if singular.is_empty() {
            kind.kind.to_lowercase()
        } else {
            singular.to_owned()
        },
        list_kind: if list_kind.is_empty() {
            format!("{}List", kind.kind)
        } else {
            list_kind.to_owned()
        },
        kind: kind.kind,
        namespaced: spec["scope"] == "Namespaced",
        short_names: texts(&names["shortNames"]),
        categories: texts(&names["categories"]),
        verbs: ALL_VERBS.iter().map(|verb| (*verb).to_owned()).collect(),
        subresources: shown,
        storage_hash: String::new(),
        selectable_fields: selectable(version),
        upsert: false,
        needs_revision: true,
        delete_returns_object: false,
        strategic: false,
        storage: GroupResource::new(group, text(&names["plural"])),
        storage_version: api_version(group, storage_version),
        types: Arc::new(TypeTree {
            types: TypesHandle::Custom(Arc::new(types)),
            root,
            shape: Shape::Struct(root),
        }),
        custom: Some(Arc::new(CustomVersion {
            printer_columns: version["additionalPrinterColumns"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
            open_api,
            scale,
            status,
            deprecation: deprecation(version, &api_version(group, version_name), text(&names["kind"])),
            terminating,
            defaults_since: None,
            since: 0,
            rules: OnceLock::new(),
        })),
        names: OnceLock::new(),
    })
}

fn subresource(name: &str, kind: GroupVersionKind) -> SubresourceDef {
    let verbs = ["get", "patch", "update"].map(str::to_owned).to_vec();
    SubresourceDef {
        name: name.to_owned(),
        kind,
        verbs,
    }
}

fn selectable(version: &Value) -> Vec<(String, String)> {
    let own = version["selectableFields"].as_array().into_iter().flatten();
    let own = own
        .filter_map(|field| field["jsonPath"].as_str())
        .map(|path| path.trim_start_matches('.'));
    ["metadata.name", "metadata.namespace"]
        .into_iter()
        .chain(own)
        .map(|path| (path.to_owned(), path.to_owned()))
        .collect()
}

fn deprecation(version: &Value, api_version: &str, kind: &str) -> Option<String> {
    (version["deprecated"] == true).then(|| {
        version["deprecationWarning"]
            .as_str()
            .map_or_else(|| format!("{api_version} {kind} is deprecated"), str::to_owned)
    })
}

/// Orders version names as Kubernetes does: stable before beta before alpha, higher numbers first, others by name last.
pub(crate) fn version_rank(name: &str) -> (u8, std::cmp::Reverse<u64>, std::cmp::Reverse<u64>, String) {
    let other = (3, std::cmp::Reverse(0), std::cmp::Reverse(0), name.to_owned());
    let Some(rest) = name.strip_prefix('v') else {
        return other;
    };
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let Ok(major) = rest[..digits].parse::<u64>() else {
        return other;
    };
    let tail = &rest[digits..];
    let (stage, minor) = if tail.is_empty() {
        (0, Some(0))
    } else if let Some(minor) = tail.strip_prefix("beta") {
        (1, minor.parse::<u64>().ok())
    } else if let Some(minor) = tail.strip_prefix("alpha") {
        (2, minor.parse::<u64>().ok())
    } else {
        (3, None)
    };
    minor.map_or(other, |minor| {
        (stage, std::cmp::Reverse(major), std::cmp::Reverse(minor), String::new())
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn texts(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
