//! Statuses as rules describe them: health, what travels, how they add up.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Rule;
use super::path::{copy, find, first};
use crate::ClusterStatus;
use crate::rules::{base, number, set_count, statuses, sum, workload};

/// One thing that must hold for an object to be healthy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) enum Check {
    /// The controller has seen the present generation.
    Observed,
    /// The common conventions of conditions hold.
    Conventions,
    /// Each of these conditions of the status is there and true.
    True(Vec<String>),
    /// None of these conditions of the status is true.
    NotTrue(Vec<String>),
    /// None of these conditions of the status is false.
    NotFalse(Vec<String>),
    /// In every list of conditions at the path all of these are there and true. Lists that speak of an older generation do not count;
    /// one does.
    Each(String, Vec<String>),
    /// The first is at least the second; absent is zero, but one for the replicas of a spec.
    AtLeast(String, String),
    /// The field has one of these texts.
    Is(String, Vec<String>),
    /// The field has none of these texts.
    IsNot(String, Vec<String>),
    /// All of these hold.
    All(Vec<Check>),
    /// One of these holds.
    Any(Vec<Check>),
    /// The field is there, and not empty.
    There(String),
    /// The field is there.
    Has(String),
    /// The field is true.
    Flag(String),
    /// The field is a number above 0.
    Positive(String),
    /// This does not hold.
    Not(Box<Check>),
}

impl Check {
    pub(super) fn holds(&self, object: &Value) -> bool {
        let status = &object["status"];
        let text = |path: &str| first(object, path).and_then(Value::as_str).unwrap_or_default();
        let says = |kind: &str, said: &str| condition(&status["conditions"], kind).is_some_and(|found| found == said);
        match self {
            Self::Observed => {
                let generation = &object["metadata"]["generation"];
                number(generation) <= number(&status["observedGeneration"])
            }
            Self::Conventions => crate::conventions::healthy(object),
            Self::True(kinds) => kinds.iter().all(|kind| says(kind, "True")),
            Self::NotTrue(kinds) => !kinds.iter().any(|kind| says(kind, "True")),
            Self::NotFalse(kinds) => !kinds.iter().any(|kind| says(kind, "False")),
            Self::Each(path, kinds) => {
                let generation = number(&object["metadata"]["generation"]);
                let stale = |list: &Value| {
                    let mut conditions = list.as_array().into_iter().flatten();
                    conditions.any(|condition| {
                        condition["observedGeneration"]
                            .as_i64()
                            .is_some_and(|observed| observed < generation)
                    })
                };
                let mut lists = find(object, path);
                lists.retain(|(_, list)| !stale(list));
                let holds = |list: &Value| kinds.iter().all(|kind| condition(list, kind) == Some("True"));
                !lists.is_empty() && lists.iter().all(|(_, list)| holds(list))
            }
            Self::AtLeast(more, less) => count(object, less) <= count(object, more),
            Self::Is(path, texts) => texts.iter().any(|wanted| wanted == text(path)),
            Self::IsNot(path, texts) => !texts.iter().any(|unwanted| unwanted == text(path)),
            Self::All(checks) => checks.iter().all(|check| check.holds(object)),
            Self::Any(checks) => checks.iter().any(|check| check.holds(object)),
            Self::There(path) => first(object, path).is_some_and(|value| match value {
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                Value::String(text) => !text.is_empty(),
                _ => true,
            }),
            Self::Has(path) => first(object, path).is_some(),
            Self::Flag(path) => first(object, path) == Some(&Value::Bool(true)),
            Self::Positive(path) => first(object, path)
                .and_then(Value::as_i64)
                .is_some_and(|count| 0 < count),
            Self::Not(check) => !check.holds(object),
        }
    }
}

fn count(object: &Value, path: &str) -> i64 {
    let absent = i64::from(path == "spec.replicas");
    first(object, path).and_then(Value::as_i64).unwrap_or(absent)
}

/// What a condition says.
fn condition<'a>(conditions: &'a Value, kind: &str) -> Option<&'a str> {
    let mut conditions = conditions.as_array()?.iter();
    conditions.find(|condition| condition["type"] == kind)?["status"].as_str()
}

/// How the statuses of clusters become one. Fields that nothing is said about stay as they are stored.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Aggregate {
    /// Counts that add up.
    sum: Vec<String>,
    /// Maps of counts, or of maps of counts, that add up key by key.
    sums: Vec<String>,
    /// Counts and lengths of time of which the greatest stays.
    greatest: Vec<String>,
    longest: Vec<String>,
    /// Conditions: see [`conditions`].
    conditions: bool,
    /// Texts and times of which the least, or the greatest, stays.
    earliest: Vec<String>,
    latest: Vec<String>,
    /// Times of which the greatest stays once every cluster has one.
    done: Vec<String>,
    /// Fields that are taken from the first cluster, in the order of names, that has them.
    first: Vec<String>,
    /// Lists that are strung together.
    concat: Vec<String>,
    /// Fields of one word, or with such a field in them, and its words, the most important first; what is in no list comes before all.
    worst: Vec<(String, Vec<String>)>,
    /// Flags that are true when they are in all clusters.
    all: Vec<String>,
}

