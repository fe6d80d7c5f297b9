//! One namespace: a Work in the execution namespace of every cluster.

use std::sync::Arc;

use futures::future::join_all;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde_json::Value;
use tokio::time::Instant;

use super::plan;
use crate::context::{Context, Error, MANAGER};
use crate::interpret;
use crate::kinds;
use crate::names;

/// Works on one namespace.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    if !plan::travels(entry.meta(), &context.config.skipped_namespaces) {
        return Ok(Action::Done);
    }
    let pruned = interpret::pruned(entry.value());
    let clusters = context.index.clusters();
    let living = clusters
        .iter()
        .filter(|cluster| cluster.meta().deletion_timestamp.is_none());
    let writes = living.map(|cluster| sync(&context, &entry, &pruned, cluster.name()));
    let mut wrote = false;
    let mut failure = None;
    for outcome in join_all(writes).await {
        match outcome {
            Ok(written) => wrote |= written,
            Err(error) => failure = Some(error),
        }
    }
    if wrote {
        context.metrics.lag("namespace", since.elapsed());
    }
    failure.map_or(Ok(Action::Done), Err)
}

async fn sync(context: &Context, namespace: &Entry, pruned: &Value, cluster: &str) -> Result<bool, Error> {
    let name = names::work_name("Namespace", namespace.name(), "");
    let existing = context.get(&kinds::WORK, &names::execution_namespace(cluster), &name);
    let Some(entry) = existing else {
        let work = plan::work(None, namespace, pruned.clone(), cluster, || context.random.uuid());
        context.create(MANAGER, &kinds::WORK, work).await?;
        return Ok(true);
    };
    if entry.meta().deletion_timestamp.is_some() {
        return Err(Error::Waiting(format!("the deletion of {}", entry.key())));
    }
    let have = entry.value();
    let want = plan::work(Some(&have), namespace, pruned.clone(), cluster, || {
        context.random.uuid()
    });
    Ok(context
        .write(MANAGER, &kinds::WORK, &entry, &have, &want)
        .await?
        .is_some())
}
