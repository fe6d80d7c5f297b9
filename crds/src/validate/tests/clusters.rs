//! One row for each rule of a Cluster.

use serde_json::{Value, json};

use super::super::{cluster, default_cluster, list};
use super::{check, cluster_with};

#[track_caller]
fn check_cluster(spec: &Value, path: &str, detail: &str) {
    check(&cluster(&cluster_with(spec)), &format!("spec.{path}"), detail);
}

#[test]
fn names_and_addresses_of_a_cluster() {
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"syncMode": "Pull"}});
    check(
        &cluster(&named("")),
        "metadata.name",
        "name or generateName is required",
    );
    check(
        &cluster(&named("Member")),
        "metadata.name",
        "a lowercase RFC 1123 label",
    );
    check(&cluster(&named("a.b")), "metadata.name", "a lowercase RFC 1123 label");
    check(
        &cluster(&named(&"a".repeat(49))),
        "metadata.name",
        "must be no more than 48 characters",
    );
    assert_eq!(cluster(&named(&"a".repeat(48))), []);
    check_cluster(&json!({"syncMode": ""}), "syncMode", "");
    check_cluster(
        &json!({"syncMode": "Sometimes"}),
        "syncMode",
        r#"supported values: "Pull", "Push""#,
    );
    check_cluster(
        &json!({"id": "a".repeat(128_001)}),
        "id",
        "must be no more than 128000 characters",
    );
    for (endpoint, detail) in [
        ("member1", "host must be specified"),
        ("https:///path", "host must be specified"),
        ("https://user@10.0.0.1", "user information is not permitted"),
        ("https://10.0.0.1/#top", "fragments are not permitted"),
        ("https://10.0.0.1?a=b", "query parameters are not permitted"),
        ("https://10.0.0.1:port", "url must be a valid URL"),
        ("https://a b", "url must be a valid URL"),
    ] {
        check_cluster(&json!({"apiEndpoint": endpoint}), "apiEndpoint", detail);
    }
    for endpoint in ["https://[::1]:6443", "https://[::1]", "http://member1:80/prefix"] {
        assert_eq!(
            cluster(&cluster_with(&json!({"apiEndpoint": endpoint}))),
            [],
            "{endpoint}"
        );
    }
    check_cluster(
        &json!({"proxyURL": "ftp://a"}),
        "proxyURL",
        r#"unsupported scheme "ftp", must be http, https, or socks5"#,
    );
    check_cluster(&json!({"secretRef": {"name": "a"}}), "secretRef.namespace", "");
    check_cluster(
        &json!({"impersonatorSecretRef": {"namespace": "a"}}),
        "impersonatorSecretRef.name",
        "",
    );
}

#[test]
fn places_and_taints_of_a_cluster() {
    for field in ["provider", "region", "zone"] {
        check_cluster(&json!({field: "a b"}), field, "a valid label must be");
        check_cluster(&json!({field: "a".repeat(64)}), field, "must be no more than 63 bytes");
    }
    check_cluster(&json!({"zones": ["a", "-"]}), "zones[1]", "a valid label must be");
    check_cluster(
        &json!({"zone": "a", "zones": ["a"]}),
        "zone",
        "Zone and Zones cannot co-exist",
    );
    let taint = |key: &str, value: &str, effect: &str| json!({"key": key, "value": value, "effect": effect});
    check_cluster(
        &json!({"taints": [taint("a b", "", "NoSchedule")]}),
        "taints[0].key",
        "name part must consist",
    );
    check_cluster(
        &json!({"taints": [taint("a", "b c", "NoSchedule")]}),
        "taints[0].value",
        "a valid label must be",
    );
    check_cluster(&json!({"taints": [taint("a", "", "")]}), "taints[0].effect", "");
    check_cluster(
        &json!({"taints": [taint("a", "", "Never")]}),
        "taints[0].effect",
        "supported values:",
    );
    check_cluster(
        &json!({"taints": [taint("a", "", "NoExecute"), taint("a", "b", "NoExecute")]}),
        "taints[1]",
        "taints must be unique by key and effect pair",
    );
    let both = json!({"taints": [taint("a", "", "NoExecute"), taint("a", "", "NoSchedule")]});
    assert_eq!(cluster(&cluster_with(&both)), []);
}

const MOST: &str = "9223372036854775807";

fn model(grade: i64, ranges: &[(&str, &str, &str)]) -> Value {
    let ranges: Vec<Value> = ranges
        .iter()
        .map(|(name, min, max)| json!({"name": name, "min": min, "max": max}))
        .collect();
    json!({"grade": grade, "ranges": ranges})
}

#[test]
fn resource_models_of_a_cluster() {
    let first = model(0, &[("cpu", "0", "2")]);
    let cpu = |min: &str, max: &str| model(1, &[("cpu", min, max)]);
    assert_eq!(
        cluster(&cluster_with(&json!({"resourceModels": [first, cpu("2", MOST)]}))),
        []
    );
    for (models, path, detail) in [
        (json!([model(1, &[("cpu", "0", "2")]), cpu("2", MOST)]), "[1].grade", ""),
        (
            json!([model(0, &[("cpu", "0", "2"), ("memory", "0", "1")]), cpu("2", MOST)]),
            "[1].ranges",
            "the number of ranges",
        ),
        (
            json!([first, model(1, &[("memory", "2", MOST)])]),
            "[1].ranges[0].name",
            "the names of ranges",
        ),
        (
            json!([first, cpu("3", MOST)]),
            "[1].ranges[0].min",
            "must be the max value of the previous",
        ),
        (
            json!([first, cpu("2", "3")]),
            "[1].ranges[0].max",
            "the max value of the last resource model",
        ),
        (
            json!([model(0, &[("cpu", "1", MOST)])]),
            "[0].ranges[0].min",
            "the min value of the first resource model",
        ),
        (
            json!([model(0, &[("cpu", "0", "0")]), cpu("0", MOST)]),
            "[0].ranges[0]",
            "the max value of each resource",
        ),
        (
            json!([model(0, &[("cpu", "x", MOST)])]),
            "[0].ranges[0].min",
            "must be a quantity",
        ),
    ] {
        check(
            &cluster(&cluster_with(&json!({"resourceModels": models}))),
            &format!("spec.resourceModels{path}"),
            detail,
        );
    }
}

#[test]
fn defaults_of_a_cluster() {
    let mut object = cluster_with(&json!({
        "zone": "a",
        "taints": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute", "timeAdded": "t"}],
        "resourceModels": [model(1, &[("cpu", "2", "4")]), model(0, &[("cpu", "1", "2")])],
    }));
    default_cluster(&mut object, "now");
    let spec = &object["spec"];
    assert_eq!((spec.get("zone"), &spec["zones"]), (None, &json!(["a"])));
    let times: Vec<&Value> = list(spec, "taints").iter().map(|taint| &taint["timeAdded"]).collect();
    assert_eq!(times, [&json!("now"), &Value::Null, &json!("t")]);
    assert_eq!(
        spec["resourceModels"],
        json!([model(0, &[("cpu", "0", "2")]), model(1, &[("cpu", "2", MOST)])])
    );
    assert_eq!(cluster(&object), []);
}
