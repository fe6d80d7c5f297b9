use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::facts;
use crate::model::{GroupVersionKind, Shape, TypeRef};

fn with_type<R>(gvk: (&str, &str, &str), run: impl FnOnce(TypeRef<'_>) -> R) -> R {
    let gvk = GroupVersionKind {
        group: gvk.0.to_owned(),
        version: gvk.1.to_owned(),
        kind: gvk.2.to_owned(),
    };
    let shape = Shape::Struct(facts::kind(&gvk).unwrap());
    run(TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    })
}

const DEPLOYMENT: (&str, &str, &str) = ("apps", "v1", "Deployment");
const POD: (&str, &str, &str) = ("", "v1", "Pod");

/// What is both JSON and YAML means one thing, and what is only nearly JSON is still YAML.
#[test]
fn flow_mappings_are_read_alike_by_either_way() {
    for text in [
        r#"{"a":1,"a":2,"b":{"c":1,"c":null}}"#,
        r#"{"a":1.0,"b":1e3,"c":-0.5,"d":18446744073709551615,"e":9007199254740993,"f":1.5e300}"#,
        r#"{"a":"\u00e9\n\t\"\\\/","yes":"yes","<<":{"x":1},"null":null,"~":"~"}"#,
        " \n{\"a\": [ ] , \"b\" : { } }\n",
    ] {
        let short = decode_yaml(text.as_bytes()).unwrap();
        let long = parse::read_yaml(text.as_bytes());
        assert_eq!(Ok(short), long, "{text}");
    }
    for (text, expected) in [
        ("{a: yes, b: 010}", json!({"a": true, "b": 8})),
        ("{\"a\": 1,}", json!({"a": 1})),
        ("{\"a\": 1} # one", json!({"a": 1})),
        ("{\"a\": 1}\n---\n{\"a\": 2}\n", json!({"a": 1})),
    ] {
        assert_eq!(decode_yaml(text.as_bytes()).unwrap().value, expected, "{text}");
    }
}

#[test]
fn json_keys_that_stand_twice_are_named() {
    let body = br#"{"a":1,"spec":{"x":1,"x":2,"list":[{"y":1},{"y":1,"y":2}]},"a":3}"#;
    let decoded = decode_json(body).unwrap();
    assert_eq!(
        decoded.value,
        json!({"a": 3, "spec": {"x": 2, "list": [{"y": 1}, {"y": 2}]}})
    );
    assert_eq!(decoded.duplicates, ["spec.x", "spec.list[1].y", "a"]);
}

