//! Rules as data: what kinds of other projects mean, in `interpreter/rules/<group>.json`. Adding a kind there needs no Rust.
//!
//! A rule names fields by path: steps separated by dots, `*` for every item of a list or every value of a map, `.` alone for the
//! whole object. What a file may say is [`Rule`]; the files' own tests lie beside them in
//! `<group>.cases.json`. Start with [`of`].

mod machine;
mod parts;
mod path;
mod status;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Operation, Replicas, dependencies, requests};
use parts::Part;
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
    /// What the member keeps; with a `?` at the end only where the manifest says nothing.
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
    /// Other places of the template, where it is not there.
    #[serde(default)]
    or: Vec<String>,
    /// Where the `spec` of a virtual machine's instance is, which has no pod template.
    #[serde(default)]
    machine: String,
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
    /// Only references that say this kind.
    #[serde(default)]
    named: bool,
    /// A name may have its namespace and a slash before it.
    #[serde(default)]
    slashed: bool,
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
        let templates = std::iter::once(&rule.template).chain(&rule.or);
        let mut templates = templates.filter(|path| !path.is_empty());
        let template = templates.find_map(|path| first(object, path));
        let requirements = if rule.machine.is_empty() {
            template.and_then(requests::requirements)
        } else {
            first(object, &rule.machine).and_then(machine::requirements)
        };
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

impl Need {
    fn read(&self, object: &Value) -> Vec<Value> {
        let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let reference = |(_, found): (String, &Value)| {
            let text = |field: &str| found[field].as_str().filter(|text| !text.is_empty());
            let name = found
                .as_str()
                .or_else(|| text("name"))
                .filter(|name| !name.is_empty())?;
            let (within, name) = match name.split_once('/').filter(|_| self.slashed) {
                Some((namespace, name)) => (Some(namespace), name),
                None => (None, name),
            };
            let kind = text("kind").unwrap_or(&self.kind);
            if (self.only || self.named) && kind != self.kind || self.named && text("kind").is_none() {
                return None;
            }
            let said = text("apiVersion").filter(|_| !self.only && !self.named);
            let api_version = said.unwrap_or(&self.api_version);
            let mut reference = json!({"apiVersion": api_version, "kind": kind, "name": name});
            let namespace = within.or_else(|| text("namespace")).unwrap_or(own);
            if !namespace.is_empty() && !kind.starts_with("Cluster") {
                reference["namespace"] = json!(namespace);
            }
            Some(reference)
        };
        find(object, &self.at).into_iter().filter_map(reference).collect()
    }
}
