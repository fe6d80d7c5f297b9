//! One quota: its parts sent to the members, what they and the bindings use added up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::features::Gate;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::{self, Amounts, Binding};
use crate::aggregate::plan::{ManifestStatus, WorkView};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::kinds;
use crate::names;

const SYNC: &str = "federated-resource-quota-sync-controller";
const STATUS: &str = "federated-resource-quota-status-controller";
const ENFORCEMENT: &str = "federated-resource-quota-enforcement-controller";
/// What is counted is counted anew this often, whatever happens.
const RECOUNT: Duration = Duration::from_mins(5);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Quota {
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    overall: Value,
    static_assignments: Vec<Assignment>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Assignment {
    cluster_name: String,
    hard: Value,
}

/// Works on one quota.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let entry = context.hub.get(&key);
    let Some(entry) = entry.filter(|entry| entry.meta().deletion_timestamp.is_none()) else {
        assign(&context, &key, "", &[]).await?;
        return Ok(Action::Done);
    };
    let quota: Quota = entry.typed().map_err(|error| Error::Unreadable(key.clone(), error))?;
    let spec = quota.spec;
    match assign(&context, &key, &entry.meta().uid, &spec.static_assignments).await {
        Ok(false) => {}
        Ok(true) => {
            let outcome = Outcome::normal("SyncWorkSucceed");
            context.tell(
                SYNC,
                &kinds::QUOTA,
                &entry,
                outcome,
                "Sync works for FederatedResourceQuota succeed.",
            );
        }
        Err(error) if error.is_passing() => return Err(error),
        Err(error) => {
            context.tell(
                SYNC,
                &kinds::QUOTA,
                &entry,
                Outcome::warning("SyncWorkFailed"),
                error.to_string(),
            );
            return Err(error);
        }
    }
    let enforced = context.config.features.on(Gate::FederatedQuotaEnforcement);
    let have = entry.value();
    let mut want = have.clone();
    let reports = reports(&context, &key);
    want["status"]["overall"] = spec.overall.clone();
    want["status"]["aggregatedStatus"] = reports.iter().map(|(cluster, status)| item(cluster, status)).collect();
    if reports.is_empty()
        && let Some(status) = want["status"].as_object_mut()
    {
        status.remove("aggregatedStatus");
    }
    let mut used = Amounts::default();
    if enforced {
        // Read after the quota: what is stored in between has changed the quota, too, and this write fails.
        for binding in context.hub.list(&kinds::BINDING.group_resource, Some(&key.namespace)) {
            let binding: Binding = binding.typed().unwrap_or_default();
            used.add(&plan::usage(&binding), 1);
        }
        used = used.within(&Amounts::of(&spec.overall));
    } else {
        for status in reports.values() {
            used.add(&Amounts::of(&status["used"]), 1);
        }
    }
    let used_before = Amounts::of(&have["status"]["overallUsed"]);
    if used != used_before || have["status"]["overallUsed"].is_null() {
        want["status"]["overallUsed"] = used.to_value();
    }
    let (source, succeeded, failed, message) = if enforced {
        (
            ENFORCEMENT,
            "CollectOverallStatusSucceed",
            "CollectOverallStatusFailed",
            "Collect overall status succeed.",
        )
    } else {
        (
            STATUS,
            "AggregateStatusSucceed",
            "AggregateStatusFailed",
            "Update FederatedResourceQuota with AggregatedStatus successfully.",
        )
    };
    let stored = context.write_status(MANAGER, &kinds::QUOTA, &entry, have, want).await;
    let stored = stored.map_err(Error::from).inspect_err(|error| {
        if !error.is_passing() {
            let outcome = Outcome::warning(failed);
            context.tell(source, &kinds::QUOTA, &entry, outcome, error.to_string());
        }
    })?;
    if stored.is_some() {
        context.tell(source, &kinds::QUOTA, &entry, Outcome::normal(succeeded), message);
        context.metrics.lag("quota", since.elapsed());
    }
    Ok(if enforced { Action::After(RECOUNT) } else { Action::Done })
}

/// Makes the Works of the static assignments what they should be; answers whether any was written.
async fn assign(context: &Context, key: &Key, uid: &str, assignments: &[Assignment]) -> Result<bool, Error> {
    let mut wrote = false;
    for work in works(context, key) {
        let cluster = names::cluster_of(work.namespace()).unwrap_or_default();
        let wanted = assignments.iter().any(|assignment| assignment.cluster_name == cluster);
        if !wanted && work.meta().deletion_timestamp.is_none() {
            context.delete(MANAGER, &kinds::WORK, &work).await?;
            wrote = true;
        }
    }
    for assignment in assignments {
        let cluster = &assignment.cluster_name;
        let namespace = names::execution_namespace(cluster);
        if context.get(&kinds::NAMESPACE, "", &namespace).is_none() {
            // Such a cluster may join later, and brings the quota back.
            continue;
        }
        let existing = context.get(
            &kinds::WORK,
            &namespace,
            &names::work_name("ResourceQuota", &key.name, &key.namespace),
        );
        if let Some(work) = &existing
            && work.meta().deletion_timestamp.is_some()
        {
            return Err(Error::Waiting(format!("the deletion of {}", work.key())));
        }
        let have = existing.as_ref().map(|work| work.value());
        let quota = (&*key.namespace, &*key.name, uid);
        let want = plan::work(have.as_ref(), quota, &assignment.hard, cluster, || {
            context.random.uuid()
        });
        let stored = match (&existing, have) {
            (Some(work), Some(have)) => context.write(MANAGER, &kinds::WORK, work, have, want).await?,
            _ => Some(context.record(MANAGER, &kinds::WORK, want).await?),
        };
        if let Some(stored) = stored {
            context.index.work_written(&stored);
            wrote = true;
        }
    }
    Ok(wrote)
}

fn works(context: &Context, key: &Key) -> Vec<Arc<Entry>> {
    let keys = context
        .index
        .works(&crate::index::quota_term(&key.namespace, &key.name));
    keys.into_iter().filter_map(|key| context.hub.get(&key)).collect()
}

/// What each member says about its part, by cluster.
fn reports(context: &Context, key: &Key) -> BTreeMap<String, Value> {
    let mut reports = BTreeMap::new();
    for work in works(context, key) {
        let Some(cluster) = names::cluster_of(work.namespace()).filter(|_| work.meta().deletion_timestamp.is_none())
        else {
            continue;
        };
        let view: WorkView = work.typed().unwrap_or_default();
        let status = view.status.manifest_statuses.first().and_then(ManifestStatus::value);
        if let Some(status) = status {
            reports.insert(cluster.to_owned(), status);
        }
    }
    reports
}

fn item(cluster: &str, status: &Value) -> Value {
    let mut item = json!({"clusterName": cluster});
    for field in ["hard", "used"] {
        if let Some(list) = status.get(field) {
            item[field] = list.clone();
        }
    }
    item
}
