//! `matchConditions`: expressions that decide whether a webhook is called, each over `object`, `oldObject` and `request`.
//!
//! One that is false spares the webhook the call. One that fails decides nothing: then the webhook's failure policy does.
//! All conditions of one webhook share one budget.

use schema::cel::{Budget, CALL_LIMIT, CelValue, Environment, MATCH_CONDITIONS_LIMIT, Program};
use serde_json::Value;

use super::rules::MatchCondition;

/// The conditions of one webhook.
#[derive(Debug, Default)]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Debug)]
struct Condition {
    expression: String,
    /// It was compiled when the configuration was stored; an older program may have known less.
    program: Result<Program, String>,
}

/// What the expressions see.
pub(super) struct Variables<'a> {
    pub(super) object: Option<&'a Value>,
    pub(super) old_object: Option<&'a Value>,
    /// The request of the review, without the objects.
    pub(super) request: Value,
}

impl Conditions {
    pub(super) fn compile(conditions: &[MatchCondition]) -> Self {
        if conditions.is_empty() {
            return Self::default();
        }
        let environment = Environment::admission();
        let compile = |condition: &MatchCondition| Condition {
            expression: condition.expression.clone(),
            program: Program::compile(&condition.expression, &environment).map_err(|problem| problem.to_string()),
        };
        Self(conditions.iter().map(compile).collect())
    }

    /// Whether there is nothing to evaluate.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the webhook is to be called; an error where its failure policy must say.
    pub(super) fn hold(&self, variables: &Variables<'_>) -> Result<bool, String> {
        let nothing = Value::Null;
        let variables = [
            ("object", variables.object.unwrap_or(&nothing)),
            ("oldObject", variables.old_object.unwrap_or(&nothing)),
            ("request", &variables.request),
        ];
        let mut left = MATCH_CONDITIONS_LIMIT;
        let mut problems = Vec::new();
        for Condition { expression, program } in &self.0 {
            match evaluate(program, &variables, &mut left) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(problem) => problems.push(format!("expression '{expression}' resulted in error: {problem}")),
            }
        }
        match problems.len() {
            0 => Ok(true),
            1 => Err(problems.concat()),
            _ => Err(format!("[{}]", problems.join(", "))),
        }
    }
}

fn evaluate(program: &Result<Program, String>, variables: &[(&str, &Value)], left: &mut u64) -> Result<bool, String> {
    let program = program
        .as_ref()
        .map_err(|problem| format!("compilation failed: {problem}"))?;
    let values = variables
        .iter()
        .map(|(name, json)| (*name, CelValue::from_json(json, None)));
    let budget = Budget {
        cost: CALL_LIMIT.min(*left),
    };
    let (result, cost) = program.run(values, budget);
    *left = left.saturating_sub(cost);
    let value = result.map_err(|problem| problem.to_string())?;
    value.as_bool().ok_or_else(|| "must evaluate to bool".to_owned())
}
