//! One cluster: its taints brought in line with its conditions.

use std::sync::Arc;

use runtime::queue::Action;
use schema::entry::Key;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::plan::{self, Policy};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::kinds;

const SOURCE: &str = "cluster-taint-policy-controller";

/// Works on one cluster.
pub(crate) async fn reconcile(context: Arc<Context>, key: Key, since: Instant) -> Result<Action, Error> {
    let policies = context.hub.list(&kinds::TAINT_POLICY.group_resource, None);
    if policies.is_empty() {
        return Ok(Action::Done);
    }
    let (Some(entry), Some(view)) = (context.hub.get(&key), context.index.view(&key.name)) else {
        return Ok(Action::Done);
    };
    if entry.meta().deletion_timestamp.is_some() {
        return Ok(Action::Done);
    }
    let living = policies
        .into_iter()
        .filter(|policy| policy.meta().deletion_timestamp.is_none());
    let readable = living.filter_map(|policy| Some((policy.clone(), policy.typed::<Policy>().ok()?)));
    let policies = plan::sorted(readable.collect());
    let cluster = entry.value();
    let taints = plan::taints(&cluster, &view, &policies, context.clock.now());
    if Some(&taints) == cluster["spec"]["taints"].as_array().or(Some(&Vec::new())) {
        return Ok(Action::Done);
    }
    let said: Vec<String> = taints
        .iter()
        .map(|taint| format!("{}:{}", text(&taint["key"]), text(&taint["effect"])))
        .collect();
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    let patch = json!({"spec": {"taints": taints}});
    match context.patch(MANAGER, &kinds::CLUSTER, &entry, None, patch, true).await {
        Ok(_) => {
            context.metrics.lag("taints", since.elapsed());
            let message = format!("Taint cluster succeed, taints are [{}].", said.join(", "));
            context.tell(
                SOURCE,
                &kinds::CLUSTER,
                &entry,
                Outcome::normal("TaintClusterSucceed"),
                message,
            );
            Ok(Action::Done)
        }
        Err(status) if status.code == 409 => Err(status.into()),
        Err(status) => {
            let message = format!("Taint cluster failed: {status}");
            context.tell(
                SOURCE,
                &kinds::CLUSTER,
                &entry,
                Outcome::warning("TaintClusterFailed"),
                message,
            );
            Err(status.into())
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
