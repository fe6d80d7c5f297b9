//! Federation kinds whose spec is that of a built-in kind: filled in and checked by the rules of that one.

use crds::validate::{self, Problem, ProblemKind};
use jiff::Timestamp;
use schema::facts;
use schema::model::{GroupVersionKind, Shape, TypeRef};
use schema::status::{FieldError, FieldErrorKind};
use serde_json::{Value, json};

/// The built-in kind.
pub(super) struct Borrowed {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
}

/// The kind of `FederatedHPA`'s spec.
pub(super) const AUTOSCALER: Borrowed = Borrowed {
    group: "autoscaling",
    version: "v2",
    kind: "HorizontalPodAutoscaler",
};
/// The kind of `MultiClusterIngress`'s spec.
pub(super) const INGRESS: Borrowed = Borrowed {
    group: "networking.k8s.io",
    version: "v1",
    kind: "Ingress",
};

impl Borrowed {
    /// An object of the built-in kind with the same spec; `None` when it cannot be one.
    fn twin(&self, object: &Value) -> Option<(Shape, Value)> {
        let gvk = GroupVersionKind {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            kind: self.kind.to_owned(),
        };
        let shape = Shape::Struct(facts::kind(&gvk)?);
        let metadata = &object["metadata"];
        let mut twin = json!({
            "apiVersion": gvk.api_version(),
            "kind": self.kind,
            "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
            "spec": object["spec"],
        });
        schema::decode::normalize(place(&shape), &mut twin).ok()?;
        Some((shape, twin))
    }

    /// Fills in what the spec leaves open.
    pub(super) fn default(&self, object: &mut Value, now: Timestamp) {
        let Some((shape, mut twin)) = self.twin(object) else {
            return;
        };
        schema::defaults::apply_defaults(place(&shape), &mut twin, now);
        if object["spec"].is_object() {
            object["spec"] = twin["spec"].take();
        }
    }

    /// What is wrong with the spec. What cannot be read is for the schema to refuse.
    pub(super) fn check(&self, object: &Value) -> Vec<Problem> {
        let Some((shape, mut twin)) = self.twin(object) else {
            return Vec::new();
        };
        // Rules look at whole objects, with what the built-in kind would fill in.
        schema::defaults::apply_defaults(place(&shape), &mut twin, Timestamp::UNIX_EPOCH);
        let errors = schema::validate::validate(place(&shape), &twin);
        let own = errors.into_iter().filter(|error| error.path.starts_with("spec"));
        own.map(problem).collect()
    }
}

fn place(shape: &Shape) -> TypeRef<'_> {
    TypeRef {
        types: facts::builtin_types(),
        shape,
    }
}

/// What is wrong with a `CronFederatedHPA`.
pub(super) fn cron(object: &Value) -> Vec<Problem> {
    let schedule = |text: &str| schema::validate::schedule_problem(text).is_none();
    validate::cron(object, schedule, |zone| facts::time_zone(zone).is_some())
}

fn problem(error: FieldError) -> Problem {
    let kind = match error.kind {
        FieldErrorKind::Required => ProblemKind::Required,
        FieldErrorKind::NotSupported => ProblemKind::NotSupported,
        FieldErrorKind::Duplicate => ProblemKind::Duplicate,
        FieldErrorKind::Forbidden => ProblemKind::Forbidden,
        _ => ProblemKind::Invalid,
    };
    Problem {
        path: error.path,
        kind,
        value: error.value,
        detail: error.detail,
    }
}
