//! The codec and the algebra of field sets.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::fieldset::FieldSet;

fn parse(json: &Value) -> FieldSet {
    FieldSet::from_json(json).unwrap()
}

#[test]
fn items_are_read_in_any_notation() {
    let loose =
        parse(&json!({"f:ports": {"k:{\"protocol\": \"TCP\", \"port\":80}": {".": {}}, "v: 1": {}, "i:0": {}}}));
    assert_eq!(
        loose.to_json(),
        json!({"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {}, "v:1": {}, "i:0": {}}})
    );
    assert_eq!(
        loose.paths(),
        [".ports[0]", ".ports[port=80,protocol=\"TCP\"]", ".ports[=1]"]
    );
    for wrong in [
        json!([]),
        json!({"x": {}}),
        json!({"k:1": {}}),
        json!({"i:x": {}}),
        json!({"f:a": 1}),
    ] {
        assert!(FieldSet::from_json(&wrong).is_err(), "{wrong}");
    }
}

fn set() -> impl Strategy<Value = FieldSet> {
    let step = prop_oneof![
        "f:[abc]",
        Just("k:{\"name\":\"x\"}".to_owned()),
        "v:[12]",
        Just("i:0".to_owned())
    ];
    let leaf = Just(json!({}));
    let tree = leaf.prop_recursive(3, 12, 3, move |below| {
        let map = prop::collection::btree_map(step.clone(), below, 1..3);
        (map, any::<bool>()).prop_map(|(map, member)| {
            let mut json = json!(map);
            if member {
                json["."] = json!({});
            }
            json
        })
    });
    tree.prop_map(|mut json| {
        json.as_object_mut().unwrap().remove(".");
        parse(&json)
    })
}

proptest! {
    #[test]
    fn codec_round_trips(set in set()) {
        let json = set.to_json();
        prop_assert_eq!(parse(&json), set.clone());
        prop_assert!(set.within_json(&json));
        prop_assert_eq!(set.touches_json(&json), !set.is_empty());
    }

    #[test]
    fn algebra(left in set(), right in set()) {
        let mut union = left.clone();
        union.union(right.clone());
        let both = left.intersection(&right);
        let mut only = left.clone();
        only.subtract(&right);

        prop_assert!(left.within_json(&union.to_json()) && right.within_json(&union.to_json()));
        prop_assert_eq!(&both, &right.intersection(&left));
        prop_assert_eq!(left.touches_json(&right.to_json()), !both.is_empty());
        prop_assert!(only.intersection(&right).is_empty());
        let mut whole = only.clone();
        whole.union(both);
        prop_assert_eq!(&whole, &left);

        let mut without = left.clone();
        without.subtract_below(&right);
        prop_assert!(without.within_json(&only.to_json()));
        prop_assert!(left.paths().iter().all(|path| path.starts_with(['.', '['])));
    }
}
