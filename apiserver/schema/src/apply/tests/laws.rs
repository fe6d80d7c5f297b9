//! What holds for any object: applying again changes nothing, appliers of different fields do not notice each other.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{show, take_managed, try_apply, updated, writer};

/// A widget whose fields all come from one alphabet, so that two widgets can be made to share nothing.
fn widget(letters: &'static str) -> impl Strategy<Value = Value> {
    let name = prop::sample::select(letters.chars().map(String::from).collect::<Vec<_>>());
    let parts = prop::collection::btree_map(name.clone(), prop::option::of(0..3i64), 0..3);
    let colors = prop::collection::btree_set(name.clone(), 0..3);
    let labels = prop::collection::btree_map(name.clone(), "[xy]", 0..3);
    let free = prop::collection::btree_map(name, prop_oneof![Just(json!(1)), Just(json!({"a": [1]}))], 0..3);
    (parts, colors, labels, free).prop_map(|(parts, colors, labels, free)| {
        let mut spec = Map::new();
        let parts: Vec<Value> = parts
            .into_iter()
            .map(|(name, size)| size.map_or(json!({"name": name}), |size| json!({"name": name, "size": size})))
            .collect();
        for (key, value) in [
            ("parts", json!(parts)),
            ("colors", json!(colors)),
            ("labels", json!(labels)),
            ("free", json!(free)),
        ] {
            if value.as_array().is_some_and(|list| !list.is_empty())
                || value.as_object().is_some_and(|map| !map.is_empty())
            {
                spec.insert(key.to_owned(), value);
            }
        }
        json!({"metadata": {"name": "w"}, "spec": spec})
    })
}

/// The object without owners, and with lists as sets: who comes first may decide an order.
fn content(object: &Value) -> Value {
    let mut object = object.clone();
    take_managed(&mut object);
    for list in ["/spec/parts", "/spec/colors"] {
        if let Some(Value::Array(list)) = object.pointer_mut(list) {
            list.sort_by_key(ToString::to_string);
        }
    }
    object
}

fn apply(live: Option<&Value>, config: &Value, manager: &str, second: i64) -> Value {
    try_apply("Widget", live, config.clone(), writer(manager, second), true).unwrap()
}

proptest! {
    #[test]
    fn applying_again_changes_nothing(first in widget("abc"), config in widget("abc")) {
        let live = apply(None, &first, "one", 1);
        let once = apply(Some(&live), &config, "two", 2);
        prop_assert_eq!(&apply(Some(&once), &config, "two", 3), &once);
    }

    /// The only applier gets exactly what it asks for, whatever it asked for before.
    #[test]
    fn a_lone_applier_rules(first in widget("abc"), then in widget("abc")) {
        let live = apply(None, &first, "one", 1);
        let done = apply(Some(&live), &then, "one", 2);
        let fresh = apply(None, &then, "one", 2);
        prop_assert_eq!(content(&done), content(&fresh));
    }

    #[test]
    fn appliers_of_different_fields_commute(left in widget("abc"), right in widget("xyz")) {
        let one = apply(Some(&apply(None, &left, "l", 1)), &right, "r", 1);
        let two = apply(Some(&apply(None, &right, "r", 1)), &left, "l", 1);
        prop_assert_eq!(content(&one), content(&two));
        prop_assert_eq!(one.pointer("/metadata/managedFields"), two.pointer("/metadata/managedFields"));
    }

    /// A field that is not applied any more goes, when nobody else owns it, and its owner's entry does not name it. What an
    /// update wrote beside it stays.
    #[test]
    fn dropping_a_field_releases_it(config in widget("abc"), free in "[xyz]", which in 0..4usize) {
        let kinds = ["parts", "colors", "labels", "free"];
        let dropped = kinds[which];
        prop_assume!(config["spec"].get(dropped).is_some());
        let live = apply(None, &config, "one", 1);
        let mut beside = live.clone();
        beside["metadata"]["labels"] = json!({free.as_str(): "1"});
        let live = updated("Widget", Some(&live), beside, writer("other", 2));
        let mut less = config.clone();
        less["spec"].as_object_mut().unwrap().remove(dropped);
        let done = apply(Some(&live), &less, "one", 3);
        prop_assert!(done["spec"].get(dropped).is_none());
        prop_assert_eq!(done.pointer("/metadata/labels"), live.pointer("/metadata/labels"));
        let owners = done["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let own = owners.iter().find(|entry| entry["manager"] == "one");
        let path = format!("/fieldsV1/f:spec/f:{dropped}");
        prop_assert!(own.is_none_or(|own| own.pointer(&path).is_none()));
    }

    /// What one applier adds beside another and gives up again leaves no trace.
    #[test]
    fn giving_up_restores(left in widget("abc"), right in widget("xyz")) {
        let one = apply(None, &left, "l", 1);
        let both = apply(Some(&one), &right, "r", 2);
        let back = apply(Some(&both), &json!({"metadata": {"name": "w"}}), "r", 3);
        prop_assert_eq!(content(&back), content(&one));
        prop_assert_eq!(back.pointer("/metadata/managedFields"), one.pointer("/metadata/managedFields"));
    }

    #[test]
    fn equal_values_are_shared(config in widget("abc")) {
        let one = apply(None, &config, "l", 1);
        let both = try_apply("Widget", Some(&one), config.clone(), writer("r", 2), false);
        prop_assert!(both.is_ok());
        let left = apply(Some(&both.unwrap()), &json!({"metadata": {"name": "w"}}), "l", 3);
        prop_assert_eq!(content(&left), content(&one));
    }

    /// After an update, what the updater changed is its own, and its own alone.
    #[test]
    fn updates_own_what_they_change(old in widget("abc"), new in widget("abc")) {
        let old = updated("Widget", None, old, writer("o", 1));
        prop_assume!(old.pointer("/metadata/managedFields").is_some());
        let done = updated("Widget", Some(&old), new.clone(), writer("n", 2));
        prop_assert_eq!(content(&done), content(&new));
        let again = updated("Widget", Some(&done), done.clone(), writer("x", 3));
        prop_assert_eq!(show(&again), show(&done));
        let owners = done.pointer("/metadata/managedFields").and_then(Value::as_array).cloned().unwrap_or_default();
        let sets: Vec<super::FieldSet> =
            owners.iter().map(|entry| super::FieldSet::from_json(&entry["fieldsV1"]).unwrap()).collect();
        if let [one, two] = sets.as_slice() {
            prop_assert!(one.intersection(two).is_empty());
        }
    }
}
