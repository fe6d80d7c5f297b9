//! The built-in resources, made once from the facts tables.
//!
//! Served are the versions that are on by default. Two of them, `events.k8s.io` and `autoscaling/v1`, are other forms of
//! objects that are stored as `v1` events and `autoscaling/v2`; `schema::convert` knows how.

use std::sync::{Arc, OnceLock};

use schema::entry::GroupResource;
use schema::facts::{self, DeleteAnswer, ResourceFacts};
use schema::model::{GroupVersionKind, Shape};

use super::{ResourceDef, SubresourceDef, TypeTree, TypesHandle};

/// Subresources that need a kubelet or a node behind them.
const NOT_SERVED: [&str; 5] = ["attach", "exec", "log", "portforward", "proxy"];

/// What is asked and not stored.
const REVIEWS: [&str; 6] = [
    "localsubjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "selfsubjectrulesreviews",
    "subjectaccessreviews",
    "tokenreviews",
];

/// All built-in resources in discovery order.
pub(super) fn resources() -> &'static [Arc<ResourceDef>] {
    static RESOURCES: OnceLock<Vec<Arc<ResourceDef>>> = OnceLock::new();
    RESOURCES.get_or_init(|| {
        let all = facts::resources();
        all.iter()
            .filter(|resource| is_served(resource))
            .filter_map(|resource| definition(resource, stored(resource, all)))
            .map(Arc::new)
            .collect()
    })
}

fn is_served(resource: &ResourceFacts) -> bool {
    match resource.storage {
        None => REVIEWS.contains(&resource.plural),
        Some(_) => resource.enabled,
    }
}

/// The kind that objects of a resource are stored as: its own unless another version of it is served as well.
fn stored<'a>(resource: &'a ResourceFacts, all: &'a [ResourceFacts]) -> &'a GroupVersionKind {
    let other = resource.storage.as_ref().filter(|storage| {
        all.iter()
            .any(|other| other.enabled && other.kind == **storage && other.plural == resource.plural)
    });
    other.unwrap_or(&resource.kind)
}

fn definition(facts: &ResourceFacts, stored: &GroupVersionKind) -> Option<ResourceDef> {
    let (version, stored_version) = (facts.kind.api_version(), stored.api_version());
    let strings = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    Some(ResourceDef {
        group: facts.group.to_owned(),
        version: facts.version.to_owned(),
        plural: facts.plural.to_owned(),
        singular: facts.singular.to_owned(),
        kind: facts.kind.kind.clone(),
        list_kind: format!("{}List", facts.kind.kind),
        namespaced: facts.namespaced,
        short_names: strings(&facts.short_names),
        categories: strings(&facts.categories),
        verbs: strings(&facts.verbs),
        subresources: facts
            .subresources
            .iter()
            .filter(|subresource| !NOT_SERVED.contains(&subresource.name))
            .map(|subresource| SubresourceDef {
                name: subresource.name.to_owned(),
                kind: subresource.kind.clone(),
                verbs: strings(&subresource.verbs),
            })
            .collect(),
        storage_hash: facts.storage_hash.to_owned(),
        selectable_fields: facts
            .field_selectors
            .iter()
            .map(|selector| {
                let kind = &facts.kind.kind;
                let path = schema::convert::field(kind, &version, &stored_version, selector.field);
                (selector.label.to_owned(), path)
            })
            .collect(),
        upsert: facts.upsert,
        needs_revision: facts.need_revision,
        delete_returns_object: facts.delete_answer == DeleteAnswer::Object,
        strategic: !facts.no_strategic,
        storage: GroupResource::new(stored.group.as_str(), facts.plural),
        storage_version: stored_version,
        types: Arc::new(tree(&facts.kind)?),
        custom: None,
        names: OnceLock::new(),
    })
}

/// The type of a built-in kind.
pub(crate) fn tree(kind: &GroupVersionKind) -> Option<TypeTree> {
    let root = facts::kind(kind)?;
    Some(TypeTree {
        types: TypesHandle::Builtin(facts::builtin_types()),
        root,
        shape: Shape::Struct(root),
    })
}
