use serde_json::json;

use super::*;

fn template() -> Value {
    json!({"metadata": {"generation": 2, "annotations": {
        "propagationpolicy.karmada.io/namespace": "default", "propagationpolicy.karmada.io/name": "web"}},
        "status": {"observedGeneration": 2}})
}

fn binding() -> Value {
    json!({"metadata": {"generation": 5}, "spec": {"clusters": [{"name": "eu", "replicas": 2}, {"name": "us", "replicas": 1}]},
        "status": {"schedulerObservedGeneration": 5, "conditions": [{"type": "Scheduled", "status": "True"}],
            "aggregatedStatus": [{"clusterName": "eu", "status": {"resourceTemplateGeneration": 2}},
                {"clusterName": "us", "status": {"resourceTemplateGeneration": 2}}]}})
}

fn work(cluster: &str) -> Value {
    json!({"metadata": {"namespace": format!("karmada-es-{cluster}"), "generation": 3},
        "spec": {"workload": {"manifests": [{"metadata": {"annotations": {"resourcetemplate.karmada.io/generation": "2"}}}]}},
        "status": {"conditions": [{"type": "Applied", "status": "True", "observedGeneration": 3}],
            "manifestStatuses": [{"health": "Healthy", "status": {"resourceTemplateGeneration": 2}}]}})
}

fn cluster(name: &str, ready: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"conditions": [
        {"type": "Ready", "status": ready, "message": "cluster is gone"}]}})
}

/// Changes something in a world where all is well, and looks at the stage and the waits.
fn check(
    change: impl FnOnce(&mut Value, &mut Option<Value>, &mut Vec<Value>, &mut Vec<Value>),
    stage: Stage,
    waits: &[&str],
) {
    let (mut template, mut binding) = (template(), Some(binding()));
    let mut works = vec![work("eu"), work("us")];
    let mut clusters = vec![cluster("eu", "True"), cluster("us", "True")];
    change(&mut template, &mut binding, &mut works, &mut clusters);
    let progress = progress(&Evidence {
        template: &template,
        binding: binding.as_ref(),
        works: Some(&works),
        clusters: &clusters,
        policies: &[],
        overrides: &[],
    });
    let said: Vec<String> = progress
        .waits
        .iter()
        .map(|wait| format!("{}: {}", wait.cluster, wait.message))
        .collect();
    assert_eq!(said, waits);
    assert_eq!(progress.stage, stage);
}

#[test]
fn every_stage_says_what_it_waits_for() {
    check(|_, _, _, _| {}, Stage::Aggregated, &[]);
    check(
        |template, binding, _, _| {
            template["metadata"]["annotations"] = json!({});
            *binding = None;
        },
        Stage::Accepted,
        &[": no policy selects the template: apply a PropagationPolicy that does"],
    );
    check(
        |_, binding, _, _| *binding = None,
        Stage::Accepted,
        &[": PropagationPolicy default/web has claimed the template; its binding is not written yet"],
    );
    check(
        |_, binding, _, _| binding.as_mut().unwrap()["metadata"]["generation"] = 6.into(),
        Stage::Bound,
        &[": the scheduler has not looked at the binding as it is now"],
    );
    check(
        |_, binding, _, _| {
            let binding = binding.as_mut().unwrap();
            binding["spec"]["clusters"] = json!([]);
            binding["status"]["conditions"][0] =
                json!({"type": "Scheduled", "status": "False", "message": "0/2 clusters are available"});
        },
        Stage::Bound,
        &[": 0/2 clusters are available"],
    );
    check(
        |_, binding, _, _| binding.as_mut().unwrap()["spec"]["suspension"] = json!({"scheduling": true}),
        Stage::Bound,
        &[": scheduling is suspended (spec.suspension.scheduling)"],
    );
    check(
        |_, _, works, _| drop(works.pop()),
        Stage::Placed,
        &["us: it has no Work yet"],
    );
    check(
        |template, _, _, _| {
            template["metadata"]["generation"] = 3.into();
        },
        Stage::Placed,
        &[
            "eu: its Work has generation 2 of the template, which is at 3",
            "us: its Work has generation 2 of the template, which is at 3",
        ],
    );
    check(
        |_, _, works, clusters| {
            works[0]["status"] = json!({});
            clusters[0] = cluster("eu", "Unknown");
            works[1]["spec"]["suspendDispatching"] = true.into();
        },
        Stage::Rendered,
        &[
            "eu: its agent has not applied the Work yet; the cluster is unreachable: cluster is gone",
            "us: dispatching to it is suspended (spec.suspension of the policy)",
        ],
    );
    check(
        |_, _, works, _| {
            works[0]["status"]["conditions"][0] =
                json!({"type": "Applied", "status": "False", "message": "quota exceeded", "observedGeneration": 3});
        },
        Stage::Rendered,
        &["eu: quota exceeded"],
    );
    check(
        |_, _, works, _| works[1]["status"]["manifestStatuses"] = json!([]),
        Stage::Applied,
        &["us: the member has reported nothing yet"],
    );
    check(
        |_, _, works, _| works[1]["status"]["manifestStatuses"][0]["status"]["resourceTemplateGeneration"] = 1.into(),
        Stage::Applied,
        &["us: the member's status is of generation 1 of the template"],
    );
    check(
        |_, binding, _, _| binding.as_mut().unwrap()["status"]["aggregatedStatus"] = json!([]),
        Stage::Reflected,
        &[
            "eu: the binding does not show its last report yet",
            "us: the binding does not show its last report yet",
        ],
    );
    check(
        |template, _, _, _| template["status"]["observedGeneration"] = 1.into(),
        Stage::Reflected,
        &[": status.observedGeneration of the template is 1, its generation 2: not every member has observed it"],
    );
}

