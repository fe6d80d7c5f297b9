//! Autoscalers: `autoscaling/v1` knows a CPU target and no other metric. The rest lies in annotations there.

use serde_json::{Map, Value, json};

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

const CPU_TARGET: &str = "targetCPUUtilizationPercentage";
const CPU_NOW: &str = "currentCPUUtilizationPercentage";

type Object = Map<String, Value>;

fn part<'o>(object: &'o mut Object, name: &str) -> Option<&'o mut Object> {
    object.get_mut(name)?.as_object_mut()
}

fn items(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

/// From `autoscaling/v1`.
pub(super) fn to_new(object: &mut Object) {
    let mut annotations = part(object, "metadata")
        .and_then(|metadata| metadata.remove("annotations"))
        .and_then(|annotations| match annotations {
            Value::Object(annotations) => Some(annotations),
            _ => None,
        })
        .unwrap_or_default();
    let mut kept = |name: &str| {
        let text = annotations.remove(name)?;
        serde_json::from_str::<Value>(text.as_str()?).ok()
    };
    let (metrics, current) = (kept(METRICS), kept(CURRENT));
    let (conditions, behavior) = (kept(CONDITIONS), kept(BEHAVIOR));
    if let Some(spec) = part(object, "spec") {
        let mut list: Vec<Value> = items(metrics)
            .into_iter()
            .map(|metric| metric_to_new(metric, false))
            .collect();
        if let Some(target) = spec.remove(CPU_TARGET).filter(|target| !target.is_null()) {
            let target = json!({"type": "Utilization", "averageUtilization": target});
            list.push(json!({"type": "Resource", "resource": {"name": "cpu", "target": target}}));
        }
        if !list.is_empty() {
            spec.insert("metrics".to_owned(), Value::Array(list));
        }
        if let Some(behavior) = behavior {
            spec.insert("behavior".to_owned(), lower(behavior));
        }
    }
    if let Some(status) = part(object, "status") {
        let share = status.remove(CPU_NOW).filter(|share| !share.is_null());
        let mut list: Vec<Value> = items(current)
            .into_iter()
            .map(|metric| metric_to_new(metric, true))
            .collect();
        if let Some(share) = share.filter(|_| list.is_empty()) {
            let current = json!({"averageUtilization": share});
            list.push(json!({"type": "Resource", "resource": {"name": "cpu", "current": current}}));
        }
        if !list.is_empty() {
            status.insert("currentMetrics".to_owned(), Value::Array(list));
        }
        if let Some(conditions) = conditions {
            status.insert("conditions".to_owned(), conditions);
        }
    }
    if !annotations.is_empty()
        && let Some(metadata) = part(object, "metadata")
    {
        metadata.insert("annotations".to_owned(), Value::Object(annotations));
    }
}

/// To `autoscaling/v1`.
pub(super) fn to_old(object: &mut Object) {
    let mut notes = Object::new();
    let mut note = |name: &str, value: &Value| {
        let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
        if !is_empty {
            notes.insert(name.to_owned(), Value::String(value.to_string()));
        }
    };
    if let Some(spec) = part(object, "spec") {
        let mut others = Vec::new();
        for metric in items(spec.remove("metrics")) {
            match cpu_share(&metric, "target") {
                Some(target) => drop(spec.insert(CPU_TARGET.to_owned(), target)),
                None => others.push(metric_to_old(metric, false)),
            }
        }
        note(METRICS, &Value::Array(others));
        note(BEHAVIOR, &upper(spec.remove("behavior").unwrap_or_default()));
    }
    if let Some(status) = part(object, "status") {
        let current = items(status.remove("currentMetrics"));
        if let Some(share) = current.iter().find_map(|metric| cpu_share(metric, "current")) {
            status.insert(CPU_NOW.to_owned(), share);
        }
        let current = current.into_iter().map(|metric| metric_to_old(metric, true)).collect();
        note(CURRENT, &Value::Array(current));
        note(CONDITIONS, &status.remove("conditions").unwrap_or_default());
    }
    if notes.is_empty() {
        return;
    }
    if let Some(metadata) = part(object, "metadata") {
        match metadata.get_mut("annotations") {
            Some(Value::Object(annotations)) => annotations.extend(notes),
            _ => drop(metadata.insert("annotations".to_owned(), Value::Object(notes))),
        }
    }
}

/// What a metric says about the CPU, if that is what it is about.
fn cpu_share(metric: &Value, side: &str) -> Option<Value> {
    let resource = metric.get("resource").filter(|_| metric["type"] == "Resource")?;
    let share = resource[side]
        .get("averageUtilization")
        .filter(|share| !share.is_null())?;
    (resource["name"] == "cpu").then(|| share.clone())
}

const SOURCES: [&str; 5] = ["resource", "containerResource", "pods", "object", "external"];

/// Names of numbers in the old version: of a share, of an average, of a value.
struct Names {
    share: &'static str,
    average: &'static str,
    value: &'static str,
}

fn names(source: &str, status: bool) -> Names {
    let (share, mut average, value) = if status {
        ("currentAverageUtilization", "currentAverageValue", "currentValue")
    } else {
        ("targetAverageUtilization", "targetAverageValue", "targetValue")
    };
    if source == "object" {
        average = "averageValue";
    }
    Names { share, average, value }
}

/// A metric or its status as the old version writes it.
fn metric_to_old(mut metric: Value, status: bool) -> Value {
    let side = if status { "current" } else { "target" };
    for source in SOURCES {
        let Some(fields) = metric.get_mut(source).and_then(Value::as_object_mut) else {
            continue;
        };
        let names = names(source, status);
        let amounts = fields.remove(side).unwrap_or_default();
        let mut old = Object::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                old.insert(name.to_owned(), value);
            }
        };
        put(names.share, amounts.get("averageUtilization").cloned());
        put(names.average, amounts.get("averageValue").cloned());
        put(names.value, amounts.get("value").cloned());
        put("target", fields.remove("describedObject"));
        let identifier = fields.remove("metric").unwrap_or_default();
        put("metricName", identifier.get("name").cloned());
        let selector = if source == "external" {
            "metricSelector"
        } else {
            "selector"
        };
        put(selector, identifier.get("selector").cloned());
        fields.append(&mut old);
    }
    metric
}

