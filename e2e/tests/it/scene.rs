//! A scenario in a namespace of its own, so that several share one federation and run beside each other.

use std::collections::BTreeMap;

use e2e::federation::{Federation, MEMBERS};
use e2e::kubectl::{Kubectl, Output};
use e2e::wait::until;
use serde_json::Value;

/// How long a `kubectl` that waits may take.
pub(crate) const TIMEOUT: &str = "--timeout=90s";

/// One namespace of a federation, on the hub and in the members.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'f> {
    pub(crate) federation: &'f Federation,
    pub(crate) namespace: &'f str,
}

/// What is played in a namespace.
pub(crate) type Scenario = fn(&Scene<'_>);

/// Runs scenarios beside each other, each in a new namespace of its name.
pub(crate) fn beside_each_other(federation: &Federation, scenarios: &[(&str, Scenario)]) {
    std::thread::scope(|threads| {
        for &(namespace, play) in scenarios {
            // A failure names its thread.
            let thread = std::thread::Builder::new().name(namespace.to_owned());
            let played = thread.spawn_scoped(threads, move || play(&Scene::new(federation, namespace)));
            played.unwrap();
        }
    });
}

impl<'f> Scene<'f> {
    /// Makes the namespace.
    pub(crate) fn new(federation: &'f Federation, namespace: &'f str) -> Self {
        federation.hub().run(&["create", "namespace", namespace]).ok();
        Self { federation, namespace }
    }

    fn kubectl(&self, client: &Kubectl, args: &[&str]) -> Output {
        client.run(&[args, &["-n", self.namespace]].concat())
    }

    /// kubectl on the hub; it must succeed.
    #[track_caller]
    pub(crate) fn hub(&self, args: &[&str]) -> String {
        self.kubectl(&self.federation.hub(), args).ok()
    }

    /// kubectl in a member, whatever comes of it.
    pub(crate) fn member(&self, member: &str, args: &[&str]) -> Output {
        self.kubectl(&self.federation.member(member), args)
    }

    /// Applies manifests that name no namespace.
    #[track_caller]
    pub(crate) fn apply(&self, manifests: &str) {
        let args = ["apply", "-n", self.namespace, "-f", "-"];
        self.federation.hub().run_with(&args, manifests).ok();
    }

    /// An object on the hub; `Null` when there is none.
    #[track_caller]
    pub(crate) fn get(&self, object: &[&str]) -> Value {
        self.federation.hub().get(&[object, &["-n", self.namespace]].concat())
    }

    /// An object in a member; `Null` when there is none, and while the member does not know its kind.
    pub(crate) fn get_in(&self, member: &str, object: &[&str]) -> Value {
        let client = self.federation.member(member);
        if let Some(found) = client.look(&[object, &["-n", self.namespace]].concat()) {
            return found;
        }
        let args = [&["get"], object, &["-o", "json", "--ignore-not-found"]].concat();
        let output = self.member(member, &args);
        let unknown = output.stderr.contains("the server doesn't have a resource type");
        if output.code == 0 || unknown {
            serde_json::from_str(&output.stdout).unwrap_or_default()
        } else {
            // Neither an object nor none: every look at it fails, and shows it.
            Value::String(output.stderr)
        }
    }

    /// Waits until a look at an object on the hub is content.
    #[track_caller]
    pub(crate) fn until(&self, object: &[&str], what: &str, look: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{object:?} on the hub: {what}"), || {
            let found = self.get(object);
            if look(&found) {
                Ok(found)
            } else {
                Err(self.report(&found))
            }
        })
    }

    /// Waits until a look at an object in a member is content.
    #[track_caller]
    pub(crate) fn until_in(&self, member: &str, object: &[&str], what: &str, look: impl Fn(&Value) -> bool) -> Value {
        until(&format!("{object:?} in {member}: {what}"), || {
            let found = self.get_in(member, object);
            if look(&found) {
                Ok(found)
            } else {
                Err(self.report(&found))
            }
        })
    }

    /// Waits until an object is in exactly these members.
    #[track_caller]
    pub(crate) fn until_only_in(&self, object: &[&str], wanted: &[&str]) {
        for member in MEMBERS {
            if wanted.contains(&member) {
                self.until_in(member, object, "there", |found| !found.is_null());
            } else {
                self.until_in(member, object, "not there", Value::is_null);
            }
        }
    }

    /// Waits until a binding is placed so: `ap:1 eu:2`, or `ap eu` without replicas.
    #[track_caller]
    pub(crate) fn until_placed(&self, binding: &str, wanted: &str) {
        self.until(&["resourcebinding", binding], &format!("placed {wanted:?}"), |found| {
            placed(found) == wanted
        });
    }

    /// Waits until so many replicas of a Deployment are ready, over all members.
    #[track_caller]
    pub(crate) fn until_ready(&self, deployment: &str, replicas: usize) {
        self.until(&["deployment", deployment], &format!("{replicas} ready"), |found| {
            found["status"]["readyReplicas"] == replicas
                && found["status"]["observedGeneration"] == found["metadata"]["generation"]
        });
    }

    /// What each member runs of an app, in the order eu, ap, us: uid and creation time of its ReplicaSets and Pods, by name. Those that
    /// are on their way out are left out, and ReplicaSets of earlier templates.
    pub(crate) fn identities(&self, app: &str) -> BTreeMap<&'static str, BTreeMap<String, (String, String)>> {
        let in_member = |member: &'static str| {
            let of_app = format!("app={app}");
            let items: Vec<Value> = ["replicasets", "pods"]
                .into_iter()
                .flat_map(|kind| {
                    let list = self.get_in(member, &[kind, "-l", &of_app]);
                    list["items"].as_array().cloned().unwrap_or_default()
                })
                .collect();
            let alive = items.iter().filter(|item| {
                item["metadata"]["deletionTimestamp"].is_null()
                    && item["spec"]["replicas"] != 0
                    && !matches!(item["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
            });
            let text = |item: &Value, field: &str| item["metadata"][field].as_str().unwrap_or_default().to_owned();
            let identity = |item: &Value| {
                let kind = item["kind"].as_str().unwrap_or_default();
                let name = format!("{kind}/{}", text(item, "name"));
                (name, (text(item, "uid"), text(item, "creationTimestamp")))
            };
            (member, alive.map(identity).collect())
        };
        MEMBERS.into_iter().map(in_member).collect()
    }

    /// How many pods of an app each member runs, in the order eu, ap, us.
    pub(crate) fn running(&self, app: &str) -> [usize; 3] {
        let found = self.identities(app);
        MEMBERS.map(|member| found[member].keys().filter(|name| name.starts_with("Pod/")).count())
    }

    /// Waits until each member runs so many pods of an app, in the order eu, ap, us.
    #[track_caller]
    pub(crate) fn until_running(&self, app: &str, wanted: [usize; 3]) {
        until(&format!("pods of {app} {wanted:?} in {MEMBERS:?}"), || {
            let found = self.running(app);
            if found == wanted {
                Ok(())
            } else {
                Err(format!("{found:?}{}", self.federation.logs()))
            }
        });
    }

    /// Waits until an Event about an object says this.
    #[track_caller]
    pub(crate) fn until_told(&self, object: &str, wanted: &[&str]) {
        until(&format!("{object} is told {wanted:?}"), || {
            let told = self.hub(&["events", "--for", object]);
            if wanted.iter().all(|text| told.contains(text)) {
                Ok(())
            } else {
                Err(told)
            }
        });
    }

    fn report(&self, found: &Value) -> String {
        format!("{found}{}", self.federation.logs())
    }
}

