//! What rules allow and cover, who may give what away, and what a server starts with.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::bootstrap::{Step, ensure, plan};
use super::cover::{compact, describe, missing};
use super::rule::PolicyRule;
use crate::api::Profile;
use crate::auth::authorize::Attributes;
use crate::verbs::tests::Server;

/// `VERBS GROUPS RESOURCES [NAMES]` or `VERBS path URLS`; `-` is the core group.
fn rule(text: &str) -> PolicyRule {
    let words: Vec<&str> = text.split(' ').collect();
    let list = |text: &str| {
        let items = text.split(',').map(|item| if item == "-" { "" } else { item });
        items.map(str::to_owned).collect::<Vec<String>>()
    };
    match words.as_slice() {
        [verbs, "path", urls] => PolicyRule {
            verbs: list(verbs),
            non_resource_urls: list(urls),
            ..PolicyRule::default()
        },
        [verbs, groups, resources, names @ ..] => PolicyRule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: names.iter().flat_map(|names| list(names)).collect(),
            ..PolicyRule::default()
        },
        _ => panic!("no rule: {text}"),
    }
}

fn rules(texts: &[&str]) -> Vec<PolicyRule> {
    texts.iter().map(|text| rule(text)).collect()
}

/// `VERB GROUP RESOURCE[/SUBRESOURCE] [NAME]` or `VERB path PATH`.
fn asked(text: &str) -> Attributes {
    let words: Vec<&str> = text.split(' ').collect();
    if words[1] == "path" {
        return Attributes {
            verb: words[0].to_owned(),
            path: words[2].to_owned(),
            ..Attributes::default()
        };
    }
    let (resource, subresource) = words[2].split_once('/').unwrap_or((words[2], ""));
    Attributes {
        verb: words[0].to_owned(),
        group: words[1].replace('-', ""),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        name: words.get(3).copied().unwrap_or_default().to_owned(),
        ..Attributes::default()
    }
}

#[test]
fn a_rule_allows_what_it_lists() {
    for (own, allowed, refused) in [
        (
            "get,list - pods",
            &["get - pods", "list - pods x"][..],
            &[
                "watch - pods",
                "get apps pods",
                "get - pods/log",
                "get - secrets",
                "get path /pods",
            ][..],
        ),
        (
            "get - pods/log",
            &["get - pods/log x"],
            &["get - pods", "get - pods/exec", "get - jobs/log"],
        ),
        (
            "update * */scale",
            &["update apps deployments/scale d"],
            &["update apps deployments", "update apps deployments/status"],
        ),
        (
            "* - *",
            &["get - pods", "delete - pods/log"],
            &["get apps pods", "get path /"],
        ),
        (
            "get - configmaps a,b",
            &["get - configmaps a"],
            &["get - configmaps c", "get - configmaps"],
        ),
        (
            "get path /healthz,/api/*",
            &["get path /healthz", "get path /api/v1", "get path /api/"],
            &[
                "get path /healthz/",
                "get path /api",
                "post path /healthz",
                "get - pods",
            ],
        ),
        ("get path *", &["get path /anything"], &["get - pods"]),
    ] {
        let own = rule(own);
        for text in allowed {
            assert!(own.allows(&asked(text)), "{own}: {text}");
        }
        for text in refused {
            assert!(!own.allows(&asked(text)), "{own}: {text}");
        }
    }
}