#[test]
fn a_cluster_behind_does_not_hide_another() {
    check(
        |_, _, works, _| {
            works[0]["status"] = json!({});
            works.pop();
        },
        Stage::Placed,
        &["us: it has no Work yet", "eu: its agent has not applied the Work yet"],
    );
}

#[test]
fn stages_follow_one_another() {
    let mut stage = Stage::Accepted;
    let mut count = 1;
    while let Some(next) = stage.next() {
        assert!(stage < next);
        (stage, count) = (next, count + 1);
    }
    assert_eq!((stage, count), (Stage::Aggregated, 7));
}

/// What is said of a template that no policy has claimed, or of its binding.
#[track_caller]
fn check_bound(claimed: bool, bound: bool, policy: Value, overrides: &[&str], expected: &str) {
    let mut template =
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hello", "namespace": "default"}});
    if claimed {
        template["metadata"]["annotations"] = self::template()["metadata"]["annotations"].clone();
    }
    let mut policy = json!({"spec": policy, "metadata": {"name": "web", "namespace": "default"}});
    policy["spec"]["resourceSelectors"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment"}]);
    let object = |name: &&str| json!({"metadata": {"name": name, "namespace": "default"}});
    let overrides: Vec<Value> = overrides.iter().map(object).collect();
    let mut binding = binding();
    binding["spec"]["placement"] = json!({});
    binding["spec"]["clusters"] = json!([]);
    let progress = progress(&Evidence {
        template: &template,
        binding: bound.then_some(&binding),
        works: Some(&[]),
        clusters: &[],
        policies: &[policy],
        overrides: &overrides,
    });
    let said: Vec<&str> = progress.waits.iter().map(|wait| wait.message.as_str()).collect();
    assert_eq!(said.join("; "), expected);
}

#[test]
fn a_template_says_what_its_policy_waits_for() {
    let needs = json!({"dependentOverrides": ["a", "b"]});
    let waits =
        "PropagationPolicy default/web waits for override policies that are not there: b (spec.dependentOverrides)";
    check_bound(
        false,
        false,
        json!({}),
        &[],
        "PropagationPolicy default/web selects the template; it is not claimed yet",
    );
    check_bound(false, false, needs.clone(), &["a"], waits);
    check_bound(true, false, needs.clone(), &["a"], waits);
    check_bound(true, true, needs.clone(), &["a"], waits);
    check_bound(true, true, needs, &["a", "b"], "");
    check_bound(
        true,
        false,
        json!({"activationPreference": "Lazy"}),
        &[],
        "PropagationPolicy default/web has claimed the template and is lazy: it acts when the template changes next",
    );
    check_bound(
        false,
        true,
        json!({}),
        &[],
        "no policy has the template any more: it stays where it is, and changes are not followed",
    );
}

#[test]
fn conditions_of_the_binding_say_what_is_in_the_way() {
    let with = |condition: Value| {
        move |_: &mut Value, binding: &mut Option<Value>, _: &mut Vec<Value>, _: &mut Vec<Value>| {
            let conditions = &mut binding.as_mut().unwrap()["status"]["conditions"];
            conditions.as_array_mut().unwrap().push(condition);
        }
    };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "message": "eu: no such field"});
    check(with(condition("OverridesApplied", "True")), Stage::Aggregated, &[]);
    check(
        with(condition("OverridesApplied", "False")),
        Stage::Placed,
        &[": eu: no such field (condition OverridesApplied)"],
    );
    check(
        with(condition("ReplicasInterpreted", "False")),
        Stage::Accepted,
        &[": eu: no such field (condition ReplicasInterpreted)"],
    );
    check(
        |_, binding, _, _| {
            let message = "FederatedResourceQuota(default/q) exceeded for resource cpu: requested sum 4, limit 2.";
            binding.as_mut().unwrap()["status"]["conditions"][0] =
                json!({"type": "Scheduled", "status": "False", "reason": "QuotaExceeded", "message": message});
        },
        Stage::Bound,
        &[": FederatedResourceQuota(default/q) exceeded for resource cpu: requested sum 4, limit 2."],
    );
}

#[test]
fn those_who_may_not_read_works_are_told_by_the_binding() {
    let mut binding = binding();
    binding["status"]["aggregatedStatus"] = json!([
        {"clusterName": "eu", "applied": true},
        {"clusterName": "us", "appliedMessage": "no such kind"},
    ]);
    let progress = progress(&Evidence {
        template: &template(),
        binding: Some(&binding),
        works: None,
        clusters: &[cluster("us", "Unknown")],
        policies: &[],
        overrides: &[],
    });
    assert_eq!(progress.stage, Stage::Rendered);
    assert_eq!(
        progress.waits[0].message,
        "no such kind; the cluster is unreachable: cluster is gone"
    );
}
