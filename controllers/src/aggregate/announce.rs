//! Tells the template's reader that a member has applied it, or could not: agents may not write Events there.

use crds::reasons;
use runtime::hub::Change;
use schema::entry::Entry;
use serde::Deserialize;

use super::plan::{WorkCondition, WorkView};
use crate::context::{Context, Outcome};
use crate::kinds;
use crate::names;

#[derive(Deserialize)]
struct Manifests {
    spec: ManifestsSpec,
}

#[derive(Deserialize)]
struct ManifestsSpec {
    workload: Workload,
}

#[derive(Deserialize)]
struct Workload {
    manifests: Vec<Manifest>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    api_version: String,
    kind: String,
    metadata: ManifestMeta,
}

#[derive(Deserialize)]
struct ManifestMeta {
    name: String,
    #[serde(default)]
    namespace: String,
}

/// Conditions of a Work that tell of a question without an answer, and the events that say so.
const DOUBTS: [(&str, &str); 2] = [
    (reasons::STATUS_REFLECTED, reasons::REFLECT_STATUS_FAILED),
    (reasons::HEALTH_INTERPRETED, reasons::INTERPRET_HEALTH_FAILED),
];

/// Whether a condition says something else than before. An agent that does not say which generation it means is taken to mean the
/// one it saw.
fn is_news(before: Option<&WorkCondition>, now: &WorkCondition) -> bool {
    before.is_none_or(|before| {
        let generation = |condition: &WorkCondition| condition.observed_generation.max(0);
        before.status != now.status || before.message != now.message || generation(before) != generation(now)
    })
}

/// Tells the readers of the Work itself that its member did not take it, and that it is held back or let go. That all went well is told
/// on the template only.
fn tell_work(context: &Context, work: &Entry, before: &WorkView, now: &WorkView) {
    let tell = |outcome, condition: &WorkCondition| {
        context.tell(
            "execution-controller",
            &kinds::WORK,
            work,
            outcome,
            condition.message.clone(),
        );
    };
    let refused = now.condition("Applied").filter(|applied| applied.status == "False");
    if let Some(applied) = refused.filter(|applied| is_news(before.condition("Applied"), applied)) {
        tell(Outcome::warning("SyncFailed"), applied);
    }
    let held = |view: &WorkView| {
        view.condition("Dispatching")
            .is_some_and(|condition| condition.status == "False")
    };
    if let Some(dispatching) = now.condition("Dispatching").filter(|_| held(now) != held(before)) {
        tell(Outcome::normal("WorkDispatching"), dispatching);
    }
}

/// Looks at a change of a Work, whose state before is known when only the member spoke. The first sight of a Work (the start of this process)
/// is no news, and what the hub asks for is none to the template's reader.
pub(crate) fn look(context: &Context, change: &Change, before: Option<&WorkView>, now: &WorkView) {
    let Some(before) = before.filter(|_| !change.deleted) else {
        return;
    };
    let news = |kind: &str| {
        now.condition(kind)
            .filter(|condition| is_news(before.condition(kind), condition))
    };
    tell_work(context, &change.entry, before, now);
    let applied = news("Applied");
    // The same doubt about another generation is no news.
    let doubts: Vec<(&'static str, &WorkCondition)> = DOUBTS
        .into_iter()
        .filter_map(|(kind, reason)| Some((reason, now.condition(kind).filter(|now| now.status == "False")?, kind)))
        .filter(|(_, now, kind)| {
            let before = before.condition(kind);
            before.is_none_or(|before| before.status != now.status || before.message != now.message)
        })
        .map(|(reason, now, _)| (reason, now))
        .collect();
    if applied.is_none() && doubts.is_empty() {
        return;
    }
    let Some(cluster) = names::cluster_of(change.entry.namespace()) else {
        return;
    };
    let Ok(manifests) = change.entry.typed::<Manifests>() else {
        return;
    };
    for manifest in manifests.spec.workload.manifests {
        let (namespace, name) = (&manifest.metadata.namespace, &manifest.metadata.name);
        let Some((resource, template)) = context.resolve(&manifest.api_version, &manifest.kind, namespace, name) else {
            continue;
        };
        let tell = |outcome, message| context.tell("execution-controller", &resource, &template, outcome, message);
        for (reason, doubt) in &doubts {
            tell(
                Outcome::warning(reason),
                format!("Cluster {cluster}: {}", doubt.message),
            );
        }
        match applied.map(|now| (now.status.as_str(), &now.message)) {
            Some(("True", _)) => tell(
                Outcome::normal("SyncSucceed"),
                format!("Successfully applied resource({namespace}/{name}) to cluster {cluster}"),
            ),
            Some(("False", message)) => tell(Outcome::warning("SyncFailed"), message.clone()),
            _ => {}
        }
    }
}