impl Rule {
    /// `InterpretStatus`.
    pub(crate) fn reflect(&self, object: &Value) -> Option<Value> {
        let status = object["status"].as_object().filter(|status| !status.is_empty())?;
        let wanted = |field: &str| self.reflect.is_empty() || self.reflect.iter().any(|wanted| wanted == field);
        let inner = self.reflect.iter().filter(|path| path.contains('.'));
        let mut reflected: Map<String, Value> = status
            .iter()
            .filter(|(field, value)| wanted(field) && !value.is_null())
            .map(|(field, value)| (field.clone(), value.clone()))
            .collect();
        for path in inner {
            let mut part = Value::Object(std::mem::take(&mut reflected));
            copy(&object["status"], &mut part, path);
            if let Value::Object(fields) = part {
                reflected = fields;
            }
        }
        if self.generations
            && let Some(Value::Object(generations)) = workload::reflect(object, &[], true)
        {
            reflected.extend(generations);
        }
        Some(Value::Object(reflected))
    }

    /// Whether there is a rule for statuses to add up.
    pub(crate) fn aggregates(&self) -> bool {
        self.aggregate.is_some()
    }

    /// `AggregateStatus`.
    pub(crate) fn aggregate(&self, template: &Value, items: &[ClusterStatus]) -> Option<Value> {
        let rule = self.aggregate.as_ref()?;
        let mut items = items.to_vec();
        items.sort_by(|one, other| one.cluster.cmp(&other.cluster));
        let items = items.as_slice();
        let mut status = base(template);
        if self.generations
            && let Value::Object(fields) = workload::aggregate(template, items, &[], workload::up_to_date)
        {
            status = fields;
        }
        for field in &rule.sum {
            set_count(&mut status, field, sum(items, field));
        }
        for field in &rule.sums {
            let mut total = Value::Null;
            statuses(items).for_each(|status| add(&mut total, &status[field]));
            put(&mut status, field, total);
        }
        let texts = |field: &str| {
            statuses(items)
                .filter_map(|status| status[field].as_str())
                .collect::<Vec<_>>()
        };
        for field in &rule.earliest {
            put(&mut status, field, json!(texts(field).into_iter().min()));
        }
        for field in &rule.latest {
            put(&mut status, field, json!(texts(field).into_iter().max()));
        }
        for field in &rule.done {
            let times = texts(field);
            let all = !items.is_empty() && times.len() == items.len();
            put(&mut status, field, json!(times.into_iter().max().filter(|_| all)));
        }
        for field in &rule.greatest {
            let counts = statuses(items).filter_map(|status| status[field].as_i64());
            put(&mut status, field, json!(counts.max()));
        }
        for field in &rule.longest {
            let longest = texts(field).into_iter().max_by_key(|text| milliseconds(text));
            put(&mut status, field, json!(longest));
        }
        for field in &rule.first {
            let found = statuses(items)
                .map(|status| &status[field])
                .find(|value| !value.is_null());
            put(&mut status, field, found.cloned().unwrap_or_default());
        }
        for field in &rule.concat {
            let all: Vec<Value> = statuses(items)
                .flat_map(|status| status[field].as_array().cloned().unwrap_or_default())
                .collect();
            put(
                &mut status,
                field,
                if all.is_empty() { Value::Null } else { all.into() },
            );
        }
        for field in &rule.all {
            let all =
                !items.is_empty() && statuses(items).filter(|status| status[field] == true).count() == items.len();
            put(&mut status, field, json!(all));
        }
        for (path, order) in &rule.worst {
            let field = path.split('.').next().unwrap_or(path);
            let rank = |text: &str| {
                order
                    .iter()
                    .position(|known| known == text)
                    .map_or(0, |position| position + 1)
            };
            let told =
                statuses(items).filter_map(|status| Some((rank(first(status, path)?.as_str()?), &status[field])));
            let worst = told.min_by_key(|(rank, _)| *rank).map(|(_, value)| value.clone());
            put(&mut status, field, worst.unwrap_or_default());
        }
        if rule.conditions {
            let conditions = conditions(items);
            put(
                &mut status,
                "conditions",
                if conditions.is_empty() {
                    Value::Null
                } else {
                    conditions.into()
                },
            );
        }
        Some(Value::Object(status))
    }
}

