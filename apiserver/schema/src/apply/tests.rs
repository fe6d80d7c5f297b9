#![allow(
    clippy::needless_pass_by_value,
    reason = "tables of JSON read better without borrows"
)]

mod laws;
mod sets;

use expect_test::{Expect, expect};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::facts::builtin_types;
use crate::model::{Field, ListKind, Scalar, Shape, StructDef, Types};
use crate::status::Status;

/// Calls `run` with the type of a kind: a built-in one by name, or `Widget`, a custom resource made here.
fn with_types<Out>(kind: &str, run: impl FnOnce(TypeRef<'_>) -> Out) -> Out {
    if kind == "Widget" {
        let (types, shape) = widget();
        return run(TypeRef {
            types: &types,
            shape: &shape,
        });
    }
    let types = builtin_types();
    let shape = Shape::Struct(types.find(kind).unwrap());
    run(TypeRef { types, shape: &shape })
}

fn widget() -> (Types, Shape) {
    let mut types = Types::default();
    let text = Shape::Scalar(Scalar::String);
    let part = types.insert(StructDef {
        custom: true,
        fields: vec![
            Field::new("name", text.clone()),
            Field {
                default: Some(json!("TCP")),
                ..Field::new("protocol", text.clone())
            },
            Field::new("size", Shape::Scalar(Scalar::Int64)),
        ],
        ..StructDef::named("Widget.spec.parts")
    });
    let spec = types.insert(StructDef {
        custom: true,
        fields: vec![
            Field::new(
                "parts",
                Shape::List {
                    element: Box::new(Shape::Struct(part)),
                    kind: ListKind::Map(vec!["name".to_owned(), "protocol".to_owned()]),
                },
            ),
            Field::new(
                "colors",
                Shape::List {
                    element: Box::new(text.clone()),
                    kind: ListKind::Set,
                },
            ),
            Field::new("free", Shape::Scalar(Scalar::Any)),
            Field::new(
                "labels",
                Shape::Map {
                    value: Box::new(text),
                    atomic: false,
                },
            ),
        ],
        ..StructDef::named("Widget.spec")
    });
    let meta = types.insert(StructDef {
        fields: vec![Field::new("name", Shape::Scalar(Scalar::String))],
        ..StructDef::named("meta")
    });
    let root = types.insert(StructDef {
        custom: true,
        fields: vec![
            Field::new("metadata", Shape::Struct(meta)),
            Field::new("spec", Shape::Struct(spec)),
        ],
        ..StructDef::named("Widget")
    });
    (types, Shape::Struct(root))
}

fn writer(manager: &str, second: i64) -> Writer<'_> {
    Writer {
        manager,
        api_version: "apps/v1",
        subresource: "",
        now: Timestamp::from_second(second).unwrap(),
        strip: None,
    }
}

fn try_apply(
    kind: &str,
    live: Option<&Value>,
    config: Value,
    writer: Writer<'_>,
    force: bool,
) -> Result<Value, Status> {
    with_types(kind, |types| {
        apply(ApplyInput {
            types,
            live,
            config,
            writer,
            force,
        })
    })
    .map_err(Status::from)
}

/// Applies with manager `a` at second 1, where nothing can go wrong.
fn applied(kind: &str, live: Option<&Value>, config: Value) -> Value {
    try_apply(kind, live, config, writer("a", 1), false).unwrap()
}

fn updated(kind: &str, old: Option<&Value>, mut new: Value, writer: Writer<'_>) -> Value {
    with_types(kind, |types| track_update(types, old, &mut new, writer));
    new
}

/// One line per owner, then the object without its owners.
fn show(object: &Value) -> String {
    let mut object = object.clone();
    let mut lines = Vec::new();
    for entry in take_managed(&mut object)
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let text = |name: &str| entry[name].as_str().unwrap_or("-").to_owned();
        let (manager, operation, time) = (text("manager"), text("operation"), text("time"));
        lines.push(format!("{manager} {operation} {}: {}", &time[14..], entry["fieldsV1"]));
    }
    lines.push(object.to_string());
    lines.join("\n")
}

#[track_caller]
fn check(object: &Value, expected: Expect) {
    expected.assert_eq(&show(object));
}