fn metric_to_new(mut metric: Value, status: bool) -> Value {
    let side = if status { "current" } else { "target" };
    for source in SOURCES {
        let Some(fields) = metric.get_mut(source).and_then(Value::as_object_mut) else {
            continue;
        };
        let names = names(source, status);
        let mut amounts = Object::new();
        for (old, new, kind) in [
            (names.value, "value", "Value"),
            (names.average, "averageValue", "AverageValue"),
            (names.share, "averageUtilization", "Utilization"),
        ] {
            if let Some(amount) = fields.remove(old).filter(|amount| !amount.is_null()) {
                // An object's value stands there even when its average is meant.
                let counts = !(new == "value" && amount == "0");
                if counts {
                    amounts.insert(new.to_owned(), amount);
                    if !status {
                        amounts.insert("type".to_owned(), Value::from(kind));
                    }
                }
            }
        }
        if let Some(described) = fields.remove("target") {
            fields.insert("describedObject".to_owned(), described);
        }
        let mut identifier = Object::new();
        for (old, new) in [
            ("metricName", "name"),
            ("selector", "selector"),
            ("metricSelector", "selector"),
        ] {
            if let Some(value) = fields.remove(old).filter(|value| !value.is_null()) {
                identifier.insert(new.to_owned(), value);
            }
        }
        if matches!(source, "pods" | "object" | "external") {
            fields.insert("metric".to_owned(), Value::Object(identifier));
        }
        fields.insert(side.to_owned(), Value::Object(amounts));
    }
    metric
}

/// Keys as Go writes them for a struct without names of its own: the annotation holds such a one.
fn upper(value: Value) -> Value {
    keys(value, char::to_ascii_uppercase)
}

fn lower(value: Value) -> Value {
    keys(value, char::to_ascii_lowercase)
}

fn keys(value: Value, first: fn(&char) -> char) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(key, value)| {
                let mut letters = key.chars();
                let head: String = letters.next().iter().map(first).collect();
                (head + letters.as_str(), keys(value, first))
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| keys(item, first)).collect(),
        other => other,
    }
}
