//! The rules of a custom resource (`x-kubernetes-validations`): compiled once for each version, applied to its objects.
//!
//! [`Validator::compile`] reads them from a schema, [`Validator::validate`] applies them to an object and its predecessor,
//! [`check`] says what is wrong with them when a definition is written. Texts are those of Kubernetes.
//!
//! A rule of a place sees it as `self`, typed by the schema, and its predecessor as `oldSelf` where the two belong
//! together: fields of objects do, elements of lists only by their keys.

mod decl;
mod paths;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use write::check;

use super::types::Decl;
use super::{Budget, CALL_LIMIT, CelValue, EvalError, OBJECT_LIMIT, Program};
use crate::status::{FieldError, FieldErrorKind};

/// How long a message made by an expression may be.
const MAX_MESSAGE: usize = 5 * 1024;
const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// All rules of one version of a custom resource.
#[derive(Debug)]
pub struct Validator {
    root: Node,
}

/// What applying rules found.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the object from being stored.
    pub errors: Vec<FieldError>,
    /// What would, had it not been there before.
    pub tolerated: Vec<FieldError>,
}

/// A place of a schema at or under which there are rules.
#[derive(Debug, Default)]
struct Node {
    rules: Vec<Rule>,
    decl: Option<Arc<Decl>>,
    /// `type` of the schema, which messages about rules that fail to run show instead of the value.
    kind: String,
    properties: Vec<(String, Node)>,
    additional: Option<Box<Node>>,
    items: Option<Box<Node>>,
    /// Elements of old and new lists with the same values of these belong together.
    keys: Vec<String>,
    /// The parts of old and new do not belong together.
    atomic: bool,
}

#[derive(Debug)]
struct Rule {
    program: Result<Program, String>,
    /// What messages call the rule: its message, or else its source.
    name: String,
    message: Option<String>,
    message_program: Option<Program>,
    reason: FieldErrorKind,
    field_path: String,
    optional_old: bool,
    uses_old: bool,
}

/// Whether a schema has rules anywhere.
pub fn has_rules(schema: &Value) -> bool {
    let Some(fields) = schema.as_object() else { return false };
    fields.iter().any(|(name, value)| match name.as_str() {
        "x-kubernetes-validations" => value.as_array().is_some_and(|rules| !rules.is_empty()),
        "properties" => value
            .as_object()
            .is_some_and(|properties| properties.values().any(has_rules)),
        "items" | "additionalProperties" => has_rules(value),
        _ => false,
    })
}

impl Validator {
    /// Compiles the rules of a schema; `None` when it has none.
    pub fn compile(schema: &Value) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        let root = write::build(schema, None)?;
        Some(Self { root })
    }

    /// Applies the rules to an object in canonical form, with what it replaces.
    pub fn validate(&self, new: &Value, old: Option<&Value>) -> Findings {
        validate(&self.root, String::new(), new, old)
    }
}

fn validate(node: &Node, path: String, new: &Value, old: Option<&Value>) -> Findings {
    let mut run = Run {
        path,
        left: OBJECT_LIMIT,
        stopped: false,
        findings: Findings::default(),
    };
    run.node(node, new, old, None);
    run.findings
}

/// One application of all rules to an object.
struct Run {
    path: String,
    left: u64,
    stopped: bool,
    findings: Findings,
}

impl Run {
    fn under(&mut self, step: &str, run: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !step.starts_with('[') && length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        run(self);
        self.path.truncate(length);
    }

    fn path(&self) -> String {
        if self.path.is_empty() {
            "<nil>".to_owned()
        } else {
            self.path.clone()
        }
    }

    fn error(&mut self, node: &Node, detail: impl Into<String>) {
        let error = FieldError::invalid(self.path(), node.kind.clone().into(), detail);
        self.findings.errors.push(error);
    }

    /// `nearest` is the closest pair of old and new around that belong together.
    fn node(&mut self, node: &Node, new: &Value, old: Option<&Value>, nearest: Option<(&Value, &Value)>) {
        if self.stopped || new.is_null() {
            return;
        }
        self.rules(node, new, old, nearest);
        let nearest = old.map(|old| (new, old)).or(nearest);
        let old = old.filter(|_| !node.atomic);
        match new {
            Value::Object(entries) => {
                let old = old.and_then(Value::as_object);
                for (key, value) in entries {
                    let before = old.and_then(|old| old.get(key));
                    if let Some(inner) = &node.additional {
                        self.under(&format!("[{key}]"), |run| run.node(inner, value, before, nearest));
                    } else if let Some((_, inner)) = node.properties.iter().find(|(own, _)| own == key) {
                        self.under(key, |run| run.node(inner, value, before, nearest));
                    }
                }
            }
            Value::Array(items) => {
                let Some(inner) = &node.items else { return };
                let old = old.and_then(Value::as_array).filter(|_| !node.keys.is_empty());
                let known = old.map(|old| by_keys(old, &node.keys));
                for (index, item) in items.iter().enumerate() {
                    let before = known
                        .as_ref()
                        .and_then(|known| known.get(&identity(item, &node.keys)).copied());
                    self.under(&format!("[{index}]"), |run| run.node(inner, item, before, nearest));
                }
            }
            _ => {}
        }
    }