fn deployment(spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn applying_creates_and_owns() {
    let made = applied(
        "apps.v1.Deployment",
        None,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [
                {"name": "c", "image": "i", "resources": {}, "ports": [{"containerPort": 80}], "args": ["x"]},
            ]}}},
        }),
    );
    check(
        &made,
        expect![[r#"
            a Apply 00:01Z: {"f:metadata":{"f:labels":{"f:app":{}}},"f:spec":{"f:replicas":{},"f:selector":{},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:args":{},"f:image":{},"f:name":{},"f:ports":{"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{}}},"f:resources":{}}}}}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"app":"web"},"name":"web"},"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":{"spec":{"containers":[{"args":["x"],"image":"i","name":"c","ports":[{"containerPort":80}],"resources":{}}]}}}}"#]],
    );
}

#[test]
fn what_an_applier_drops_disappears() {
    let one = applied(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 2, "paused": true})),
    );
    let two = try_apply(
        "apps.v1.Deployment",
        Some(&one),
        deployment(json!({"paused": true})),
        writer("a", 2),
        false,
    );
    check(
        &two.unwrap(),
        expect![[r#"
            a Apply 00:02Z: {"f:spec":{"f:paused":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"paused":true}}"#]],
    );
}

#[test]
fn what_two_own_stays_when_one_drops_it() {
    let one = applied("apps.v1.Deployment", None, deployment(json!({"replicas": 2})));
    let both = try_apply(
        "apps.v1.Deployment",
        Some(&one),
        deployment(json!({"replicas": 2})),
        writer("b", 2),
        false,
    );
    let left = try_apply(
        "apps.v1.Deployment",
        Some(&both.unwrap()),
        deployment(json!({})),
        writer("a", 3),
        false,
    );
    check(
        &left.unwrap(),
        expect![[r#"
            b Apply 00:02Z: {"f:spec":{"f:replicas":{}}}
            a Apply 00:03Z: {"f:spec":{}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":2}}"#]],
    );
}

#[test]
fn defaults_below_a_dropped_struct_go_with_it() {
    let one = applied(
        "apps.v1.Deployment",
        None,
        deployment(json!({"paused": true, "strategy": {"type": "RollingUpdate"}})),
    );
    let mut defaulted = one;
    defaulted["spec"]["strategy"]["rollingUpdate"] = json!({"maxSurge": "25%"});
    let two = applied(
        "apps.v1.Deployment",
        Some(&defaulted),
        deployment(json!({"paused": true})),
    );
    check(
        &two,
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:paused":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"paused":true}}"#]],
    );
    // A field of another owner holds its struct, but not what nobody owns beside it.
    let live = updated(
        "apps.v1.Deployment",
        Some(&defaulted),
        {
            let mut new = defaulted.clone();
            new["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = json!(1);
            new
        },
        writer("u", 2),
    );
    check(
        &applied("apps.v1.Deployment", Some(&live), deployment(json!({"paused": true}))),
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:paused":{}}}
            u Update 00:02Z: {"f:spec":{"f:strategy":{"f:rollingUpdate":{"f:maxUnavailable":{}}}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"paused":true,"strategy":{"rollingUpdate":{"maxSurge":"25%","maxUnavailable":1}}}}"#]],
    );
}

#[test]
fn conflicts_name_owner_and_field() {
    let live = updated(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 1, "paused": true})),
        writer("kubectl", 1),
    );
    let status = try_apply(
        "apps.v1.Deployment",
        Some(&live),
        deployment(json!({"replicas": 2})),
        writer("a", 2),
        false,
    )
    .unwrap_err();
    expect![[r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Apply failed with 1 conflict: conflict with \"kubectl\" using apps/v1: .spec.replicas","reason":"Conflict","details":{"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"kubectl\" using apps/v1","field":".spec.replicas"}]},"code":409}"#]]
    .assert_eq(&serde_json::to_string(&status).unwrap());

    let live = applied(
        "apps.v1.Deployment",
        Some(&live),
        deployment(json!({"minReadySeconds": 5})),
    );
    let greedy = deployment(json!({"replicas": 2, "paused": false, "minReadySeconds": 6}));
    let status = try_apply("apps.v1.Deployment", Some(&live), greedy.clone(), writer("b", 2), false).unwrap_err();
    expect![[r#"
        Apply failed with 3 conflicts: conflicts with "a":
        - .spec.minReadySeconds
        conflicts with "kubectl" using apps/v1:
        - .spec.paused
        - .spec.replicas"#]]
    .assert_eq(&status.message);
    check(
        &try_apply("apps.v1.Deployment", Some(&live), greedy, writer("b", 2), true).unwrap(),
        expect![[r#"
            b Apply 00:02Z: {"f:spec":{"f:minReadySeconds":{},"f:paused":{},"f:replicas":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"minReadySeconds":6,"paused":false,"replicas":2}}"#]],
    );
}

#[test]
fn conflicts_in_items_show_their_keys() {
    let ports = |name: &str| json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80, "name": name}]}});
    let live = applied("core.v1.Service", None, ports("x"));
    let status = try_apply("core.v1.Service", Some(&live), ports("y"), writer("b", 2), false).unwrap_err();
    expect![[r#"Apply failed with 1 conflict: conflict with "a": .spec.ports[port=80,protocol="TCP"].name"#]]
        .assert_eq(&status.message);
}

#[test]
fn items_are_matched_by_defaulted_keys() {
    let live = json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}});
    check(
        &applied(
            "core.v1.Service",
            Some(&live),
            json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 53, "name": "dns"}]}}),
        ),
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:ports":{"k:{\"port\":53,\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:port":{}}}}}
            before-first-apply Update 00:01Z: {"f:spec":{"f:ports":{".":{},"k:{\"port\":53,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:protocol":{}},"k:{\"port\":53,\"protocol\":\"UDP\"}":{".":{},"f:port":{},"f:protocol":{}}}}}
            {"metadata":{"name":"s"},"spec":{"ports":[{"port":53,"protocol":"UDP"},{"name":"dns","port":53,"protocol":"TCP"}]}}"#]],
    );
}

