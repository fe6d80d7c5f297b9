#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of JSON read better without borrows"
)]

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::facts::builtin_types;
use crate::model::Shape;

fn strategic(kind: &str, current: Value, patch: Value) -> Result<Value, Status> {
    let types = builtin_types();
    let shape = Shape::Struct(types.find(kind).unwrap());
    super::strategic::apply(TypeRef { types, shape: &shape }, current, patch)
}

/// Patches a value of a built-in type and prints the result, or the error.
#[track_caller]
fn check(kind: &str, current: Value, patch: Value, expected: Expect) {
    expected.assert_eq(&match strategic(kind, current, patch) {
        Ok(value) => value.to_string(),
        Err(status) => format!("{}: {}", status.code, status.message),
    });
}

#[test]
fn env_lists_merge_by_name_in_the_senders_order() {
    let current =
        json!({"name": "c", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "S"}]});
    check(
        "core.v1.Container",
        current.clone(),
        json!({
            "$setElementOrder/env": [{"name": "C"}, {"name": "B"}],
            "env": [{"name": "C", "value": "3"}, {"$patch": "delete", "name": "A"}],
        }),
        expect![[r#"{"env":[{"name":"C","value":"3"},{"name":"B","value":"2"},{"name":"S"}],"name":"c"}"#]],
    );
    // Without an order the new element goes last.
    check(
        "core.v1.Container",
        current.clone(),
        json!({"env": [{"name": "N", "value": "x"}, {"name": "A", "value": null}]}),
        expect![[
            r#"{"env":[{"name":"N","value":"x"},{"name":"A"},{"name":"B","value":"2"},{"name":"S"}],"name":"c"}"#
        ]],
    );
    // Only the order changes.
    check(
        "core.v1.Container",
        current.clone(),
        json!({"$setElementOrder/env": [{"name": "B"}, {"name": "A"}]}),
        expect![[r#"{"env":[{"name":"B","value":"2"},{"name":"A","value":"1"},{"name":"S"}],"name":"c"}"#]],
    );
    check(
        "core.v1.Container",
        current.clone(),
        json!({"$setElementOrder/env": [{"name": "B"}], "env": [{"name": "A", "value": "9"}]}),
        expect![[r"
            400: The order in patch list:
            [map[name:A value:9]]
             doesn't match $setElementOrder list:
            [map[name:B]]
        "]],
    );
    check(
        "core.v1.Container",
        current.clone(),
        json!({"env": [{"value": "9"}]}),
        expect!["400: map: map[value:9] does not contain declared merge key: name"],
    );
    check(
        "core.v1.Container",
        current,
        json!({"env": [{"$patch": "replace"}, {"name": "Z"}]}),
        expect![[r#"{"env":[{"name":"Z"}],"name":"c"}"#]],
    );
}

#[test]
fn containers_are_added_changed_and_removed() {
    let current = json!({"containers": [{"name": "web", "image": "a"}, {"name": "side", "image": "s"}]});
    check(
        "core.v1.PodSpec",
        current.clone(),
        json!({
            "$setElementOrder/containers": [{"name": "web"}],
            "containers": [{"name": "web", "image": "b"}, {"$patch": "delete", "name": "side"}],
        }),
        expect![[r#"{"containers":[{"image":"b","name":"web"}]}"#]],
    );
    check(
        "core.v1.PodSpec",
        current,
        json!({
            "$setElementOrder/containers": [{"name": "init"}, {"name": "web"}, {"name": "side"}],
            "containers": [{
                "name": "init", "image": "i", "stdin": null,
                "$setElementOrder/env": [{"name": "A"}],
                "env": [{"name": "A"}],
            }],
        }),
        expect![[
            r#"{"containers":[{"env":[{"name":"A"}],"image":"i","name":"init"},{"image":"a","name":"web"},{"image":"s","name":"side"}]}"#
        ]],
    );
}

#[test]
fn ports_of_one_number_are_one_to_the_merge_key() {
    // The merge key of a Service port is its number alone, so the second protocol cannot be addressed.
    check(
        "core.v1.ServiceSpec",
        json!({"ports": [{"port": 53, "protocol": "UDP", "name": "dns"}, {"port": 53, "protocol": "TCP", "name": "dns-tcp"}]}),
        json!({
            "$setElementOrder/ports": [{"port": 53}, {"port": 53}],
            "ports": [{"port": 53, "targetPort": 5353}],
        }),
        expect![[
            r#"{"ports":[{"name":"dns","port":53,"protocol":"UDP","targetPort":5353},{"name":"dns-tcp","port":53,"protocol":"TCP"}]}"#
        ]],
    );
}

#[test]
fn retained_keys_drop_the_rest() {
    check(
        "core.v1.PodSpec",
        json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "secret": {"secretName": "s"}}]}),
        json!({
            "$setElementOrder/volumes": [{"name": "v"}, {"name": "w"}],
            "volumes": [{"$retainKeys": ["configMap", "name"], "configMap": {"name": "m"}, "emptyDir": null, "name": "v"}],
        }),
        expect![[r#"{"volumes":[{"configMap":{"name":"m"},"name":"v"},{"name":"w","secret":{"secretName":"s"}}]}"#]],
    );
    check(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}),
        json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}),
        expect![[r#"{"strategy":{"type":"Recreate"}}"#]],
    );
    check(
        "apps.v1.DeploymentSpec",
        json!({"strategy": {"type": "RollingUpdate"}}),
        json!({"strategy": {"$retainKeys": [], "type": "Recreate"}}),
        expect!["400: invalid patch format of retainKeys"],
    );
}

#[test]
fn metadata_lists_merge() {
    check(
        "apps.v1.Deployment",
        json!({"metadata": {"finalizers": ["a", "b"], "ownerReferences": [{"uid": "1", "name": "x"}]}}),
        json!({"metadata": {
            "$deleteFromPrimitiveList/finalizers": ["a"],
            "finalizers": ["c", "b"],
            "ownerReferences": [{"uid": "1", "controller": true}, {"uid": "2", "name": "y"}],
        }}),
        expect![[
            r#"{"metadata":{"finalizers":["c","b"],"ownerReferences":[{"controller":true,"name":"x","uid":"1"},{"name":"y","uid":"2"}]}}"#
        ]],
    );
    check(
        "apps.v1.Deployment",
        json!({"metadata": {"ownerReferences": [{"uid": "1"}, {"uid": "2"}]}}),
        json!({"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "1"}]}}),
        expect![[r#"{"metadata":{"ownerReferences":[{"uid":"2"}]}}"#]],
    );
    check(
        "apps.v1.Deployment",
        json!({"metadata": {"labels": {"a": "1", "b": "2"}}}),
        json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}, "annotations": null}}),
        expect![[r#"{"metadata":{"labels":{"c":"3"}}}"#]],
    );
    check(
        "apps.v1.Deployment",
        json!({"metadata": {"labels": {"a": "1"}}}),
        json!({"metadata": {"labels": {"$patch": "destroy"}}}),
        expect!["400: unknown patch type: destroy in map: map[$patch:destroy]"],
    );
}

#[test]
fn lists_without_a_strategy_are_replaced() {
    check(
        "core.v1.PodSpec",
        json!({"tolerations": [{"key": "a"}, {"key": "b"}], "nodeSelector": {"x": "1", "y": "2"}}),
        json!({"tolerations": [{"key": "c", "value": null}], "nodeSelector": {"x": null, "z": "3"}}),
        expect![[r#"{"nodeSelector":{"y":"2","z":"3"},"tolerations":[{"key":"c"}]}"#]],
    );
}

#[test]
fn free_form_content_keeps_what_looks_like_directives() {
    check(
        "apps.v1.ControllerRevision",
        json!({"revision": 1}),
        json!({"data": {"spec": {"template": {"$patch": "replace", "spec": null}}}}),
        expect![[r#"{"data":{"spec":{"template":{"$patch":"replace"}}},"revision":1}"#]],
    );
}

#[test]
fn a_selector_that_replaces_does_not_merge() {
    check(
        "policy.v1.PodDisruptionBudgetSpec",
        json!({"selector": {"matchLabels": {"a": "1"}}}),
        json!({"selector": {"matchLabels": {"b": "2"}}}),
        expect![[r#"{"selector":{"matchLabels":{"b":"2"}}}"#]],
    );
}

#[track_caller]
fn check_json(current: Value, patch: &Value, expected: Expect) {
    let done = json::parse(patch.to_string().as_bytes()).and_then(|patch| json::apply(current, &patch));
    expected.assert_eq(&match done {
        Ok(value) => value.to_string(),
        Err(status) => format!("{}: {}", status.code, status.message),
    });
}

#[test]
fn json_patches() {
    let current = json!({"metadata": {"labels": {"a/b": "1"}}, "list": [1, 2]});
    check_json(
        current.clone(),
        &json!([
            {"op": "test", "path": "/metadata/labels/a~1b", "value": "1"},
            {"op": "test", "path": "/metadata/annotations", "value": null},
            {"op": "add", "path": "/list/-", "value": 3},
            {"op": "replace", "path": "/list/0", "value": 0},
            {"op": "remove", "path": "/list/1"},
            {"op": "move", "from": "/metadata/labels", "path": "/moved"},
        ]),
        expect![[r#"{"list":[0,3],"metadata":{},"moved":{"a/b":"1"}}"#]],
    );
    check_json(
        current.clone(),
        &json!([{"op": "test", "path": "/list/0", "value": 5}]),
        expect![[
            r#"422: the server rejected our request due to an error in our request: test operation 0 failed at path "/list/0": value did not match"#
        ]],
    );
    check_json(
        current.clone(),
        &json!([{"op": "remove", "path": "/spec"}]),
        expect![[
            r#"422: the server rejected our request due to an error in our request: remove operation 0 failed at path "/spec": path is invalid"#
        ]],
    );
    check_json(
        current.clone(),
        &json!([{"op": "fly"}]),
        expect![[
            "400: error decoding JSON patch: unknown variant `fly`, expected one of `add`, `remove`, `replace`, `move`, `copy`, `test` at line 1 column 12"
        ]],
    );
    check_json(
        current,
        &Value::from(vec![json!({"op": "remove", "path": "/spec"}); 10_001]),
        expect!["413: Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"],
    );
}

#[test]
fn doubling_copies_are_stopped() {
    let doubling = vec![
        json!({"op": "copy", "from": "", "path": "/x"}),
        json!({"op": "copy", "from": "/x", "path": "/x/y"}),
    ];
    check_json(
        json!({"seed": "x".repeat(1000)}),
        &Value::from(vec![doubling; 50].concat()),
        expect!["413: Request entity too large: copy operations of the JSON patch exceed 3145728 bytes in total"],
    );
}

#[test]
fn merge_patches() {
    let merged = merge::apply(
        json!({"a": {"b": 1, "c": 2}, "l": [1]}),
        &json!({"a": {"b": null}, "l": [2], "n": {"m": null}}),
    );
    assert_eq!(merged, json!({"a": {"c": 2}, "l": [2], "n": {}}));
    assert!(Patch::parse("application/merge-patch+json", b"[]").unwrap().is_err());
    assert!(Patch::parse("text/plain", b"{}").is_none());
}

fn env() -> impl Strategy<Value = Value> {
    let entry = ("[A-D]", prop::option::of("[xy]"));
    prop::collection::btree_map(entry.0, entry.1, 0..4).prop_shuffle_list()
}

/// Turns a map of names into an `env` list in any order.
trait ShuffleList {
    fn prop_shuffle_list(self) -> BoxedStrategy<Value>;
}

impl<S> ShuffleList for S
where
    S: Strategy<Value = std::collections::BTreeMap<String, Option<String>>> + 'static,
{
    fn prop_shuffle_list(self) -> BoxedStrategy<Value> {
        self.prop_map(|map| {
            map.into_iter()
                .map(|(name, value)| value.map_or(json!({"name": name}), |value| json!({"name": name, "value": value})))
                .collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(Value::from)
        .boxed()
    }
}

fn order(list: &Value) -> Value {
    list.as_array()
        .unwrap()
        .iter()
        .map(|entry| json!({"name": entry["name"]}))
        .collect()
}

proptest! {
    #[test]
    fn an_empty_patch_changes_nothing(env in env()) {
        let current = json!({"name": "c", "env": env});
        prop_assert_eq!(strategic("core.v1.Container", current.clone(), json!({})).unwrap(), current);
    }

    #[test]
    fn patching_twice_is_patching_once(current in env(), patch in env(), ordered: bool) {
        let current = json!({"name": "c", "env": current});
        let mut change = json!({"env": patch, "args": ["a"]});
        if ordered {
            change["$setElementOrder/env"] = order(&patch);
        }
        let once = strategic("core.v1.Container", current, change.clone()).unwrap();
        let twice = strategic("core.v1.Container", once.clone(), change).unwrap();
        prop_assert_eq!(once, twice);
    }

    /// Every element of the patch arrives, in the order that the patch gives.
    #[test]
    fn the_senders_order_holds(current in env(), patch in env()) {
        let change = json!({"env": patch, "$setElementOrder/env": order(&patch)});
        let done = strategic("core.v1.Container", json!({"env": current}), change).unwrap();
        let wanted = order(&patch);
        let wanted = wanted.as_array().unwrap();
        let found = order(&done["env"]);
        let found: Vec<&Value> = found.as_array().unwrap().iter().filter(|entry| wanted.contains(entry)).collect();
        prop_assert_eq!(found, wanted.iter().collect::<Vec<_>>());
    }
}

/// What kubectl sends to get from what it applied last to what it wants: nulls and deletions for what is gone, elements for
/// what is new or different, and the order of the whole.
fn three_way(original: &Value, target: &Value) -> Value {
    let mut patch = serde_json::Map::new();
    let names = |list: &Value| -> Vec<Value> { list.as_array().into_iter().flatten().cloned().collect() };
    let of = |list: &[Value], name: &Value| list.iter().find(|entry| entry["name"] == *name).cloned();
    let (before, after) = (names(&original["env"]), names(&target["env"]));
    let mut changes: Vec<Value> = Vec::new();
    for entry in &after {
        match of(&before, &entry["name"]) {
            Some(old) if old == *entry => {}
            Some(old) if !old["value"].is_null() && entry["value"].is_null() => {
                changes.push(json!({"name": entry["name"], "value": null}));
            }
            _ => changes.push(entry.clone()),
        }
    }
    for entry in &before {
        if of(&after, &entry["name"]).is_none() {
            changes.push(json!({"$patch": "delete", "name": entry["name"]}));
        }
    }
    if !changes.is_empty() || before != after {
        patch.insert("$setElementOrder/env".to_owned(), order(&target["env"]));
    }
    if !changes.is_empty() {
        patch.insert("env".to_owned(), changes.into());
    }
    let fields = |value: &Value| value["labels"].as_object().cloned().unwrap_or_default();
    let (before, after) = (fields(original), fields(target));
    let mut labels: serde_json::Map<String, Value> = after.clone();
    labels.retain(|key, value| before.get(key) != Some(value));
    labels.extend(
        before
            .into_iter()
            .filter(|(key, _)| !after.contains_key(key))
            .map(|(key, _)| (key, Value::Null)),
    );
    if !labels.is_empty() {
        patch.insert("labels".to_owned(), labels.into());
    }
    patch.into()
}

/// A patch of a container and of its pod's labels, applied where each belongs.
fn apply_both(mut live: Value, mut patch: Value) -> Value {
    let labels = patch.as_object_mut().unwrap().remove("labels");
    let meta = json!({"labels": live["labels"].take()});
    let meta = strategic(
        "meta.v1.ObjectMeta",
        meta,
        labels.map_or(json!({}), |labels| json!({"labels": labels})),
    );
    let env = json!({"env": live["env"].take()});
    let done = strategic("core.v1.Container", env, patch).unwrap();
    json!({"env": done["env"], "labels": meta.unwrap()["labels"]})
}

fn labels() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", "[xy]", 0..4).prop_map(|labels| json!(labels))
}

proptest! {
    /// Over what was applied last, and over that with additions of others, the difference leads to what is wanted; the
    /// additions stay.
    #[test]
    fn a_three_way_difference_reaches_its_target(
        (old_env, new_env) in (env(), env()),
        (old_labels, new_labels) in (labels(), labels()),
        place in 0..4usize,
    ) {
        let original = json!({"env": old_env, "labels": old_labels});
        let target = json!({"env": new_env, "labels": new_labels});
        let patch = three_way(&original, &target);
        let list = |value: &Value| value["env"].as_array().cloned().unwrap_or_default();
        let done = apply_both(original.clone(), patch.clone());
        prop_assert_eq!(list(&done), list(&target));
        prop_assert_eq!(&done["labels"], &target["labels"]);

        let mut live = original;
        let added = json!({"name": "Z", "value": "server"});
        let entries = live["env"].as_array_mut().unwrap();
        entries.insert(place.min(entries.len()), added.clone());
        live["labels"]["z"] = json!("server");
        let done = apply_both(live, patch);
        let (mine, others): (Vec<Value>, Vec<Value>) = list(&done).into_iter().partition(|entry| entry["name"] != "Z");
        prop_assert_eq!(mine, list(&target));
        prop_assert_eq!(others, vec![added]);
        let mut wanted = target["labels"].clone();
        wanted["z"] = json!("server");
        prop_assert_eq!(&done["labels"], &wanted);
    }
}

#[test]
fn directives_that_kubernetes_refuses() {
    for (patch, expected) in [
        (
            json!({"env": [{"$patch": "merge", "name": "A"}]}),
            "merging lists cannot yet be specified in the patch",
        ),
        (
            json!({"resources": {"$patch": "merge"}}),
            "unknown patch type: merge in map: map[$patch:merge]",
        ),
        (
            json!({"env": [{"$patch": "x", "name": "A"}]}),
            "unknown patch type: x in map: map[$patch:x name:A]",
        ),
        (
            json!({"$setElementOrder/env": [{"name": "A"}], "env": [{"name": "Z", "value": "1"}]}),
            "The order in patch list:\n[map[name:Z value:1]]\n doesn't match $setElementOrder list:\n[map[name:A]]\n",
        ),
    ] {
        let current = json!({"env": [{"name": "A", "value": "1"}], "resources": {"limits": {}}});
        let refused = strategic("core.v1.Container", current, patch).unwrap_err();
        assert_eq!((refused.code, refused.message.as_str()), (400, expected));
    }
}
