//! The parts of a workload that has several: `InterpretComponent`.

use crds::quantity;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::path::{find, first};
use crate::requests;

/// A part of a workload, or all the parts of a list, or of a map by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    /// Its name; those of a map or list bear their keys or the field `name_at`, or this and a number where that says nothing.
    #[serde(default)]
    name: String,
    /// Where the part is, or the parts with `.*` at the end.
    at: String,
    /// The field of the name in a part of a list.
    #[serde(default)]
    name_at: String,
    /// The field of the replicas in a part; one when there is none.
    #[serde(default)]
    replicas: String,
    /// The replicas of a part that does not say; one when this does not either.
    #[serde(default)]
    absent: Option<i64>,
    /// Where the part does not say, as many as are needed for what stands at the first path, each having what stands at the second,
    /// which is given step by step: settings may have dots in their names.
    #[serde(default)]
    spread: Option<(String, Vec<String>)>,
    /// Where the flag at the first path is set, at least as many as stand at each of the others, or one.
    #[serde(default)]
    dynamic: Option<(String, Vec<String>)>,
    /// A pod template of the whole object that says on which nodes its parts may run.
    #[serde(default)]
    pod: String,
    /// The field of the pod template in a part.
    #[serde(default)]
    template: String,
    /// Where plain `cpu` and `memory` of a part stand, for those that have no pod template.
    #[serde(default)]
    resources: String,
    /// A part asks for its resources as Spark has it: see [`Part::of_java`].
    #[serde(default)]
    java: bool,
}

/// What Spark adds to the memory of a part, in thousandths: of Java, of anything else, and the least, in bytes.
const OVERHEAD: (i128, i128, i128) = (100, 400, 384 << 20);
/// Units of memory as Java writes them.
const UNITS: [(&str, i128); 9] = [
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1 << 30),
    ("t", 1 << 40),
    ("tb", 1 << 40),
];

impl Part {
    /// The parts that an object has.
    pub(super) fn read(&self, object: &Value) -> Vec<Value> {
        let describe = |(index, (key, part)): (usize, (String, &Value))| {
            let own = part[&*self.name_at].as_str().filter(|name| !name.is_empty());
            let name = match (&*self.name_at, &*self.name, own) {
                ("", "", _) => key.to_lowercase(),
                ("", name, _) => name.to_owned(),
                (_, _, Some(own)) => own.to_owned(),
                (_, prefix, None) => format!("{prefix}{}", index + 1),
            };
            let mut described = json!({"name": name, "replicas": self.count(object, part)});
            if let Some(requirements) = self.requirements(object, part) {
                described["replicaRequirements"] = requirements;
            }
            described
        };
        find(object, &self.at).into_iter().enumerate().map(describe).collect()
    }

    fn count(&self, object: &Value, part: &Value) -> i64 {
        let told = if self.replicas.is_empty() {
            None
        } else {
            first(part, &self.replicas).and_then(whole)
        };
        let count = told.or_else(|| self.spread(object)).or(self.absent).unwrap_or(1);
        let Some((flag, paths)) = &self.dynamic else {
            return count;
        };
        if first(object, flag) != Some(&Value::Bool(true)) {
            return count;
        }
        let least = paths
            .iter()
            .map(|path| first(object, path).and_then(whole).unwrap_or(1));
        least.fold(count, i64::max)
    }

    /// How many it takes, where another number and a setting say so.
    fn spread(&self, object: &Value) -> Option<i64> {
        let (all, each) = self.spread.as_ref()?;
        let all = whole(first(object, all)?)?;
        let each = each.iter().try_fold(object, |at, step| at.get(step)).and_then(whole)?;
        // Rounded up.
        (0 < each && 0 <= all).then(|| all / each + i64::from(all % each != 0))
    }

    fn requirements(&self, object: &Value, part: &Value) -> Option<Value> {
        if !self.template.is_empty() {
            return requests::requirements(first(part, &self.template)?);
        }
        if self.java {
            // The part says itself on which nodes it may run.
            let claim = requests::requirements(&json!({"spec": part}));
            return claimed(claim, &Self::of_java(object, part));
        }
        let amounts = requests::amounts(first(part, &self.resources)?);
        let counted: requests::Amounts = amounts
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory"))
            .collect();
        let shared = (!self.pod.is_empty()).then(|| first(object, &self.pod)).flatten();
        claimed(shared.and_then(requests::requirements), &counted)
    }

    /// `cores`, `memory` as Java writes it and what Spark adds to that, and `gpu`.
    fn of_java(object: &Value, part: &Value) -> requests::Amounts {
        let mut amounts = requests::amounts(&json!({"cpu": part["cores"]}));
        let memory = java_memory(&part["memory"]);
        let (java, other, least) = OVERHEAD;
        let added = if part["memoryOverhead"].is_string() {
            java_memory(&part["memoryOverhead"])
        } else {
            let is_java = first(object, "spec.type")
                .and_then(Value::as_str)
                .is_some_and(|kind| kind.eq_ignore_ascii_case("java"));
            let usual = if is_java { java } else { other };
            let factor = first(object, "spec.memoryOverheadFactor")
                .and_then(number)
                .unwrap_or(usual);
            (memory.saturating_mul(factor) / 1000).max(least)
        };
        let (mebibyte, bytes) = (1 << 20, memory.saturating_add(added));
        // Whole mebibytes, as soon as there is one.
        let bytes = if bytes < mebibyte {
            bytes
        } else {
            bytes / mebibyte * mebibyte
        };
        amounts.insert("memory".to_owned(), bytes.saturating_mul(1000));
        let gpu = &part["gpu"];
        if let Some(name) = gpu["name"].as_str().filter(|name| !name.is_empty())
            && let Some(quantity) = whole(&gpu["quantity"]).filter(|quantity| 0 < *quantity)
        {
            amounts.insert(name.to_owned(), i128::from(quantity) * 1000);
        }
        amounts
    }
}

/// Requirements with these amounts in place of what a pod's containers ask for.
fn claimed(claim: Option<Value>, amounts: &requests::Amounts) -> Option<Value> {
    let mut requirements = match claim {
        Some(Value::Object(requirements)) => requirements,
        _ => Map::new(),
    };
    requirements.remove("resourceRequest");
    if !amounts.is_empty() {
        requirements.insert("resourceRequest".to_owned(), requests::render(amounts));
    }
    (!requirements.is_empty()).then_some(Value::Object(requirements))
}

/// Bytes of what Java understands; nothing where it would not.
fn java_memory(value: &Value) -> i128 {
    let text = value.as_str().unwrap_or_default().to_lowercase();
    let (digits, unit) = text.split_at(
        text.find(|letter: char| letter.is_ascii_alphabetic())
            .unwrap_or(text.len()),
    );
    let unit = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .map_or(1, |(_, bytes)| *bytes);
    quantity::milli(digits).map_or(0, |milli| milli.max(0).saturating_mul(unit) / 1000)
}

/// A number in thousandths; settings may have it as text.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => quantity::milli(text),
        Value::Number(number) => quantity::milli(&number.to_string()),
        _ => None,
    }
}

/// A whole number; settings may have it as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
