//! What `$name` stands for in a case: the file's texts, the case's own namespace and id, and what earlier answers gave.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fixture::Fixture;

/// The values of one case.
#[derive(Debug)]
pub(super) struct Variables {
    values: BTreeMap<String, String>,
    /// Why the last attempt of a repeated step was not it.
    pub(super) last_difference: Option<anyhow::Error>,
}

impl Variables {
    pub(super) fn new(fixture: &Fixture, number: usize) -> Self {
        // A server that is used again has the namespaces of earlier runs.
        let id = format!("{}{number}-{}", fixture.name, std::process::id());
        let mut values = BTreeMap::from([("id".to_owned(), id.clone()), ("ns".to_owned(), format!("case-{id}"))]);
        let own: Vec<(String, String)> = fixture
            .vars
            .iter()
            .map(|(name, text)| (name.clone(), replace(&values, text)))
            .collect();
        values.extend(own);
        Self {
            values,
            last_difference: None,
        }
    }

    pub(super) fn namespace(&self) -> String {
        self.values["ns"].clone()
    }

    pub(super) fn keep(&mut self, name: &str, value: &Value) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        self.values.insert(name.to_owned(), text);
    }

    /// A text with every known `$name` replaced. What is not known stays: patches have directives such as `$patch`.
    pub(super) fn fill_text(&self, text: &str) -> String {
        replace(&self.values, text)
    }

    /// A value with every text in it filled, keys too.
    pub(super) fn fill(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.fill_text(text)),
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(map) => {
                let entries = map.iter();
                entries
                    .map(|(key, value)| (self.fill_text(key), self.fill(value)))
                    .collect()
            }
            other => other.clone(),
        }
    }
}

fn replace(values: &BTreeMap<String, String>, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let length = rest
            .find(|letter: char| !letter.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        if let Some(value) = values.get(&rest[..length]) {
            out.push_str(value);
        } else {
            out.push('$');
            out.push_str(&rest[..length]);
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}
