//! A whole agent between a hub and a member that are in memory: what reaches the member, when, and how often.

mod reports;
mod retention;
mod scripts;
mod server;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use schema::status::Reason;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use server::Server;

struct Epoch;

impl Clock for Epoch {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A member that says nothing about itself.
struct Mute;

#[async_trait]
impl Probe for Mute {
    async fn health(&self) -> Option<u16> {
        None
    }

    async fn version(&self) -> Option<String> {
        None
    }
}

/// A hub, a member and the agent between them.
struct World {
    hub: Server,
    member: Server,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl World {
    fn new() -> Self {
        let core = |plural: &str, kind: &str| cluster::resource("", "v1", plural, kind, true);
        let own = [
            works("eu").0,
            customizations(),
            cluster::resource("cluster.karmada.io", "v1alpha1", "clusters", "Cluster", false),
            cluster::resource("coordination.k8s.io", "v1", "leases", "Lease", true),
        ];
        let served = [
            core("configmaps", "ConfigMap"),
            core("secrets", "Secret"),
            core("pods", "Pod"),
            cluster::resource("", "v1", "nodes", "Node", false),
        ];
        Self {
            hub: Server::serving(own),
            member: Server::serving(served),
            stop: CancellationToken::new(),
        }
    }

    fn start(&self) {
        let (_, synced) = watch::channel(true);
        let agent = Agent {
            config: Config {
                cluster_name: "eu".into(),
                api_endpoint: String::new(),
                status_period: Duration::from_hours(1000),
                lease_duration: Duration::from_hours(4000),
                threshold: Duration::ZERO,
            },
            hub: Arc::new(self.hub.clone()),
            member: Arc::new(self.member.clone()),
            probe: Arc::new(Mute),
            clock: Arc::new(Epoch),
            metrics: crate::Metrics::new("eu"),
            synced,
        };
        tokio::spawn(run(agent, || (), self.stop.clone()));
    }

    fn condition(&self, name: &str, kind: &str) -> Option<(String, String)> {
        let work = self.hub.now(&work(name, 1, json!({})))?;
        let mut conditions = work["status"]["conditions"].as_array()?.iter();
        let condition = conditions.find(|condition| condition["type"] == kind)?;
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        Some((text("status"), text("message")))
    }

    /// Waits until a condition of a Work says so.
    async fn told(&self, name: &str, kind: &str, status: &str, message: &str) {
        let what = format!("{name}: {kind} {status} {message}");
        self.hub
            .until(&what, || {
                let told = self.condition(name, kind);
                told.is_some_and(|(is, said)| is == status && said.contains(message))
            })
            .await;
    }

    /// Waits until nothing is left to do now, but for what waits for its time.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A Work with one config map of the same name.
#[allow(clippy::needless_pass_by_value, reason = "callers write `json!` in place")]
fn work(name: &str, generation: i64, more: Value) -> Value {
    let mut manifest = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": name, "namespace": "default", "labels": {"karmada.io/managed": "true"},
            "annotations": {"work.karmada.io/namespace": "karmada-es-eu", "work.karmada.io/name": name},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    json!({
        "apiVersion": "work.karmada.io/v1alpha1", "kind": "Work",
        "metadata": {
            "name": name, "namespace": "karmada-es-eu", "generation": generation,
            "finalizers": ["karmada.io/execution-controller"],
        },
        "spec": {"workload": {"manifests": [manifest]}},
    })
}

fn customization(name: &str, kind: &str, field: &str, script: &str) -> Value {
    json!({
        "apiVersion": "config.karmada.io/v1alpha1", "kind": "ResourceInterpreterCustomization",
        "metadata": {"name": name},
        "spec": {
            "target": {"apiVersion": "v1", "kind": kind},
            "customizations": {field: {"luaScript": script}},
        },
    })
}

/// The times between the requests, in milliseconds.
fn gaps(times: &[Instant]) -> Vec<u128> {
    times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).collect()
}

/// A member that refuses everything, with words that are never the same, is asked ever more seldom: whatever happens to the Work and
/// to its object in between.
#[track_caller]
fn asked_seldom(times: &[Instant], longest: u128) {
    let gaps = gaps(times);
    let doubled = gaps
        .windows(2)
        .all(|pair| pair[1] + 10 >= (pair[0] * 2).min(longest) && pair[1] <= longest + 1000);
    assert!(doubled, "{gaps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_may_pass_is_retried_with_growing_delays_and_told() {
    let world = World::new();
    let counter = std::sync::atomic::AtomicUsize::new(0);
    world.member.judge(move |_| {
        let turn = counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let message = format!("exceeded quota: little, used: {turn}");
        Err(Status::failure(403, Reason::Forbidden, message))
    });
    world.hub.put(work("a", 1, json!({})));
    world.start();
    world
        .told("a", "Applied", "False", "exceeded quota: little, used: 0")
        .await;
    for round in 0..600 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Others write into the Work and its status all the time.
        let mut noisy = world.hub.now(&work("a", 1, json!({}))).unwrap();
        noisy["metadata"]["annotations"]["noise"] = json!(round.to_string());
        world.hub.put(noisy);
    }
    let times = world.member.applied("a");
    asked_seldom(&times, 60_000);
    assert!(
        (15..=22).contains(&times.len()),
        "{} requests in ten minutes",
        times.len()
    );
    // Another manifest is another question.
    world.hub.put(work("a", 2, json!({"data": {"k": "v"}})));
    World::settle().await;
    assert_eq!(world.member.applied("a").len(), times.len() + 1);
    // There is room again.
    world.member.judge(|_| Ok(()));
    world.told("a", "Applied", "True", "").await;
}

#[tokio::test(start_paused = true)]
async fn what_a_member_finds_invalid_is_asked_once_a_minute_and_the_answer_is_told() {
    let world = World::new();
    world.member.judge(|object| match object["metadata"]["name"].as_str() {
        Some("bad") => Err(Status::failure(422, Reason::Invalid, "spec.x: Invalid value: 7")),
        _ => Ok(()),
    });
    for name in ["bad", "good"] {
        world.hub.put(work(name, 1, json!({})));
    }
    world.start();
    world.told("bad", "Applied", "False", "spec.x: Invalid value: 7").await;
    world.told("good", "Applied", "True", "").await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    let (bad, good) = (world.member.applied("bad"), world.member.applied("good"));
    assert!((10..=11).contains(&bad.len()), "{} requests in ten minutes", bad.len());
    assert_eq!(good.len(), 1);
    assert!(
        gaps(&bad).iter().all(|gap| (60_000..60_100).contains(gap)),
        "{:?}",
        gaps(&bad)
    );
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_comes_late_is_found_and_asked_for_ever_more_seldom() {
    let world = World::new();
    let gadget = json!({"apiVersion": "example.com/v1", "kind": "Gadget"});
    world.hub.put(work("a", 1, gadget));
    world.start();
    world
        .told("a", "Applied", "False", "no matches for kind \"Gadget\"")
        .await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    // Nothing else is asked of this member.
    let asked = world.member.asked();
    assert!((15..=30).contains(&asked), "{asked} requests in ten minutes");
}

/// A Work that goes and leaves its object behind takes its marks off: off its own object only, and a missing one holds nothing up.
#[tokio::test(start_paused = true)]
async fn section_2_9_what_is_preserved_is_let_go_of_once_and_by_its_own_work() {
    let world = World::new();
    let leaving = |name: &str| {
        let mut work = work(name, 2, json!({}));
        work["spec"]["preserveResourcesOnDeletion"] = json!(true);
        work["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        work
    };
    let manifest = |name: &str| work(name, 1, json!({}))["spec"]["workload"]["manifests"][0].clone();
    let mut others = manifest("theirs");
    others["metadata"]["annotations"]["work.karmada.io/name"] = json!("another");
    for object in [manifest("ours"), others.clone()] {
        world.member.put(object);
    }
    for name in ["ours", "theirs", "gone"] {
        world.hub.put(leaving(name));
    }
    world.start();
    let free = |name: &str| {
        let work = world.hub.now(&leaving(name)).unwrap();
        work["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
    };
    world
        .hub
        .until("all Works may go", || ["ours", "theirs", "gone"].into_iter().all(free))
        .await;
    let ours = world.member.now(&manifest("ours")).unwrap();
    assert_eq!(ours["metadata"]["labels"], json!({}));
    assert_eq!(ours["metadata"]["annotations"], json!({}));
    let theirs = world.member.now(&others).unwrap();
    for marks in ["labels", "annotations"] {
        assert_eq!(
            theirs["metadata"][marks], others["metadata"][marks],
            "they are another's"
        );
    }
    assert_eq!(world.member.now(&manifest("gone")), None, "nothing is made anew");
}

#[tokio::test(start_paused = true)]
async fn scripts_of_users_decide_what_a_member_keeps() {
    let world = World::new();
    let retain = "function Retain(desired, observed) desired.data = observed.data return desired end";
    let keeps = customization("keep", "ConfigMap", "retention", retain);
    world.hub.put(keeps.clone());
    let object = work("a", 1, json!({"data": {"k": "hub"}}));
    let manifest = object["spec"]["workload"]["manifests"][0].clone();
    let mut theirs = manifest.clone();
    theirs["data"] = json!({"k": "member"});
    world.member.put(theirs);
    world.hub.put(object);
    world.start();
    world.told("a", "Applied", "True", "").await;
    assert_eq!(
        world.member.now(&manifest).unwrap()["data"]["k"],
        "member",
        "known before the first write"
    );
    // Without the script the hub's word counts, and nobody has to touch the Work for that.
    world.hub.remove(&keeps);
    world
        .member
        .until("the hub's data", || {
            world.member.now(&manifest).unwrap()["data"]["k"] == "hub"
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn only_works_of_the_kind_are_looked_at_anew() {
    let world = World::new();
    world.hub.put(work("a", 1, json!({})));
    world.hub.put(work("b", 1, json!({"kind": "Secret"})));
    world.start();
    for name in ["a", "b"] {
        world.told(name, "Applied", "True", "").await;
    }
    World::settle().await;
    let before = world.member.asked();
    let health = "function InterpretHealth(o) return o.data ~= nil end";
    world
        .hub
        .put(customization("mine", "ConfigMap", "healthInterpretation", health));
    let healthy = |name: &str| {
        let work = world.hub.now(&work(name, 1, json!({}))).unwrap();
        work["status"]["manifestStatuses"][0]["health"].clone()
    };
    world
        .hub
        .until("judged by the script", || healthy("a") == "Unhealthy")
        .await;
    World::settle().await;
    assert_eq!(healthy("b"), "Healthy");
    assert_eq!(world.member.applied("b").len(), 1, "nothing is done about other kinds");
    assert_eq!(world.member.asked() - before, 1, "one look at the one object");
}

#[tokio::test(start_paused = true)]
async fn a_broken_script_is_told_with_its_line_and_stops_nothing_else() {
    let world = World::new();
    // No server of ours would have stored it: another version of the language reads it there.
    let retain = customization(
        "mine",
        "ConfigMap",
        "retention",
        "function Retain(d, o)\n  return d +\nend",
    );
    world.hub.put(retain);
    let own = work("a", 1, json!({"data": {"k": "new"}}));
    let manifest = own["spec"]["workload"]["manifests"][0].clone();
    let mut old = manifest.clone();
    old["data"]["k"] = json!("old");
    world.member.put(old);
    world.hub.put(own);
    world.hub.put(work("b", 1, json!({"kind": "Secret"})));
    world.start();
    world.told("b", "Applied", "True", "").await;
    let place = "ResourceInterpreterCustomization mine: Retain: script:";
    world.told("a", "Applied", "False", place).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(world.member.applied("a").len(), 0);
    assert_eq!(
        world.member.now(&manifest).unwrap()["data"]["k"],
        "old",
        "what it keeps is not known"
    );
    // Mended: at once.
    let mended = "function Retain(d, o) return d end";
    let since = Instant::now();
    world.hub.put(customization("mine", "ConfigMap", "retention", mended));
    world.told("a", "Applied", "True", "").await;
    assert!(since.elapsed() < Duration::from_secs(1));
    assert_eq!(world.member.now(&manifest).unwrap()["data"]["k"], "new");
}

/// What a member does on the heels of a report is reported once, when it has come to rest or a moment is over: the hub telling us our own
/// report is no reason to look again at once.
#[tokio::test(start_paused = true)]
async fn changes_of_a_moment_are_one_report() {
    let world = World::new();
    let object = work("a", 1, json!({}));
    let mut manifest = object["spec"]["workload"]["manifests"][0].clone();
    world.start();
    World::settle().await;
    let before = world.hub.asked();
    world.hub.put(object.clone());
    let applied = || world.member.now(&manifest).is_some();
    world.member.until("the object is there", applied).await;
    for ready in 1..=4 {
        manifest["status"] = json!({"readyReplicas": ready});
        world.member.put(manifest.clone());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let told = world.hub.now(&object).unwrap()["status"]["manifestStatuses"][0]["status"].clone();
    assert_eq!(told, json!({"readyReplicas": 4}));
    assert_eq!(world.hub.asked() - before, 2, "that it was applied, and how it went");
}
