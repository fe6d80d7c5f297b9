//! What changes would do before they are made: the pure side of `flotilla plan` and of `PlacementPreview`.
//!
//! The changed objects are laid over what is stored ([`world`]); what they touch ([`affected`]) goes through the functions that the
//! controllers themselves decide with, to the end of the way ([`course`], [`works`]); and the two states are compared ([`difference`],
//! [`answer`]). Only what a change touches is looked at. Nothing is written, and nobody is told.
//!
//! Start with [`Course::run`].

mod affected;
pub mod answer;
mod course;
mod difference;
mod quota;
mod works;
mod world;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use runtime::preview::{Changed, Previewer, Reads};
use schema::entry::Key;
use schema::status::Status;
use serde_json::Value;
use tokio::sync::Semaphore;

use answer::{Effect, Fate, Match, Object, Outlook, Workload};
use course::{Case, Course};
use world::World;

use crate::context::Context;
use crate::door::Door;
use crate::kinds;

/// What workloads may take in an answer, differences apart.
const BYTES: usize = 2 << 20;
/// What all differences together may take.
const DIFFS: usize = 1 << 20;
/// What one difference may take.
const DIFF: usize = 64 << 10;

/// Settings of a binding that change nothing about where it is or what members get, and are worth telling all the same.
const SETTINGS: [&str; 7] = [
    "conflictResolution",
    "failover",
    "preserveResourcesOnDeletion",
    "propagateDeps",
    "schedulePriority",
    "schedulerName",
    "suspension",
];

/// A door to the controllers of this process, for those who ask. Cheap to clone; it opens when the controllers have seen what is stored.
#[derive(Clone)]
pub struct Previews {
    inner: Arc<Inner>,
}

struct Inner {
    door: Door,
    /// One question at a time: each may look at every binding.
    turn: Semaphore,
}

impl Default for Previews {
    fn default() -> Self {
        Self {
            inner: Arc::new(Inner {
                door: Door::default(),
                turn: Semaphore::new(1),
            }),
        }
    }
}

impl fmt::Debug for Previews {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Previews")
    }
}

#[async_trait]
impl Previewer for Previews {
    async fn preview(&self, changes: Vec<Changed>, reads: &Reads<'_>) -> Result<Value, Status> {
        let outlook = self.plan(changes, reads).await?;
        serde_json::to_value(outlook).map_err(Status::internal)
    }
}

impl Previews {
    /// The controllers are ready to answer.
    pub(crate) fn open(&self, context: &Arc<Context>) {
        self.inner.door.open(context);
    }

    /// Says what these changes, together, would do. `reads` says whether the caller may read an object; of others it hears nothing but
    /// how many there are.
    async fn plan(&self, changes: Vec<Changed>, reads: &Reads<'_>) -> Result<Outlook, Status> {
        let context = self.inner.door.enter()?;
        let _turn = self.inner.turn.acquire().await.map_err(Status::internal)?;
        let world = World::new(&context, changes).map_err(Status::internal)?;
        let mut outlook = Outlook {
            objects: objects(&world),
            ..Outlook::default()
        };
        let course = Course::run(world).await.map_err(Status::internal)?;
        outlook.bindings = course.looked_at;
        outlook.notes.clone_from(&course.world.notes);
        outlook.notes.extend(unseen(&course.world));
        tell(&course, reads, &mut outlook).await;
        Ok(outlook)
    }
}

fn objects(world: &World<'_>) -> Vec<Object> {
    let object = |(key, delta): (&Key, &world::Delta)| Object {
        api_version: delta.resource.api_version(),
        kind: delta.resource.kind.to_string(),
        namespace: key.namespace.to_string(),
        name: key.name.to_string(),
        change: match (&delta.before, &delta.after) {
            (_, None) => Fate::Removed,
            (None, Some(_)) => Fate::Created,
            (Some(_), Some(_)) if delta.is_idle() => Fate::Unchanged,
            (Some(_), Some(_)) => Fate::Changed,
        },
    };
    world.deltas.iter().map(object).collect()
}

/// Objects that were checked, and whose effect nobody can foresee here.
fn unseen(world: &World<'_>) -> Vec<String> {
    let foreseen = [
        &kinds::POLICY,
        &kinds::CLUSTER_POLICY,
        &kinds::OVERRIDE,
        &kinds::CLUSTER_OVERRIDE,
        &kinds::CLUSTER,
        &kinds::QUOTA,
    ];
    let deltas = world.deltas.iter().filter(|(key, delta)| {
        let template = world.context.index.resource(&key.resource).is_some();
        !template && !delta.is_idle() && !foreseen.iter().any(|kind| kind.group_resource == key.resource)
    });
    deltas
        .map(|(key, delta)| {
            format!(
                "{} {}: its form was checked; what it does is not previewed",
                delta.resource.kind, key.name
            )
        })
        .collect()
}

