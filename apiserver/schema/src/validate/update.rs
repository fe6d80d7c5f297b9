//! What an update may not do to the fields of a kind.

use serde_json::{Map, Value};

use crate::facts::{self, RuleAction, RuleCondition, RuleTest, Side, UpdateRule};
use crate::model::GroupVersionKind;
use crate::quantity::Quantity;
use crate::status::FieldError;

/// Compares an object with its predecessor by the rules of its kind. `subresource` is empty for the resource itself.
pub fn check_update_rules(gvk: &GroupVersionKind, subresource: &str, old: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for rule in facts::update_rules(gvk)
        .iter()
        .filter(|rule| rule.subresource.unwrap_or_default() == subresource)
    {
        if rule.conditions.iter().all(|condition| holds(condition, old, new)) {
            errors.extend(check(gvk, rule, old, new));
        }
    }
    errors
}

const UNSET: &Value = &Value::Null;

/// What stands at a path; a key of a list of conditions gives the status of that condition.
fn find<'v>(object: &'v Value, path: &[&str]) -> &'v Value {
    path.iter().fold(object, |value, key| match value {
        Value::Array(conditions) => conditions
            .iter()
            .find(|condition| condition["type"] == **key)
            .map_or(UNSET, |condition| &condition["status"]),
        value => value.get(*key).unwrap_or(UNSET),
    })
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn same(left: &Value, right: &Value) -> bool {
    left == right || (is_unset(left) && is_unset(right))
}

fn holds(condition: &RuleCondition, old: &Value, new: &Value) -> bool {
    let value = find(if condition.side == Side::Old { old } else { new }, &condition.path);
    match &condition.test {
        RuleTest::Equal(expected) => value == expected,
        RuleTest::NotEqual(expected) => value != expected,
        RuleTest::Set => !is_unset(value),
        RuleTest::Unset => is_unset(value),
    }
}

fn check(gvk: &GroupVersionKind, rule: &UpdateRule, old_object: &Value, new_object: &Value) -> Option<FieldError> {
    let (old, new) = (find(old_object, &rule.path), find(new_object, &rule.path));
    let path = rule.path.join(".");
    let immutable = || Some(FieldError::invalid(path.as_str(), new.clone(), "field is immutable"));
    let fine = match &rule.action {
        RuleAction::Fixed(except) => {
            if same_but(old, new, except)
                || (path == "spec.template" && gvk.kind == "Job" && job_template_may_change(old_object, old, new))
            {
                return None;
            }
            return Some(fixed_error(gvk, rule, &path, except, new));
        }
        RuleAction::Once => is_unset(old) || same(old, new),
        RuleAction::Keep | RuleAction::Add => is_part(old, new),
        RuleAction::Cut => is_part(new, old),
        RuleAction::Stay => is_unset(old) || !is_unset(new),
        RuleAction::Down => match (old.as_i64(), new.as_i64()) {
            (Some(old), Some(new)) if new > old => {
                let detail = format!("must be less than or equal to previous value: {old}");
                return Some(FieldError::invalid(path, Value::from(new), detail));
            }
            (Some(_), None) => {
                return Some(FieldError::invalid(
                    path,
                    Value::Null,
                    "must not update from a positive integer to nil value",
                ));
            }
            _ => true,
        },
        RuleAction::Note(word) => return note(word, old_object, new_object),
    };
    if fine { None } else { immutable() }
}

fn fixed_error(gvk: &GroupVersionKind, rule: &UpdateRule, path: &str, except: &[&str], new: &Value) -> FieldError {
    let when_immutable = rule.conditions.iter().any(|condition| condition.path == ["immutable"]);
    match (gvk.kind.as_str(), path) {
        (_, _) if when_immutable => FieldError::forbidden(path, "field is immutable when `immutable` is set"),
        ("StatefulSet", "spec") => FieldError::forbidden(
            path,
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', \
             'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ),
        ("Pod", _) => FieldError::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,\
             `spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
             `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ),
        ("PersistentVolumeClaim", "spec") => FieldError::forbidden(
            path,
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        ),
        ("PersistentVolume", "spec") => FieldError::forbidden(
            "spec.persistentvolumesource",
            "spec.persistentvolumesource is immutable after creation",
        ),
        ("RoleBinding" | "ClusterRoleBinding", "roleRef") => {
            FieldError::invalid(path, new.clone(), "cannot change roleRef")
        }
        ("StorageClass", "parameters" | "provisioner" | "reclaimPolicy") => {
            FieldError::forbidden(path, format!("updates to {path} are forbidden."))
        }
        _ if except.is_empty() => FieldError::invalid(path, new.clone(), "field is immutable"),
        _ => FieldError::forbidden(
            path,
            format!("updates to fields other than {} are forbidden", except.join(", ")),
        ),
    }
}

