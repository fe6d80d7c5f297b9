//! Value validations of structural schemas, and the schemas inside `allOf`, `anyOf`, `oneOf` and `not`.

use serde_json::{Map, Value};

use super::{Walk, formats, is_whole, patterns};
use crate::model::Checks;
use crate::status::{FieldError, FieldErrorKind};
use crate::structural;

impl Walk<'_> {
    pub(super) fn checks(&mut self, checks: &Checks, value: &Value) {
        if !checks.one_of_values.is_empty() && !checks.one_of_values.iter().any(|allowed| same(allowed, value)) {
            let list: Vec<String> = checks.one_of_values.iter().map(ToString::to_string).collect();
            let detail = format!("supported values: {}", list.join(", "));
            self.push(FieldError {
                path: self.path.clone(),
                kind: FieldErrorKind::NotSupported,
                value: Some(value.clone()),
                detail,
            });
        }
        match value {
            Value::String(text) => self.text(checks, text, value),
            Value::Number(number) => self.number(checks, number.as_f64().unwrap_or_default(), value),
            Value::Array(items) => self.count(items.len(), (checks.min_items, checks.max_items), "items", value),
            Value::Object(entries) => {
                self.count(
                    entries.len(),
                    (checks.min_properties, checks.max_properties),
                    "properties",
                    value,
                );
                for key in checks.required.iter().filter(|key| !entries.contains_key(*key)) {
                    self.under(key, |walk| walk.push(FieldError::required(walk.path.clone(), "")));
                }
            }
            _ => {}
        }
        self.logical(checks, value);
    }

    fn invalid(&mut self, value: &Value, text: &str) {
        let detail = format!("{} in body {text}", self.shown_path());
        self.push(FieldError::invalid(self.path.clone(), value.clone(), detail));
    }

    fn text(&mut self, checks: &Checks, text: &str, value: &Value) {
        let length = text.chars().count() as u64;
        if let Some(max) = checks.max_length.filter(|max| length > *max) {
            let detail = format!("may not be more than {max} bytes");
            self.push(FieldError {
                path: self.path.clone(),
                kind: FieldErrorKind::TooLong,
                value: None,
                detail,
            });
        }
        if let Some(min) = checks.min_length.filter(|min| length < *min) {
            self.invalid(value, &format!("should be at least {min} chars long"));
        }
        if let Some(pattern) = &checks.pattern
            && let Ok(regex) = patterns::compile(pattern)
            && !regex.is_match(text)
        {
            self.invalid(value, &format!("should match '{pattern}'"));
        }
        if let Some(format) = &checks.format
            && !formats::holds(format, text)
        {
            self.invalid(value, &format!("must be of type {format}: {value}"));
        }
    }

    fn number(&mut self, checks: &Checks, number: f64, value: &Value) {
        if let Some(max) = checks.maximum {
            if checks.exclusive_maximum && number >= max {
                self.invalid(value, &format!("should be less than {max}"));
            } else if number > max {
                self.invalid(value, &format!("should be less than or equal to {max}"));
            }
        }
        if let Some(min) = checks.minimum {
            if checks.exclusive_minimum && number <= min {
                self.invalid(value, &format!("should be greater than {min}"));
            } else if number < min {
                self.invalid(value, &format!("should be greater than or equal to {min}"));
            }
        }
        if let Some(unit) = checks.multiple_of.filter(|unit| *unit > 0.0) {
            let parts = number / unit;
            if (parts - parts.round()).abs() > 1e-9 * parts.abs().max(1.0) {
                self.invalid(value, &format!("should be a multiple of {unit}"));
            }
        }
    }

    fn count(&mut self, count: usize, (min, max): (Option<u64>, Option<u64>), what: &str, value: &Value) {
        if let Some(max) = max.filter(|max| count as u64 > *max) {
            let detail = format!(
                "must have at most {max} {}",
                if max == 1 { what.trim_end_matches('s') } else { what }
            );
            self.push(FieldError {
                path: self.path.clone(),
                kind: FieldErrorKind::TooMany,
                value: Some(Value::from(count)),
                detail,
            });
        }
        if let Some(min) = min.filter(|min| (count as u64) < *min) {
            self.invalid(value, &format!("should have at least {min} {what}"));
        }
    }

    fn logical(&mut self, checks: &Checks, value: &Value) {
        let path = self.shown_path().to_owned();
        for schema in &checks.all_of {
            self.raw(schema, value);
        }
        if !checks.any_of.is_empty() && !checks.any_of.iter().any(|schema| fits(schema, value)) {
            self.invalid_text(value, format!("\"{path}\" must validate at least one schema (anyOf)"));
        }
        if !checks.exactly_one_of.is_empty() {
            let count = checks
                .exactly_one_of
                .iter()
                .filter(|schema| fits(schema, value))
                .count();
            if count != 1 {
                let found = if count == 0 {
                    "none valid".to_owned()
                } else {
                    format!("{count} valid alternatives")
                };
                self.invalid_text(
                    value,
                    format!("\"{path}\" must validate one and only one schema (oneOf). Found {found}"),
                );
            }
        }
        if checks.not.as_ref().is_some_and(|schema| fits(schema, value)) {
            self.invalid_text(value, format!("\"{path}\" must not validate the schema (not)"));
        }
    }

    fn invalid_text(&mut self, value: &Value, detail: String) {
        // The value may be large; a path says enough about an object.
        let shown = if value.is_object() || value.is_array() {
            Value::from("")
        } else {
            value.clone()
        };
        self.push(FieldError::invalid(self.path.clone(), shown, detail));
    }

    /// Checks a value against a raw schema that is no type of its own.
    fn raw(&mut self, schema: &Value, value: &Value) {
        let Some(schema) = schema.as_object() else { return };
        if !self.raw_type(schema, value) {
            return;
        }
        let mut checks = structural::checks(schema);
        // What may be there is not known here, only what must.
        checks.required = Vec::new();
        if let (Some(required), Value::Object(entries)) = (schema.get("required").and_then(Value::as_array), value) {
            for key in required
                .iter()
                .filter_map(Value::as_str)
                .filter(|key| !entries.contains_key(*key))
            {
                self.under(key, |walk| walk.push(FieldError::required(walk.path.clone(), "")));
            }
        }
        self.checks(&checks, value);
        match value {
            Value::Object(entries) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                for (key, child) in entries {
                    let inner = properties.and_then(|properties| properties.get(key));
                    if let Some(inner) =
                        inner.or_else(|| schema.get("additionalProperties").filter(|inner| inner.is_object()))
                    {
                        self.under(key, |walk| walk.raw(inner, child));
                    }
                }
            }
            Value::Array(items) => {
                if let Some(inner) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        self.under(&format!("[{index}]"), |walk| walk.raw(inner, item));
                    }
                }
            }
            _ => {}
        }
    }

    fn raw_type(&mut self, schema: &Map<String, Value>, value: &Value) -> bool {
        let Some(expected) = schema.get("type").and_then(Value::as_str) else {
            return true;
        };
        let fits = match expected {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => is_whole(value),
            "number" => value.is_number(),
            _ => true,
        };
        if !fits {
            self.wrong_type(expected, value);
        }
        fits
    }
}

fn fits(schema: &Value, value: &Value) -> bool {
    let mut walk = Walk {
        errors: Vec::new(),
        path: String::new(),
        status: false,
        old: None,
        unread: None,
    };
    walk.raw(schema, value);
    walk.errors.is_empty()
}

/// Equality of JSON in which 1 and 1.0 are the same.
fn same(left: &Value, right: &Value) -> bool {
    left == right || (left.is_number() && left.as_f64() == right.as_f64())
}