#[test]
fn merged_lists_keep_both_orders() {
    let widget = |names: &[&str]| {
        let parts: Vec<Value> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"metadata": {"name": "w"}, "spec": {"parts": parts}})
    };
    for (live, config, merged) in [
        (&["a", "b", "c"][..], &["c", "a"][..], &["b", "c", "a"][..]),
        (&["a", "b"], &["n", "a"], &["n", "a", "b"]),
        (&["x", "a"], &["n", "a", "m"], &["x", "n", "a", "m"]),
        (&[], &["b", "a"], &["b", "a"]),
        (&["a", "b"], &[], &["a", "b"]),
    ] {
        let done = applied("Widget", Some(&widget(live)), widget(config));
        assert_eq!(done["spec"], widget(merged)["spec"], "{live:?} {config:?}");
    }
}

#[test]
fn sets_and_free_content_of_custom_resources() {
    let one = applied(
        "Widget",
        None,
        json!({
            "metadata": {"name": "w"},
            "spec": {"colors": ["red", "blue"], "free": {"a": {"b": 1}, "l": [1]}, "labels": {"x": "1"}, "parts": [{"name": "p", "size": 1}]},
        }),
    );
    check(
        &one,
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:colors":{"v:\"blue\"":{},"v:\"red\"":{}},"f:free":{"f:a":{".":{},"f:b":{}},"f:l":{}},"f:labels":{"f:x":{}},"f:parts":{"k:{\"name\":\"p\",\"protocol\":\"TCP\"}":{".":{},"f:name":{},"f:size":{}}}}}
            {"metadata":{"name":"w"},"spec":{"colors":["red","blue"],"free":{"a":{"b":1},"l":[1]},"labels":{"x":"1"},"parts":[{"name":"p","size":1}]}}"#]],
    );
    let two = try_apply(
        "Widget",
        Some(&one),
        json!({"metadata": {"name": "w"}, "spec": {"colors": ["green"], "labels": {"x": "1"}}}),
        writer("b", 2),
        false,
    )
    .unwrap();
    check(
        &applied(
            "Widget",
            Some(&two),
            json!({"metadata": {"name": "w"}, "spec": {"colors": ["blue"], "free": {"a": {}}}}),
        ),
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:colors":{"v:\"blue\"":{}},"f:free":{"f:a":{}}}}
            b Apply 00:02Z: {"f:spec":{"f:colors":{"v:\"green\"":{}},"f:labels":{"f:x":{}}}}
            {"metadata":{"name":"w"},"spec":{"colors":["blue","green"],"free":{"a":{}},"labels":{"x":"1"}}}"#]],
    );
}

