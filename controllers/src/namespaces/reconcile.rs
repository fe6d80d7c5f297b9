//! One namespace: a Work in the execution namespace of every cluster.

use std::sync::Arc;

use futures::future::join_all;
use runtime::queue::Action;
use schema::entry::{Entry, Key};
use serde_json::Value;
use tokio::time::Instant;

use super::plan;
use crate::context::{Context, Error, MANAGER};
use crate::detect::plan::Template;
use crate::interpret;
use crate::kinds;
use crate::names;
use crate::overrides;
use crate::overrides::plan::{Applied, Override};
use crate::overrides::report::{self, Stopped};

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
    let overrides = context.index.overrides.matching(&Template {
        api_version: "v1",
        kind: "Namespace",
        meta: entry.meta(),
    });
    let writes = living.map(|cluster| sync(&context, &entry, &pruned, &overrides, cluster.name()));
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

async fn sync(
    context: &Context,
    namespace: &Entry,
    pruned: &Value,
    overrides: &[Arc<Override>],
    cluster: &str,
) -> Result<bool, Error> {
    let mut manifest = pruned.clone();
    let mut applied = Applied::default();
    if !overrides.is_empty() {
        let snapshot = context.index.snapshot();
        let Some(view) = snapshot.get(cluster) else {
            return Ok(false);
        };
        match overrides::plan::apply(overrides, view, &mut manifest) {
            Ok(done) => applied = done,
            Err(refused) => {
                let cluster = cluster.to_owned();
                report::refused(context, (&kinds::NAMESPACE, namespace), &[Stopped { cluster, refused }]);
                return Ok(false);
            }
        }
    }
    let name = names::work_name("Namespace", namespace.name(), "");
    let existing = context.get(&kinds::WORK, &names::execution_namespace(cluster), &name);
    let Some(entry) = existing else {
        let mut work = plan::work(None, namespace, manifest, cluster, || context.random.uuid());
        overrides::plan::record(&mut work, &applied);
        context.record(MANAGER, &kinds::WORK, work).await?;
        return Ok(true);
    };
    if entry.meta().deletion_timestamp.is_some() {
        return Err(Error::Waiting(format!("the deletion of {}", entry.key())));
    }
    let have = entry.value();
    let mut want = plan::work(Some(&have), namespace, manifest, cluster, || context.random.uuid());
    overrides::plan::record(&mut want, &applied);
    Ok(context
        .write(MANAGER, &kinds::WORK, &entry, have, want)
        .await?
        .is_some())
}
