use expect_test::{Expect, expect};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const GRACE: Grace = Grace {
    running: Duration::from_secs(40),
    startup: Duration::from_mins(1),
};

/// Sightings are `(second, Ready status, renewTime)`; the verdict is given at the last one.
fn check(sightings: &[(i64, Option<&str>, Option<&str>)], expected: Expect) {
    let (mut last, mut now) = (None, at(0));
    for (second, ready, renewed) in sightings {
        now = at(*second);
        let ready = ready.map(|status| json!({"type": "Ready", "status": status}));
        last = Some(sight(last.as_ref(), ready.as_ref(), *renewed, now));
    }
    let verdict = verdict(&last.unwrap(), GRACE, now);
    expected.assert_eq(&verdict.map_or("fine".to_owned(), |condition| {
        format!("{} {}", condition.status, condition.reason)
    }));
}

#[test]
fn a_return_is_news_when_it_was_seen_away() {
    let ready = |status: &str| json!({"type": "Ready", "status": status, "message": "it is"});
    let returned = |before: Option<&str>, now: &str| {
        let before = before.map(ready);
        let last = sight(None, before.as_ref(), None, at(0));
        returned(Some(&last), Some(&ready(now)))
    };
    assert_eq!(returned(Some("Unknown"), "True").as_deref(), Some("it is"));
    assert_eq!(returned(Some("False"), "True").as_deref(), Some("it is"));
    assert_eq!(returned(Some("True"), "True"), None);
    assert_eq!(returned(Some("Unknown"), "False"), None);
    assert_eq!(returned(None, "True"), None, "it has never been away");
    assert_eq!(super::returned(None, Some(&ready("True"))), None);
}

#[test]
fn silence() {
    check(&[(0, Some("True"), Some("a"))], expect!["fine"]);
    check(
        &[(0, Some("True"), Some("a")), (40, Some("True"), Some("a"))],
        expect!["fine"],
    );
    check(
        &[(0, Some("True"), Some("a")), (41, Some("True"), Some("a"))],
        expect!["Unknown ClusterStatusUnknown"],
    );
    check(
        &[
            (0, Some("True"), Some("a")),
            (30, Some("True"), Some("b")),
            (60, Some("True"), Some("b")),
        ],
        expect!["fine"],
    );
    check(
        &[(0, Some("False"), None), (41, Some("False"), None)],
        expect!["Unknown ClusterStatusUnknown"],
    );
    check(
        &[
            (0, Some("False"), None),
            (30, Some("True"), None),
            (60, Some("True"), None),
        ],
        expect!["fine"],
    );
    check(
        &[(0, Some("Unknown"), None), (90, Some("Unknown"), None)],
        expect!["fine"],
    );
    check(&[(0, None, None), (60, None, None)], expect!["fine"]);
    check(
        &[(0, None, None), (61, None, None)],
        expect!["Unknown ClusterStatusNeverUpdated"],
    );
    check(
        &[(0, None, Some("a")), (55, None, Some("b")), (110, None, Some("b"))],
        expect!["fine"],
    );
}

fn check_taints(ready: Option<&str>, have: Value, expected: Expect) {
    let conditions = ready.map_or(json!([]), |status| json!([{"type": "Ready", "status": status}]));
    let mut cluster = json!({"spec": {"taints": have}, "status": {"conditions": conditions}});
    let result = taints(&cluster, at(7));
    expected.assert_eq(&Value::from(result.clone()).to_string());
    cluster["spec"]["taints"] = result.clone().into();
    assert_eq!(
        taints(&cluster, at(8)),
        result,
        "taints that are right stay as they are"
    );
}

#[test]
fn taints_follow_readiness() {
    let user = json!({"key": "mine", "effect": "NoExecute"});
    check_taints(Some("True"), json!([]), expect!["[]"]);
    check_taints(
        None,
        json!([]),
        expect![[
            r#"[{"effect":"NoSchedule","key":"cluster.karmada.io/not-ready","timeAdded":"1970-01-01T00:00:07Z"}]"#
        ]],
    );
    check_taints(
        Some("False"),
        json!([user]),
        expect![[
            r#"[{"effect":"NoExecute","key":"mine"},{"effect":"NoSchedule","key":"cluster.karmada.io/not-ready","timeAdded":"1970-01-01T00:00:07Z"}]"#
        ]],
    );
    let not_ready = json!({"key": names::TAINT_NOT_READY, "effect": "NoSchedule"});
    check_taints(
        Some("Unknown"),
        json!([not_ready]),
        expect![[
            r#"[{"effect":"NoSchedule","key":"cluster.karmada.io/unreachable","timeAdded":"1970-01-01T00:00:07Z"}]"#
        ]],
    );
    check_taints(
        Some("True"),
        json!([not_ready, user]),
        expect![[r#"[{"effect":"NoExecute","key":"mine"}]"#]],
    );
}
