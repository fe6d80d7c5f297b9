//! Discovery: which groups, versions and resources there are, in the old form (one document per group-version) and the
//! aggregated form (one document for all), chosen by `Accept`.
//!
//! Everything is read from the [`Registry`]; a custom resource shows as soon as a registry with it is in place.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{JSON, NonResource, accept, fingerprint};
use crate::registry::{Registry, ResourceDef};

/// A finished aggregated document without its `apiVersion`, which depends on the client.
#[derive(Debug)]
pub struct Document {
    v2: Rendered,
    v2beta1: Rendered,
}

#[derive(Debug)]
struct Rendered {
    body: Bytes,
    etag: String,
}

/// The form of discovery that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Legacy,
    V2,
    V2Beta1,
}

impl Form {
    fn version(self) -> &'static str {
        if self == Self::V2Beta1 { "v2beta1" } else { "v2" }
    }

    fn content_type(self) -> String {
        match self {
            Self::Legacy => JSON.to_owned(),
            Self::V2 | Self::V2Beta1 => {
                format!(
                    "{JSON};g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList",
                    self.version()
                )
            }
        }
    }
}

/// Answers `/`, `/api`, `/apis` and what lies directly below; `None` for other paths and unknown groups.
pub fn serve(registry: &Registry, path: &str, accept: &str, if_none_match: Option<&str>) -> Option<NonResource> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    match segments.as_slice() {
        [] => Some(legacy(&roots(registry), accept)),
        ["api"] => Some(top(registry, true, accept, if_none_match)),
        ["apis"] => Some(top(registry, false, accept, if_none_match)),
        ["api", version] => versions(registry, "", version).map(|defs| legacy(&resource_list(&defs), accept)),
        ["apis", group] => {
            let group = groups(registry)
                .into_iter()
                .find(|own| own.name == *group && !group.is_empty())?;
            let mut document = json!({"kind": "APIGroup", "apiVersion": "v1"});
            merge(&mut document, api_group(&group));
            Some(legacy(&document, accept))
        }
        ["apis", group, version] => {
            versions(registry, group, version).map(|defs| legacy(&resource_list(&defs), accept))
        }
        _ => None,
    }
}

fn top(registry: &Registry, core: bool, accept: &str, if_none_match: Option<&str>) -> NonResource {
    let vary = ("Vary", "Accept".to_owned());
    let form = negotiate(accept).unwrap_or(Form::Legacy);
    if form == Form::Legacy {
        let document = if core { core_versions() } else { group_list(registry) };
        let mut answer = NonResource::object(&document, accept);
        answer.headers.push(vary);
        return answer;
    }
    let cell = if core {
        &registry.views.core_discovery
    } else {
        &registry.views.group_discovery
    };
    let document = cell.get_or_init(|| aggregated(registry, core));
    let rendered = if form == Form::V2 {
        &document.v2
    } else {
        &document.v2beta1
    };
    let headers = vec![("ETag", rendered.etag.clone()), vary];
    if if_none_match.is_some_and(|tags| matches_etag(tags, &rendered.etag)) {
        return NonResource {
            code: 304,
            content_type: String::new(),
            headers,
            body: Bytes::new(),
        };
    }
    NonResource {
        code: 200,
        content_type: form.content_type(),
        headers,
        body: rendered.body.clone(),
    }
}

/// Whether an `If-None-Match` header names this entity tag.
pub(super) fn matches_etag(header: &str, etag: &str) -> bool {
    header
        .split(',')
        .map(str::trim)
        .any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

fn negotiate(header: &str) -> Option<Form> {
    accept::parse(header)
        .iter()
        .filter(|media| media.takes_json())
        .find_map(|media| match media.parameter("as") {
            None => Some(Form::Legacy),
            Some("APIGroupDiscoveryList") if media.parameter("g") == Some("apidiscovery.k8s.io") => {
                match media.parameter("v") {
                    Some("v2") => Some(Form::V2),
                    Some("v2beta1") => Some(Form::V2Beta1),
                    _ => None,
                }
            }
            Some(_) => None,
        })
}

fn legacy(document: &Value, accept: &str) -> NonResource {
    if negotiate(accept).is_some() {
        NonResource::json(render(document))
    } else {
        NonResource::object(document, accept)
    }
}

fn render(document: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(document).unwrap_or_default())
}

/// A group with its versions, both in order of preference.
struct Group<'a> {
    name: &'a str,
    versions: Vec<(&'a str, Vec<&'a ResourceDef>)>,
}

fn groups(registry: &Registry) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for def in &registry.resources {
        let index = groups
            .iter()
            .rposition(|group| group.name == def.group)
            .unwrap_or_else(|| {
                groups.push(Group {
                    name: &def.group,
                    versions: Vec::new(),
                });
                groups.len() - 1
            });
        let versions = &mut groups[index].versions;
        match versions.iter_mut().find(|(version, _)| *version == def.version) {
            Some((_, defs)) => defs.push(def),
            None => versions.push((&def.version, vec![def])),
        }
    }
    groups
}

