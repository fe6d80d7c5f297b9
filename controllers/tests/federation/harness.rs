//! A hub in this process with all controllers, clusters that are Ready by decree, and agents that answer every Work.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use apiserver::api::Api;
use apiserver::bootstrap::system_user;
use apiserver::local::LocalHub;
use apiserver::request::{AnswerBody, ApiRequest, Query, Target, User, Verb};
use controllers::{Config, Features, Metrics, Previews, Retentions};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use runtime::clock::SystemRandom;
use runtime::hub::{Action, Hub, Propagation, Request, Resource, Signal};
use schema::clock::Clock;
use schema::entry::{Entry, GroupResource};
use schema::status::Status;
use serde_json::{Value, json};
use storage::{Backend, Options, Store};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes; only a test that fails waits for so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A clock that moves when it is told to.
pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// The hub and what runs in it; everything ends with it.
pub(crate) struct Federation {
    pub(crate) hub: Arc<dyn Hub>,
    api: Arc<Api>,
    previews: Previews,
    retentions: Retentions,
    metrics: Metrics,
    adjust: fn(&mut Config),
    clock: Arc<TestClock>,
    cancel: CancellationToken,
    controllers: Mutex<Option<(JoinHandle<()>, CancellationToken)>>,
}

impl Drop for Federation {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// A pretended agent; it stops when told to.
pub(crate) struct Agent {
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    /// Answers nothing more once this returns.
    pub(crate) async fn stop(self) {
        self.cancel.cancel();
        self.task.await.unwrap();
    }
}

impl Federation {
    /// A hub with controllers.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A hub whose controllers are set up in another way.
    pub(crate) async fn start_with(adjust: fn(&mut Config)) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000)));
        let options = Options::new(Backend::Memory, clock.clone(), Arc::new(SystemRandom));
        let store = Store::open(options).await.unwrap();
        let (previews, retentions) = (Previews::default(), Retentions::default());
        let api = Api::open(
            apiserver::api::Config {
                previewer: Some(Arc::new(previews.clone())),
                keeper: Some(Arc::new(retentions.clone())),
                ..apiserver::api::Config::default()
            },
            store,
            clock.clone(),
            Arc::new(SystemRandom),
        )
        .await
        .unwrap();
        let hub: Arc<dyn Hub> = Arc::new(LocalHub::new(api.clone(), system_user()));
        let federation = Self {
            hub: hub.clone(),
            api,
            previews,
            retentions,
            metrics: Metrics::default(),
            adjust,
            clock: clock.clone(),
            cancel: CancellationToken::new(),
            controllers: Mutex::default(),
        };
        tokio::spawn(apiserver::housekeeping::run(hub, clock, federation.cancel.clone()));
        federation.run_controllers();
        federation
    }

    pub(crate) fn run_controllers(&self) {
        let mut config = Config {
            cluster_monitor_period: Duration::from_millis(10),
            features: Features::parse(
                "PropagationPolicyPreemption=true,FederatedQuotaEnforcement=true,WorkloadAffinity=true,\
                 MultiplePodTemplatesScheduling=true",
            )
            .unwrap(),
            previews: self.previews.clone(),
            retentions: self.retentions.clone(),
            ..Config::default()
        };
        (self.adjust)(&mut config);
        let (hub, clock, cancel) = (self.hub.clone(), self.clock.clone(), self.cancel.child_token());
        let metrics = self.metrics.clone();
        let stop = cancel.clone();
        let task = tokio::spawn(async move {
            controllers::run(hub, clock, Arc::new(SystemRandom), config, metrics, stop)
                .await
                .unwrap();
        });
        *self.controllers.lock().unwrap() = Some((task, cancel));
    }

    /// The value of a counter with these labels, 0 while it does not count.
    pub(crate) fn counted(&self, series: &str) -> u64 {
        let (mut registry, mut text) = (Registry::default(), String::new());
        self.metrics.register(&mut registry);
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().unwrap())
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn resource(&self, api_version: &str, kind: &str) -> Resource {
        self.hub
            .resource_for(api_version, kind)
            .unwrap_or_else(|| panic!("{api_version} {kind} is not served"))
    }

    async fn request(
        &self,
        object: &Value,
        subresource: Option<&'static str>,
        action: Action,
    ) -> Result<Arc<Entry>, Status> {
        let resource = self.resource(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().into();
        let request = Request {
            resource,
            namespace: text("namespace"),
            name: text("name"),
            subresource,
            action,
        };
        self.hub.write("kubectl", request).await
    }

    /// Creates an object, or replaces what its manifest says of it.
    pub(crate) async fn apply(&self, object: Value) {
        let action = Action::Apply {
            object: object.clone(),
            force: true,
        };
        self.request(&object, None, action).await.unwrap();
    }

    pub(crate) async fn merge(&self, object: &Value, patch: Value) {
        self.request(object, None, Action::Merge(patch)).await.unwrap();
    }

    pub(crate) async fn merge_status(&self, object: &Value, patch: Value) {
        self.request(object, Some("status"), Action::Merge(patch))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, object: &Value) {
        let action = Action::Delete {
            uid: None,
            revision: None,
            propagation: Propagation::Background,
        };
        self.request(object, None, action).await.unwrap();
    }

    /// What the hub says that changes would do.
    pub(crate) async fn preview(&self, spec: Value) -> Result<Value, Status> {
        self.preview_as(system_user(), spec).await
    }

    /// The same for somebody.
    pub(crate) async fn preview_as(&self, user: User, spec: Value) -> Result<Value, Status> {
        let question = json!({"apiVersion": "placement.flotilla.dev/v1alpha1", "kind": "PlacementPreview",
            "metadata": {"namespace": "default"}, "spec": spec});
        self.ask_as(user, "placementpreviews", question).await
    }

    /// The status that a question is answered with.
    pub(crate) async fn ask_as(&self, user: User, plural: &str, question: Value) -> Result<Value, Status> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let api_version = text(&question["apiVersion"]);
        let (group, version) = api_version.split_once('/').unwrap();
        let request = ApiRequest {
            user,
            verb: Verb::Create,
            target: Target {
                group: group.to_owned(),
                version: version.to_owned(),
                resource: plural.to_owned(),
                namespace: text(&question["metadata"]["namespace"]),
                ..Target::default()
            },
            query: Query::default(),
            content_type: "application/json".to_owned(),
            body: serde_json::to_vec(&question).unwrap().into(),
            agent: "kubectl".to_owned(),
            liberties: apiserver::request::Liberties::default(),
        };
        match self.api.serve(request).await?.body {
            AnswerBody::Object(_, answer) => Ok(answer["status"].clone()),
            other => panic!("a question was answered with {other:?}"),
        }
    }

    /// The newest revision of anything but heartbeats.
    pub(crate) fn revision(&self) -> u64 {
        let resources = self.hub.resources().into_iter();
        let entries = resources.flat_map(|resource| self.hub.list(&resource.group_resource, None));
        entries.map(|entry| entry.revision()).max().unwrap_or_default()
    }

    /// What has been written after a revision. An Event that only counts once more is left out: that comes when it comes.
    pub(crate) fn changed_since(&self, revision: u64) -> Vec<String> {
        let resources = self.hub.resources().into_iter();
        let entries = resources.flat_map(|resource| self.hub.list(&resource.group_resource, None));
        entries
            .filter(|entry| entry.revision() > revision && entry.value()["count"].as_i64().unwrap_or(1) == 1)
            .map(|entry| entry.key().to_string())
            .collect()
    }

    /// Waits until nothing has been written for a while.
    pub(crate) async fn settle(&self) {
        let mut last = self.revision();
        let mut quiet = 0;
        while quiet < 20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.revision();
            quiet = if now == last { quiet + 1 } else { 0 };
            last = now;
        }
    }

    /// Ends the controllers.
    pub(crate) async fn stop_controllers(&self) {
        let (controllers, cancel) = self.controllers.lock().unwrap().take().unwrap();
        cancel.cancel();
        controllers.await.unwrap();
    }

    /// Ends the controllers and begins them anew.
    pub(crate) async fn restart_controllers(&self) {
        self.stop_controllers().await;
        self.run_controllers();
    }

    /// The object that a manifest names, as it is now.
    pub(crate) fn now(&self, object: &Value) -> Option<Value> {
        let resource = self.resource(object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let key = schema::entry::Key::new(resource.group_resource, text("namespace"), text("name"));
        self.hub.get(&key).map(|entry| entry.value())
    }

    /// Waits until something is so, looking again after every change on the hub.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let resources: Vec<GroupResource> = self
            .hub
            .resources()
            .into_iter()
            .map(|resource| resource.group_resource)
            .collect();
        let mut changes = self.hub.subscribe(&resources);
        let wait = async {
            while !holds() {
                changes.next().await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(came, "never happened: {what}\n{}", self.news().join("\n"));
    }

    /// What was told, for the message of a failure.
    fn news(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let events = self.list("", "events", "");
        let told = events.iter().map(|event| {
            let about = &event["involvedObject"];
            let (kind, name) = (text(&about["kind"]), text(&about["name"]));
            format!("{kind} {name}: {} {}", text(&event["reason"]), text(&event["message"]))
        });
        told.collect()
    }

    /// All objects of a kind in a namespace.
    pub(crate) fn list(&self, group: &str, plural: &str, namespace: &str) -> Vec<Value> {
        let resource = GroupResource::new(group, plural);
        let namespace = Some(namespace).filter(|namespace| !namespace.is_empty());
        self.hub
            .list(&resource, namespace)
            .iter()
            .map(|entry| entry.value())
            .collect()
    }

    /// `ap:4 eu:3 us:3` by the Works that are there, for manifests of this kind and name.
    pub(crate) fn spread(&self, kind: &str, name: &str) -> String {
        let mut shares: Vec<String> = self
            .list("work.karmada.io", "works", "")
            .iter()
            .filter(|work| work["metadata"]["deletionTimestamp"].is_null())
            .filter_map(|work| {
                let manifest = &work["spec"]["workload"]["manifests"][0];
                let cluster = work["metadata"]["namespace"].as_str()?.strip_prefix("karmada-es-")?;
                let found = manifest["kind"] == kind && manifest["metadata"]["name"] == name;
                found.then(|| match manifest["spec"]["replicas"].as_i64() {
                    Some(replicas) => format!("{cluster}:{replicas}"),
                    None => cluster.to_owned(),
                })
            })
            .collect();
        shares.sort();
        shares.join(" ")
    }

    /// Whether the object has an Event with this reason and message.
    pub(crate) fn told(&self, object: &Value, reason: &str, message: &str) -> bool {
        let uid = self
            .now(object)
            .map(|now| now["metadata"]["uid"].clone())
            .unwrap_or_default();
        self.list("", "events", "").iter().any(|event| {
            event["involvedObject"]["uid"] == uid
                && event["reason"] == reason
                && event["message"].as_str().is_some_and(|text| text.contains(message))
        })
    }

    /// A member that serves what the tests use, Ready, with an agent.
    pub(crate) async fn join(&self, name: &str) -> Agent {
        let cluster = cluster(name);
        self.apply(cluster.clone()).await;
        let enablement = |version: &str, kinds: &[&str]| {
            let resources: Vec<Value> = kinds
                .iter()
                .map(|kind| json!({"name": format!("{}s", kind.to_lowercase()), "kind": kind}))
                .collect();
            json!({"groupVersion": version, "resources": resources})
        };
        let conditions = json!([
            condition("Ready", "True", "ClusterReady"),
            condition("CompleteAPIEnablements", "True", "Complete"),
        ]);
        let enablements = json!([
            enablement("v1", &["ConfigMap", "Namespace", "Secret", "Service", "ServiceAccount"]),
            enablement("apps/v1", &["Deployment"]),
            enablement("rbac.authorization.k8s.io/v1", &["ClusterRole"]),
        ]);
        self.merge_status(
            &cluster,
            json!({"status": {"conditions": conditions, "apiEnablements": enablements}}),
        )
        .await;
        self.run_agent(name)
    }

    /// An agent that answers every Work as a member would that runs everything at once.
    pub(crate) fn run_agent(&self, cluster: &str) -> Agent {
        let (hub, namespace) = (self.hub.clone(), format!("karmada-es-{cluster}"));
        let cancel = self.cancel.child_token();
        let mut works = hub.subscribe(&[GroupResource::new("work.karmada.io", "works")]);
        let stop = cancel.clone();
        let task = tokio::spawn(async move {
            loop {
                let signal = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    signal = works.next() => signal,
                };
                match signal {
                    Some(Signal::Change(change)) if change.entry.namespace() == namespace && !change.deleted => {
                        // A conflict or a Work that is gone shows as another change.
                        let _ = answer(&*hub, &change.entry).await;
                    }
                    Some(_) => {}
                    None => return,
                }
            }
        });
        Agent { cancel, task }
    }
}

