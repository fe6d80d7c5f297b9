//! What would follow a binding because its template needs it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::features::Gate;
use runtime::hub::Resource;
use schema::entry::{Entry, EntryError, Key};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::world::seal;
use super::Course;
use crate::depend::plan::{self, Dependency, Dependent, Needed, Wish};
use crate::depend::reconcile::Spec;
use crate::index::binding_id;
use crate::interpret;
use crate::kinds;
use crate::names;

/// What is read of a binding to attach dependencies to it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Binding {
    spec: Spec,
}

impl Course<'_> {
    /// Lets dependencies follow a binding, and lets go of those that it no longer has.
    pub(super) async fn depend(&mut self, key: &Key) -> Result<(), EntryError> {
        let context = self.world.context;
        if key.resource != kinds::BINDING.group_resource || !context.config.features.on(Gate::PropagateDeps) {
            return Ok(());
        }
        let after = self.binding(key);
        let stored = context.hub.get(key);
        let Some(entry) = after.clone().or(stored) else {
            return Ok(());
        };
        let spec = after
            .and_then(|after| after.typed::<Binding>().ok())
            .unwrap_or_default()
            .spec;
        let id = binding_id(&entry).to_owned();
        let mut kept = BTreeSet::new();
        let placed = !spec.clusters.is_empty() || entry.meta().annotations.contains_key(names::DEPENDENCIES);
        if spec.propagate_deps && placed {
            let reference = &spec.resource;
            let resource = context.hub.resource_for(&reference.api_version, &reference.kind);
            let template = resource.map(|resource| kinds::key(&resource, &reference.namespace, &reference.name));
            let Some(template) = template.and_then(|key| self.world.get(&key)) else {
                return Ok(());
            };
            // A script that fails tells so on the binding; here it means that nothing is known to follow.
            let Ok(needed) = interpret::dependencies(context, &template.value()).await else {
                return Ok(());
            };
            for (resource, object) in self.needed(&needed) {
                let name = names::binding_name(&resource.kind, object.name());
                let attached = kinds::key(&kinds::BINDING, object.namespace(), &name);
                self.attach(&attached, &entry, &spec, (&resource, &object))?;
                kept.insert(attached);
            }
        }
        let dependent = Dependent {
            namespace: entry.namespace(),
            name: entry.name(),
            id: &id,
            clusters: Value::Null,
        };
        for attached in context.index.attached(&id) {
            let Some(binding) = self.binding(&attached).filter(|_| !kept.contains(&attached)) else {
                continue;
            };
            let want = plan::detached(&binding.value(), &dependent);
            if let Some(case) = self.case(&attached) {
                case.after = Some(seal(&attached, want, binding.revision())?);
            }
        }
        Ok(())
    }

    /// The objects that are needed and would be there, each once.
    fn needed(&self, needed: &[Value]) -> Vec<(Resource, Arc<Entry>)> {
        let mut found: Vec<(Resource, Arc<Entry>)> = Vec::new();
        for reference in needed {
            let Ok(reference) = serde_json::from_value::<Needed>(reference.clone()) else {
                continue;
            };
            let hub = &self.world.context.hub;
            let resource = hub.resource_for(&reference.api_version, &reference.kind);
            let Some(resource) = resource.filter(|resource| resource.namespaced) else {
                continue;
            };
            let objects = if reference.name.is_empty() {
                let all = self.world.list(&resource.group_resource, &reference.namespace);
                all.into_iter().filter(|object| reference.means(object)).collect()
            } else {
                let key = kinds::key(&resource, &reference.namespace, &reference.name);
                Vec::from_iter(self.world.get(&key))
            };
            for object in objects {
                let known = found.iter().any(|(_, known)| known.key() == object.key());
                if !known && object.meta().deletion_timestamp.is_none() {
                    found.push((resource.clone(), object));
                }
            }
        }
        found
    }

    fn attach(
        &mut self,
        key: &Key,
        independent: &Entry,
        spec: &Spec,
        (resource, object): (&Resource, &Arc<Entry>),
    ) -> Result<(), EntryError> {
        let existing = self.binding(key);
        if existing
            .as_ref()
            .is_some_and(|binding| binding.meta().deletion_timestamp.is_some())
        {
            return Ok(());
        }
        let others: Vec<Wish> = existing
            .as_deref()
            .map(|binding| self.wishes(binding, independent.key()))
            .unwrap_or_default();
        let api_version = resource.api_version();
        let dependency = Dependency {
            entry: object,
            api_version: &api_version,
            kind: &resource.kind,
        };
        let dependent = Dependent {
            namespace: independent.namespace(),
            name: independent.name(),
            id: binding_id(independent),
            clusters: json!(spec.clusters),
        };
        let have = existing.as_ref().map(|binding| binding.value());
        let random = &self.world.context.random;
        let want = plan::attached(have.as_ref(), dependency, &dependent, &spec.wish(), &others, || {
            random.uuid()
        });
        let Ok(want) = want else { return Ok(()) };
        if have.as_ref() == Some(&want) {
            return Ok(());
        }
        let stored = self.world.context.hub.get(key);
        let revision = existing.map_or(1, |binding| binding.revision());
        let after = Some(seal(key, want, revision)?);
        if self.cases.contains_key(key) || stored.is_some() {
            if let Some(case) = self.case(key) {
                case.after = after;
                case.frozen = false;
                case.message.clear();
            }
            return Ok(());
        }
        let mut case = self.open(object.key().clone(), resource.clone(), None);
        case.after = after;
        self.cases.insert(key.clone(), case);
        Ok(())
    }

    /// What the other dependents of an attached binding want of it.
    fn wishes(&self, attached: &Entry, but: &Key) -> Vec<Wish> {
        let binding: Binding = attached.typed().unwrap_or_default();
        let others = binding.spec.required_by.iter().filter_map(|required| {
            let key = kinds::key(&kinds::BINDING, &required.namespace, &required.name);
            (key != *but).then(|| self.binding(&key)).flatten()
        });
        others
            .filter_map(|entry| entry.typed::<Binding>().ok())
            .map(|other| other.spec.wish())
            .collect()
    }
}
