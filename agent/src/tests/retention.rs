//! What a member keeps when a webhook says so: the agent asks its hub, no more often than it must.

use super::*;

const WEBHOOK: &str = "things/maps.things.io";

/// A Work with a config map of which a webhook knows what the member keeps.
fn kept(name: &str, generation: i64, value: &str) -> Value {
    let mut work = work(name, generation, json!({"data": {"k": value}}));
    work["metadata"]["annotations"] = json!({"work.flotilla.dev/retained-by": WEBHOOK});
    work
}

fn manifest(work: &Value) -> Value {
    work["spec"]["workload"]["manifests"][0].clone()
}

/// The member's object, with another value in it.
fn with(manifest: &Value, value: &str) -> Value {
    let mut object = manifest.clone();
    object["data"]["k"] = json!(value);
    object["metadata"]["managedFields"] = json!([{"manager": "somebody"}]);
    object
}

/// The manifest with all of the member's data.
fn keeping(manifest: Value) -> impl Fn(&Value) -> Result<Value, Status> + Send + Sync + 'static {
    move |question| {
        let mut object = manifest.clone();
        object["data"] = question["spec"]["observed"]["data"].clone();
        Ok(object)
    }
}

#[tokio::test(start_paused = true)]
async fn section_4_6_a_webhook_says_what_the_member_keeps() {
    let world = World::new();
    let ours = kept("a", 1, "hub");
    let manifest = manifest(&ours);
    world.hub.keep(keeping(manifest.clone()));
    world.member.put(with(&manifest, "member"));
    world.hub.put(ours);
    world.hub.put(work("b", 1, json!({})));
    world.start();
    for name in ["a", "b"] {
        world.told(name, "Applied", "True", "").await;
    }
    let value = || world.member.now(&manifest).unwrap()["data"]["k"].clone();
    assert_eq!(value(), "member");
    tokio::time::sleep(Duration::from_mins(10)).await;
    let questions = world.hub.questions();
    let [(_, question)] = questions.as_slice() else {
        panic!("{questions:?}")
    };
    assert_eq!(
        (&question["metadata"]["name"], &question["metadata"]["namespace"]),
        (&json!("a"), &json!("karmada-es-eu"))
    );
    assert_eq!(
        (&question["spec"]["generation"], &question["spec"]["ordinal"]),
        (&json!(1), &json!(0))
    );
    let observed = &question["spec"]["observed"];
    assert_eq!(
        (&observed["data"]["k"], &observed["metadata"]["managedFields"]),
        (&json!("member"), &Value::Null)
    );

    // Somebody changes the object in the member: that is asked about, and kept.
    let mut theirs = world.member.now(&manifest).unwrap();
    theirs["data"]["k"] = json!("theirs");
    world.member.put(theirs);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!((value(), world.hub.questions().len()), (json!("theirs"), 2));

    // Nobody says so any more: the hub's word counts, and nothing is asked.
    world.hub.put(work("a", 1, json!({"data": {"k": "hub"}})));
    world.member.until("the hub's data", || value() == "hub").await;
    assert_eq!(world.hub.questions().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn section_4_6_a_webhook_without_an_answer_is_told_and_asked_ever_more_seldom() {
    let world = World::new();
    let ours = kept("a", 1, "hub");
    let manifest = manifest(&ours);
    let failure = "Retain: failed calling webhook \"things/maps.things.io\": failed to call webhook: it sleeps";
    world
        .hub
        .keep(move |_| Err(Status::failure(500, Reason::InternalError, failure)));
    world.member.put(with(&manifest, "member"));
    world.hub.put(ours.clone());
    world.hub.put(work("b", 1, json!({})));
    // One that is not there yet: there is nothing to keep, and nobody is asked.
    world.hub.put(kept("fresh", 1, "hub"));
    world.start();
    world.told("a", "Applied", "False", failure).await;
    for name in ["b", "fresh"] {
        world.told(name, "Applied", "True", "").await;
    }
    for round in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut noisy = world.hub.now(&ours).unwrap();
        noisy["metadata"]["annotations"]["noise"] = json!(round.to_string());
        world.hub.put(noisy);
    }
    let times: Vec<Instant> = world.hub.questions().into_iter().map(|(at, _)| at).collect();
    asked_seldom(&times, 60_000);
    assert!(
        (15..=22).contains(&times.len()),
        "{} questions in ten minutes",
        times.len()
    );
    let now = world.member.now(&manifest).unwrap();
    assert_eq!(now["data"]["k"], "member", "what it keeps is not known");
    assert_eq!(world.member.applied("a").len(), 0);
    // It is awake again.
    world.hub.keep(keeping(manifest));
    world.told("a", "Applied", "True", "").await;
}

#[tokio::test(start_paused = true)]
async fn section_4_6_an_older_hub_is_named_and_a_script_of_a_user_comes_first() {
    let world = World::new();
    let ours = kept("a", 1, "hub");
    let manifest = manifest(&ours);
    world.member.put(with(&manifest, "member"));
    world.hub.put(ours);
    world.start();
    let text =
        "Retain: webhook \"things/maps.things.io\" could not be asked: retentions.work.flotilla.dev \"a\" not found";
    world.told("a", "Applied", "False", text).await;
    let asked = world.hub.questions().len();
    let script = "function Retain(desired, observed) desired.data = observed.data return desired end";
    world.hub.put(customization("mine", "ConfigMap", "retention", script));
    world.told("a", "Applied", "True", "").await;
    assert_eq!(world.member.now(&manifest).unwrap()["data"]["k"], "member");
    assert_eq!(world.hub.questions().len(), asked);
}
