//! What differs between two states: replicas by cluster, and the manifests of a member. Pure.

use std::collections::BTreeMap;

use crds::placement::TargetCluster;
use serde_json::{Map, Value};
use similar::TextDiff;

use super::answer::Move;
use crate::names;

/// Lines around a change.
const AROUND: usize = 3;
/// Manifests beyond this are not compared line by line.
const LONGEST: usize = 256 << 10;

/// The annotation in which kubectl keeps what it applied last.
pub(super) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Labels that the federation writes for itself.
const LABELS: [&str; 6] = [
    names::POLICY_ID,
    names::CLUSTER_POLICY_ID,
    names::BINDING_ID,
    names::CLUSTER_BINDING_ID,
    names::WORK_ID,
    names::MANAGED,
];

/// Annotations that the federation or kubectl write for themselves.
const ANNOTATIONS: [&str; 13] = [
    names::POLICY_NAMESPACE,
    names::POLICY_NAME,
    names::CLUSTER_POLICY_NAME,
    names::BINDING_NAMESPACE,
    names::BINDING_NAME,
    names::CLUSTER_BINDING_NAME,
    names::WORK_NAMESPACE,
    names::WORK_NAME,
    names::TEMPLATE_GENERATION,
    names::TEMPLATE_UID,
    names::MANAGED_LABELS,
    names::MANAGED_ANNOTATIONS,
    LAST_APPLIED,
];

/// Replicas that change place: who has fewer gives to who has more, in the order of names.
pub(super) fn moves(before: &[TargetCluster], after: &[TargetCluster]) -> Vec<Move> {
    let mut change: BTreeMap<&str, i64> = BTreeMap::new();
    for target in after {
        *change.entry(&target.name).or_default() += replicas(target);
    }
    for target in before {
        *change.entry(&target.name).or_default() -= replicas(target);
    }
    let part = |more: bool| {
        let own = change
            .iter()
            .filter(move |(_, change)| if more { 0 < **change } else { **change < 0 });
        own.map(|(name, change)| ((*name).to_owned(), change.abs()))
            .collect::<Vec<_>>()
    };
    let (mut fewer, mut more) = (part(false), part(true));
    let mut moves = Vec::new();
    let (mut give, mut take) = (fewer.iter_mut().peekable(), more.iter_mut().peekable());
    loop {
        let (from, to) = (give.peek_mut(), take.peek_mut());
        let count = match (&from, &to) {
            (Some(from), Some(to)) => from.1.min(to.1),
            (Some(one), None) | (None, Some(one)) => one.1,
            (None, None) => return moves,
        };
        let mut step = Move {
            replicas: count,
            ..Move::default()
        };
        let (mut from_done, mut to_done) = (false, false);
        if let Some(from) = from {
            step.from.clone_from(&from.0);
            from.1 -= count;
            from_done = from.1 == 0;
        }
        if let Some(to) = to {
            step.to.clone_from(&to.0);
            to.1 -= count;
            to_done = to.1 == 0;
        }
        moves.push(step);
        if from_done {
            give.next();
        }
        if to_done {
            take.next();
        }
    }
}

/// Replicas in a cluster, those of components together.
fn replicas(target: &TargetCluster) -> i64 {
    let components = target.components.iter().map(|component| i64::from(component.replicas));
    i64::from(target.replicas) + components.sum::<i64>()
}

/// A manifest without what the federation writes into it for itself.
pub(super) fn bare(mut manifest: Value) -> Value {
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        strip(metadata, "labels", &LABELS);
        strip(metadata, "annotations", &ANNOTATIONS);
    }
    manifest
}

fn strip(metadata: &mut Map<String, Value>, field: &str, keys: &[&str]) {
    let Some(map) = metadata.get_mut(field).and_then(Value::as_object_mut) else {
        return;
    };
    map.retain(|key, _| !keys.contains(&key.as_str()));
    if map.is_empty() {
        metadata.remove(field);
    }
}

/// The difference of two bare manifests as people read it, one of which may be missing; `None` when they are too long to be compared.
pub(super) fn unified(title: &str, before: Option<&Value>, after: Option<&Value>) -> Option<String> {
    let (before, after) = masked(before, after);
    let (before, after) = (yaml(before.as_ref()), yaml(after.as_ref()));
    if LONGEST < before.len() || LONGEST < after.len() {
        return None;
    }
    let difference = TextDiff::from_lines(&before, &after);
    let mut unified = difference.unified_diff();
    unified
        .context_radius(AROUND)
        .header(&format!("{title} now"), &format!("{title} then"));
    Some(unified.to_string())
}

fn yaml(manifest: Option<&Value>) -> String {
    let text = manifest.and_then(|manifest| serde_saphyr::to_string(manifest).ok());
    text.unwrap_or_default()
}