#[test]
fn json_is_strict_and_bounded() {
    for body in ["", "{", "{'a':1}", "{\"a\":1} x", "{\"a\":NaN}"] {
        assert!(
            matches!(decode_json(body.as_bytes()), Err(DecodeError::Json(_))),
            "{body}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(decode_json(deep.as_bytes()).is_err());
    let deep = format!("{}1{}", "[".repeat(125), "]".repeat(125));
    assert_eq!(decode_json(deep.as_bytes()), Err(DecodeError::TooDeep));
}

#[test]
fn yaml_follows_the_old_rules() {
    let body =
        "a: yes\nb: \"yes\"\nc: 0644\nd: 1e3\ne: 1.5\nf: ~\ng: off\nh: 2020-01-01\ni: [1, two]\n1: x\nj: |\n  text\n";
    let decoded = decode_yaml(body.as_bytes()).unwrap();
    let expected = json!({"a": true, "b": "yes", "c": 420, "d": 1000, "e": 1.5, "f": null, "g": false,
        "h": "2020-01-01", "i": [1, "two"], "1": "x", "j": "text\n"});
    assert_eq!(decoded.value, expected);
    assert_eq!(decode_yaml(b"a: 1\na: 2\n").unwrap().duplicates, ["a"]);
    assert_eq!(decode_yaml(b"{\"a\": [1]}").unwrap().value, json!({"a": [1]}));
    assert!(decode_yaml(b"a: [").is_err());
}

/// As the YAML 1.1 library of Kubernetes reads it.
#[test]
fn yaml_1_1_is_pinned() {
    for (text, expected) in [
        ("y", json!(true)),
        ("Yes", json!(true)),
        ("on", json!(true)),
        ("True", json!(true)),
        ("n", json!(false)),
        ("NO", json!(false)),
        ("Off", json!(false)),
        ("'on'", json!("on")),
        ("~", Value::Null),
        ("Null", Value::Null),
        ("", Value::Null),
        ("0644", json!(420)),
        ("-010", json!(-8)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("08", json!(8)),
        ("1_000", json!(1000)),
        ("+1", json!(1)),
        ("1.0", json!(1)),
        ("5.", json!(5)),
        (".5", json!(0.5)),
        ("1e3", json!(1000)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616_f64)),
        ("12:30:45", json!("12:30:45")),
        ("190:20:30", json!("190:20:30")),
        ("2020-01-01", json!("2020-01-01")),
        ("2020-01-01T00:00:00Z", json!("2020-01-01T00:00:00Z")),
        ("1.5Gi", json!("1.5Gi")),
        ("100m", json!("100m")),
        ("1.2.3", json!("1.2.3")),
        ("inf", json!("inf")),
        ("!!str 123", json!("123")),
        ("!!int '3'", json!(3)),
        ("!!binary YWJj", json!("abc")),
        ("\"\\u00e9\"", json!("é")),
    ] {
        let body = format!("a: {text}\n");
        assert_eq!(
            decode_yaml(body.as_bytes()).unwrap().value,
            json!({"a": expected}),
            "{text}"
        );
    }
    for (key, expected) in [
        ("1", "1"),
        ("010", "8"),
        ("1.5", "1.5"),
        ("yes", "true"),
        ("y", "true"),
        ("off", "false"),
        ("'yes'", "yes"),
        ("a b", "a b"),
    ] {
        let body = format!("{key}: x\n");
        assert_eq!(
            decode_yaml(body.as_bytes()).unwrap().value,
            json!({expected: "x"}),
            "{key}"
        );
    }
    for text in [
        "a: .inf",
        "a: .nan",
        "~: x",
        "? [a]\n: x",
        "a: *nope",
        "a: &x [*x]",
        "a:\n\t- b",
    ] {
        assert!(decode_yaml(text.as_bytes()).is_err(), "{text}");
    }
    let documents = b"---\na: 1\n---\nb: [\n";
    assert_eq!(decode_yaml(documents).unwrap().value, json!({"a": 1}));
}

#[test]
fn yaml_aliases_do_not_explode() {
    let mut body = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        body += &["a", &level.to_string(), ": &a", &level.to_string(), " [", &refs, "]\n"].concat();
    }
    assert!(decode_yaml(body.as_bytes()).is_err());
    assert_eq!(
        decode_yaml(b"a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 2\n")
            .unwrap()
            .value["d"],
        json!({"b": 1, "e": 2})
    );
}

#[test]
fn unknown_fields_are_named_and_pruned() {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "colour": 1, "metadata": {"name": "p", "labels": {"any": "x"}},
        "spec": {"containers": [{"name": "a"}, {"name": "b", "images": "x", "ports": [{"containerport": 1}]}], "foo": {"bar": 1},
        "volumes": [{"name": "v", "configMap": {"name": "c", "bad": 1}}]}});
    with_type(POD, |place| {
        let unknown = unknown_fields(place, &pod);
        assert_eq!(
            unknown,
            [
                "colour",
                "spec.containers[1].images",
                "spec.containers[1].ports[0].containerport",
                "spec.foo",
                "spec.volumes[0].configMap.bad"
            ]
        );
        prune(place, &mut pod);
        assert_eq!(unknown_fields(place, &pod), Vec::<String>::new());
    });
    assert_eq!(pod["spec"]["containers"][1], json!({"name": "b", "ports": [{}]}));
    assert_eq!(pod["kind"], "Pod");
}

fn normal(gvk: (&str, &str, &str), mut value: Value) -> Result<Value, String> {
    with_type(gvk, |place| normalize(place, &mut value)).map_err(|error| error.status(gvk.1, gvk.2).message)?;
    Ok(value)
}