#[test]
fn what_is_not_covered_is_told_by_resource() {
    let check = |held: &[&str], wanted: &[&str], expected: &[&str]| {
        assert_eq!(describe(missing(&rules(held), &rules(wanted))), expected, "{wanted:?}");
    };
    check(&["get,list - pods,secrets"], &["get - pods", "list - secrets"], &[]);
    check(&["get - pods", "list - pods"], &["get,list - pods"], &[]);
    check(&["* * *"], &["get,list apps deployments/scale x", "delete - *"], &[]);
    check(
        &["* * *"],
        &["get path /"],
        &[r#"{NonResourceURLs:["/"], Verbs:["get"]}"#],
    );
    check(&["get * */scale"], &["get apps deployments/scale"], &[]);
    check(&["get - pods"], &["get - pods a"], &[]);
    check(
        &["get - pods a"],
        &["get - pods", "get - pods a,b"],
        &[
            r#"{APIGroups:[""], Resources:["pods"], ResourceNames:["b"], Verbs:["get"]}"#,
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["get"]}"#,
        ],
    );
    check(
        &["get - pods"],
        &["get,list,watch -,apps pods"],
        &[
            r#"{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}"#,
            r#"{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list" "watch"]}"#,
        ],
    );
    check(&["get path /api/*"], &["get path /api/v1,/api/v1/*"], &[]);
    check(
        &["get path /api"],
        &["get path /api/*"],
        &[r#"{NonResourceURLs:["/api/*"], Verbs:["get"]}"#],
    );
    check(&[], &[], &[]);
}

#[test]
fn a_rule_of_many_permissions_is_not_taken_apart() {
    let many: Vec<String> = (0..5000).map(|index| format!("r{index}")).collect();
    let large = [PolicyRule {
        verbs: many.clone(),
        api_groups: many.clone(),
        resources: many,
        ..PolicyRule::default()
    }];
    assert_eq!(missing(&rules(&["get - pods"]), &large), large);
    assert_eq!(missing(&rules(&["* * *"]), &large), []);
    assert_eq!(missing(&large, &large), []);
}

fn words(options: &'static str) -> impl Strategy<Value = String> {
    let options: Vec<&str> = options.split(' ').collect();
    proptest::sample::subsequence(options.clone(), 1..=options.len().min(3)).prop_map(|list| list.join(","))
}

fn any_rule() -> impl Strategy<Value = PolicyRule> {
    let verbs = || words("get list watch create *");
    prop_oneof![
        (
            verbs(),
            words("- apps batch *"),
            words("pods pods/log */log deployments *")
        )
            .prop_map(|(verbs, groups, resources)| rule(&format!("{verbs} {groups} {resources}"))),
        (verbs(), words("- apps"), words("pods deployments"), words("a b c"))
            .prop_map(|(verbs, groups, resources, names)| rule(&format!("{verbs} {groups} {resources} {names}"))),
        (verbs(), words("/api /api/* /api/v1 * /version"))
            .prop_map(|(verbs, urls)| rule(&format!("{verbs} path {urls}"))),
    ]
}

fn any_rules() -> impl Strategy<Value = Vec<PolicyRule>> {
    proptest::collection::vec(any_rule(), 0..4)
}

/// Every question that the words of [`any_rule`] can tell apart.
fn questions() -> Vec<Attributes> {
    let mut questions = Vec::new();
    for verb in ["get", "list", "watch", "create", "delete"] {
        for group in ["-", "apps", "batch", "x"] {
            for resource in ["pods", "pods/log", "deployments", "jobs/log"] {
                for name in [" a", " b", " d", ""] {
                    questions.push(asked(&format!("{verb} {group} {resource}{name}")));
                }
            }
        }
        for path in ["/api", "/api/", "/api/v1", "/version", "/"] {
            questions.push(asked(&format!("{verb} path {path}")));
        }
    }
    questions
}

proptest! {
    #[test]
    fn rules_cover_themselves_and_their_parts(left in any_rules(), right in any_rules()) {
        let union = [left.clone(), right.clone()].concat();
        prop_assert_eq!(missing(&left, &left), []);
        prop_assert_eq!(missing(&union, &left), []);
        prop_assert_eq!(missing(&union, &right), []);
    }

    #[test]
    fn what_is_missing_makes_it_whole(held in any_rules(), wanted in any_rules()) {
        let lacking = missing(&held, &wanted);
        let whole = [held.clone(), compact(lacking.clone())].concat();
        prop_assert_eq!(missing(&whole, &wanted), []);
        prop_assert_eq!(missing(&wanted, &lacking), []);
    }

    #[test]
    fn whoever_covers_rules_may_do_what_they_allow(held in any_rules(), wanted in any_rules()) {
        let held = if missing(&held, &wanted).is_empty() {
            held
        } else {
            // What is missing, added, covers.
            [held.clone(), missing(&held, &wanted)].concat()
        };
        for question in questions() {
            if wanted.iter().any(|rule| rule.allows(&question)) {
                prop_assert!(held.iter().any(|rule| rule.allows(&question)), "{question:?}");
            }
        }
    }
}

#[test]
fn what_is_there_at_start_is_completed_not_replaced() {
    let wanted = json!({
        "metadata": {"name": "r", "labels": {"a": "1"}, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
        "rules": [rule("get,list - pods")],
    });
    let check = |stored: Option<Value>, expected: Option<Step>| {
        assert_eq!(plan(stored.as_ref(), &wanted), expected, "{stored:?}");
    };
    check(None, Some(Step::Create));
    check(Some(wanted.clone()), None);
    let mut more = wanted.clone();
    more["rules"] = json!([rule("get,list,watch - pods,secrets")]);
    more["metadata"]["labels"]["a"] = json!("2");
    check(Some(more), None);
    let mut less = wanted.clone();
    less["rules"] = json!([rule("get - pods")]);
    less["metadata"]["labels"] = Value::Null;
    let patched = json!([rule("get - pods"), rule("list - pods")]);
    check(
        Some(less.clone()),
        Some(Step::Patch(
            json!({"metadata": {"labels": {"a": "1"}}, "rules": patched}),
        )),
    );
    less["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] = json!("false");
    check(Some(less), None);

    let binding = |role: &str, subjects: Value| json!({"roleRef": {"name": role}, "subjects": subjects});
    let (one, two) = (
        json!({"kind": "User", "name": "a"}),
        json!({"kind": "User", "name": "b"}),
    );
    let wanted = binding("r", json!([one]));
    assert_eq!(plan(Some(&binding("r", json!([two, one]))), &wanted), None);
    assert_eq!(plan(Some(&binding("x", json!([one]))), &wanted), Some(Step::Replace));
    let patch = json!({"subjects": [two, one]});
    assert_eq!(
        plan(Some(&binding("r", json!([two]))), &wanted),
        Some(Step::Patch(patch))
    );
}

#[tokio::test]
async fn every_start_puts_back_what_is_missing() {
    let server = Server::start(Profile::Hub).await;
    let revision = server.api.store.revision();
    ensure(&server.api).await.unwrap();
    assert_eq!(server.api.store.revision(), revision, "a second start writes nothing");
    let path = "/apis/rbac.authorization.k8s.io/v1";
    let basic = format!("{path}/clusterroles/system:basic-user");
    let merge = "@application/merge-patch+json PATCH";
    let rules = server.ok(&format!("GET {basic}"), ()).await["rules"].clone();
    let more = json!([rules[0], rule("get - pods")]);
    server.ok(&format!("{merge} {basic}"), json!({"rules": more})).await;
    server.ok(&format!("DELETE {path}/clusterroles/karmada-view"), ()).await;
    let untouched = format!("{path}/clusterrolebindings/system:discovery");
    let annotations = json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}});
    server.ok(&format!("{merge} {untouched}"), annotations).await;
    server
        .ok(&format!("{merge} {untouched}"), json!({"subjects": []}))
        .await;
    let replaced = format!("{path}/clusterrolebindings/system:monitoring");
    let mut other = server.ok(&format!("GET {replaced}"), ()).await;
    server.ok(&format!("DELETE {replaced}"), ()).await;
    other["roleRef"]["name"] = json!("view");
    other["metadata"]["resourceVersion"].take();
    server.ok(&format!("POST {path}/clusterrolebindings"), other).await;
    ensure(&server.api).await.unwrap();
    let found = server.ok(&format!("GET {basic}"), ()).await;
    let group = "authorization.k8s.io";
    let lacking =
        ["selfsubjectaccessreviews", "selfsubjectrulesreviews"].map(|own| rule(&format!("create {group} {own}")));
    let expected = json!([rules[0], rule("get - pods"), lacking[0], lacking[1]]);
    assert_eq!(found["rules"], expected);
    server.ok(&format!("GET {path}/clusterroles/karmada-view"), ()).await;
    let found = server.ok(&format!("GET {untouched}"), ()).await;
    assert!(found["subjects"].as_array().is_none_or(Vec::is_empty), "{found}");
    let found = server.ok(&format!("GET {replaced}"), ()).await;
    assert_eq!(found["roleRef"]["name"], "system:monitoring");
    let view = server.ok(&format!("GET {path}/clusterroles/view"), ()).await;
    assert!(
        view["rules"].as_array().unwrap().len() > 10,
        "put together from the start"
    );
}
