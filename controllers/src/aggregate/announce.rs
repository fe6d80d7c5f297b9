//! Tells the template's reader that a member has applied it, or could not: agents may not write Events there.

use runtime::hub::Change;
use schema::entry::Entry;
use serde::Deserialize;

use super::plan::{WorkCondition, WorkView};
use crate::context::{Context, Outcome};
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

/// The Applied condition of a Work with the generation that it speaks of.
fn applied(entry: &Entry) -> Option<(WorkCondition, i64)> {
    let view: WorkView = entry.typed().ok()?;
    let condition = view.condition("Applied")?.clone();
    // An agent that does not say which generation it means is taken to mean the one it saw.
    let generation = if condition.observed_generation > 0 {
        condition.observed_generation
    } else {
        0
    };
    Some((condition, generation))
}

/// Looks at a change of a Work. The first sight of a Work (the start of this process) is no news.
pub(crate) fn look(context: &Context, change: &Change) {
    let Some(previous) = change.previous.as_ref().filter(|_| !change.deleted) else {
        return;
    };
    let Some((now, generation)) = applied(&change.entry) else {
        return;
    };
    if let Some((before, earlier)) = applied(previous)
        && before.status == now.status
        && before.message == now.message
        && earlier == generation
    {
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
        let (outcome, message) = match now.status.as_str() {
            "True" => (
                Outcome::normal("SyncSucceed"),
                format!("Successfully applied resource({namespace}/{name}) to cluster {cluster}"),
            ),
            "False" => (Outcome::warning("SyncFailed"), now.message.clone()),
            _ => continue,
        };
        context.tell("execution-controller", &resource, &template, outcome, message);
    }
}