fn versions<'a>(registry: &'a Registry, group: &str, version: &str) -> Option<Vec<&'a ResourceDef>> {
    let defs: Vec<&ResourceDef> = registry
        .resources
        .iter()
        .filter(|def| def.group == group && def.version == version)
        .map(AsRef::as_ref)
        .collect();
    (!defs.is_empty()).then_some(defs)
}

fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

fn group_list(registry: &Registry) -> Value {
    let items: Vec<Value> = groups(registry)
        .iter()
        .filter(|group| !group.name.is_empty())
        .map(api_group)
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": items})
}

fn api_group(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, _)| json!({"groupVersion": format!("{}/{version}", group.name), "version": version}))
        .collect();
    let preferred = versions.first().cloned().unwrap_or_default();
    json!({"name": group.name, "versions": versions, "preferredVersion": preferred})
}

fn resource_list(defs: &[&ResourceDef]) -> Value {
    let group_version = defs.first().map(|def| def.api_version()).unwrap_or_default();
    let resources: Vec<Value> = defs.iter().flat_map(|def| api_resources(def)).collect();
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources})
}

/// The entry of a resource and one for each subresource.
fn api_resources(def: &ResourceDef) -> Vec<Value> {
    let mut entry = json!({
        "name": def.plural,
        "singularName": def.singular,
        "namespaced": def.namespaced,
        "kind": def.kind,
        "verbs": def.verbs,
    });
    put_list(&mut entry, "shortNames", &def.short_names);
    put_list(&mut entry, "categories", &def.categories);
    if !def.storage_hash.is_empty() {
        put(&mut entry, "storageVersionHash", json!(def.storage_hash));
    }
    let mut entries = vec![entry];
    entries.extend(def.subresources.iter().map(|subresource| {
        let mut entry = json!({
            "name": format!("{}/{}", def.plural, subresource.name),
            "singularName": "",
            "namespaced": def.namespaced,
            "kind": subresource.kind.kind,
            "verbs": subresource.verbs,
        });
        // A kind of the resource's own group-version needs no address.
        if (&subresource.kind.group, &subresource.kind.version) != (&def.group, &def.version) {
            if !subresource.kind.group.is_empty() {
                put(&mut entry, "group", json!(subresource.kind.group));
            }
            put(&mut entry, "version", json!(subresource.kind.version));
        }
        entry
    }));
    entries
}

fn aggregated(registry: &Registry, core: bool) -> Document {
    let items: Vec<Value> = groups(registry)
        .iter()
        .filter(|group| group.name.is_empty() == core)
        .map(group_discovery)
        .collect();
    let rendered = |form: Form| {
        let body = render(&json!({
            "kind": "APIGroupDiscoveryList",
            "apiVersion": format!("apidiscovery.k8s.io/{}", form.version()),
            "metadata": {},
            "items": items,
        }));
        let etag = format!("\"{}\"", fingerprint(&[&body]));
        Rendered { body, etag }
    };
    Document {
        v2: rendered(Form::V2),
        v2beta1: rendered(Form::V2Beta1),
    }
}

fn group_discovery(group: &Group<'_>) -> Value {
    let versions: Vec<Value> = group
        .versions
        .iter()
        .map(|(version, defs)| {
            let resources: Vec<Value> = defs.iter().map(|def| resource_discovery(def)).collect();
            json!({"version": version, "resources": resources, "freshness": "Current"})
        })
        .collect();
    let metadata = if group.name.is_empty() {
        json!({})
    } else {
        json!({"name": group.name})
    };
    json!({"metadata": metadata, "versions": versions})
}

fn resource_discovery(def: &ResourceDef) -> Value {
    let mut entry = json!({
        "resource": def.plural,
        "responseKind": {"group": def.group, "version": def.version, "kind": def.kind},
        "scope": if def.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": def.singular,
        "verbs": def.verbs,
    });
    put_list(&mut entry, "shortNames", &def.short_names);
    put_list(&mut entry, "categories", &def.categories);
    if !def.subresources.is_empty() {
        let subresources: Vec<Value> = def
            .subresources
            .iter()
            .map(|subresource| {
                let kind = &subresource.kind;
                json!({
                    "subresource": subresource.name,
                    "responseKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
                    "verbs": subresource.verbs,
                })
            })
            .collect();
        put(&mut entry, "subresources", json!(subresources));
    }
    entry
}

/// What `/` lists.
fn roots(registry: &Registry) -> Value {
    let fixed = [
        "/api",
        "/api/v1",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    let mut paths: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    for group in groups(registry).iter().filter(|group| !group.name.is_empty()) {
        paths.push(format!("/apis/{}", group.name));
        paths.extend(
            group
                .versions
                .iter()
                .map(|(version, _)| format!("/apis/{}/{version}", group.name)),
        );
    }
    paths.sort();
    json!({"paths": paths})
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

fn put_list(object: &mut Value, key: &str, list: &[String]) {
    if !list.is_empty() {
        put(object, key, json!(list));
    }
}

fn merge(target: &mut Value, source: Value) {
    if let (Some(target), Value::Object(source)) = (target.as_object_mut(), source) {
        target.extend::<Map<String, Value>>(source);
    }
}

#[cfg(test)]
mod tests;
