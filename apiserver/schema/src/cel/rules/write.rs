//! Rules when a definition is written: reading them from a schema, and what keeps them from being stored.
//!
//! One walk does both: [`build`] gives the compiled rules, and with a [`Report`] it also notes what is wrong and what each
//! expression may cost.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Node, Rule, decl, paths, text};
use crate::cel::types::{Decl, DeclKind};
use crate::cel::{Environment, Program, Type};
use crate::status::{FieldError, FieldErrorKind};
use crate::structural::flag;

/// What one expression may cost by its estimate.
const EXPRESSION_LIMIT: u64 = 10_000_000;
/// What all of a schema may cost.
const SCHEMA_LIMIT: u64 = 100_000_000;
/// An expression that costs at least this is named when all cost too much.
const NAMED: u64 = SCHEMA_LIMIT / 100;
const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];
/// How deep a schema may nest; deeper ones are refused before.
const MAX_DEPTH: usize = 110;

/// What is wrong with the rules of a schema at `path`.
pub fn check(schema: &Value, path: &str) -> Vec<FieldError> {
    if !super::has_rules(schema) {
        return Vec::new();
    }
    let mut report = Report {
        errors: Vec::new(),
        total: 0,
        expensive: Vec::new(),
        start: path.to_owned(),
    };
    build(schema, Some(&mut report));
    let mut errors = report.errors;
    if report.total > SCHEMA_LIMIT {
        report.expensive.sort_by_key(|(cost, _)| std::cmp::Reverse(*cost));
        for (_, place) in report.expensive.into_iter().take(4) {
            let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
            errors.push(forbidden(place, detail));
        }
        let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
        errors.push(forbidden(path.to_owned(), &too_much(what, report.total, SCHEMA_LIMIT)));
    }
    errors
}

/// What a walk notes when somebody wants to know.
pub(super) struct Report {
    errors: Vec<FieldError>,
    total: u64,
    expensive: Vec<(u64, String)>,
    /// Where the schema stands.
    start: String,
}

