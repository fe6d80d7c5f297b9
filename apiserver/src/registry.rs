//! What is served: built-in resources from the facts, custom resources from the CRDs that are stored.
//!
//! A [`Registry`] is an immutable snapshot; a change of a CRD makes a new one. Start with [`Registry::resource`].
//!
//! Never here: handlers. A resource is data.

pub(crate) mod builtin;
pub(crate) mod custom;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use runtime::hub::Resource;
use schema::cel::rules::Validator;
use schema::entry::{Entry, GroupResource};
use schema::model::{GroupVersionKind, Shape, StructId, TypeRef, Types};
use serde_json::Value;

/// A resource in one version.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ResourceDef {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural name.
    pub plural: String,
    /// Singular name.
    pub singular: String,
    /// Kind.
    pub kind: String,
    /// Kind of the list.
    pub list_kind: String,
    /// Lives in namespaces.
    pub namespaced: bool,
    /// Short names.
    pub short_names: Vec<String>,
    /// Categories, for example `all`.
    pub categories: Vec<String>,
    /// Verbs as discovery lists them.
    pub verbs: Vec<String>,
    /// Subresources.
    pub subresources: Vec<SubresourceDef>,
    /// `storageVersionHash` of discovery.
    pub storage_hash: String,
    /// Accepted field selector labels with the path that each reads (mostly itself).
    pub selectable_fields: Vec<(String, String)>,
    /// PUT to a missing name creates it.
    pub upsert: bool,
    /// PUT without a resourceVersion is refused.
    pub needs_revision: bool,
    /// DELETE by name answers with the object rather than a Status.
    pub delete_returns_object: bool,
    /// Accepts strategic merge patches.
    pub strategic: bool,
    /// Where its objects are stored.
    pub storage: GroupResource,
    /// apiVersion that stored objects carry.
    pub storage_version: String,
    /// The type of an object.
    pub types: Arc<TypeTree>,
    /// Only for custom resources.
    pub custom: Option<Arc<CustomVersion>>,
    /// See [`Names`].
    pub(crate) names: OnceLock<Names>,
}

/// What a resource is called in every form that requests ask for, put together once.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    api_version: String,
    gvk: GroupVersionKind,
    resource: Resource,
}

/// A subresource as discovery shows it.
#[derive(Debug, Clone)]
pub struct SubresourceDef {
    /// Name, for example `status`.
    pub name: String,
    /// Kind of its body.
    pub kind: GroupVersionKind,
    /// Verbs as discovery lists them.
    pub verbs: Vec<String>,
}

/// What a CRD version adds to a resource.
#[derive(Debug, Clone, Default)]
pub struct CustomVersion {
    /// `additionalPrinterColumns`, raw.
    pub printer_columns: Vec<Value>,
    /// The raw `openAPIV3Schema`, for publishing.
    pub open_api: Value,
    /// `subresources.scale`, raw.
    pub scale: Option<Value>,
    /// Has a status subresource.
    pub status: bool,
    /// Deprecation warning.
    pub deprecation: Option<String>,
    /// The definition is being deleted: nothing new is created.
    pub terminating: bool,
    /// The revision at which its definition changed last, if the schema has defaults: what was stored before may lack some.
    pub defaults_since: Option<u64>,
    /// The revision at which its definition changed last: what was stored before may have fields that it no longer knows.
    pub since: u64,
    /// The rules of the schema, compiled when the first object is written.
    pub rules: OnceLock<Option<Arc<Validator>>>,
}

impl CustomVersion {
    /// The rules that objects must keep, if there are any.
    pub fn rules(&self) -> Option<&Validator> {
        self.rules
            .get_or_init(|| Validator::compile(&self.open_api).map(Arc::new))
            .as_deref()
    }
}

/// A type with the arena it lies in.
#[derive(Debug)]
pub struct TypeTree {
    /// The arena.
    pub types: TypesHandle,
    /// The root struct.
    pub root: StructId,
    /// The root as a shape.
    pub shape: Shape,
}

