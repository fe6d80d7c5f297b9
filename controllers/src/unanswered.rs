//! Questions about a template that have no answer, because a script or a webhook of a user fails: a condition of the binding for
//! each question, and an event when that is news.
//!
//! The condition is there once a question had no answer, and says so until it has one again. A script that fails fails again: who
//! asked waits for a change of the customizations ([`crate::interpret::customize`]), the template or the binding, and for nothing
//! else.

use interpreter::InterpretError;
use runtime::hub::Resource;
use schema::entry::{Entry, Key};
use serde_json::Value;

use crate::conditions::{self, Condition};
use crate::context::{Context, Error, MANAGER, Outcome};
use crate::kinds;

/// A question that the hub asks, and the words about it.
#[derive(Debug)]
pub(crate) struct Question {
    /// The condition that tells of it.
    pub(crate) condition: &'static str,
    failed: &'static str,
    succeeded: &'static str,
    answered: &'static str,
    source: &'static str,
    /// Whether the event is told by who asked.
    quiet: bool,
    /// Whether members lack something while it has no answer.
    stops: bool,
}

/// What a template needs: how many replicas of one kind.
pub(crate) static REPLICAS: Question = Question {
    condition: "ReplicasInterpreted",
    failed: "GetReplicasFailed",
    succeeded: "GetReplicasSucceed",
    answered: "Replicas have been interpreted",
    source: "resource-detector",
    quiet: false,
    stops: false,
};

/// What a template needs: replicas of several kinds. The condition is that of [`REPLICAS`], which are asked for next.
pub(crate) static COMPONENTS: Question = Question {
    failed: "GetComponentsFailed",
    ..REPLICAS
};

/// What must be beside a template.
pub(crate) static DEPENDENCIES: Question = Question {
    condition: "DependenciesInterpreted",
    failed: "GetDependenciesFailed",
    succeeded: "GetDependenciesSucceed",
    answered: "Dependencies have been interpreted",
    source: "dependencies-distributor",
    quiet: false,
    stops: false,
};

/// The manifest with a cluster's own replicas.
pub(crate) static REVISION: Question = Question {
    condition: "ReplicasRevised",
    failed: "ReviseReplicaFailed",
    succeeded: "ReviseReplicaSucceed",
    answered: "Replicas have been revised",
    source: "binding-controller",
    quiet: true,
    stops: true,
};

/// What the statuses of the members add up to.
pub(crate) static AGGREGATION: Question = Question {
    condition: "StatusAggregated",
    failed: "AggregateStatusFailed",
    succeeded: "AggregateStatusSucceed",
    answered: "Status has been aggregated",
    source: "resource-binding-status-controller",
    quiet: true,
    stops: false,
};

/// What a binding says about a question that has no answer.
pub(crate) fn stands<'a>(binding: &'a Value, question: &Question) -> Option<&'a Value> {
    conditions::find(binding, question.condition).filter(|known| known["status"] == "False")
}

/// Tells what came of a question. Without a binding yet, only an event tells.
pub(crate) async fn note(
    context: &Context,
    question: &Question,
    binding: &Key,
    template: (&Resource, &Entry),
    failure: Option<&InterpretError>,
) -> Result<(), Error> {
    let Some(entry) = context.hub.get(binding) else {
        if let Some(error) = failure {
            let outcome = Outcome::warning(question.failed).once();
            context.tell(question.source, template.0, template.1, outcome, error.to_string());
        }
        return Ok(());
    };
    let have = entry.value();
    let condition = match failure {
        None if stands(&have, question).is_none() => return Ok(()),
        None => Condition {
            kind: question.condition,
            status: "True",
            reason: question.succeeded,
            message: question.answered.to_owned(),
        },
        Some(error) => Condition {
            kind: question.condition,
            status: "False",
            reason: question.failed,
            message: error.to_string(),
        },
    };
    let mut want = have.clone();
    conditions::set(&mut want, &condition, context.clock.now());
    let resource = kinds::binding_of(binding);
    let stored = context.write_status(MANAGER, resource, &entry, have, want).await?;
    if stored.is_none() {
        return Ok(());
    }
    if question.stops {
        context.queues.aggregate.add(binding.clone());
    }
    if let Some(error) = failure.filter(|_| !question.quiet) {
        let outcome = Outcome::warning(question.failed);
        context.tell(question.source, resource, &entry, outcome, error.to_string());
        context.tell(question.source, template.0, template.1, outcome, error.to_string());
    }
    Ok(())
}