/// Compares the two states of every case and tells what differs, within bounds.
async fn tell(course: &Course<'_>, reads: &Reads<'_>, outlook: &mut Outlook) {
    let mut cases: Vec<(&Key, &Case)> = course.cases.iter().collect();
    cases.sort_by_key(|(_, case)| (&case.template.namespace, &case.resource.kind, &case.template.name));
    let (mut bytes, mut diffs) = (BYTES, DIFFS);
    for (binding, case) in cases {
        // Comparing is most of the work: others get their turn between.
        tokio::task::yield_now().await;
        let (mut workload, changes) = workload(course, binding, case).await;
        let changes_something = workload.matched.is_some()
            || workload.before != workload.after
            || !changes.is_empty()
            || !settings(case).is_empty()
            || (case.after.is_none() && case.before.is_some());
        let asked = course.world.deltas.contains_key(&case.template);
        if !changes_something && (workload.message.is_empty() || !asked && case.decision.is_none()) {
            continue;
        }
        outlook.changed += usize::from(changes_something);
        if !reads(&case.resource, &case.template) {
            outlook.hidden += usize::from(changes_something);
            continue;
        }
        let between = workload
            .moves
            .iter()
            .filter(|step| !step.from.is_empty() && !step.to.is_empty());
        outlook.moved += between.map(|step| step.replicas).sum::<i64>();
        workload.manifests = changes.iter().map(|change| change.told.clone()).collect();
        let size = serde_json::to_vec(&workload).map_or(usize::MAX, |json| json.len());
        if bytes < size {
            bytes = 0;
            outlook.left_out += usize::from(changes_something);
            continue;
        }
        bytes -= size;
        for (manifest, change) in workload.manifests.iter_mut().zip(&changes) {
            if matches!(manifest.change, Effect::Stopped | Effect::Left) {
                continue;
            }
            let title = format!("{}: {} {}", manifest.cluster, case.resource.kind, case.template.name);
            let bound = DIFF.min(diffs);
            let text = if bound == 0 {
                None
            } else {
                difference::unified(&title, change.before.as_ref(), change.after.as_ref())
            };
            if let Some(text) = text.filter(|text| text.len() <= bound) {
                diffs -= text.len();
                manifest.diff = text;
            } else {
                outlook.diffs_left_out += 1;
                "the difference is left out for its size".clone_into(&mut manifest.message);
            }
        }
        outlook.workloads.push(workload);
    }
}

async fn workload(course: &Course<'_>, binding: &Key, case: &Case) -> (Workload, Vec<works::Change>) {
    let (before, after) = (
        works::targets(case.before.as_ref()),
        works::targets(case.after.as_ref()),
    );
    let mut message = case.message.clone();
    let changes = match works::changes(&course.world, case).await {
        Ok(changes) => changes,
        Err(error) => {
            message = error;
            Vec::new()
        }
    };
    if message.is_empty() {
        message = settings(case);
    }
    let explanation = case.decision.as_ref().map(|decision| decision.explanation.clone());
    let explanation = explanation.unwrap_or_default();
    let stays = |name: &str| after.iter().any(|target| target.name == name);
    let workload = Workload {
        api_version: case.resource.api_version(),
        kind: case.resource.kind.to_string(),
        namespace: case.template.namespace.to_string(),
        name: case.template.name.to_string(),
        binding: binding.name.to_string(),
        matched: case.matched,
        policy_before: case.policies.0.clone(),
        policy_after: case.policies.1.clone(),
        moves: difference::moves(&before, &after),
        evicted: before
            .iter()
            .filter(|target| !stays(&target.name))
            .map(|target| target.name.clone())
            .collect(),
        scheduled: case.decision.is_some(),
        message,
        passed: explanation.passed,
        rejected: explanation.rejected,
        manifests: Vec::new(),
        before,
        after,
    };
    (workload, changes)
}

/// Which settings of a binding change.
fn settings(case: &Case) -> String {
    let (Some(before), Some(after)) = (&case.before, &case.after) else {
        return String::new();
    };
    if Arc::ptr_eq(before, after) || case.matched == Some(Match::Unmatched) {
        return String::new();
    }
    let (before, after) = (before.value(), after.value());
    let differ = |field: &&&str| before["spec"].get(**field) != after["spec"].get(**field);
    let fields: Vec<&str> = SETTINGS.iter().filter(differ).copied().collect();
    if fields.is_empty() {
        return String::new();
    }
    format!("settings of the binding change: {}", fields.join(", "))
}
