//! One cluster: `status.remedyActions` brought in line with its conditions.

use std::sync::Arc;

use runtime::queue::Action;
use schema::entry::Key;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::{self, Remedy};
use crate::context::{Context, Error, MANAGER};
use crate::kinds;

/// Works on one cluster.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let Some(entry) = context.hub.get(&key) else {
        return Ok(Action::Done);
    };
    let remedies = context.hub.list(&kinds::REMEDY.group_resource, None);
    let living = remedies
        .iter()
        .filter(|remedy| remedy.meta().deletion_timestamp.is_none());
    let remedies: Vec<Remedy> = living.filter_map(|remedy| remedy.typed().ok()).collect();
    let cluster = entry.value();
    let have = &cluster["status"]["remedyActions"];
    if entry.meta().deletion_timestamp.is_some() || (remedies.is_empty() && have.is_null()) {
        return Ok(Action::Done);
    }
    let actions = plan::actions(&key.name, &cluster, &remedies);
    let want = if actions.is_empty() {
        Value::Null
    } else {
        json!(actions)
    };
    if *have == want {
        return Ok(Action::Done);
    }
    let patch = json!({"status": {"remedyActions": want}});
    context
        .patch(MANAGER, &kinds::CLUSTER, &entry, Some("status"), patch, true)
        .await?;
    context.metrics.lag("remedies", since.elapsed());
    Ok(Action::Done)
}