#[test]
fn bad_configurations() {
    for (config, message) in [
        (
            json!({"metadata": {"name": "w", "managedFields": []}}),
            expect!["metadata.managedFields must be nil"],
        ),
        (
            json!({"apiVersion": "x/v1", "kind": "Widget"}),
            expect!["Incorrect version specified in apply patch. Specified patch version: x/v1, expected: apps/v1"],
        ),
        (
            json!({"apiVersion": "apps/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "n"}, "spec": {"parts": [{"name": "p"}, {"name": "p", "protocol": "TCP"}]}}),
            expect![[
                r#"failed to create typed patch object (n/w; apps/v1, Kind=Widget): .spec.parts: duplicate entries for key [name="p",protocol="TCP"]"#
            ]],
        ),
        (
            json!({"spec": {"parts": [{"size": 1}]}}),
            expect![[
                r#"failed to create typed patch object (/; /, Kind=): .spec.parts: element 0: associative list with keys has an element that omits key field "name" (and doesn't have default value)"#
            ]],
        ),
    ] {
        let status = try_apply("Widget", None, config, writer("a", 1), false).unwrap_err();
        assert_eq!(status.code, 400);
        message.assert_eq(&status.message);
    }
}

#[test]
fn updates_take_what_they_change() {
    let one = updated(
        "apps.v1.Deployment",
        None,
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "uid": "u", "labels": {"app": "web"}},
            "spec": {"replicas": 1, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "template": {"spec": {"containers": [
                {"name": "c", "image": "i", "env": [{"name": "E", "value": "1"}], "resources": {}},
            ]}}},
            "status": {},
        }),
        writer("kubectl-create", 1),
    );
    check(
        &one,
        expect![[r#"
            kubectl-create Update 00:01Z: {"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:replicas":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{}},"f:type":{}},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"E\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:resources":{}}}}}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"app":"web"},"name":"web","uid":"u"},"spec":{"replicas":1,"strategy":{"rollingUpdate":{"maxSurge":1},"type":"RollingUpdate"},"template":{"spec":{"containers":[{"env":[{"name":"E","value":"1"}],"image":"i","name":"c","resources":{}}]}}},"status":{}}"#]],
    );
    let mut new = one.clone();
    new["spec"]["replicas"] = json!(3);
    new["spec"]["strategy"].as_object_mut().unwrap().remove("rollingUpdate");
    check(
        &updated("apps.v1.Deployment", Some(&one), new, writer("scaler", 2)),
        expect![[r#"
            kubectl-create Update 00:01Z: {"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:strategy":{"f:type":{}},"f:template":{"f:spec":{"f:containers":{"k:{\"name\":\"c\"}":{".":{},"f:env":{".":{},"k:{\"name\":\"E\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:name":{},"f:resources":{}}}}}}}
            scaler Update 00:02Z: {"f:spec":{"f:replicas":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"app":"web"},"name":"web","uid":"u"},"spec":{"replicas":3,"strategy":{"type":"RollingUpdate"},"template":{"spec":{"containers":[{"env":[{"name":"E","value":"1"}],"image":"i","name":"c","resources":{}}]}}},"status":{}}"#]],
    );
}

#[test]
fn status_writers_are_apart() {
    let one = updated(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 1})),
        writer("c", 1),
    );
    let mut new = one.clone();
    new["status"] = json!({"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]});
    let status = Writer {
        subresource: "status",
        ..writer("c", 2)
    };
    let two = updated("apps.v1.Deployment", Some(&one), new.clone(), status);
    check(
        &two,
        expect![[r#"
            c Update 00:01Z: {"f:spec":{"f:replicas":{}}}
            c Update 00:02Z: {"f:status":{"f:conditions":{".":{},"k:{\"type\":\"Available\"}":{".":{},"f:status":{},"f:type":{}}},"f:replicas":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1},"status":{"conditions":[{"status":"True","type":"Available"}],"replicas":1}}"#]],
    );
    assert_eq!(
        two.pointer("/metadata/managedFields/1/subresource"),
        Some(&json!("status"))
    );
    // What the endpoint does not write is nobody's.
    let strip = FieldSet::of_paths(["status"]);
    assert_eq!(
        updated(
            "apps.v1.Deployment",
            Some(&one),
            new,
            Writer {
                strip: Some(&strip),
                ..writer("d", 2)
            }
        )
        .pointer("/metadata/managedFields"),
        one.pointer("/metadata/managedFields")
    );
}

#[test]
fn nothing_changed_leaves_the_owners_alone() {
    let one = updated(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 1})),
        writer("c", 1),
    );
    assert_eq!(
        updated("apps.v1.Deployment", Some(&one), one.clone(), writer("d", 9)),
        one
    );
    let mut unaware = one.clone();
    take_managed(&mut unaware);
    assert_eq!(updated("apps.v1.Deployment", Some(&one), unaware, writer("d", 9)), one);
    let again = applied("apps.v1.Deployment", Some(&one), deployment(json!({"replicas": 1})));
    assert_eq!(
        try_apply(
            "apps.v1.Deployment",
            Some(&again),
            deployment(json!({"replicas": 1})),
            writer("a", 9),
            false
        )
        .unwrap(),
        again
    );
}

