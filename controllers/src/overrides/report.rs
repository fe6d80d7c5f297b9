//! Tells what became of overrides: events on the template, and a condition on its binding while one is refused.

use std::sync::Arc;

use runtime::hub::Resource;
use schema::entry::Entry;

use super::plan::{Applied, Refused};
use crate::conditions::{self, Condition};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::kinds;

/// The condition of a binding that tells whether every cluster gets its overrides. It is there once one was refused.
pub(crate) const CONDITION: &str = "OverridesApplied";
const SOURCE: &str = "override-manager";
/// Clusters that one message names.
const NAMED: usize = 10;

/// A cluster that gets nothing new because of a policy.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) cluster: String,
    pub(crate) refused: Refused,
}

/// Says that a cluster's manifest was changed.
pub(crate) fn applied(context: &Context, template: (&Resource, &Entry), cluster: &str, applied: &Applied) {
    for title in &applied.titles {
        let message = format!("Apply {title} for cluster({cluster}) successfully.");
        let outcome = Outcome::normal("ApplyOverridePolicySucceed");
        context.tell(SOURCE, template.0, template.1, outcome, message);
    }
}

/// What people read about the clusters that are stopped.
pub(crate) fn message(stopped: &[Stopped]) -> String {
    let mut parts: Vec<String> = stopped
        .iter()
        .take(NAMED)
        .map(|stop| format!("{}: {}", stop.cluster, stop.refused))
        .collect();
    if NAMED < stopped.len() {
        parts.push(format!("and {} more clusters", stopped.len() - NAMED));
    }
    parts.join("; ")
}

/// Tells the template which policies stop which clusters.
pub(crate) fn refused(context: &Context, template: (&Resource, &Entry), stopped: &[Stopped]) {
    for stop in stopped.iter().take(NAMED) {
        let (title, path, why) = (&stop.refused.title, &stop.refused.path, &stop.refused.why);
        let message = format!("Apply {title} for cluster({}) failed. {path}: {why}", stop.cluster);
        let outcome = Outcome::warning("ApplyOverridePolicyFailed");
        context.tell(SOURCE, template.0, template.1, outcome, message);
    }
}

/// Says which clusters are stopped, or that none is any more.
pub(crate) async fn stopped(
    context: &Context,
    binding: &Arc<Entry>,
    template: (&Resource, &Entry),
    stopped: &[Stopped],
) -> Result<(), Error> {
    refused(context, template, stopped);
    let have = binding.value();
    let known = conditions::find(&have, CONDITION);
    let condition = if !stopped.is_empty() {
        Condition {
            kind: CONDITION,
            status: "False",
            reason: "ApplyOverridePolicyFailed",
            message: message(stopped),
        }
    } else if known.is_some() {
        Condition {
            kind: CONDITION,
            status: "True",
            reason: "ApplyOverridePolicySucceed",
            message: "All overrides have been applied".to_owned(),
        }
    } else {
        return Ok(());
    };
    let mut want = have.clone();
    conditions::set(&mut want, &condition, context.clock.now());
    let resource = kinds::binding_of(binding.key());
    if context
        .write_status(MANAGER, resource, binding, have, want)
        .await?
        .is_some()
    {
        context.queues.aggregate.add(binding.key().clone());
    }
    Ok(())
}
