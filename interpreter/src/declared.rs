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
use serde_json::{Value, json};

use crate::{Replicas, dependencies, requests};
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
    /// The kinds, as `apiVersion/Kind`.
    kinds: Vec<String>,
    /// Where its replicas are.
    replicas: Option<Count>,
    /// Whether the replicas may be divided, that is written.
    divisible: bool,
    /// Its parts, when it has several.
    parts: Vec<Part>,
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
    for (_, text, _) in FILES {
        // A test reads every file; one that cannot be read says nothing.
        let parsed: Vec<Rule> = serde_json::from_str(text).unwrap_or_default();
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
    /// `InterpretReplica`.
    pub(crate) fn replicas(&self, object: &Value) -> Option<Replicas> {
        let rule = self.replicas.as_ref()?;
        let count = first(object, &rule.at).and_then(Value::as_i64).unwrap_or(rule.absent);
        let requirements = (!rule.template.is_empty())
            .then(|| first(object, &rule.template))
            .flatten()
            .and_then(requests::requirements);
        Some(Replicas { count, requirements })
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
            let mut described = json!({"name": name, "replicas": count.and_then(Value::as_i64).unwrap_or(1)});
            if let Some(requirements) = self.requirements(part) {
                described["replicaRequirements"] = requirements;
            }
            described
        };
        find(object, &self.at).into_iter().map(describe).collect()
    }

    fn requirements(&self, part: &Value) -> Option<Value> {
        if !self.template.is_empty() {
            return requests::requirements(first(part, &self.template)?);
        }
        let amounts = requests::amounts(first(part, &self.resources)?);
        let counted: requests::Amounts = amounts
            .into_iter()
            .filter(|(name, _)| matches!(name.as_str(), "cpu" | "memory"))
            .collect();
        (!counted.is_empty()).then(|| json!({"resourceRequest": requests::render(&counted)}))
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