#[test]
fn owners_can_be_cleared_and_edited() {
    let one = updated(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 1})),
        writer("c", 1),
    );
    for list in [json!([]), json!([{}])] {
        let mut new = one.clone();
        new["metadata"]["managedFields"] = list;
        let cleared = updated("apps.v1.Deployment", Some(&one), new, writer("d", 2));
        assert_eq!(cleared.pointer("/metadata/managedFields"), None);
        let mut next = cleared.clone();
        next["spec"]["replicas"] = json!(2);
        assert_eq!(
            updated("apps.v1.Deployment", Some(&cleared), next.clone(), writer("d", 2)),
            next
        );
    }
    let mut edited = one.clone();
    edited["metadata"]["managedFields"][0]["manager"] = json!("e");
    edited["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    assert_eq!(
        updated("apps.v1.Deployment", Some(&one), edited.clone(), writer("d", 2)),
        edited
    );
    let mut nonsense = one.clone();
    nonsense["metadata"]["managedFields"][0]["fieldsV1"] = json!({"x": {}});
    assert_eq!(updated("apps.v1.Deployment", Some(&one), nonsense, writer("d", 2)), one);
}

#[test]
fn many_updaters_become_ancient() {
    let names: Vec<String> = (0..13).map(|index| format!("m{index:02}")).collect();
    let mut object = deployment(json!({}));
    object["metadata"]["uid"] = json!("u");
    let mut live: Option<Value> = None;
    for (second, name) in (1..).zip(&names) {
        let mut new = live.clone().unwrap_or_else(|| object.clone());
        new["metadata"]["annotations"][name] = json!("x");
        live = Some(updated("apps.v1.Deployment", live.as_ref(), new, writer(name, second)));
    }
    let live = live.unwrap();
    let list = live["metadata"]["managedFields"].as_array().unwrap();
    assert_eq!(list.len(), 10);
    expect![[r#"{"apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:m00":{},"f:m01":{},"f:m02":{},"f:m03":{}}}},"manager":"ancient-changes","operation":"Update","time":"1970-01-01T00:00:04Z"}"#]]
        .assert_eq(&list[0].to_string());
}

#[test]
fn kubectl_moves_from_client_side_apply() {
    let annotated = |replicas: i64| {
        let applied = deployment(json!({"replicas": replicas})).to_string();
        let mut object = deployment(json!({"replicas": replicas}));
        object["metadata"]["annotations"] = json!({LAST_APPLIED: applied});
        object
    };
    let live = updated(
        "apps.v1.Deployment",
        None,
        annotated(1),
        writer("kubectl-client-side-apply", 1),
    );
    let config = deployment(json!({"replicas": 2}));
    assert_eq!(
        try_apply("apps.v1.Deployment", Some(&live), config.clone(), writer("a", 2), false)
            .unwrap_err()
            .code,
        409
    );
    let done = try_apply("apps.v1.Deployment", Some(&live), config, writer("kubectl", 2), false).unwrap();
    check(
        &done,
        expect![[r#"
            kubectl Apply 00:02Z: {"f:spec":{"f:replicas":{}}}
            kubectl-client-side-apply Update 00:01Z: {"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"web\"},\"spec\":{\"replicas\":2}}\n"},"name":"web"},"spec":{"replicas":2}}"#]],
    );
}

#[test]
fn only_times_differ() {
    let one = updated(
        "apps.v1.Deployment",
        None,
        deployment(json!({"replicas": 1})),
        writer("c", 1),
    );
    let mut new = one.clone();
    new["metadata"]["managedFields"][0]["time"] = json!("2001-01-01T00:00:00Z");
    assert!(settle_times(&one, &mut new));
    assert_eq!(new, one);
    new["metadata"]["managedFields"][0]["time"] = json!("2001-01-01T00:00:00Z");
    new["spec"]["replicas"] = json!(2);
    let kept = new.clone();
    assert!(!settle_times(&one, &mut new));
    assert_eq!(new, kept);
}

#[test]
fn stripped_fields_are_not_applied() {
    let strip = FieldSet::of_paths(["status"]);
    let mut config = deployment(json!({"replicas": 1}));
    config["status"] = json!({"replicas": 7});
    let done = try_apply(
        "apps.v1.Deployment",
        None,
        config,
        Writer {
            strip: Some(&strip),
            ..writer("a", 1)
        },
        false,
    );
    check(
        &done.unwrap(),
        expect![[r#"
            a Apply 00:01Z: {"f:spec":{"f:replicas":{}}}
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":1}}"#]],
    );
}

#[test]
fn null_means_absent_in_built_in_types() {
    let live =
        json!({"metadata": {"name": "web", "creationTimestamp": "2020-01-01T00:00:00Z"}, "spec": {"replicas": 1}});
    let template = json!({"metadata": {"creationTimestamp": null}, "spec": {"containers": null}});
    let config =
        json!({"metadata": {"name": "web", "creationTimestamp": null}, "spec": {"paused": null, "template": template}});
    check(
        &try_apply("apps.v1.Deployment", Some(&live), config, writer("a", 2), false).unwrap(),
        expect![[r#"
            a Apply 00:02Z: {"f:spec":{"f:paused":{},"f:template":{"f:metadata":{"f:creationTimestamp":{}},"f:spec":{"f:containers":{}}}}}
            before-first-apply Update 00:02Z: {"f:spec":{"f:replicas":{}}}
            {"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z","name":"web"},"spec":{"replicas":1,"template":{"metadata":{},"spec":{}}}}"#]],
    );
}

/// The last field of the metadata that somebody owns takes only itself along.
#[test]
fn what_nobody_owns_of_the_metadata_stays() {
    let live = json!({"metadata": {"name": "m", "uid": "u", "annotations": {"free": "1"}}, "data": {"a": "1"},
        "apiVersion": "apps/v1", "kind": "ConfigMap"});
    let mut config =
        json!({"apiVersion": "apps/v1", "kind": "ConfigMap", "metadata": {"name": "m", "labels": {"a": "b"}}});
    let both = applied("core.v1.ConfigMap", Some(&live), config.clone());
    config["metadata"] = json!({"name": "m"});
    let mut back = applied("core.v1.ConfigMap", Some(&both), config);
    take_managed(&mut back);
    assert_eq!(back, live);
}

/// Items that both sides have keep the applier's order; the others stay where they stood between them.
#[test]
fn merged_lists_are_ordered_as_in_kubernetes() {
    let list = |names: &str| {
        let items: Vec<Value> = names.chars().map(|name| json!({"name": name.to_string()})).collect();
        json!({"metadata": {"name": "w"}, "spec": {"parts": items}})
    };
    for (live, config, expected) in [
        ("bd", "ade", "bade"),
        ("abd", "dba", "dba"),
        ("abde", "exb", "adexb"),
        ("abd", "da", "bda"),
        ("ab", "axb", "axb"),
        ("ab", "xby", "axby"),
        ("ab", "xy", "abxy"),
        ("abc", "cda", "bcda"),
    ] {
        let live = try_apply("Widget", None, list(live), writer("other", 1), false).unwrap();
        let done = applied("Widget", Some(&live), list(config));
        let found = done["spec"]["parts"].as_array().unwrap().iter();
        let found: String = found.filter_map(|part| part["name"].as_str()).collect();
        assert_eq!(found, expected, "{config} over {}", live["spec"]["parts"]);
    }
}

#[test]
fn undeclared_fields_are_named_by_their_items() {
    let config = json!({"spec": {"x": 1, "template": {"spec": {"containers": [{"name": "main", "bogus": 1}],
        "tolerations": [{"odd": 1}]}}}});
    let found = with_types("apps.v1.Deployment", |types| undeclared_fields(types, &config));
    let expected = [
        "spec.template.spec.containers[name=\"main\"].bogus",
        "spec.template.spec.tolerations[0].odd",
        "spec.x",
    ];
    let mut found = found;
    found.sort();
    assert_eq!(found, expected);
}
