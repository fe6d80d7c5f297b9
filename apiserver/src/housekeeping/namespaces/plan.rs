//! What the status of a namespace says while it goes. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

/// What is left in a namespace, and what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remains {
    /// Resource → how many objects.
    pub(super) objects: BTreeMap<String, usize>,
    /// Finalizer → on how many of them.
    pub(super) finalizers: BTreeMap<String, usize>,
    /// Why objects could not be deleted.
    pub(super) failures: Vec<String>,
}

impl Remains {
    /// Nothing stands in the way of the namespace's end.
    pub(super) fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.failures.is_empty()
    }
}

/// The status after a round: the conditions that the namespace has, with those of its deletion brought up to date. `None`
/// when nothing changes.
pub(super) fn status(current: &Value, remains: &Remains, now: Timestamp) -> Option<Value> {
    let mut conditions = current["conditions"].as_array().cloned().unwrap_or_default();
    let mut changed = current["phase"] != "Terminating";
    for wanted in conditions_of(remains) {
        let place = conditions.iter_mut().find(|own| own["type"] == wanted["type"]);
        let same = |own: &Value| {
            ["status", "reason", "message"]
                .iter()
                .all(|field| own[field] == wanted[field])
        };
        match place {
            Some(own) if same(own) => {}
            Some(own) => {
                let since = if own["status"] == wanted["status"] {
                    own["lastTransitionTime"].clone()
                } else {
                    time(now)
                };
                *own = wanted;
                own["lastTransitionTime"] = since;
                changed = true;
            }
            None => {
                let mut own = wanted;
                own["lastTransitionTime"] = time(now);
                conditions.push(own);
                changed = true;
            }
        }
    }
    changed.then(|| json!({"phase": "Terminating", "conditions": conditions}))
}

fn time(now: Timestamp) -> Value {
    json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

fn conditions_of(remains: &Remains) -> Vec<Value> {
    let condition = |kind: &str, problem: bool, reasons: [&str; 2], messages: [String; 2]| {
        let index = usize::from(problem);
        let [fine, bad] = messages;
        json!({
            "type": kind,
            "status": if problem { "True" } else { "False" },
            "reason": reasons[index],
            "message": if problem { bad } else { fine },
        })
    };
    let counted = |counts: &BTreeMap<String, usize>| {
        counts
            .iter()
            .map(|(name, count)| format!("{name} ({count})"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    vec![
        condition(
            "NamespaceDeletionDiscoveryFailure",
            false,
            ["ResourcesDiscovered", "DiscoveryFailed"],
            ["every served resource is known".to_owned(), String::new()],
        ),
        condition(
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            ["ParsedGroupVersions", "GroupVersionParsingFailed"],
            ["every group-version could be read".to_owned(), String::new()],
        ),
        condition(
            "NamespaceDeletionContentFailure",
            !remains.failures.is_empty(),
            ["ContentDeleted", "ContentDeletionFailed"],
            ["every object was asked to go".to_owned(), remains.failures.join("; ")],
        ),
        condition(
            "NamespaceContentRemaining",
            !remains.objects.is_empty(),
            ["ContentRemoved", "SomeResourcesRemain"],
            [
                "no object is left".to_owned(),
                format!("objects are left: {}", counted(&remains.objects)),
            ],
        ),
        condition(
            "NamespaceFinalizersRemaining",
            !remains.finalizers.is_empty(),
            ["ContentHasNoFinalizers", "SomeFinalizersRemain"],
            [
                "no finalizer holds an object".to_owned(),
                format!("finalizers hold objects: {}", counted(&remains.finalizers)),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn conditions_say_what_is_left_and_keep_their_time() {
        let first = now("2026-01-01T00:00:00Z");
        let held = Remains {
            objects: BTreeMap::from([("configmaps".to_owned(), 2)]),
            finalizers: BTreeMap::from([("example.com/hold".to_owned(), 2)]),
            failures: Vec::new(),
        };
        let status_first = status(&json!({"phase": "Active"}), &held, first).unwrap();
        assert_eq!(status_first["phase"], "Terminating");
        let of = |status: &Value, kind: &str| {
            status["conditions"]
                .as_array()
                .unwrap()
                .iter()
                .find(|own| own["type"] == kind)
                .unwrap()
                .clone()
        };
        let remaining = of(&status_first, "NamespaceContentRemaining");
        assert_eq!(
            (&remaining["status"], &remaining["reason"]),
            (&json!("True"), &json!("SomeResourcesRemain"))
        );
        assert_eq!(remaining["message"], "objects are left: configmaps (2)");
        assert_eq!(
            of(&status_first, "NamespaceFinalizersRemaining")["message"],
            "finalizers hold objects: example.com/hold (2)"
        );
        assert_eq!(of(&status_first, "NamespaceDeletionContentFailure")["status"], "False");

        let later = now("2026-01-01T01:00:00Z");
        assert_eq!(
            status(&status_first, &held, later),
            None,
            "nothing new, nothing to write"
        );

        let mut fewer = held.clone();
        fewer.objects.insert("configmaps".to_owned(), 1);
        let status_second = status(&status_first, &fewer, later).unwrap();
        let remaining = of(&status_second, "NamespaceContentRemaining");
        assert_eq!(remaining["message"], "objects are left: configmaps (1)");
        assert_eq!(
            remaining["lastTransitionTime"], "2026-01-01T00:00:00Z",
            "the status is as it was"
        );

        let gone = status(&status_second, &Remains::default(), later).unwrap();
        assert_eq!(
            of(&gone, "NamespaceContentRemaining")["lastTransitionTime"],
            "2026-01-01T01:00:00Z"
        );
    }
}
