//! Rules as data: what kinds of other projects mean, in `interpreter/rules/<group>.json`. Adding a kind there needs no Rust.
//!
//! A rule names fields by path: steps separated by dots, `*` for every item of a list or every value of a map, `@` before the
//! whole path for what begins at `status`. What a file may say is [`Rule`]; the files' own tests lie beside them in
//! `<group>.cases.json`. Start with [`of`].

mod path;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Operation, Replicas, dependencies, requests};
use path::{copy, find, first};
use status::{Aggregate, Check};

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        /// The files, with their cases.
        const FILES: &[(&str, &str, &str)] = &[$((
            $name,
            include_str!(concat!("../rules/", $name, ".json")),
            include_str!(concat!("../rules/", $name, ".cases.json")),
        )),*];
    };
}

files![
    "apps.kruise.io",
    "argoproj.io",
    "cluster.x-k8s.io",
    "fluxcd.io",
    "gateway.networking.k8s.io",
    "jobs",
    "keda.sh",
    "kubevirt.io",
    "kyverno.io",
    "networking.istio.io",
    "openfaas.com",
    "ray.io",
    "serving.knative.dev",
];

/// What one kind means.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Rule {
    /// The file that it stands in.
    #[serde(skip)]
    file: &'static str,
    /// The kinds, as `apiVersion/Kind`.
    kinds: Vec<String>,
    /// Where its replicas are.
    replicas: Option<Count>,
    /// Whether the replicas may be divided, that is written.
    divisible: bool,
    /// Its parts, when it has several.
    parts: Vec<Part>,
    /// Its replicas are those of its parts together, and each needs what the neediest part needs.
    sum_parts: bool,
    /// It is healthy when all of these hold.
    healthy: Vec<Check>,
    /// The fields of the status that travel; all when there are none.
    reflect: Vec<String>,
    /// The status also tells which generation it is about, of the object and of its template.
    generations: bool,
    /// How statuses add up.
    aggregate: Option<Aggregate>,
    /// What the member keeps.
    keep: Vec<String>,
    /// Pod templates (what has a `spec` of a pod) whose needs are the object's.
    pods: Vec<String>,
    /// Other objects that it names.
    needs: Vec<Need>,
}

/// Replicas, and the template of their pods.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Count {
    at: String,
    /// When it is not said.
    #[serde(default)]
    absent: i64,
    #[serde(default)]
    template: String,
}

/// A part of a workload, or all the parts of a map by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Its name; those of a map or list bear their keys or the field `name_at`.
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
    /// Where the part does not say, as many as are needed for what stands at the first path, each having what stands at the second,
    /// which is given step by step: settings may have dots in their names.
    #[serde(default)]
    spread: Option<(String, Vec<String>)>,
    /// A pod template of the whole object that says on which nodes its parts may run.
    #[serde(default)]
    pod: String,
    /// The field of the pod template in a part.
    #[serde(default)]
    template: String,
    /// Where plain `cpu` and `memory` of a part stand, for those that have no pod template.
    #[serde(default)]
    resources: String,
}

/// References to other objects by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Need {
    /// Where the reference, or the name itself, stands.
    at: String,
    /// What it refers to when the reference does not say.
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    /// Only references that say this kind, or none.
    #[serde(default)]
    only: bool,
}

static RULES: LazyLock<HashMap<String, &'static Rule>> = LazyLock::new(|| {
    let mut rules = HashMap::new();
    for (file, text, _) in FILES {
        // A test reads every file; one that cannot be read says nothing.
        let mut parsed: Vec<Rule> = serde_json::from_str(text).unwrap_or_default();
        for rule in &mut parsed {
            rule.file = file;
        }
        for rule in &*parsed.leak() {
            rules.extend(rule.kinds.iter().map(|kind| (kind.clone(), rule)));
        }
    }
    rules
});

/// The rule of an object's kind.
pub(crate) fn of(object: &Value) -> Option<&'static Rule> {
    let (api_version, kind) = (object["apiVersion"].as_str()?, object["kind"].as_str()?);
    // Kinds of Kubernetes itself have no declared rules, and are by far the most.
    if !api_version.contains('.') || api_version.ends_with(".k8s.io/v1") && !api_version.starts_with("gateway.") {
        return None;
    }
    RULES.get(&format!("{api_version}/{kind}")).copied()
}

