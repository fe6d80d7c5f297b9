//! `matchConditions`: expressions that decide whether a webhook is called, each over `object`, `oldObject`, `request` and
//! `authorizer`.
//!
//! One that is false spares the webhook the call. One that fails decides nothing: then the webhook's failure policy does.

use serde_json::Value;

use super::rules::MatchCondition;

/// The conditions of one webhook.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    expression: String,
}

/// What the expressions see.
#[allow(dead_code, reason = "read as soon as expressions can be evaluated")]
pub(super) struct Variables<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) old_object: Option<&'a Value>,
    /// The request of the review, without the objects.
    pub(super) request: Value,
}

impl Conditions {
    pub(super) fn compile(conditions: &[MatchCondition]) -> Self {
        Self(
            conditions
                .iter()
                .map(|condition| Condition {
                    expression: condition.expression.clone(),
                })
                .collect(),
        )
    }

    /// Whether there is nothing to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the webhook is to be called; an error where its failure policy must say.
    pub(super) fn hold(&self, variables: &Variables<'_>) -> Result<bool, String> {
        let mut problems = Vec::new();
        for condition in &self.0 {
            match condition.evaluate(variables) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(problem) => problems.push(format!(
                    "expression '{}' resulted in error: {problem}",
                    condition.expression
                )),
            }
        }
        match problems.len() {
            0 => Ok(true),
            1 => Err(problems.concat()),
            _ => Err(format!("[{}]", problems.join(", "))),
        }
    }
}

impl Condition {
    #[allow(clippy::unused_self, reason = "until expressions can be evaluated")]
    fn evaluate(&self, _variables: &Variables<'_>) -> Result<bool, String> {
        Err("expressions cannot be evaluated by this server".to_owned())
    }
}