#[test]
fn the_canonical_form_is_that_of_stock_servers() {
    let value = normal(
        DEPLOYMENT,
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "unknown": 1,
            "metadata": {"name": "d", "creationTimestamp": null, "labels": {}, "generation": 0},
            "spec": {"replicas": 0, "paused": false, "minReadySeconds": 0, "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                    {"name": "c", "image": "", "command": [], "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                     "securityContext": {}}], "nodeName": null}}}}),
    );
    let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "d"},
        "spec": {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "strategy": {},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
                {"name": "c", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}, "securityContext": {}}]}}},
        "status": {}});
    assert_eq!(value.unwrap(), expected);
}

#[test]
fn empty_objects_get_what_is_always_written() {
    assert_eq!(
        normal(DEPLOYMENT, json!({})).unwrap(),
        json!({"metadata": {}, "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}}, "status": {}})
    );
    assert_eq!(
        normal(("rbac.authorization.k8s.io", "v1", "Role"), json!({})).unwrap(),
        json!({"metadata": {}, "rules": null})
    );
    assert_eq!(
        normal(("", "v1", "ConfigMap"), json!({"data": {"a": null}})).unwrap(),
        json!({"metadata": {}, "data": {"a": ""}})
    );
}

#[test]
fn wrong_types_are_refused_in_the_words_of_the_decoder() {
    for (value, message) in [
        (
            json!({"spec": {"replicas": "3"}}),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field \
             DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": {"replicas": 1.5}}),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number 1.5 into Go struct field \
             DeploymentSpec.spec.replicas of type int32",
        ),
        (
            json!({"spec": {"template": {"spec": {"containers": [{"name": 5}]}}}}),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal number into Go struct field \
             Container.spec.template.spec.containers.name of type string",
        ),
        (
            json!({"spec": {"template": {"spec": {"containers": {}}}}}),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal object into Go struct field \
             PodSpec.spec.template.spec.containers of type []v1.Container",
        ),
        (
            json!([]),
            "Deployment in version \"v1\" cannot be handled as a Deployment: json: cannot unmarshal array into Go value of type \
             v1.Deployment",
        ),
    ] {
        assert_eq!(normal(DEPLOYMENT, value).unwrap_err(), message);
    }
    assert!(
        normal(
            POD,
            json!({"spec": {"containers": [{"resources": {"limits": {"cpu": "x"}}}]}})
        )
        .is_err()
    );
    assert!(normal(POD, json!({"metadata": {"creationTimestamp": "yesterday"}})).is_err());
    assert!(normal(("", "v1", "Secret"), json!({"data": {"a": "%%"}})).is_err());
    assert!(
        normal(
            POD,
            json!({"spec": {"activeDeadlineSeconds": 9_223_372_036_854_775_808_u64}})
        )
        .is_err()
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        "[a-z]{0,4}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        "[a-z]{1,3}",
        prop::sample::select(vec![
            "metadata",
            "spec",
            "containers",
            "labels",
            "template",
            "ports",
            "name",
            "volumes",
            "resources",
            "status"
        ])
        .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_json(&body);
        let _ = decode_yaml(&body);
    }

    #[test]
    fn text_never_panics(body in "[\\[\\]{}:,\"&*!a-c0-9 \\n-]{0,80}") {
        let _ = decode_json(body.as_bytes());
        let _ = decode_yaml(body.as_bytes());
    }

    #[test]
    fn what_is_written_is_read_back(value in any_json()) {
        prop_assert_eq!(decode_json(value.to_string().as_bytes()).unwrap().value, value);
    }

    #[test]
    fn json_is_the_yaml_that_it_is(value in any_json(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value).unwrap() } else { value.to_string() };
        let short = decode_yaml(text.as_bytes()).unwrap();
        prop_assert_eq!(short, parse::read_yaml(text.as_bytes()).unwrap());
    }

    #[test]
    fn the_canonical_form_has_no_unknown_fields_and_is_stable(value in any_json()) {
        if let Ok(once) = normal(DEPLOYMENT, value) {
            with_type(DEPLOYMENT, |place| assert!(unknown_fields(place, &once).is_empty()));
            prop_assert_eq!(normal(DEPLOYMENT, once.clone()).unwrap(), once);
        }
    }
}
