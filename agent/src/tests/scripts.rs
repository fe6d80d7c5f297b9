//! Scripts of users that misbehave in a member: told where the user looks, run no more often than they must, and nobody else suffers.

use super::*;

/// The body of a function, and what is told of it.
const ENDLESS: (&str, &str) = ("while true do end", "too many steps");
const GREEDY: (&str, &str) = (
    "local all = {} while true do all[#all + 1] = string.rep(tostring(#all), 1000) end",
    "",
);
const FAILING: (&str, &str) = ("error('not today')", "not today");

/// A member with two objects; a script answers one question about the kind of the first.
async fn check(field: &str, function: &str, condition: &str, (body, told): (&str, &str)) {
    let world = World::new();
    let script = format!("function {function}(one, other)\n  {body}\nend");
    world.hub.put(customization("mine", "ConfigMap", field, &script));
    let ours = work("a", 1, json!({"data": {"k": "hub"}}));
    let manifest = ours["spec"]["workload"]["manifests"][0].clone();
    let mut theirs = manifest.clone();
    theirs["data"] = json!({"k": "member"});
    world.member.put(theirs);
    world.hub.put(ours);
    world.hub.put(work("b", 1, json!({"kind": "Secret"})));
    world.start();
    world.told("b", "Applied", "True", "").await;
    let place = format!("ResourceInterpreterCustomization mine: {}", operation(function));
    world.told("a", condition, "False", &place).await;
    world.told("a", condition, "False", told).await;
    let applied = function != "Retain";
    world
        .told("a", "Applied", if applied { "True" } else { "False" }, "")
        .await;
    let kept = world.member.now(&manifest).unwrap()["data"]["k"].clone();
    assert_eq!(kept == "hub", applied, "{function}: {kept}");
    let work = world.hub.now(&work("a", 1, json!({}))).unwrap();
    let health = &work["status"]["manifestStatuses"][0]["health"];
    if function == "InterpretHealth" {
        assert_eq!(health, "Unknown");
    }

    // Ten minutes in which nothing happens: nothing is said again, and a member is asked no more than once a minute.
    World::settle().await;
    let before = (world.hub.asked(), world.member.asked());
    tokio::time::sleep(Duration::from_mins(10)).await;
    let after = (world.hub.asked(), world.member.asked());
    assert_eq!(after.0, before.0, "{function} {body}: the hub hears nothing new");
    assert!(after.1 <= before.1 + 11, "{function} {body}: {before:?} {after:?}");

    // Without the script the rules that ship answer, at once.
    world.hub.remove(&customization("mine", "ConfigMap", field, &script));
    world.told("a", condition, "True", "").await;
    world
        .member
        .until("the hub's data", || {
            world.member.now(&manifest).unwrap()["data"]["k"] == "hub"
        })
        .await;
}

fn operation(function: &str) -> &str {
    match function {
        "ReflectStatus" => "InterpretStatus: ",
        "InterpretHealth" => "InterpretHealth: ",
        other => other,
    }
}

#[tokio::test(start_paused = true)]
async fn section_4_5_what_a_bad_script_says_of_retention_stops_its_object_only() {
    let mute = ("return nil", "expect the returned requires type is table but got nil");
    let other = ("one.metadata.name = 'b' return one", "another kind or name");
    for bad in [ENDLESS, GREEDY, FAILING, mute, other] {
        check("retention", "Retain", "Applied", bad).await;
    }
}

#[tokio::test(start_paused = true)]
async fn section_4_5_what_a_bad_script_says_of_a_status_is_told() {
    let number = ("return 7", "expect the returned requires type is table but got number");
    for bad in [ENDLESS, GREEDY, FAILING, number] {
        check("statusReflection", "ReflectStatus", "StatusReflected", bad).await;
    }
}

#[tokio::test(start_paused = true)]
async fn section_4_5_what_a_bad_script_says_of_health_is_told() {
    let text = (
        "return 'well'",
        "expect the returned requires type is boolean but got string",
    );
    for bad in [ENDLESS, GREEDY, FAILING, text] {
        check("healthInterpretation", "InterpretHealth", "HealthInterpreted", bad).await;
    }
}
