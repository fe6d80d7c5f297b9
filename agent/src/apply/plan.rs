//! Decides what to do with one manifest in the member. Pure: reads the manifest and what is there, writes nothing.

use interpreter::Interpreter;
use schema::entry::Pairs;
use serde_json::{Map, Value};

use crds::{annotations, labels};

/// What to do with one manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Apply it.
    Apply,
    /// What is there is what was applied last, from the same manifest.
    Keep,
    /// Somebody else's object is in the way and the manifest does not ask to overwrite it.
    Refuse(String),
}

/// What was applied last for a manifest: hashes of the manifest and of the member object after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// What was asked for.
    pub(crate) wanted: Wanted,
    /// [`fingerprint`] of the member object as it was answered.
    pub(crate) object: u64,
    /// Fields that the member does not know.
    pub(crate) left_out: Vec<String>,
}

/// What a manifest asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Hash of the manifest.
    pub(crate) manifest: u64,
    /// What users' scripts and webhooks say about its kind: they decide what of it is the member's.
    pub(crate) rules: u64,
}

impl Wanted {
    /// What a manifest asks for now; `keeper` is the webhook that says what the member keeps, if one does.
    pub(crate) fn of(manifest: &Value, interpreter: &Interpreter, keeper: Option<&str>) -> Self {
        let mut rules = interpreter.version(manifest);
        if let Some(keeper) = keeper {
            let mut hasher = Fnv(rules);
            hasher.bytes(keeper.as_bytes());
            rules = hasher.0;
        }
        Self {
            manifest: hash(manifest),
            rules,
        }
    }
}

/// Compares the manifest with what the member holds and what was applied last.
///
/// An object may be changed when it carries `karmada.io/managed=true` or the manifest says `overwrite` (Karmada's execution
/// controller, semantics §2.9).
pub(crate) fn decide(manifest: &Value, wanted: Wanted, observed: Option<&Value>, last: Option<&Applied>) -> Step {
    let Some(observed) = observed else { return Step::Apply };
    if !is_managed(observed) && annotation(manifest, annotations::CONFLICT_RESOLUTION) != Some("overwrite") {
        let kind = manifest["kind"].as_str().unwrap_or_default();
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        let strategy = annotation(manifest, annotations::CONFLICT_RESOLUTION).unwrap_or_default();
        return Step::Refuse(format!(
            "{kind} {name} already exists in the cluster and is not managed by the federation; the {} strategy value is \"{strategy}\": \
             set the annotation to overwrite to take it over, or delete it",
            annotations::CONFLICT_RESOLUTION
        ));
    }
    match last {
        Some(last) if last.wanted == wanted && last.object == fingerprint(observed) => Step::Keep,
        _ => Step::Apply,
    }
}

/// Whether the federation may change or delete a member object.
pub(crate) fn is_managed(object: &Value) -> bool {
    object["metadata"]["labels"][labels::MANAGED] == "true"
}

/// Whether a member object may be deleted on behalf of this Work: it is managed, and it does not name another Work as its
/// source. (Karmada looks at the label alone; two Works must not delete each other's object.)
pub(crate) fn may_delete(object: &Value, work_namespace: &str, work_name: &str) -> bool {
    is_managed(object) && !names_another(object, work_namespace, work_name)
}

/// Whether a member object names another Work as its source.
pub(crate) fn names_another(object: &Value, work_namespace: &str, work_name: &str) -> bool {
    let source = (
        annotation(object, annotations::WORK_NAMESPACE),
        annotation(object, annotations::WORK_NAME),
    );
    match source {
        (Some(namespace), Some(name)) => namespace != work_namespace || name != work_name,
        _ => false,
    }
}

/// The Work that a member object came from: its name, when it came from this execution namespace.
pub(crate) fn source_work<'a>(found: &'a Pairs, execution_namespace: &str) -> Option<&'a str> {
    let namespace = found.get(annotations::WORK_NAMESPACE)?;
    (namespace == execution_namespace).then(|| found.get(annotations::WORK_NAME))?
}

/// The merge patch that takes the federation's marks off a member object, for `preserveResourcesOnDeletion`.
pub(crate) fn release_patch(object: &Value) -> Value {
    let strip = |field: &str| -> Map<String, Value> {
        object["metadata"][field]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.contains("karmada.io/"))
            .map(|(key, _)| (key.clone(), Value::Null))
            .collect()
    };
    serde_json::json!({"metadata": {"labels": strip("labels"), "annotations": strip("annotations")}})
}