impl Rule {
    /// The file that it stands in.
    pub(crate) fn file(&self) -> &'static str {
        self.file
    }

    /// Whether there is a rule for this question.
    pub(crate) fn answers(&self, operation: Operation) -> bool {
        match operation {
            Operation::InterpretReplica => self.replicas.is_some() || self.sum_parts,
            Operation::InterpretComponent => !self.parts.is_empty(),
            Operation::ReviseReplica => self.replicas.is_some() && self.divisible,
            Operation::Retain => !self.keep.is_empty(),
            Operation::AggregateStatus => self.aggregates(),
            Operation::InterpretStatus => !self.reflect.is_empty() || self.generations,
            Operation::InterpretHealth => !self.healthy.is_empty(),
            Operation::InterpretDependency => !self.pods.is_empty() || !self.needs.is_empty(),
        }
    }

    /// `InterpretReplica`.
    pub(crate) fn replicas(&self, object: &Value) -> Option<Replicas> {
        if self.sum_parts {
            return Some(self.sum(object));
        }
        let rule = self.replicas.as_ref()?;
        let count = first(object, &rule.at).and_then(Value::as_i64).unwrap_or(rule.absent);
        let requirements = (!rule.template.is_empty())
            .then(|| first(object, &rule.template))
            .flatten()
            .and_then(requests::requirements);
        Some(Replicas { count, requirements })
    }

    /// All parts as if they were replicas of one.
    fn sum(&self, object: &Value) -> Replicas {
        let parts = self.components(object).unwrap_or_default();
        let mut requirements = Map::new();
        let mut most = requests::Amounts::new();
        for part in &parts {
            let needed = &part["replicaRequirements"];
            for (name, amount) in requests::amounts(&needed["resourceRequest"]) {
                let known = most.entry(name).or_default();
                *known = amount.max(*known);
            }
            for (field, value) in needed.as_object().into_iter().flatten() {
                requirements.entry(field.clone()).or_insert_with(|| value.clone());
            }
        }
        if !most.is_empty() {
            requirements.insert("resourceRequest".to_owned(), requests::render(&most));
        }
        let counts = parts.iter().filter_map(|part| part["replicas"].as_i64());
        Replicas {
            count: counts.fold(0, i64::saturating_add),
            requirements: (!requirements.is_empty()).then_some(Value::Object(requirements)),
        }
    }

    /// `ReviseReplica`.
    pub(crate) fn revise(&self, object: &mut Value, count: i64) {
        if let Some(rule) = self.replicas.as_ref().filter(|_| self.divisible)
            && let Some(field) = object.pointer_mut(&format!("/{}", rule.at.replace('.', "/")))
        {
            *field = count.into();
        }
    }

    /// `InterpretComponent`.
    pub(crate) fn components(&self, object: &Value) -> Option<Vec<Value>> {
        if self.parts.is_empty() {
            return None;
        }
        Some(self.parts.iter().flat_map(|part| part.read(object)).collect())
    }

    /// `InterpretHealth`.
    pub(crate) fn healthy(&self, object: &Value) -> bool {
        if self.healthy.is_empty() {
            return crate::conventions::healthy(object);
        }
        self.healthy.iter().all(|check| check.holds(object))
    }

    /// `Retain`.
    pub(crate) fn retain(&self, desired: &mut Value, observed: &Value) {
        for path in &self.keep {
            copy(observed, desired, path);
        }
    }

    /// `InterpretDependency`.
    pub(crate) fn dependencies(&self, object: &Value) -> Vec<Value> {
        let mut found: Vec<Value> = self
            .pods
            .iter()
            .flat_map(|path| find(object, path))
            .flat_map(|(_, template)| dependencies::of_pods(object, &template["spec"]))
            .collect();
        found.extend(self.needs.iter().flat_map(|need| need.read(object)));
        let key = |item: &Value| ["apiVersion", "kind", "namespace", "name"].map(|field| item[field].to_string());
        found.sort_by_cached_key(key);
        found.dedup();
        found
    }
}

impl Part {
    fn read(&self, object: &Value) -> Vec<Value> {
        let describe = |(key, part): (String, &Value)| {
            let name = match (&*self.name_at, &*self.name) {
                ("", "") => key.to_lowercase(),
                ("", name) => name.to_owned(),
                (field, _) => part[field].as_str().unwrap_or_default().to_owned(),
            };
            let count = if self.replicas.is_empty() {
                None
            } else {
                first(part, &self.replicas)
            };
            let count = count.and_then(whole).or_else(|| self.spread(object)).unwrap_or(1);
            let mut described = json!({"name": name, "replicas": count});
            if let Some(requirements) = self.requirements(object, part) {
                described["replicaRequirements"] = requirements;
            }
            described
        };
        find(object, &self.at).into_iter().map(describe).collect()
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
        let amounts = requests::amounts(first(part, &self.resources)?);
        let counted: requests::Amounts = amounts
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory"))
            .collect();
        let shared = (!self.pod.is_empty()).then(|| first(object, &self.pod)).flatten();
        let mut requirements = match shared.and_then(requests::requirements) {
            Some(Value::Object(requirements)) => requirements,
            _ => Map::new(),
        };
        // What the pod's containers ask for is not what the part does.
        requirements.remove("resourceRequest");
        if !counted.is_empty() {
            requirements.insert("resourceRequest".to_owned(), requests::render(&counted));
        }
        (!requirements.is_empty()).then_some(Value::Object(requirements))
    }
}

/// A whole number; settings may have it as text.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

impl Need {
    fn read(&self, object: &Value) -> Vec<Value> {
        let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let reference = |(_, found): (String, &Value)| {
            let text = |field: &str| found[field].as_str().filter(|text| !text.is_empty());
            let name = found
                .as_str()
                .or_else(|| text("name"))
                .filter(|name| !name.is_empty())?;
            let kind = text("kind").unwrap_or(&self.kind);
            if self.only && kind != self.kind {
                return None;
            }
            let said = text("apiVersion").filter(|_| !self.only);
            let api_version = said.unwrap_or(&self.api_version);
            let mut reference = json!({"apiVersion": api_version, "kind": kind, "name": name});
            let namespace = text("namespace").unwrap_or(own);
            if !namespace.is_empty() && !kind.starts_with("Cluster") {
                reference["namespace"] = json!(namespace);
            }
            Some(reference)
        };
        find(object, &self.at).into_iter().filter_map(reference).collect()
    }
}
