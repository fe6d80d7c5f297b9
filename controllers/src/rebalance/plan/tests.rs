use expect_test::{Expect, expect};

use super::*;

fn workload(name: &str) -> Workload {
    Workload {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: "default".into(),
        name: name.into(),
    }
}

fn check(spec: &[&str], status: &[(&str, Outcome)], expected: Expect) {
    let spec: Vec<Workload> = spec.iter().map(|name| workload(name)).collect();
    let status: Vec<Observed> = status
        .iter()
        .map(|(name, result)| Observed {
            workload: workload(name),
            result: *result,
            reason: String::new(),
        })
        .collect();
    let items = observed(&spec, &status);
    let text: Vec<String> = items
        .iter()
        .map(|item| format!("{}:{:?}", item.workload.name, item.result))
        .collect();
    expected.assert_eq(&text.join(" "));
    assert_eq!(observed(&spec, &items), items, "a second look changes nothing");
}

#[test]
fn section_3_12_what_is_observed() {
    check(&[], &[], expect![""]);
    check(&["b", "a", "b"], &[], expect!["a:Open b:Open"]);
    check(
        &["a", "b"],
        &[("b", Outcome::Successful), ("a", Outcome::Failed)],
        expect!["a:Failed b:Successful"],
    );
    // What is no longer listed stays only when it was done.
    check(
        &["a"],
        &[("b", Outcome::Successful), ("c", Outcome::Failed), ("d", Outcome::Open)],
        expect!["a:Open b:Successful"],
    );
}

#[test]
fn items_are_written_as_go_writes_them() {
    let text = serde_json::to_string(&observed(&[workload("a")], &[])).unwrap();
    expect![[r#"[{"workload":{"apiVersion":"apps/v1","kind":"Deployment","namespace":"default","name":"a"}}]"#]]
        .assert_eq(&text);
    let read: Vec<Observed> = serde_json::from_str(&text).unwrap();
    assert_eq!(read[0].result, Outcome::Open);
}

#[test]
fn section_3_12_a_request_lies_behind_the_last_placement() {
    let second = |second| Timestamp::from_second(second).unwrap();
    let check = |asked: i64, known: Option<i64>, placed: Option<i64>, expected: Option<i64>| {
        let answer = request(second(asked), known.map(second), placed.map(second));
        assert_eq!(
            answer,
            expected.map(second),
            "asked {asked}, known {known:?}, placed {placed:?}"
        );
    };
    check(5, None, None, Some(5));
    check(5, None, Some(4), Some(5));
    check(5, None, Some(9), Some(9));
    check(5, Some(5), Some(4), None);
    check(5, Some(7), Some(4), None);
    check(5, Some(5), Some(6), Some(6));
}