fn forbidden(path: String, detail: &str) -> FieldError {
    FieldError {
        path,
        kind: FieldErrorKind::Forbidden,
        value: None,
        detail: detail.to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a factor for people")]
fn too_much(what: &str, cost: u64, limit: u64) -> String {
    let times = cost as f64 / limit as f64;
    let factor = if times > 100.0 {
        "more than 100x".to_owned()
    } else if times < 1.5 {
        format!("{times:.6}x")
    } else {
        format!("{times:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// Reads the rules of a schema; `None` when it has none.
pub(super) fn build(schema: &Value, report: Option<&mut Report>) -> Option<Node> {
    let path = report.as_ref().map(|report| report.start.clone()).unwrap_or_default();
    let mut walk = Walk { report, path };
    let place = Place {
        cardinality: Some(1),
        uncorrelatable: None,
        depth: MAX_DEPTH,
    };
    walk.node(schema, true, &place).1
}

/// Where a walk is.
#[derive(Clone)]
struct Place {
    /// How many values of the place an object may have; `None` without a bound.
    cardinality: Option<u64>,
    /// The innermost list or map around whose parts cannot be told from their predecessors.
    uncorrelatable: Option<String>,
    depth: usize,
}

struct Walk<'r> {
    report: Option<&'r mut Report>,
    path: String,
}

impl Walk<'_> {
    fn under<R>(&mut self, step: &str, run: impl FnOnce(&mut Self) -> R) -> R {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.path.push_str(step);
        let result = run(self);
        self.path.truncate(length);
        result
    }

    /// The type of a place, and its rules and those below if there are any.
    fn node(&mut self, schema: &Value, root: bool, place: &Place) -> (Option<Arc<Decl>>, Option<Node>) {
        let Some(schema) = schema.as_object().filter(|_| place.depth > 0) else {
            return (None, None);
        };
        let mut node = Node {
            kind: text(schema, "type").to_owned(),
            ..Node::default()
        };
        let decl = if decl::is_int_or_string(schema) {
            Some(decl::int_or_string())
        } else {
            match text(schema, "type") {
                "array" => self.list(schema, place, &mut node),
                "object" => self.object(schema, root, place, &mut node),
                _ => decl::leaf(schema),
            }
        };
        node.decl.clone_from(&decl);
        if let Some(rules) = schema.get("x-kubernetes-validations").and_then(Value::as_array) {
            for (index, rule) in rules.iter().enumerate() {
                let built = self.under(&format!("x-kubernetes-validations[{index}]"), |walk| {
                    walk.rule(rule, schema, decl.as_ref(), place)
                });
                node.rules.extend(built);
            }
        }
        let any =
            !node.rules.is_empty() || !node.properties.is_empty() || node.additional.is_some() || node.items.is_some();
        if any
            && let Some(default) = schema.get("default")
            && self.report.is_some()
        {
            let path = format!("{}.default", self.path);
            let found = super::validate(&node, path, default, None);
            if let Some(report) = &mut self.report
                && report.errors.is_empty()
            {
                report.errors.extend(found.errors);
            }
        }
        (decl, any.then_some(node))
    }

    fn list(&mut self, schema: &Map<String, Value>, place: &Place, node: &mut Node) -> Option<Arc<Decl>> {
        let items = schema.get("items")?;
        let keyed = text(schema, "x-kubernetes-list-type") == "map";
        if keyed {
            node.keys = decl::keys(schema);
        }
        let inner = self.inner(schema, "maxItems", keyed, place);
        let embedded = items
            .as_object()
            .is_some_and(|items| flag(items, "x-kubernetes-embedded-resource"));
        let (element, below) = self.under("items", |walk| walk.node(items, embedded, &inner));
        node.items = below.map(Box::new);
        Some(decl::list(schema, element?))
    }

    fn object(&mut self, schema: &Map<String, Value>, root: bool, place: &Place, node: &mut Node) -> Option<Arc<Decl>> {
        node.atomic = text(schema, "x-kubernetes-map-type") == "atomic";
        let embedded = |schema: &Value| {
            let schema = schema.as_object();
            schema.is_some_and(|schema| flag(schema, "x-kubernetes-embedded-resource"))
        };
        if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
            let inner = self.inner(schema, "maxProperties", !node.atomic, place);
            let (value, below) = self.under("additionalProperties", |walk| {
                walk.node(values, embedded(values), &inner)
            });
            node.additional = below.map(Box::new);
            return Some(decl::map(schema, value?));
        }
        let inner = Place {
            cardinality: place.cardinality,
            uncorrelatable: self.uncorrelatable(!node.atomic, place),
            depth: place.depth - 1,
        };
        let mut fields = Vec::new();
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let (decl, below) = self.under(&format!("properties[{name}]"), |walk| {
                walk.node(property, embedded(property), &inner)
            });
            node.properties.extend(below.map(|below| (name.clone(), below)));
            fields.extend(decl.map(|decl| (name.clone(), decl)));
        }
        Some(decl::object(schema, fields, root))
    }

    fn uncorrelatable(&self, correlatable: bool, place: &Place) -> Option<String> {
        let outer = place.uncorrelatable.clone();
        outer.or_else(|| (!correlatable).then(|| self.path.clone()))
    }

    fn inner(&self, schema: &Map<String, Value>, bound: &str, correlatable: bool, place: &Place) -> Place {
        let max = schema.get(bound).and_then(Value::as_u64);
        Place {
            cardinality: place.cardinality.zip(max).map(|(outer, max)| outer.saturating_mul(max)),
            uncorrelatable: self.uncorrelatable(correlatable, place),
            depth: place.depth - 1,
        }
    }

    fn error(&mut self, step: &str, kind: FieldErrorKind, value: Option<Value>, detail: impl Into<String>) {
        let path = format!("{}.{step}", self.path);
        if let Some(report) = &mut self.report {
            report.errors.push(FieldError {
                path,
                kind,
                value,
                detail: detail.into(),
            });
        }
    }

    /// Notes what an expression may cost.
    fn observe(&mut self, step: &str, what: &str, cost: u64) {
        let path = format!("{}.{step}", self.path);
        let Some(report) = &mut self.report else { return };
        if cost > EXPRESSION_LIMIT {
            let detail = too_much(what, cost, EXPRESSION_LIMIT);
            report.errors.push(forbidden(path.clone(), &detail));
        }
        report.total = report.total.saturating_add(cost);
        if cost >= NAMED {
            report.expensive.push((cost, path));
        }
    }

    fn rule(
        &mut self,
        raw: &Value,
        schema: &Map<String, Value>,
        decl: Option<&Arc<Decl>>,
        place: &Place,
    ) -> Option<Rule> {
        let fields = raw.as_object()?;
        let source = text(fields, "rule");
        let message = text(fields, "message").trim();
        self.form(fields, schema);
        if source.trim().is_empty() {
            return None;
        }
        let optional = fields.get("optionalOldSelf") == Some(&Value::Bool(true));
        let Some(decl) = decl else {
            let detail = "failed to convert to declType for CEL validation rules";
            self.error("rule", FieldErrorKind::Invalid, Some(shown(fields)), detail);
            return None;
        };
        let old = if optional {
            Decl::new(DeclKind::Optional(Arc::clone(decl)))
        } else {
            Arc::clone(decl)
        };
        let environment = Environment::new().with("self", Arc::clone(decl)).with("oldSelf", old);
        let program = self.program(source, &environment, fields);
        let uses_old = program.as_ref().is_ok_and(|program| program.uses("oldSelf"));
        let mut message_program = None;
        if let Ok(program) = &program {
            let values = place
                .cardinality
                .unwrap_or_else(|| decl::MAX_REQUEST / (decl.min_size + 1));
            let cost = program.estimated_cost().saturating_mul(values);
            message_program = self.message(&environment, fields);
            self.observe("rule", "estimated rule cost", cost);
            if uses_old {
                if let Some(within) = &place.uncorrelatable {
                    let detail =
                        format!("oldSelf cannot be used on the uncorrelatable portion of the schema within {within}");
                    self.error("rule", FieldErrorKind::Invalid, Some(source.into()), detail);
                }
            } else if let Some(own) = fields.get("optionalOldSelf").filter(|own| own.is_boolean()) {
                let detail = "may not be set if oldSelf is not used in rule";
                self.error("optionalOldSelf", FieldErrorKind::Invalid, Some(own.clone()), detail);
            }
        }
        let path = text(fields, "fieldPath").trim();
        let name = if message.is_empty() { source.trim() } else { message };
        Some(Rule {
            program,
            name: name.to_owned(),
            message: (!message.is_empty()).then(|| message.to_owned()),
            message_program,
            reason: match text(fields, "reason") {
                "FieldValueForbidden" => FieldErrorKind::Forbidden,
                "FieldValueRequired" => FieldErrorKind::Required,
                "FieldValueDuplicate" => FieldErrorKind::Duplicate,
                _ => FieldErrorKind::Invalid,
            },
            field_path: paths::normalize(path, &Value::Object(schema.clone())).unwrap_or_default(),
            optional_old: optional,
            uses_old,
        })
    }

    fn program(
        &mut self,
        source: &str,
        environment: &Environment,
        fields: &Map<String, Value>,
    ) -> Result<Program, String> {
        let program = Program::compile(source, environment)
            .map_err(|error| format!("compilation failed: {error}"))
            .and_then(|program| match program.result() {
                Type::Bool => Ok(program),
                _ => Err("cel expression must evaluate to a bool".to_owned()),
            });
        if let Err(text) = &program {
            self.error("rule", FieldErrorKind::Invalid, Some(shown(fields)), text.clone());
        }
        program
    }

    fn message(&mut self, environment: &Environment, fields: &Map<String, Value>) -> Option<Program> {
        let source = text(fields, "messageExpression");
        if source.trim().is_empty() {
            return None;
        }
        let problem = match Program::compile(source, environment) {
            Ok(program) if *program.result() == Type::String => {
                let cost = program.estimated_cost();
                self.observe("messageExpression", "estimated messageExpression cost", cost);
                return Some(program);
            }
            Ok(_) => "messageExpression must evaluate to a string".to_owned(),
            Err(error) => format!("messageExpression compilation failed: {error}"),
        };
        self.error(
            "messageExpression",
            FieldErrorKind::Invalid,
            Some(shown(fields)),
            problem,
        );
        None
    }

    /// What does not need the expressions to be understood.
    fn form(&mut self, fields: &Map<String, Value>, schema: &Map<String, Value>) {
        let (rule, message) = (text(fields, "rule"), text(fields, "message"));
        let breaks = |text: &str| text.trim().contains(['\n', '\r']);
        if rule.trim().is_empty() {
            self.error("rule", FieldErrorKind::Required, None, "rule is not specified");
        } else if !message.is_empty() && message.trim().is_empty() {
            let detail = "message must be non-empty if specified";
            self.error("message", FieldErrorKind::Invalid, Some(message.into()), detail);
        } else if breaks(message) {
            let detail = "message must not contain line breaks";
            self.error("message", FieldErrorKind::Invalid, Some(message.into()), detail);
        } else if breaks(rule) && message.trim().is_empty() {
            let detail = "message must be specified if rule contains line breaks";
            self.error("message", FieldErrorKind::Required, None, detail);
        }
        let expression = text(fields, "messageExpression");
        if !expression.is_empty() && expression.trim().is_empty() {
            let detail = "messageExpression must be non-empty if specified";
            self.error("messageExpression", FieldErrorKind::Required, None, detail);
        }
        let reason = text(fields, "reason");
        if fields.contains_key("reason") && !REASONS.contains(&reason) {
            let listed: Vec<String> = REASONS.iter().map(|reason| format!("{reason:?}")).collect();
            let detail = format!("supported values: {}", listed.join(", "));
            self.error("reason", FieldErrorKind::NotSupported, Some(reason.into()), detail);
        }
        let path = text(fields, "fieldPath");
        if path.is_empty() {
            return;
        }
        let problem = if path.trim().is_empty() {
            "fieldPath must be non-empty if specified"
        } else if path.contains(['\n', '\r']) {
            "fieldPath must not contain line breaks"
        } else if paths::normalize(path.trim(), &Value::Object(schema.clone())).is_none() {
            "fieldPath must be a valid path"
        } else {
            return;
        };
        self.error("fieldPath", FieldErrorKind::Invalid, Some(path.into()), problem);
    }
}

/// A rule as messages show it.
fn shown(fields: &Map<String, Value>) -> Value {
    let reason = fields.get("reason").cloned().unwrap_or_default();
    let optional = fields.get("optionalOldSelf").cloned().unwrap_or_default();
    json!({
        "Rule": text(fields, "rule"),
        "Message": text(fields, "message"),
        "MessageExpression": text(fields, "messageExpression"),
        "Reason": reason,
        "FieldPath": text(fields, "fieldPath"),
        "OptionalOldSelf": optional,
    })
}