/// Writes a field; nothing means that it goes.
fn put(status: &mut Map<String, Value>, field: &str, value: Value) {
    if value.is_null() {
        status.remove(field);
    } else {
        status.insert(field.to_owned(), value);
    }
}

fn add(total: &mut Value, other: &Value) {
    match other {
        Value::Number(_) => *total = json!(number(total).saturating_add(number(other))),
        Value::Object(fields) => {
            if !total.is_object() {
                *total = json!({});
            }
            for (key, value) in fields {
                add(&mut total[key.as_str()], value);
            }
        }
        Value::Null => {}
        other => *total = other.clone(),
    }
}

/// Conditions that tell of something that is wrong or under way: one cluster that says so is enough.
const ALARMS: [&str; 10] = [
    "Conflict",
    "Degraded",
    "Failed",
    "Fallback",
    "Paused",
    "Reconciling",
    "Restarting",
    "Stalled",
    "Suspended",
    "UpgradeInProgress",
];

/// The conditions of all clusters, by type. A condition is true once all clusters say so, and unknown while some say nothing; what one
/// says otherwise wins. An alarm is true as soon as one cluster raises it. The text names the clusters.
fn conditions(items: &[ClusterStatus]) -> Vec<Value> {
    let mut merged: Vec<Value> = Vec::new();
    for item in items {
        for condition in told(item) {
            let mut condition = condition.clone();
            // Generations of members mean nothing beside that of the template.
            if let Some(fields) = condition.as_object_mut() {
                fields.remove("observedGeneration");
            }
            if let Some(text) = condition["message"].as_str().filter(|text| !text.is_empty()) {
                condition["message"] = json!(format!("{}={text}", item.cluster));
            }
            match merged.iter_mut().find(|known| known["type"] == condition["type"]) {
                Some(known) => join(known, condition),
                None => merged.push(condition),
            }
        }
    }
    for condition in &mut merged {
        if condition["status"] == "True" && !is_alarm(condition) {
            doubt(condition, items);
        }
    }
    merged
}

fn told(item: &ClusterStatus) -> impl Iterator<Item = &Value> {
    let status = item.status.as_ref().and_then(|status| status["conditions"].as_array());
    status.into_iter().flatten()
}

/// Adds what another cluster says.
fn join(known: &mut Value, condition: Value) {
    let text = match (known["message"].as_str(), condition["message"].as_str()) {
        (Some(one), Some(other)) => json!(format!("{one}, {other}")),
        (Some(one), None) => json!(one),
        (None, other) => json!(other),
    };
    let latest = known["lastTransitionTime"]
        .as_str()
        .max(condition["lastTransitionTime"].as_str());
    let latest = json!(latest);
    if severity(known) < severity(&condition) {
        *known = condition;
    }
    for (field, value) in [("message", text), ("lastTransitionTime", latest)] {
        if !value.is_null() {
            known[field] = value;
        }
    }
}

/// What is true so far is not known to be true while clusters say nothing about it.
fn doubt(condition: &mut Value, items: &[ClusterStatus]) {
    let silent = items
        .iter()
        .filter(|item| !told(item).any(|said| said["type"] == condition["type"]));
    let silent: Vec<String> = silent.map(|item| format!("{}=not reported", item.cluster)).collect();
    if silent.is_empty() {
        return;
    }
    let known = condition["message"].as_str().filter(|text| !text.is_empty());
    let texts: Vec<&str> = known.into_iter().chain(silent.iter().map(String::as_str)).collect();
    condition["message"] = json!(texts.join(", "));
    condition["status"] = json!("Unknown");
    condition["reason"] = json!("NotReported");
}

fn is_alarm(condition: &Value) -> bool {
    condition["type"].as_str().is_some_and(|kind| ALARMS.contains(&kind))
}

fn severity(condition: &Value) -> u8 {
    match (condition["status"].as_str(), is_alarm(condition)) {
        (Some("True"), false) | (Some("False"), true) => 0,
        (Some("True"), true) | (Some("False"), false) => 2,
        _ => 1,
    }
}

/// A length of time as Go writes it (`1h2m3.5s`); nothing where it is none.
fn milliseconds(text: &str) -> i128 {
    let mut sum = 0_i128;
    let mut rest = text;
    while let Some(end) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        let (digits, tail) = rest.split_at(end);
        let unit = tail
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let seconds = match unit {
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => 0,
        };
        let milli = crds::quantity::milli(digits).unwrap_or_default();
        sum = sum.saturating_add(milli.saturating_mul(seconds));
        rest = tail;
    }
    sum
}