/// A shared arena: built-in types live for ever, those of a CRD as long as it does.
#[derive(Debug, Clone)]
pub enum TypesHandle {
    /// The built-in arena.
    Builtin(&'static Types),
    /// The arena of one version of a CRD.
    Custom(Arc<Types>),
}

impl TypesHandle {
    /// The arena.
    pub fn get(&self) -> &Types {
        match self {
            Self::Builtin(types) => types,
            Self::Custom(types) => types,
        }
    }
}

impl TypeTree {
    /// The root as a place to walk from.
    pub fn root(&self) -> TypeRef<'_> {
        TypeRef {
            types: self.types.get(),
            shape: &self.shape,
        }
    }
}

impl ResourceDef {
    fn names(&self) -> &Names {
        self.names.get_or_init(|| Names {
            api_version: schema::model::api_version(&self.group, &self.version),
            gvk: GroupVersionKind {
                group: self.group.clone(),
                version: self.version.clone(),
                kind: self.kind.clone(),
            },
            resource: Resource {
                group_resource: GroupResource::new(self.group.as_str(), self.plural.as_str()),
                version: self.version.as_str().into(),
                kind: self.kind.as_str().into(),
                namespaced: self.namespaced,
            },
        })
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> &str {
        &self.names().api_version
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> &GroupVersionKind {
        &self.names().gvk
    }

    /// The resource as loops name it.
    pub(crate) fn as_resource(&self) -> &Resource {
        &self.names().resource
    }

    /// The subresource of this name.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceDef> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Whether stored objects have other fields than those of this version.
    pub fn converts(&self) -> bool {
        let differs = if self.custom.is_none() {
            schema::convert::differs
        } else {
            crds::convert::differs
        };
        differs(&self.kind, &self.storage_version, self.api_version())
    }

    /// The kind that objects are stored as.
    pub fn stored_kind(&self) -> GroupVersionKind {
        let (group, version) = self
            .storage_version
            .split_once('/')
            .unwrap_or(("", &self.storage_version));
        GroupVersionKind {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: self.kind.clone(),
        }
    }

    /// Whether an object may lack defaults that its definition got after it was stored.
    pub fn may_lack_defaults(&self, entry: &Entry) -> bool {
        let since = self.custom.as_ref().and_then(|custom| custom.defaults_since);
        since.is_some_and(|since| entry.revision() < since)
    }

    /// Whether a stored object, at this revision, was brought into form by the schema as it is now.
    pub(crate) fn is_in_form(&self, revision: &str) -> bool {
        let since = self.custom.as_ref().map_or(0, |custom| custom.since);
        since == 0 || revision.parse().is_ok_and(|revision: u64| since <= revision)
    }

    /// Whether nothing that looks at a change of an object's status or metadata looks at more than these: no rule spans the object,
    /// and it is stored in this version. Of built-in kinds that is known of workloads, which change most.
    pub(crate) fn parts_are_apart(&self) -> bool {
        let plain = matches!(self.types.shape, Shape::Struct(_));
        let apart = match &self.custom {
            Some(custom) => custom.rules().is_none(),
            None => self.group == "apps",
        };
        plain && apart && self.is_storage_version()
    }

    /// Whether an object can be sent as it is stored.
    pub fn shows_as_stored(&self, entry: &Entry) -> bool {
        self.is_storage_version() && !self.may_lack_defaults(entry)
    }

    /// Gives an object as it is stored the form of this version.
    pub(crate) fn bring_up(&self, entry: &Entry) -> Value {
        let mut object = entry.value();
        if !self.is_storage_version() {
            crate::verbs::object::set_type(&mut object, self.gvk());
        }
        if self.may_lack_defaults(entry) {
            // No default of a schema depends on the time.
            schema::defaults::apply_defaults(self.types.root(), &mut object, jiff::Timestamp::UNIX_EPOCH);
        }
        object
    }

    /// Whether objects are stored in this version.
    pub fn is_storage_version(&self) -> bool {
        self.api_version() == self.storage_version
    }
}

/// Everything that is served at one moment.
#[derive(Debug, Default)]
pub struct Registry {
    /// In discovery order: groups by preference, versions by preference, then names.
    pub resources: Vec<Arc<ResourceDef>>,
    /// Of two that are called the same the later one is served.
    by_plural: HashMap<String, Vec<Arc<ResourceDef>>>,
    by_kind: HashMap<String, Vec<Arc<ResourceDef>>>,
    groups: HashSet<String>,
    /// Documents about this snapshot, made when first asked for.
    pub(crate) views: crate::views::Cache,
}

impl Registry {
    /// Builds the lookups over resources in discovery order.
    pub fn new(resources: Vec<Arc<ResourceDef>>) -> Self {
        let (mut by_plural, mut by_kind) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for def in &resources {
            by_plural.entry(def.plural.clone()).or_default().push(def.clone());
            by_kind.entry(def.kind.clone()).or_default().push(def.clone());
        }
        let groups = resources.iter().map(|def| def.group.clone()).collect();
        Self {
            resources,
            by_plural,
            by_kind,
            groups,
            views: crate::views::Cache::default(),
        }
    }

    /// The resource that a path names.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<ResourceDef>> {
        let mut named = self.by_plural.get(plural)?.iter();
        named.rfind(|def| def.group == group && def.version == version)
    }

    /// Every version of a resource, in discovery order.
    pub(crate) fn versions(&self, group: &str, plural: &str) -> impl Iterator<Item = &Arc<ResourceDef>> {
        let named = self.by_plural.get(plural).into_iter().flatten();
        named.filter(move |def| def.group == group)
    }

    /// Whether anything of a group is served.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    /// The resource that serves a kind.
    pub fn kind(&self, gvk: &GroupVersionKind) -> Option<&Arc<ResourceDef>> {
        self.kind_of(&gvk.group, &gvk.version, &gvk.kind)
    }

    /// The same by its parts.
    pub(crate) fn kind_of(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<ResourceDef>> {
        let mut named = self.by_kind.get(kind)?.iter();
        named.rfind(|def| def.group == group && def.version == version)
    }

    /// What a server serves that has these definitions (stored `CustomResourceDefinition` objects) and some resources
    /// that none of them stands for. Resources of unchanged definitions are taken from the registry before.
    pub(crate) fn build<'a>(
        definitions: impl Iterator<Item = &'a Entry>,
        fixed: &[Arc<ResourceDef>],
        before: &Self,
        is_unchanged: impl Fn(&Entry) -> bool,
    ) -> Self {
        let mut resources = builtin::resources().to_vec();
        resources.extend(fixed.iter().cloned());
        let mut known: HashMap<String, Vec<&Arc<ResourceDef>>> = HashMap::new();
        for def in before.resources.iter().filter(|def| def.custom.is_some()) {
            known.entry(def.storage.to_string()).or_default().push(def);
        }
        let mut custom: Vec<Arc<ResourceDef>> = Vec::new();
        for entry in definitions {
            if is_unchanged(entry) {
                // A definition has the name of what it defines.
                custom.extend(known.get(entry.name()).into_iter().flatten().map(|def| (*def).clone()));
                continue;
            }
            let definition = entry.value();
            if custom::is_established(&definition) {
                // A stored definition was checked when it was written.
                custom.extend(
                    custom::resources(&definition)
                        .unwrap_or_default()
                        .into_iter()
                        .map(|def| Arc::new(custom::since(def, entry.revision()))),
                );
            }
        }
        custom.sort_by_cached_key(|def| {
            (
                def.group.clone(),
                custom::version_rank(&def.version),
                def.plural.clone(),
            )
        });
        resources.extend(custom);
        Self::new(resources)
    }

    /// The built-in resources alone.
    pub fn builtin() -> Self {
        Self::new(builtin::resources().to_vec())
    }

    /// The resource whose objects are stored under this name, in its storage version if that is served.
    pub fn stored(&self, resource: &GroupResource) -> Option<&Arc<ResourceDef>> {
        let of = || self.resources.iter().filter(|def| def.storage == *resource);
        of().find(|def| def.is_storage_version()).or_else(|| of().next())
    }
}

/// `autoscaling/v1 Scale`, the body of every scale subresource.
pub(crate) fn scale_kind() -> GroupVersionKind {
    GroupVersionKind {
        group: "autoscaling".to_owned(),
        version: "v1".to_owned(),
        kind: "Scale".to_owned(),
    }
}
