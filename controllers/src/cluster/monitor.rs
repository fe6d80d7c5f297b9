//! Looks at every pull-mode cluster at a fixed pace and says so when its agent has fallen silent.

use std::collections::HashMap;
use std::sync::Arc;

use schema::entry::Entry;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::plan::{self, Grace, Sighting};
use super::reconcile::SOURCE;
use crate::conditions;
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::kinds;
use crate::names;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Lease {
    spec: LeaseSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LeaseSpec {
    renew_time: Option<String>,
}

/// Looks at the clusters until cancelled.
pub(crate) async fn run(context: Arc<Context>, cancel: CancellationToken) {
    let mut pace = tokio::time::interval(context.config.cluster_monitor_period);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut sightings: HashMap<String, Sighting> = HashMap::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = pace.tick() => {}
        }
        let clusters = context.index.clusters();
        sightings.retain(|name, _| clusters.iter().any(|cluster| cluster.name() == name));
        for cluster in clusters {
            if let Err(error) = look(&context, &cluster, &mut sightings).await {
                // The next round sees the same silence.
                tracing::debug!(cluster = cluster.name(), %error, "cannot mark a silent cluster");
            }
        }
    }
}

async fn look(context: &Context, entry: &Entry, sightings: &mut HashMap<String, Sighting>) -> Result<(), Error> {
    let cluster = entry.value();
    if cluster["spec"]["syncMode"] != "Pull" {
        return Ok(());
    }
    let now = context.clock.now();
    let ready = conditions::find(&cluster, "Ready");
    let renewed = renew_time(context, entry.name());
    let last = sightings.get(entry.name());
    if let Some(message) = plan::returned(last, ready) {
        context.tell(SOURCE, &kinds::CLUSTER, entry, Outcome::normal("ClusterReady"), message);
    }
    let mut sighting = plan::sight(last, ready, renewed.as_deref(), now);
    let grace = Grace {
        running: context.config.cluster_monitor_grace_period,
        startup: context.config.cluster_startup_grace_period,
    };
    let verdict = plan::verdict(&sighting, grace, now);
    if let Some(condition) = verdict {
        sightings.insert(entry.name().to_owned(), sighting.clone());
        let mut want: Value = cluster.clone();
        conditions::set(&mut want, &condition, now);
        let ready = conditions::find(&want, condition.kind).cloned();
        context
            .write_status(MANAGER, &kinds::CLUSTER, entry, cluster, want)
            .await?;
        tracing::info!(cluster = entry.name(), reason = condition.reason, "cluster is silent");
        // Remembered as written: it may speak again before the next look, and that is news, too.
        sighting.ready = ready;
        let outcome = Outcome::warning(condition.reason);
        context.tell(SOURCE, &kinds::CLUSTER, entry, outcome, condition.message);
    }
    sightings.insert(entry.name().to_owned(), sighting);
    Ok(())
}

fn renew_time(context: &Context, cluster: &str) -> Option<String> {
    let lease = context.get(&kinds::LEASE, names::CLUSTER_NAMESPACE, cluster)?;
    lease.typed::<Lease>().ok()?.spec.renew_time
}