async fn answer(hub: &dyn Hub, work: &Entry) -> Result<(), Status> {
    let resource = hub.resource_for("work.karmada.io/v1alpha1", "Work").unwrap();
    let write = |subresource, patch| {
        let request = Request {
            resource: resource.clone(),
            namespace: work.namespace().into(),
            name: work.name().into(),
            subresource,
            action: Action::Merge(patch),
        };
        hub.write("flotilla-agent", request)
    };
    if work.meta().deletion_timestamp.is_some() {
        return write(None, json!({"metadata": {"finalizers": null}})).await.map(|_| ());
    }
    let value = work.value();
    let generation = work.meta().generation;
    if value["status"]["conditions"][0]["observedGeneration"] == generation {
        return Ok(());
    }
    let manifest = &value["spec"]["workload"]["manifests"][0];
    let mut applied = condition("Applied", "True", "AppliedSuccessful");
    applied["observedGeneration"] = generation.into();
    let mut report = json!({
        "identifier": {"ordinal": 0, "kind": manifest["kind"], "name": manifest["metadata"]["name"], "resource": "", "version": "v1"},
        "health": "Healthy",
    });
    if let Some(replicas) = manifest["spec"]["replicas"].as_i64() {
        let annotations = &manifest["metadata"]["annotations"];
        let template: i64 = annotations["resourcetemplate.karmada.io/generation"]
            .as_str()
            .unwrap_or("0")
            .parse()
            .unwrap_or_default();
        report["status"] = json!({
            "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas,
            "generation": generation, "observedGeneration": generation, "resourceTemplateGeneration": template,
        });
    }
    write(
        Some("status"),
        json!({"status": {"conditions": [applied], "manifestStatuses": [report]}}),
    )
    .await
    .map(|_| ())
}

