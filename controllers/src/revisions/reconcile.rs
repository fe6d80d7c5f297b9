//! One Deployment: its records are made, brought up to date and thrown away.

use std::sync::Arc;

use runtime::queue::Action;
use schema::entry::{Entry, Key};
use schema::status::Reason;
use serde_json::Value;
use tokio::time::Instant;

use super::plan;
use crate::context::{Context, Error, MANAGER};
use crate::kinds;

/// Works on one Deployment.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, _since: Instant) -> Result<Action, Error> {
    let Some(deployment) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    if deployment.meta().deletion_timestamp.is_some() {
        return Ok(Action::Done);
    }
    let keys = context.index.records(&deployment.meta().uid);
    let records: Vec<Arc<Entry>> = keys.iter().filter_map(|key| context.hub.get(key)).collect();
    let mut values: Vec<Value> = records.iter().map(|record| record.value()).collect();
    let object = deployment.value();
    let plan = plan::plan(&object, &values);
    if let Some(record) = plan.create {
        match context.create(MANAGER, &kinds::REPLICA_SET, record).await {
            Ok(_) => {}
            // Made a moment ago and not seen yet: it asks for this Deployment when it is.
            Err(status) if status.is(&Reason::AlreadyExists) => {}
            Err(status) => return Err(status.into()),
        }
    }
    for (position, want) in plan.update {
        let (have, entry) = (values[position].take(), &records[position]);
        let mut specified = want.clone();
        specified["status"] = have["status"].clone();
        let written = context
            .write(MANAGER, &kinds::REPLICA_SET, entry, have.clone(), specified)
            .await?;
        let entry = written.as_ref().unwrap_or(entry);
        context
            .write_status(MANAGER, &kinds::REPLICA_SET, entry, have, want)
            .await?;
    }
    for position in plan.delete {
        context.delete(MANAGER, &kinds::REPLICA_SET, &records[position]).await?;
    }
    if let Some(revision) = plan.revision {
        let mut want = object.clone();
        want["metadata"]["annotations"][plan::REVISION] = revision.into();
        context
            .write(MANAGER, &kinds::DEPLOYMENT, &deployment, object, want)
            .await?;
    }
    Ok(Action::Done)
}
