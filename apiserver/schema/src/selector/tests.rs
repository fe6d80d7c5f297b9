#![allow(clippy::needless_pass_by_value, reason = "expectations are values")]

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Parses a selector and matches it with `a=b,c=d` labels: prints the selector as understood and `yes` or `no`.
#[track_caller]
fn check(selector: &str, labels: &str, expected: Expect) {
    let labels: BTreeMap<String, String> = labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    expected.assert_eq(&match LabelSelector::parse(selector) {
        Ok(parsed) => format!("{parsed} -> {}", if parsed.matches(&labels) { "yes" } else { "no" }),
        Err(status) => format!("{}: {}", status.code, status.message),
    });
}

#[test]
fn label_terms_match() {
    check("", "", expect![" -> yes"]);
    check("a=b", "a=b", expect!["a=b -> yes"]);
    check("a == b , c != d", "a=b", expect!["a=b,c!=d -> yes"]);
    check("c!=d", "c=d", expect!["c!=d -> no"]);
    check("e in (x, y)", "e=y", expect!["e in (x,y) -> yes"]);
    check("e in (y,x)", "", expect!["e in (x,y) -> no"]);
    check("f notin (z)", "", expect!["f notin (z) -> yes"]);
    check("f notin (z)", "f=z", expect!["f notin (z) -> no"]);
    check("g,!h", "g=", expect!["g,!h -> yes"]);
    check("!g", "g=", expect!["!g -> no"]);
    check("n>3,n<5", "n=4", expect!["n>3,n<5 -> yes"]);
    check("n>3", "n=many", expect!["n>3 -> no"]);
    check("a=", "a=", expect!["a= -> yes"]);
    check("a in (,x)", "a=", expect!["a in (,x) -> yes"]);
    check("in in (in)", "in=in", expect!["in in (in) -> yes"]);
    check(
        "app.kubernetes.io/name=x",
        "app.kubernetes.io/name=x",
        expect!["app.kubernetes.io/name=x -> yes"],
    );
}

