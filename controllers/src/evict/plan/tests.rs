use proptest::prelude::*;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A binding at generation 3 in `clusters` (`name:replicas`), with reports (`name=health`).
fn binding(clusters: &str, reports: &str, extra: &Value) -> Value {
    let words = |text: &str, mark| -> Vec<(String, String)> {
        let pairs = text.split_whitespace().map(|word| word.split_once(mark).unwrap());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let clusters: Vec<Value> = words(clusters, ':')
        .into_iter()
        .map(|(name, replicas)| json!({"name": name, "replicas": replicas.parse::<i64>().unwrap()}))
        .collect();
    let reports: Vec<Value> = words(reports, '=')
        .into_iter()
        .map(|(name, health)| json!({"clusterName": name, "health": health, "status": {"version": 7, "name": "x", "list": [1, 2], "ok": true}}))
        .collect();
    let mut spec = json!({"clusters": clusters});
    for (field, value) in extra.as_object().unwrap() {
        spec[field] = value.clone();
    }
    json!({"spec": spec, "status": {"schedulerObservedGeneration": 3, "aggregatedStatus": reports}})
}

fn typed(value: &Value) -> Binding {
    serde_json::from_value(value.clone()).unwrap()
}

/// What becomes of one task, at second 1,000, with ten minutes where nothing else is said.
#[track_caller]
fn ends(clusters: &str, reports: &str, generation: i64, task: &Value, expected: &str) {
    let mut task = task.clone();
    task["fromCluster"] = json!("old");
    let value = binding(clusters, reports, &json!({"gracefulEvictionTasks": [task]}));
    let tasks = &value["spec"]["gracefulEvictionTasks"];
    let ended = typed(&value).end(generation, tasks, Duration::from_mins(10), at(1000));
    let what = match (&ended.tasks, &ended.left[..]) {
        (None, []) => "stays".to_owned(),
        (Some(tasks), []) => format!("begins {}", tasks[0]["creationTimestamp"].as_str().unwrap()),
        (Some(tasks), [_]) if tasks.is_empty() => "ends".to_owned(),
        odd => panic!("{odd:?}"),
    };
    let next = ended
        .next
        .map_or(String::new(), |next| format!(", again in {}", next.as_secs()));
    assert_eq!(what + &next, expected, "{clusters} {reports} {generation} {task}");
}

#[test]
fn section_3_9_a_task_ends_when_all_is_well_elsewhere_or_its_time_is_over() {
    let since = |second: i64| json!({"creationTimestamp": at(second).to_string()});
    let begun = since(900);
    ends("new:2", "new=Healthy", 3, &begun, "ends");
    ends("new:2", "new=Unhealthy", 3, &begun, "stays, again in 500");
    ends("new:2", "new=Unknown", 3, &begun, "stays, again in 500");
    ends(
        "new:2 far:1",
        "new=Healthy far=Healthy old=Unhealthy",
        3,
        &begun,
        "ends",
    );
    ends("new:2 far:1", "new=Healthy", 3, &begun, "stays, again in 500");
    ends("", "", 3, &begun, "ends");
    ends("new:2", "new=Healthy", 4, &begun, "stays, again in 500");
    ends("", "", 4, &begun, "stays, again in 500");
    ends("new:2", "", 3, &since(401), "stays, again in 1");
    ends("new:2", "", 3, &since(400), "ends");
    let with = |field: &str, value: Value| {
        let mut task = begun.clone();
        task[field] = value;
        task
    };
    ends(
        "new:2",
        "",
        3,
        &with("gracePeriodSeconds", json!(150)),
        "stays, again in 50",
    );
    ends("new:2", "", 3, &with("gracePeriodSeconds", json!(100)), "ends");
    ends(
        "new:2",
        "",
        3,
        &with("gracePeriodSeconds", json!(100_000_000_000_i64)),
        "stays, again in 99999999900",
    );
    ends(
        "new:2",
        "new=Healthy",
        3,
        &with("suppressDeletion", json!(true)),
        "stays",
    );
    ends("new:2", "", 3, &with("suppressDeletion", json!(false)), "ends");
}

#[test]
fn section_3_9_a_task_has_its_time_from_when_it_is_seen() {
    ends(
        "new:2",
        "new=Healthy",
        3,
        &json!({}),
        "begins 1970-01-01T00:16:40Z, again in 600",
    );
    ends(
        "new:2",
        "",
        3,
        &json!({"gracePeriodSeconds": 5}),
        "begins 1970-01-01T00:16:40Z, again in 5",
    );
    ends(
        "new:2",
        "",
        3,
        &json!({"suppressDeletion": false}),
        "begins 1970-01-01T00:16:40Z, again in 600",
    );
}

#[test]
fn section_3_9_tasks_keep_what_is_not_known_of_them() {
    let task = |from: &str, second: i64| json!({"fromCluster": from, "creationTimestamp": at(second).to_string(), "reason": "Mine"});
    let tasks = json!([task("a", 0), task("b", 990), task("c", 100)]);
    let value = binding("new:1", "", &json!({"gracefulEvictionTasks": tasks}));
    let ended = typed(&value).end(3, &tasks, Duration::from_mins(10), at(1000));
    assert_eq!(ended.tasks, Some(vec![task("b", 990)]));
    assert_eq!(ended.left, ["a", "c"]);
    assert_eq!(ended.next, Some(Duration::from_secs(590)));
}

fn application(mode: &str, extra: &Value) -> Value {
    let mut application = json!({"purgeMode": mode, "decisionConditions": {"tolerationSeconds": 60}});
    for (field, value) in extra.as_object().unwrap() {
        application[field] = value.clone();
    }
    json!({"failover": {"application": application}})
}

#[test]
fn section_3_10_what_stays_unhealthy_fails() {
    let spec = application("Directly", &json!({}));
    let mut since = BTreeMap::new();
    let mut look = |reports: &str, second: i64| {
        let binding = typed(&binding("eu:1 us:1", reports, &spec));
        let Some(application) = binding.application() else {
            return "nobody asks".to_owned();
        };
        let (failed, next) = binding.failed(application, &mut since, at(second));
        let next = next.map_or(String::new(), |next| format!(" again in {}", next.as_secs()));
        failed.join(" ") + &next
    };
    assert_eq!(look("", 0), "nobody asks");
    assert_eq!(look("eu=Healthy us=Unknown", 0), "");
    assert_eq!(look("eu=Unhealthy us=Unknown ap=Unhealthy", 10), " again in 60");
    assert_eq!(look("eu=Unhealthy us=Unhealthy", 40), " again in 30");
    assert_eq!(look("eu=Unhealthy us=Unhealthy", 70), "eu again in 30");
    assert_eq!(look("eu=Healthy us=Unhealthy", 90), " again in 10");
    assert_eq!(look("eu=Unhealthy us=Unhealthy", 100), "us again in 60");
    let plain = typed(&binding("eu:1", "eu=Unhealthy", &json!({"failover": {"cluster": {}}})));
    assert!(plain.application().is_none());
    let mut spec = spec.clone();
    spec["failover"]["application"]["decisionConditions"] = json!({});
    let plain = typed(&binding("eu:1", "eu=Unhealthy", &spec));
    let (_, next) = plain.failed(plain.application().unwrap(), &mut BTreeMap::new(), at(0));
    assert_eq!(next, Some(Duration::from_mins(5)));
}

/// The spec after `eu` has failed, or why it cannot be left.
fn left(mode: &str, extra: &Value, tasks: Value, graceful: bool) -> Result<Value, String> {
    let mut spec = application(mode, extra);
    spec["gracefulEvictionTasks"] = tasks;
    let value = binding("eu:2 us:0", "eu=Unhealthy us=Healthy", &spec);
    let (binding, mut after) = (typed(&value), value["spec"].clone());
    let departure = binding.failing(binding.application().unwrap(), "me", graceful);
    let done = departure.and_then(|departure| binding.leave(&mut after, &departure, &["eu".to_owned()]));
    done.map_err(|refusal| refusal.to_string())?;
    assert_eq!(after["clusters"], json!([{"name": "us", "replicas": 0}]));
    Ok(after["gracefulEvictionTasks"].clone())
}

#[test]
fn section_3_10_each_mode_leaves_in_its_way() {
    let task = |mode: &str| {
        json!({"fromCluster": "eu", "purgeMode": mode, "reason": "ApplicationFailure", "producer": "me", "replicas": 2,
            "clustersBeforeFailover": ["eu", "us"]})
    };
    let with = |mut task: Value, field: &str, value: Value| {
        task[field] = value;
        json!([task])
    };
    let plain = json!({});
    let none = || json!([]);
    assert_eq!(left("Directly", &plain, none(), false), Ok(json!([task("Directly")])));
    let never = with(task("Never"), "suppressDeletion", json!(true));
    assert_eq!(left("Never", &plain, none(), true), Ok(never));
    let grace = json!({"gracePeriodSeconds": 30});
    let graceful = with(task("Gracefully"), "gracePeriodSeconds", json!(30));
    assert_eq!(left("Gracefully", &grace, none(), true), Ok(graceful.clone()));
    assert_eq!(left("Graciously", &grace, none(), true), Ok(graceful));
    assert_eq!(left("", &plain, none(), true), Ok(json!([task("Gracefully")])));
    for mode in ["Gracefully", "Never"] {
        let refusal = format!("GracefulEviction featureGate must be enabled when purgeMode is {mode}");
        assert_eq!(left(mode, &plain, none(), false), Err(refusal));
    }
    let other = json!({"fromCluster": "ap", "reason": "Mine", "producer": "you"});
    assert_eq!(
        left("Directly", &plain, json!([other]), true),
        Ok(json!([other, task("Directly")]))
    );
    let known = json!([{"fromCluster": "eu", "reason": "Mine", "producer": "you"}]);
    assert_eq!(
        left("Directly", &plain, known.clone(), true),
        Ok(known),
        "a cluster has one task"
    );
}

#[test]
fn section_3_10_state_becomes_labels() {
    let rules =
        |path: &str| json!({"statePreservation": {"rules": [{"aliasLabelName": "example.com/v", "jsonPath": path}]}});
    for (path, value) in [
        ("{.version}", "7"),
        ("{ .name }", "x"),
        ("{.list[1]}", "2"),
        (".ok", "true"),
    ] {
        let tasks = left("Directly", &rules(path), json!([]), true).unwrap();
        assert_eq!(
            tasks[0]["preservedLabelState"],
            json!({"example.com/v": value}),
            "{path}"
        );
    }
    for (path, problem) in [
        ("{.none}", "leads nowhere"),
        ("{.list[*]}", "leads to more than one plain value"),
        ("{.list}", "leads to more than one plain value"),
        ("{..x}", "is no path that can be followed"),
    ] {
        let refusal = left("Directly", &rules(path), json!([]), true).unwrap_err();
        let expected = format!(
            "the state example.com/v cannot be preserved: {path} {problem} in the status of the workload in eu"
        );
        assert_eq!(refusal, expected);
    }
}

proptest! {
    /// Looked at again in the same second, what was decided stands; a task is kept or ended, and none is made up.
    #[test]
    fn ending_is_a_fixed_point(
        tasks in prop::collection::vec((0..4_usize, prop::option::of(0..1200_i64), prop::option::of(0..900_i64), prop::option::of(any::<bool>())), 0..5),
        healthy in any::<bool>(), generation in 3..5_i64,
    ) {
        let tasks: Vec<Value> = tasks
            .into_iter()
            .map(|(name, since, grace, suppressed)| {
                let mut task = json!({"fromCluster": format!("c{name}")});
                if let Some(since) = since { task["creationTimestamp"] = json!(at(since).to_string()); }
                if let Some(grace) = grace { task["gracePeriodSeconds"] = json!(grace); }
                if let Some(suppressed) = suppressed { task["suppressDeletion"] = json!(suppressed); }
                task
            })
            .collect();
        let reports = if healthy { "new=Healthy" } else { "new=Unhealthy" };
        let decide = |tasks: &Value| {
            let value = binding("new:1", reports, &json!({"gracefulEvictionTasks": tasks}));
            typed(&value).end(generation, tasks, Duration::from_mins(10), at(1000))
        };
        let ended = decide(&json!(tasks));
        let kept = ended.tasks.clone().unwrap_or_else(|| tasks.clone());
        prop_assert_eq!(kept.len() + ended.left.len(), tasks.len());
        // What has just begun may end at once when it is looked at again; nothing begins twice.
        let again = decide(&json!(kept));
        let begun = kept.iter().all(|task| task["creationTimestamp"].is_string());
        prop_assert!(begun);
        let fresh = tasks.iter().any(|task| task["creationTimestamp"].is_null());
        prop_assert!(fresh || again.tasks.is_none());
    }
}

/// The spec after `eu` has got a taint that evicts.
fn untolerating(cluster: &Value, default: PurgeMode, graceful: bool) -> Result<Value, String> {
    let spec = json!({"failover": {"cluster": cluster}});
    let value = binding("eu:2 us:0", "eu=Healthy us=Healthy", &spec);
    let (binding, mut after) = (typed(&value), value["spec"].clone());
    let departure = binding.untolerating(default, graceful);
    let done = binding.leave(&mut after, &departure, &["eu".to_owned()]);
    done.map_err(|refusal| refusal.to_string())?;
    assert_eq!(after["clusters"], json!([{"name": "us", "replicas": 0}]));
    Ok(after["gracefulEvictionTasks"].clone())
}

#[test]
fn section_3_11_a_taint_is_left_as_the_policy_or_the_flag_says() {
    let task = |mode: &str| json!([{"fromCluster": "eu", "purgeMode": mode, "reason": "TaintUntolerated", "producer": "TaintManager", "replicas": 2}]);
    let (gracefully, directly) = (PurgeMode::Gracefully, PurgeMode::Directly);
    assert_eq!(untolerating(&Value::Null, gracefully, true), Ok(task("Gracefully")));
    assert_eq!(untolerating(&Value::Null, directly, true), Ok(task("Directly")));
    assert_eq!(untolerating(&json!({}), directly, true), Ok(task("Gracefully")));
    for (said, other) in [("Gracefully", directly), ("Directly", gracefully)] {
        assert_eq!(untolerating(&json!({"purgeMode": said}), other, true), Ok(task(said)));
    }
    assert_eq!(untolerating(&Value::Null, directly, false), Ok(task("Directly")));
    assert_eq!(
        untolerating(&Value::Null, gracefully, false),
        Ok(Value::Null),
        "nobody would end the task"
    );
    let rule = |path: &str| json!({"purgeMode": "Directly", "statePreservation": {"rules": [{"aliasLabelName": "v", "jsonPath": path}]}});
    let kept = untolerating(&rule("{.version}"), gracefully, true).unwrap();
    assert_eq!(kept[0]["preservedLabelState"], json!({"v": "7"}));
    assert_eq!(
        untolerating(&rule("{.gone}"), gracefully, true).unwrap_err(),
        "the state v cannot be preserved: {.gone} leads nowhere in the status of the workload in eu"
    );
}
