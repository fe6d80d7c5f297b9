//! What members would get for one binding, beside what its Works say now.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::features::Gate;
use crds::placement::TargetCluster;
use schema::entry::Entry;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Effect, Manifest};
use super::course::Case;
use super::difference::bare;
use super::world::World;
use crate::detect::plan::Template;
use crate::index::binding_id;
use crate::interpret;
use crate::names;
use crate::overrides;
use crate::render::plan::{self, Renderer, Spec};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Binding {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Placed {
    spec: Targets,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Targets {
    clusters: Vec<TargetCluster>,
}

/// Clusters that a binding is in, with its own shares; where it is only because others need it there, without.
pub(super) fn targets(binding: Option<&Arc<Entry>>) -> Vec<TargetCluster> {
    let Some(binding) = binding else { return Vec::new() };
    let own = binding.typed::<Placed>().unwrap_or_default().spec.clusters;
    let spec = binding.typed::<Binding>().unwrap_or_default().spec;
    let mut all: BTreeMap<String, TargetCluster> =
        own.into_iter().map(|target| (target.name.clone(), target)).collect();
    for target in plan::targets(&spec) {
        all.entry(target.name.clone()).or_insert_with(|| TargetCluster {
            name: target.name,
            ..TargetCluster::default()
        });
    }
    all.into_values().collect()
}

/// A manifest before and then, without the federation's own notes.
pub(super) struct Change {
    /// What is told of it; the difference comes later.
    pub(super) told: Manifest,
    pub(super) before: Option<Value>,
    pub(super) after: Option<Value>,
}

/// The manifests that would change, by cluster; or why nobody can say.
pub(super) async fn changes(world: &World<'_>, case: &Case) -> Result<Vec<Change>, String> {
    if case.frozen {
        return Ok(Vec::new());
    }
    let mut works = works(world, case);
    let mut found = Vec::new();
    if let Some(binding) = &case.after {
        let spec = binding.typed::<Binding>().map_err(|error| error.to_string())?.spec;
        if let Some(template) = world.get(&case.template) {
            found = rendered(world, binding, &spec, &template, &mut works).await?;
        }
        let kept = plan::kept_clusters(&spec);
        works.retain(|cluster, _| !kept.contains(cluster) || !world.has_cluster(cluster));
        found.extend(
            works
                .into_iter()
                .map(|(cluster, work)| removed(cluster, &work, spec.preserve_resources_on_deletion)),
        );
    } else {
        found.extend(works.into_iter().map(|(cluster, work)| removed(cluster, &work, false)));
    }
    found.sort_by(|left, right| left.told.cluster.cmp(&right.told.cluster));
    Ok(found)
}

/// The Works of a binding by cluster, but for those that are going.
fn works(world: &World<'_>, case: &Case) -> BTreeMap<String, Value> {
    let context = world.context;
    let Some(binding) = &case.before else {
        return BTreeMap::new();
    };
    let keys = context.index.works(binding_id(binding)).into_iter();
    let works = keys.filter_map(|key| context.hub.get(&key));
    works
        .filter(|work| work.meta().deletion_timestamp.is_none())
        .filter_map(|work| Some((names::cluster_of(work.namespace())?.to_owned(), work.value())))
        .collect()
}

fn manifest_of(work: &Value) -> Value {
    bare(work["spec"]["workload"]["manifests"][0].clone())
}

fn removed(cluster: String, work: &Value, preserve: bool) -> Change {
    let preserve = preserve || work["spec"]["preserveResourcesOnDeletion"] == true;
    Change {
        told: Manifest {
            cluster,
            change: if preserve { Effect::Left } else { Effect::Removed },
            ..Manifest::default()
        },
        before: (!preserve).then(|| manifest_of(work)),
        after: None,
    }
}

/// What differs in the clusters that the binding would be in; takes their Works.
async fn rendered(
    world: &World<'_>,
    binding: &Entry,
    spec: &Spec,
    template: &Entry,
    works: &mut BTreeMap<String, Value>,
) -> Result<Vec<Change>, String> {
    let context = world.context;
    let targets = plan::targets(spec);
    let mut pruned = interpret::pruned(template.value());
    if context.config.features.on(Gate::StatefulFailoverInjection)
        && let Some(labels) = plan::preserved_labels(spec, &targets)
    {
        for (key, value) in labels {
            pruned["metadata"]["labels"][key] = value.clone().into();
        }
    }
    let renderer = Renderer::new(binding, spec, template, pruned);
    let completions = if spec.is_divided() {
        interpret::divided_completions(renderer.manifest(), &targets, &spec.resource.uid)
    } else {
        None
    };
    let overrides = world.overrides_of(&Template {
        api_version: &spec.resource.api_version,
        kind: &spec.resource.kind,
        meta: template.meta(),
    });
    let mut found = Vec::new();
    for target in &targets {
        let Some(cluster) = world.snapshot.get(&target.name).filter(|view| !view.deleting) else {
            continue;
        };
        let before = works.remove(&target.name).map(|work| manifest_of(&work));
        let mut told = Manifest {
            cluster: target.name.clone(),
            change: if before.is_some() {
                Effect::Changed
            } else {
                Effect::Created
            },
            ..Manifest::default()
        };
        let mut manifest = renderer.manifest().clone();
        if spec.is_workload() {
            let revised = interpret::revise(context, &mut manifest, target.replicas).await;
            revised.map_err(|error| error.to_string())?;
        }
        if let Some(completions) = completions.as_ref().and_then(|shares| shares.get(&target.name)) {
            manifest["spec"]["completions"] = (*completions).into();
        }
        if !overrides.is_empty() {
            if let Err(refused) = overrides::plan::apply(&overrides, cluster, &mut manifest) {
                told.change = Effect::Stopped;
                told.message = refused.to_string();
                found.push(Change {
                    told,
                    before: None,
                    after: None,
                });
                continue;
            }
            renderer.mark(&mut manifest);
        }
        let after = bare(manifest);
        if before.as_ref() != Some(&after) {
            found.push(Change {
                told,
                before,
                after: Some(after),
            });
        }
    }
    Ok(found)
}