/// Of Secrets nobody is shown more than which keys change.
fn masked(before: Option<&Value>, after: Option<&Value>) -> (Option<Value>, Option<Value>) {
    let is_secret = |manifest: &Value| manifest["apiVersion"] == "v1" && manifest["kind"] == "Secret";
    let (mut left, mut right) = (before.cloned(), after.cloned());
    if !before.is_some_and(is_secret) && !after.is_some_and(is_secret) {
        return (left, right);
    }
    let known = |side: Option<&Value>, field: &str, key: &str| side.and_then(|side| side[field].get(key).cloned());
    for field in ["data", "stringData"] {
        for (side, other, word) in [(&mut left, after, "*** (before)"), (&mut right, before, "*** (after)")] {
            let map = side
                .as_mut()
                .and_then(|side| side.get_mut(field))
                .and_then(Value::as_object_mut);
            for (key, value) in map.into_iter().flatten() {
                let same = known(other, field, key).is_none_or(|other| other == *value);
                *value = if same { "***" } else { word }.into();
            }
        }
    }
    (left, right)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn targets(list: &[(&str, i32)]) -> Vec<TargetCluster> {
        let target = |(name, replicas): &(&str, i32)| TargetCluster {
            name: (*name).to_owned(),
            replicas: *replicas,
            components: Vec::new(),
        };
        list.iter().map(target).collect()
    }

    #[track_caller]
    fn check_moves(before: &[(&str, i32)], after: &[(&str, i32)], expected: &str) {
        let found = moves(&targets(before), &targets(after));
        let found: Vec<String> = found
            .iter()
            .map(|step| format!("{}->{}:{}", step.from, step.to, step.replicas))
            .collect();
        assert_eq!(found.join(" "), expected);
    }

    #[test]
    fn replicas_that_change_place() {
        check_moves(&[], &[], "");
        check_moves(&[("a", 2)], &[("a", 2)], "");
        check_moves(&[("a", 4)], &[("a", 1), ("b", 3)], "a->b:3");
        check_moves(&[("a", 4), ("b", 1)], &[("c", 2), ("d", 3)], "a->c:2 a->d:2 b->d:1");
        check_moves(&[("a", 1)], &[("a", 3)], "->a:2");
        check_moves(&[("a", 3)], &[], "a->:3");
        check_moves(&[("a", 3)], &[("b", 5)], "a->b:3 ->b:2");
        // What has no replicas has none to move.
        check_moves(&[("a", 0)], &[("b", 0)], "");
    }

    #[track_caller]
    fn check_diff(before: Option<Value>, after: Option<Value>, expected: Expect) {
        let (before, after) = (before.map(bare), after.map(bare));
        expected.assert_eq(&unified("eu x", before.as_ref(), after.as_ref()).unwrap());
    }

    #[test]
    fn differences_without_notes_of_the_federation() {
        let map = |value: &str, generation: &str| {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": value},
                "metadata": {"name": "x", "labels": {names::WORK_ID: generation, "app": "x"},
                    "annotations": {names::TEMPLATE_GENERATION: generation}}})
        };
        check_diff(
            Some(map("1", "1")),
            Some(map("2", "2")),
            expect![[r#"
                --- eu x now
                +++ eu x then
                @@ -1,6 +1,6 @@
                 apiVersion: v1
                 data:
                -  a: "1"
                +  a: "2"
                 kind: ConfigMap
                 metadata:
                   labels:
            "#]],
        );
        check_diff(Some(map("1", "1")), Some(map("1", "2")), expect![""]);
    }

    #[test]
    fn secrets_are_masked() {
        let secret =
            |data: Value| json!({"apiVersion": "v1", "kind": "Secret", "data": data, "metadata": {"name": "s"}});
        check_diff(
            Some(secret(json!({"same": "b2xk", "other": "b2xk", "gone": "b2xk"}))),
            Some(secret(json!({"same": "b2xk", "other": "bmV3", "new": "bmV3"}))),
            expect![[r#"
                --- eu x now
                +++ eu x then
                @@ -1,7 +1,7 @@
                 apiVersion: v1
                 data:
                -  gone: "***"
                -  other: "*** (before)"
                +  new: "***"
                +  other: "*** (after)"
                   same: "***"
                 kind: Secret
                 metadata:
            "#]],
        );
        check_diff(
            None,
            Some(secret(json!({"new": "bmV3"}))),
            expect![[r#"
                --- eu x now
                +++ eu x then
                @@ -0,0 +1,6 @@
                +apiVersion: v1
                +data:
                +  new: "***"
                +kind: Secret
                +metadata:
                +  name: s
            "#]],
        );
    }
}