/// `ap:1 eu:2`: where a binding is placed.
pub(crate) fn placed(binding: &Value) -> String {
    let clusters = binding["spec"]["clusters"].as_array().cloned().unwrap_or_default();
    let mut parts: Vec<String> = clusters
        .iter()
        .map(|cluster| {
            let name = cluster["name"].as_str().unwrap_or_default();
            match cluster["replicas"].as_i64() {
                Some(replicas) => format!("{name}:{replicas}"),
                None => name.to_owned(),
            }
        })
        .collect();
    parts.sort();
    parts.join(" ")
}

/// Whether a condition of an object has this status.
pub(crate) fn has_condition(object: &Value, kind: &str, status: &str) -> bool {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == kind && condition["status"] == status)
}

/// A Deployment whose containers ask for so much CPU; `pod` is more of its pod's spec, as flow-style fields.
pub(crate) fn deployment(name: &str, replicas: u32, cpu: &str, pod: &str) -> String {
    format!(
        r"---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec: {{containers: [{{name: main, image: 'registry.k8s.io/pause:3.10', resources: {{requests: {{cpu: {cpu}}}}}}}]{pod}}}
"
    )
}

/// A policy for one selector, `apiVersion Kind name`, with the rest of its spec in flow style.
pub(crate) fn policy(name: &str, selected: &str, spec: &str) -> String {
    policy_of("PropagationPolicy", name, selected, spec)
}

/// As [`policy`], of a kind.
pub(crate) fn policy_of(kind: &str, name: &str, selected: &str, spec: &str) -> String {
    let selectors: Vec<String> = selected
        .split(',')
        .map(|one| {
            let parts: Vec<&str> = one.split_whitespace().collect();
            let name = parts.get(2).map(|name| format!(", name: '{name}'")).unwrap_or_default();
            format!("{{apiVersion: {}, kind: {}{name}}}", parts[0], parts[1])
        })
        .collect();
    let selectors = selectors.join(", ");
    format!(
        "---\napiVersion: policy.karmada.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{resourceSelectors: [{selectors}], {spec}}}\n"
    )
}