/// A hash of what a user or a controller in the member could have changed against our will: everything but status and what
/// the server keeps by itself.
pub(crate) fn fingerprint(object: &Value) -> u64 {
    let mut hasher = Fnv::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match key.as_str() {
            "status" => {}
            "metadata" => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    if !matches!(
                        key.as_str(),
                        "resourceVersion" | "managedFields" | "generation" | "ownerReferences" | "finalizers"
                    ) {
                        hasher.field(key, value);
                    }
                }
            }
            _ => hasher.field(key, value),
        }
    }
    hasher.0
}

/// A hash of a whole JSON value. Stable within a process; keys are ordered in `serde_json::Value`.
pub(crate) fn hash(value: &Value) -> u64 {
    let mut hasher = Fnv::new();
    hasher.field("", value);
    hasher.0
}

fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// FNV-1a over serialized JSON: quick, and good enough to notice a change that is checked again by the server.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn field(&mut self, key: &str, value: &Value) {
        self.bytes(key.as_bytes());
        // Writing into a hasher cannot fail.
        let _infallible = serde_json::to_writer(&mut *self, value);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.0 = (self.0 ^ 0xff).wrapping_mul(0x0100_0000_01b3);
    }
}

impl std::io::Write for Fnv {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.bytes(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"karmada.io/managed": "true"},
            "annotations": {"work.karmada.io/namespace": "karmada-es-eu", "work.karmada.io/name": "a-1"}}, "data": {"k": "v"}})
    }

    fn observed() -> Value {
        let mut object = manifest();
        object["metadata"]["resourceVersion"] = json!("7");
        object["metadata"]["generation"] = json!(1);
        object
    }

    fn wanted(manifest: &Value) -> Wanted {
        Wanted::of(manifest, &Interpreter::default(), None)
    }

    #[test]
    fn nothing_there_is_applied() {
        assert_eq!(decide(&manifest(), wanted(&manifest()), None, None), Step::Apply);
    }

    #[test]
    fn what_was_applied_and_did_not_change_is_kept() {
        let last = Applied {
            wanted: wanted(&manifest()),
            object: fingerprint(&observed()),
            left_out: Vec::new(),
        };
        let mut later = observed();
        later["status"] = json!({"replicas": 3});
        later["metadata"]["resourceVersion"] = json!("9");
        assert_eq!(
            decide(&manifest(), wanted(&manifest()), Some(&later), Some(&last)),
            Step::Keep
        );
    }

    #[test]
    fn a_changed_manifest_and_a_drifted_object_are_applied() {
        let last = Applied {
            wanted: wanted(&manifest()),
            object: fingerprint(&observed()),
            left_out: Vec::new(),
        };
        let mut changed = manifest();
        changed["data"]["k"] = json!("w");
        assert_eq!(
            decide(&changed, wanted(&changed), Some(&observed()), Some(&last)),
            Step::Apply
        );
        let mut drifted = observed();
        drifted["data"]["k"] = json!("x");
        assert_eq!(
            decide(&manifest(), wanted(&manifest()), Some(&drifted), Some(&last)),
            Step::Apply
        );
        assert_eq!(
            decide(&manifest(), wanted(&manifest()), Some(&observed()), None),
            Step::Apply
        );
        // Other scripts may let the member keep something else.
        let customized = Wanted {
            rules: 7,
            ..wanted(&manifest())
        };
        assert_eq!(
            decide(&manifest(), customized, Some(&observed()), Some(&last)),
            Step::Apply
        );
    }

    #[test]
    fn an_object_of_somebody_else_is_refused_unless_told_to_overwrite() {
        let mut theirs = observed();
        theirs["metadata"]["labels"] = json!({});
        assert!(matches!(
            decide(&manifest(), wanted(&manifest()), Some(&theirs), None),
            Step::Refuse(_)
        ));
        let mut manifest = manifest();
        manifest["metadata"]["annotations"]["work.karmada.io/conflict-resolution"] = json!("overwrite");
        assert_eq!(decide(&manifest, wanted(&manifest), Some(&theirs), None), Step::Apply);
    }

    #[test]
    fn only_our_own_object_is_deleted() {
        assert!(may_delete(&observed(), "karmada-es-eu", "a-1"));
        assert!(!may_delete(&observed(), "karmada-es-eu", "b-2"));
        let mut unmanaged = observed();
        unmanaged["metadata"]["labels"] = json!({});
        assert!(!may_delete(&unmanaged, "karmada-es-eu", "a-1"));
    }

    #[test]
    fn releasing_takes_every_mark_and_nothing_else() {
        let mut object = observed();
        object["metadata"]["labels"]["app"] = json!("a");
        let patch = release_patch(&object);
        assert_eq!(patch["metadata"]["labels"], json!({"karmada.io/managed": null}));
        assert_eq!(
            patch["metadata"]["annotations"],
            json!({"work.karmada.io/name": null, "work.karmada.io/namespace": null})
        );
    }
}