    fn rules(&mut self, node: &Node, new: &Value, old: Option<&Value>, nearest: Option<(&Value, &Value)>) {
        for rule in &node.rules {
            if self.stopped {
                return;
            }
            self.rule(node, rule, new, old.filter(|old| !old.is_null()), nearest);
        }
    }

    fn rule(&mut self, node: &Node, rule: &Rule, new: &Value, old: Option<&Value>, nearest: Option<(&Value, &Value)>) {
        let program = match &rule.program {
            Ok(program) => program,
            Err(text) => return self.error(node, format!("rule compile error: {text}")),
        };
        if rule.uses_old && old.is_none() && !rule.optional_old {
            return;
        }
        if self.left == 0 {
            self.stopped = true;
            return self.error(node, OUT_OF_BUDGET);
        }
        let (result, stop) = self.run(program, node, rule, new, old);
        if stop {
            self.stopped = true;
            return self.error(node, OUT_OF_BUDGET);
        }
        let name = &rule.name;
        match result {
            Ok(CelValue::Bool(true)) => return,
            Ok(_) => {}
            Err(error @ EvalError::CostExceeded) => {
                self.stopped = true;
                let text = format!(
                    "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {name}"
                );
                return self.error(node, text);
            }
            Err(EvalError::Failed(text)) if text.starts_with("no such overload") => {
                let text = format!(
                    "'{text}': call arguments did not match a supported operator, function or macro signature for rule: {name}"
                );
                return self.error(node, text);
            }
            Err(EvalError::Failed(text)) => return self.error(node, format!("{text} evaluating rule: {name}")),
        }
        let made = self.message(node, rule, new, old);
        let detail = made
            .or_else(|| rule.message.clone())
            .unwrap_or_else(|| format!("failed rule: {name}"));
        let mut path = self.path();
        if !rule.field_path.is_empty() {
            path = if self.path.is_empty() {
                rule.field_path.clone()
            } else if rule.field_path.starts_with('[') {
                format!("{path}{}", rule.field_path)
            } else {
                format!("{path}.{}", rule.field_path)
            };
        }
        // What has parts is not shown.
        let shown = matches!(rule.reason, FieldErrorKind::Invalid | FieldErrorKind::Duplicate)
            && !matches!(node.kind.as_str(), "object" | "array");
        let error = FieldError {
            path,
            kind: rule.reason,
            value: shown.then(|| new.clone()),
            detail: if rule.reason == FieldErrorKind::Duplicate {
                String::new()
            } else {
                detail
            },
        };
        let unchanged = old
            .map(|old| (new, old))
            .or(nearest)
            .is_some_and(|(new, old)| new == old);
        if unchanged && !rule.uses_old {
            self.findings.tolerated.push(error);
        } else {
            self.findings.errors.push(error);
        }
    }

    /// Evaluates a program of a rule. True when that used up what the whole object may cost.
    fn run<'v>(
        &mut self,
        program: &'v Program,
        node: &'v Node,
        rule: &Rule,
        new: &'v Value,
        old: Option<&'v Value>,
    ) -> (Result<CelValue<'v>, EvalError>, bool) {
        let value = |json| CelValue::from_json(json, node.decl.as_ref());
        let before = match old {
            old if rule.optional_old => Some(CelValue::Optional(old.map(|old| Arc::new(value(old))))),
            old => old.map(value),
        };
        let variables = std::iter::once(("self", value(new))).chain(before.map(|before| ("oldSelf", before)));
        // One unit more than is left, so that using up exactly what is left is no failure.
        let limit = CALL_LIMIT.min(self.left + 1);
        let (result, cost) = program.run(variables, Budget { cost: limit });
        let out = cost > self.left || (limit < CALL_LIMIT && matches!(result, Err(EvalError::CostExceeded)));
        self.left = self.left.saturating_sub(cost);
        (result, out)
    }

    /// The message that an expression makes of the values; `None` when it makes none that can be shown.
    fn message(&mut self, node: &Node, rule: &Rule, new: &Value, old: Option<&Value>) -> Option<String> {
        let program = rule.message_program.as_ref()?;
        let (result, stop) = self.run(program, node, rule, new, old);
        if stop || matches!(result, Err(EvalError::CostExceeded)) {
            self.stopped = true;
            return Some(if stop {
                "messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run".to_owned()
            } else {
                "no further validation rules will be run due to call cost exceeds limit for messageExpression"
                    .to_owned()
            });
        }
        let result = result.ok()?;
        let text = result.as_str()?.trim();
        (!text.is_empty() && text.len() <= MAX_MESSAGE && !text.contains('\n')).then(|| text.to_owned())
    }
}

/// What tells an element of a keyed list from others.
pub(crate) fn identity(item: &Value, keys: &[String]) -> String {
    let parts: Vec<&Value> = keys.iter().map(|key| item.get(key).unwrap_or(&Value::Null)).collect();
    serde_json::to_string(&parts).unwrap_or_default()
}

/// The elements of a keyed list by what tells them apart.
pub(crate) fn by_keys<'v>(items: &'v [Value], keys: &[String]) -> std::collections::HashMap<String, &'v Value> {
    items.iter().map(|item| (identity(item, keys), item)).collect()
}

/// The schema of a place as an object.
fn text<'v>(schema: &'v Map<String, Value>, key: &str) -> &'v str {
    schema.get(key).and_then(Value::as_str).unwrap_or_default()
}