#[test]
fn label_errors_have_kubernetes_text() {
    check(
        "a b",
        "",
        expect!["400: unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    );
    check("a=b c", "", expect!["400: found 'c', expected: ',' or 'end of string'"]);
    check("a=b,", "", expect!["400: found '', expected: identifier after ','"]);
    check(
        "=b",
        "",
        expect!["400: found '=', expected: !, identifier, or 'end of string'"],
    );
    check(
        "a in x",
        "",
        expect!["400: unable to parse requirement: found 'x' expected: '('"],
    );
    check(
        "a in ()",
        "",
        expect![
            "400: unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
        ],
    );
    check(
        "n>x",
        "",
        expect![[
            r#"400: unable to parse requirement: values[0]: Invalid value: "x": for 'Gt', 'Lt' operators, the value must be an integer"#
        ]],
    );
    check(
        "a/b/c=d",
        "",
        expect![[
            r#"400: unable to parse requirement: <nil>: Invalid value: "a/b/c": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"#
        ]],
    );
    check(
        "a=-x",
        "",
        expect![[
            r#"400: unable to parse requirement: values[0][a]: Invalid value: "-x": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#
        ]],
    );
}

#[test]
fn json_form() {
    let selector = json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    });
    let parsed = LabelSelector::from_json(&selector).unwrap();
    expect!["app=web,!old,tier in (a,b)"].assert_eq(&parsed.to_string());
    assert_eq!(parsed.requires_exact("app"), Some("web"));
    assert!(LabelSelector::from_json(&json!({})).unwrap().is_everything());
    assert!(
        !LabelSelector::from_json(&json!(null))
            .unwrap()
            .matches(&BTreeMap::new())
    );
    let wrong = json!({"matchExpressions": [{"key": "a", "operator": "Near"}]});
    expect![[r#""Near" is not a valid label selector operator"#]]
        .assert_eq(&LabelSelector::from_json(&wrong).unwrap_err().message);
}

/// Parses a field selector that allows `spec.nodeName` and `status.phase` and matches it with a pod.
#[track_caller]
fn check_field(selector: &str, expected: Expect) {
    let pod = json!({"metadata": {"name": "a,b", "namespace": "n"}, "spec": {"nodeName": "ams"}});
    expected.assert_eq(
        &match FieldSelector::parse(selector, &["spec.nodeName", "status.phase"]) {
            Ok(parsed) => format!("{parsed} -> {}", if parsed.matches_object(&pod) { "yes" } else { "no" }),
            Err(status) => format!("{}: {}", status.code, status.message),
        },
    );
}

#[test]
fn field_terms() {
    check_field("", expect![" -> yes"]);
    check_field(
        "metadata.namespace=n,spec.nodeName==ams",
        expect!["metadata.namespace=n,spec.nodeName=ams -> yes"],
    );
    check_field("status.phase=", expect!["status.phase= -> yes"]);
    check_field("status.phase!=Failed", expect!["status.phase!=Failed -> yes"]);
    check_field(r"metadata.name=a\,b", expect![[r"metadata.name=a\,b -> yes"]]);
    check_field("spec.color=red", expect!["400: field label not supported: spec.color"]);
    check_field(
        "metadata.name",
        expect!["400: invalid selector: 'metadata.name'; can't understand 'metadata.name'"],
    );
    check_field(
        r"metadata.name=a\b",
        expect![[r"400: invalid field selector: invalid escape sequence: \b"]],
    );
    check_field(
        "metadata.name=a=b",
        expect!["400: invalid field selector: unescaped character in value: ="],
    );
}

#[test]
fn exact_names_are_found() {
    let selector = FieldSelector::parse("metadata.namespace!=x,metadata.name=web", &[""; 0]).unwrap();
    assert_eq!(selector.requires_exact("metadata.name"), Some("web"));
    assert_eq!(selector.requires_exact("metadata.namespace"), None);
    assert!(selector.only_metadata());
}

#[test]
fn selectable_fields() {
    let event = json!({"involvedObject": {"kind": "Pod"}, "reportingComponent": "kubelet", "reason": "Pulled"});
    let node = json!({"spec": {"unschedulable": true}});
    for (object, label, value) in [
        (&event, "involvedObject.kind", "Pod"),
        (&event, "regarding.kind", "Pod"),
        (&event, "source", "kubelet"),
        (&event, "reportingController", "kubelet"),
        (&event, "involvedObject.uid", ""),
        (&node, "spec.unschedulable", "true"),
        (&event, "spec.unschedulable", "false"),
        (&node, "status.replicas", "0"),
        (&json!({"spec": {"nodeName": "ams"}}), "spec.host", "ams"),
        (&json!({"status": {"succeeded": 3}}), "status.successful", "3"),
    ] {
        assert_eq!(field_value(object, label), value, "{label}");
    }
}

proptest! {
    /// What a selector prints means the same again.
    #[test]
    fn printing_round_trips(text in "[ab]( in \\([xy](,[xy])?\\)|!?=[xy]?)?(,!?[cd])?") {
        let parsed = LabelSelector::parse(&text).unwrap();
        let again = LabelSelector::parse(&parsed.to_string()).unwrap();
        prop_assert_eq!(parsed, again);
    }

    /// Any text is either understood or refused.
    #[test]
    fn parsing_never_panics(text in "[ab=!<>(), é\\\\]{0,12}") {
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text, &["a", "b"]);
    }

    #[test]
    fn field_values_round_trip(value in "[a,=\\\\]{0,6}") {
        let selector = FieldSelector::exact("metadata.name", &value);
        prop_assert_eq!(FieldSelector::parse(&selector.to_string(), &[""; 0]).unwrap(), selector);
    }
}

/// A part tells of its fields what the whole object tells.
#[test]
fn a_part_of_an_object_has_the_fields_that_are_asked_for() {
    let objects = [
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "hostNetwork": true}, "status": {"phase": "Running"}}),
        json!({"regarding": {"name": "p"}, "type": "Normal", "deprecatedSource": {"component": "c"}, "reason": "R\u{e9}\n"}),
        json!({"involvedObject": {"name": "p", "uid": "u"}, "source": {"component": "c"}, "reportingController": "r"}),
        json!({"spec": null, "status": {"succeeded": 3}}),
        json!([]),
    ];
    let labels = [
        "spec.nodeName",
        "spec.host",
        "spec.hostNetwork",
        "status.phase",
        "status.successful",
        "type",
        "reason",
        "source",
        "involvedObject.name",
        "regarding.name",
        "involvedObject.uid",
        "reportingComponent",
        "reportingController",
    ];
    for object in objects {
        let json = serde_json::to_vec(&object).unwrap();
        for label in labels {
            assert_eq!(
                field_value(&field_part(&json, &[label]), label),
                field_value(&object, label),
                "{label}"
            );
        }
        let part = field_part(&json, &labels);
        for label in labels {
            assert_eq!(field_value(&part, label), field_value(&object, label), "{label}");
        }
    }
    assert!(
        field_part(&json!({"a": 1, "b": 2}).to_string().into_bytes(), &["a"])
            .get("b")
            .is_none()
    );
    assert!(field_part(b"{torn", &["a"]).is_null());
}