fn condition(kind: &str, status: &str, reason: &str) -> Value {
    json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

pub(crate) fn cluster(name: &str) -> Value {
    json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "metadata": {"name": name},
        "spec": {"syncMode": "Pull"}})
}

pub(crate) fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    })
}

pub(crate) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80}]},
    })
}

/// A policy with static weights that takes these (kind, name) pairs.
pub(crate) fn policy(weights: &[(&str, i64)], selected: &[(&str, &str)]) -> Value {
    let weights: Vec<Value> = weights
        .iter()
        .map(|(name, weight)| json!({"targetCluster": {"clusterNames": [name]}, "weight": weight}))
        .collect();
    let selectors: Vec<Value> = selected
        .iter()
        .map(|(kind, name)| {
            let version = if *kind == "Deployment" { "apps/v1" } else { "v1" };
            json!({"apiVersion": version, "kind": kind, "name": name})
        })
        .collect();
    json!({
        "apiVersion": "policy.karmada.io/v1alpha1", "kind": "PropagationPolicy",
        "metadata": {"name": "everywhere", "namespace": "default"},
        "spec": {
            "resourceSelectors": selectors,
            "placement": {
                "clusterAffinity": {"clusterNames": ["ap", "eu", "us"]},
                "replicaScheduling": {
                    "replicaSchedulingType": "Divided", "replicaDivisionPreference": "Weighted",
                    "weightPreference": {"staticWeightList": weights},
                },
            },
        },
    })
}
