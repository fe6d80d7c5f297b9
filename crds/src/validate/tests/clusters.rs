//! One row for each rule of a Cluster.

use serde_json::{Value, json};

use super::super::{cluster, default_cluster, list};
use super::{check, cluster_with};

#[track_caller]
fn check_cluster(spec: &Value, path: &str, detail: &str) {
    check(&cluster(&cluster_with(spec)), &format!("spec.{path}"), detail);
}

#[test]
fn section_1_5_names_and_addresses() {
    let named = |name: &str| json!({"metadata": {"name": name}, "spec": {"syncMode": "Pull"}});
    check(
        &cluster(&named("")),
        "metadata.name",
        "name or generateName is required",
    );
    check(
        &cluster(&named("Member")),
        "metadata.name",
        "a lowercase RFC 1123 label must consist of lower case…",
    );
    check(
        &cluster(&named("a.b")),
        "metadata.name",
        "a lowercase RFC 1123 label must consist of lower case…",
    );
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
        ("member1", "host must be specified; desired format: https://host[/path]"),
        (
            "https:///path",
            "host must be specified; desired format: https://host[/path]",
        ),
        (
            "https://user@10.0.0.1",
            "user information is not permitted in the URL; desired format: https://host[/path]",
        ),
        (
            "https://10.0.0.1/#top",
            "fragments are not permitted in the URL; desired format: https://host[/path]",
        ),
        (
            "https://10.0.0.1?a=b",
            "query parameters are not permitted in the URL; desired format: https://host[/path]",
        ),
        (
            "https://10.0.0.1:port",
            "url must be a valid URL; desired format: https://host[/path]",
        ),
        (
            "https://a b",
            "url must be a valid URL; desired format: https://host[/path]",
        ),
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
fn section_1_5_places_and_taints() {
    for field in ["provider", "region", "zone"] {
        check_cluster(
            &json!({field: "a b"}),
            field,
            "a valid label must be an empty string or consist of…",
        );
        check_cluster(&json!({field: "a".repeat(64)}), field, "must be no more than 63 bytes");
    }
    check_cluster(
        &json!({"zones": ["a", "-"]}),
        "zones[1]",
        "a valid label must be an empty string or consist of…",
    );
    check_cluster(
        &json!({"zone": "a", "zones": ["a"]}),
        "zone",
        "Zone and Zones cannot co-exist",
    );
    let taint = |key: &str, value: &str, effect: &str| json!({"key": key, "value": value, "effect": effect});
    check_cluster(
        &json!({"taints": [taint("a b", "", "NoSchedule")]}),
        "taints[0].key",
        "name part must consist of alphanumeric characters…",
    );
    check_cluster(
        &json!({"taints": [taint("a", "b c", "NoSchedule")]}),
        "taints[0].value",
        "a valid label must be an empty string or consist of…",
    );
    check_cluster(&json!({"taints": [taint("a", "", "")]}), "taints[0].effect", "");
    check_cluster(
        &json!({"taints": [taint("a", "", "Never")]}),
        "taints[0].effect",
        r#"supported values: "NoSchedule", "PreferNoSchedule", "NoExecute""#,
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
fn section_1_5_resource_models() {
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
            "the number of ranges must be the same in every resource model",
        ),
        (
            json!([first, model(1, &[("memory", "2", MOST)])]),
            "[1].ranges[0].name",
            "the names of ranges must be the same in every resource model",
        ),
        (
            json!([first, cpu("3", MOST)]),
            "[1].ranges[0].min",
            "must be the max value of the previous resource model",
        ),
        (
            json!([first, cpu("2", "3")]),
            "[1].ranges[0].max",
            "the max value of the last resource model must be the maximum of int64",
        ),
        (
            json!([model(0, &[("cpu", "1", MOST)])]),
            "[0].ranges[0].min",
            "the min value of the first resource model must be 0",
        ),
        (
            json!([model(0, &[("cpu", "0", "0")]), cpu("0", MOST)]),
            "[0].ranges[0]",
            "the max value of each resource must be greater than the min value",
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
fn section_1_5_defaults() {
    let mut object = cluster_with(&json!({
        "zone": "a",
        "taints": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoSchedule"}, {"key": "c", "effect": "NoExecute", "timeAdded": "t"}],
        "resourceModels": [model(1, &[("cpu", "2", "4")]), model(0, &[("cpu", "1", "2")])],
    }));
    default_cluster(&mut object, "now", false);
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

#[test]
fn section_1_5_default_models() {
    let mut object = cluster_with(&json!({}));
    default_cluster(&mut object, "now", true);
    let found: Vec<String> = list(&object["spec"], "resourceModels")
        .iter()
        .map(|model| {
            let ends = |range: &Value| format!("{}-{}", range["min"].as_str().unwrap(), range["max"].as_str().unwrap());
            let ranges = &model["ranges"];
            assert_eq!(
                (&ranges[0]["name"], &ranges[1]["name"]),
                (&json!("cpu"), &json!("memory"))
            );
            format!("{} {} {}", model["grade"], ends(&ranges[0]), ends(&ranges[1]))
        })
        .collect();
    let expected = [
        "0 0-1 0-4Gi",
        "1 1-2 4Gi-16Gi",
        "2 2-4 16Gi-32Gi",
        "3 4-8 32Gi-64Gi",
        "4 8-16 64Gi-128Gi",
        "5 16-32 128Gi-256Gi",
        "6 32-64 256Gi-512Gi",
        "7 64-128 512Gi-1Ti",
        &format!("8 128-{MOST} 1Ti-{MOST}"),
    ];
    assert_eq!(found, expected);
    assert_eq!(cluster(&object), [], "they keep the rules");
    // Not those of a cluster that has some, and not later.
    let own = json!([model(3, &[("cpu", "0", MOST)])]);
    let mut graded = cluster_with(&json!({"resourceModels": own}));
    default_cluster(&mut graded, "now", true);
    assert_eq!(graded["spec"]["resourceModels"], own);
    let mut bare = cluster_with(&json!({}));
    default_cluster(&mut bare, "now", false);
    assert_eq!(bare["spec"].get("resourceModels"), None);
}