/// Equal, leaving out some fields; of lists each element is compared.
fn same_but(old: &Value, new: &Value, except: &[&str]) -> bool {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let keys = old
                .keys()
                .chain(new.keys())
                .filter(|key| !except.contains(&key.as_str()));
            keys.into_iter()
                .all(|key| same(old.get(key).unwrap_or(UNSET), new.get(key).unwrap_or(UNSET)))
        }
        (Value::Array(old), Value::Array(new)) if !except.is_empty() => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same_but(old, new, except))
        }
        (old, new) => same(old, new),
    }
}

/// Everything of the first is in the second.
fn is_part(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (part, _) if is_unset(part) => true,
        (Value::Array(part), Value::Array(whole)) => part.iter().all(|item| whole.contains(item)),
        (Value::Object(part), Value::Object(whole)) => part.iter().all(|(key, value)| whole.get(key) == Some(value)),
        (part, whole) => part == whole,
    }
}

/// The template of a job that is suspended and has not run may change where pods go.
fn job_template_may_change(old_object: &Value, old: &Value, new: &Value) -> bool {
    let suspended = find(old_object, &["spec", "suspend"]) == true
        && find(old_object, &["status", "active"]).as_i64().unwrap_or(0) == 0
        && (find(old_object, &["status", "startTime"]).is_null()
            || find(old_object, &["status", "conditions", "Suspended"]) == "True");
    let masked = |template: &Value| {
        let mut template = template.clone();
        if let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("labels");
            metadata.remove("annotations");
        }
        if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
            for key in ["nodeSelector", "tolerations", "schedulingGates"] {
                spec.remove(key);
            }
            if let Some(affinity) = spec.get_mut("affinity").and_then(Value::as_object_mut) {
                affinity.remove("nodeAffinity");
            }
            if spec
                .get("affinity")
                .and_then(Value::as_object)
                .is_some_and(Map::is_empty)
            {
                spec.remove("affinity");
            }
            for list in ["containers", "initContainers"] {
                for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(container) = container.as_object_mut() {
                        container.remove("resources");
                    }
                }
            }
        }
        template
    };
    suspended && masked(old) == masked(new)
}

/// Rules that have no short form.
fn note(word: &str, old: &Value, new: &Value) -> Option<FieldError> {
    match word {
        "pvc-size" => {
            let request = |object: &Value| {
                Quantity::parse(find(object, &["spec", "resources", "requests", "storage"]).as_str()?).ok()
            };
            let (before, after) = (request(old)?, request(new)?);
            let capacity = find(old, &["status", "capacity", "storage"])
                .as_str()
                .and_then(|text| Quantity::parse(text).ok());
            let allowed = after >= before || capacity.is_some_and(|capacity| after > capacity);
            let path = "spec.resources.requests.storage";
            (!allowed).then(|| FieldError::forbidden(path, "field can not be less than status.capacity"))
        }
        "job-completions" => {
            let spec = |object: &Value, key: &str| find(object, &["spec", key]).clone();
            let changed = spec(old, "completions") != spec(new, "completions");
            let indexed = spec(new, "completionMode") == "Indexed";
            (indexed && changed && spec(new, "completions") != spec(new, "parallelism")).then(|| {
                let detail = format!(
                    "can only be modified in tandem with spec.parallelism (wants {})",
                    spec(new, "parallelism")
                );
                FieldError::invalid("spec.completions", spec(new, "completions"), detail)
            })
        }
        "pod-tolerations" => {
            let bare = |toleration: &Value| {
                let mut toleration = toleration.clone();
                if let Some(fields) = toleration.as_object_mut() {
                    fields.remove("tolerationSeconds");
                }
                toleration
            };
            let tolerations = |object: &Value| -> Vec<Value> {
                let list = find(object, &["spec", "tolerations"]).as_array();
                list.into_iter().flatten().map(bare).collect()
            };
            let after = tolerations(new);
            let kept = tolerations(old).iter().all(|toleration| after.contains(toleration));
            let detail = "existing toleration can not be modified except its tolerationSeconds";
            (!kept).then(|| FieldError::forbidden("spec.tolerations", detail))
        }
        "pod-grace" => {
            let path = &["spec", "terminationGracePeriodSeconds"];
            let (before, after) = (find(old, path), find(new, path));
            let allowed = same(before, after) || (before.as_i64().is_some_and(|before| before < 0) && after == 1);
            (!allowed)
                .then(|| FieldError::forbidden("spec", "pod updates may not change terminationGracePeriodSeconds"))
        }
        "crd-stored" => {
            let versions = find(new, &["spec", "versions"]).as_array()?;
            let stored = find(old, &["status", "storedVersions"]).as_array()?;
            let missing = stored
                .iter()
                .find(|name| !versions.iter().any(|version| &version["name"] == *name))?;
            let detail = format!("must appear in spec.versions: {missing}");
            Some(FieldError::invalid("status.storedVersions", missing.clone(), detail))
        }
        _ => None,
    }
}
