use super::*;

fn amounts(list: Value) -> Amounts {
    Amounts::of(&list)
}

#[test]
fn section_6_11_what_a_binding_uses() {
    let check = |spec: Value, expected: Value| {
        let binding: Binding = serde_json::from_value(json!({"spec": spec})).unwrap();
        assert_eq!(usage(&binding).to_value(), expected, "{spec}");
    };
    let requirements = json!({"resourceRequest": {"cpu": "250m", "memory": "512Mi"}});
    check(json!({}), json!({}));
    check(
        json!({"replicas": 3, "replicaRequirements": requirements}),
        json!({"cpu": "0", "memory": "0"}),
    );
    check(
        json!({"replicas": 9, "replicaRequirements": requirements, "clusters": [{"name": "eu", "replicas": 3}, {"name": "us", "replicas": 1}]}),
        json!({"cpu": "1", "memory": "2Gi"}),
    );
    let component = |name: &str, replicas: i64| json!({"name": name, "replicas": replicas, "replicaRequirements": {"resourceRequest": {"cpu": 1}}});
    check(
        json!({"components": [component("master", 1), component("worker", 4)],
            "clusters": [{"name": "eu"}, {"name": "us", "components": [{"name": "worker", "replicas": 2}]}]}),
        json!({"cpu": "8"}),
    );
}

#[test]
fn section_7_3_the_limit() {
    let check = |used: &str, before: &str, after: &str, expected: Result<Option<&str>, &str>| {
        let cpu = |amount: &str| amounts(json!({"cpu": amount, "memory": "1Ti"}));
        let overall = amounts(json!({"cpu": "10", "pods": "5"}));
        let found = charged("shop/all", &overall, &cpu(used), &cpu(before), &cpu(after));
        let found = found
            .map(|sum| sum.map(|sum| sum.to_value()))
            .map_err(|error| error.to_string());
        let expected = expected
            .map(|sum| sum.map(|cpu| json!({"cpu": cpu, "pods": "0"})))
            .map_err(str::to_owned);
        assert_eq!(found, expected, "{used} {before} {after}");
    };
    check("0", "0", "0", Ok(None));
    check("4", "1", "1", Ok(None));
    check("4", "0", "6", Ok(Some("10")));
    check("4", "2", "3", Ok(Some("5")));
    check("4", "3", "0", Ok(Some("1")));
    let said = "FederatedResourceQuota(shop/all) exceeded for resource cpu: requested sum 10500m, limit 10.";
    check("4", "0", "6500m", Err(said));
    // A limit that was lowered below what is used forces nobody, but lets nobody grow.
    check("20", "8", "7", Ok(Some("19")));
    check(
        "20",
        "7",
        "8",
        Err("FederatedResourceQuota(shop/all) exceeded for resource cpu: requested sum 21, limit 10."),
    );
}

#[test]
fn section_6_11_the_work_of_a_static_assignment() {
    let work = work(None, ("shop", "all", "uid"), &json!({"cpu": "2"}), "eu", || {
        "wid".into()
    });
    assert_eq!(work["metadata"]["namespace"], "karmada-es-eu");
    assert_eq!(work["metadata"]["labels"][names::QUOTA_NAME], "all");
    let manifest = &work["spec"]["workload"]["manifests"][0];
    assert_eq!(manifest["spec"]["hard"]["cpu"], "2");
    assert_eq!(manifest["metadata"]["labels"][names::QUOTA_NAMESPACE], "shop");
    assert_eq!(manifest["metadata"]["labels"][names::MANAGED], "true");
}

#[test]
fn section_6_11_which_changes_of_a_quota_leave_more() {
    let quota = |overall: Value, used: Value, ends: bool| {
        let mut object = json!({"metadata": {"name": "q", "namespace": "n"}, "spec": {"overall": overall}, "status": {"overallUsed": used}});
        if ends {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        let draft = schema::entry::Draft::new(object).unwrap();
        draft.seal(crate::kinds::key(&crate::kinds::QUOTA, "n", "q"), 1)
    };
    let check = |(overall, used): (Value, Value), ends: bool, expected: bool| {
        let before = quota(json!({"cpu": "4", "memory": "1Gi"}), json!({"cpu": "3"}), false);
        let now = quota(overall.clone(), used.clone(), ends);
        assert_eq!(frees(&before, &now), expected, "{overall} {used}");
    };
    let limits = || json!({"cpu": "4", "memory": "1Gi"});
    check((limits(), json!({"cpu": "3"})), false, false);
    check((limits(), json!({"cpu": "4", "memory": "1Mi"})), false, false);
    check((limits(), json!({"cpu": "2900m"})), false, true);
    check((limits(), json!({"cpu": "4"})), true, true);
    check((json!({"cpu": "5", "memory": "1Gi"}), json!({"cpu": "3"})), false, true);
    check(
        (json!({"cpu": "5", "memory": "1Gi"}), json!({"cpu": "4"})),
        false,
        false,
    );
    check((json!({"memory": "1Gi"}), json!({"cpu": "9"})), false, true);
    check(
        (json!({"cpu": "4", "memory": "1Gi", "pods": "9"}), json!({"cpu": "3"})),
        false,
        false,
    );
    // More of one thing and less of another: somebody may need only the first.
    check((json!({"cpu": "5", "memory": "1"}), json!({"cpu": "3"})), false, true);
}
