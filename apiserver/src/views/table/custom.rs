//! Tables of custom resources: the columns that their definition asks for.

use jiff::Timestamp;
use schema::jsonpath::JsonPath;
use serde_json::{Value, json};

use super::{column_definition, text};

/// The printer of one version of a custom resource.
pub(super) struct CustomPrinter {
    columns: Vec<CustomColumn>,
}

struct CustomColumn {
    definition: Value,
    kind: String,
    /// `None` when the path is malformed: its cells stay empty.
    path: Option<JsonPath>,
}

impl CustomPrinter {
    /// Reads raw `additionalPrinterColumns`; without any, the age is shown.
    pub(super) fn new(columns: &[Value]) -> Self {
        let age = [json!({"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"})];
        let columns = if columns.is_empty() { &age[..] } else { columns };
        Self {
            columns: columns.iter().map(CustomColumn::new).collect(),
        }
    }

    /// The columns, name first.
    pub(super) fn definitions(&self) -> Vec<Value> {
        let mut definitions = vec![column_definition("Name", "string", "name", "", 0)];
        definitions.extend(self.columns.iter().map(|column| column.definition.clone()));
        definitions
    }

    /// The cells of one object.
    pub(super) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let mut cells = vec![text::name(object)];
        cells.extend(self.columns.iter().map(|column| column.cell(object, now)));
        cells
    }
}

impl CustomColumn {
    fn new(raw: &Value) -> Self {
        let kind = text::string(raw, "/type").to_owned();
        let definition = column_definition(
            text::string(raw, "/name"),
            &kind,
            text::string(raw, "/format"),
            text::string(raw, "/description"),
            text::number(raw, "/priority"),
        );
        Self {
            definition,
            kind,
            path: JsonPath::parse(text::string(raw, "/jsonPath")),
        }
    }

    /// Empty when there is no value or one of another type.
    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = self.path.as_ref().and_then(|path| path.find(object).into_iter().next()) else {
            return Value::Null;
        };
        match (self.kind.as_str(), value) {
            ("integer", Value::Number(number)) => number.as_i64().map_or_else(|| truncated(number), Value::from),
            ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) | ("string", Value::String(_)) => value.clone(),
            ("string", Value::Null) => Value::Null,
            ("string", other) => json!(other.to_string()),
            ("date", Value::String(time)) => {
                json!(text::since(time, now).unwrap_or_else(|| "<invalid>".to_owned()))
            }
            _ => Value::Null,
        }
    }
}

/// A fraction in a column of integers loses its fraction.
fn truncated(number: &serde_json::Number) -> Value {
    let whole = number.as_f64().map(f64::trunc).map(|whole| format!("{whole:.0}"));
    whole
        .and_then(|whole| whole.parse::<i64>().ok())
        .map_or(Value::Null, Value::from)
}
