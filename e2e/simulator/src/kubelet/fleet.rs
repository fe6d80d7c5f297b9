//! What every node offers and what its pods ask for, kept up to date change by change. Pure.

use std::collections::{BTreeMap, HashMap};

use crds::quantity;
use serde_json::Value;

type Amounts = BTreeMap<String, i128>;

/// The nodes of one cluster and the pods on them.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    nodes: BTreeMap<String, Node>,
    /// Uid → node and requests.
    pods: HashMap<String, (String, Amounts)>,
}

#[derive(Debug, Default)]
struct Node {
    name: String,
    allocatable: Amounts,
    used: Amounts,
    unschedulable: bool,
    labels: Value,
}

impl Fleet {
    /// Takes in a node as it is now; its pods stay counted.
    pub(crate) fn set_node(&mut self, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let node = self.nodes.entry(name.clone()).or_default();
        node.name = name;
        node.allocatable = amounts(&object["status"]["allocatable"]);
        node.unschedulable = object["spec"]["unschedulable"] == true;
        node.labels = object["metadata"]["labels"].clone();
    }

    /// A node is gone.
    pub(crate) fn remove_node(&mut self, name: &str) {
        self.nodes.remove(name);
    }

    /// Takes in a pod as it is now: it uses its node from the moment it has one until it has finished.
    pub(crate) fn set_pod(&mut self, object: &Value) {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        self.remove_pod(uid);
        let finished = matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        if let (Some(node), false) = (object["spec"]["nodeName"].as_str(), finished) {
            self.count(uid, node, requests(&object["spec"]));
        }
    }

    /// A pod is gone.
    pub(crate) fn remove_pod(&mut self, uid: &str) {
        let Some((node, requests)) = self.pods.remove(uid) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(&node) {
            for (name, amount) in requests {
                *node.used.entry(name).or_default() -= amount;
            }
        }
    }

    fn count(&mut self, uid: &str, node: &str, requests: Amounts) {
        if let Some(found) = self.nodes.get_mut(node) {
            for (name, amount) in &requests {
                *found.used.entry(name.clone()).or_default() += amount;
            }
        }
        self.pods.insert(uid.to_owned(), (node.to_owned(), requests));
    }

    /// Finds the node with the fewest pods that holds this pod, and counts it there; or says why none does.
    pub(crate) fn place(&mut self, pod: &Value) -> Result<String, String> {
        let wanted = requests(&pod["spec"]);
        let mut reasons = BTreeMap::<String, usize>::new();
        let mut best: Option<(i128, &String)> = None;
        for (name, node) in &self.nodes {
            if let Some(reason) = node.refuses(pod, &wanted) {
                *reasons.entry(reason).or_default() += 1;
                continue;
            }
            let load = node.used.get("pods").copied().unwrap_or_default();
            if best.is_none_or(|(least, _)| load < least) {
                best = Some((load, name));
            }
        }
        let Some((_, name)) = best else {
            let list: Vec<String> = reasons
                .into_iter()
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            return Err(format!(
                "0/{} nodes are available: {}.",
                self.nodes.len(),
                list.join(", ")
            ));
        };
        let name = name.clone();
        let uid = pod["metadata"]["uid"].as_str().unwrap_or_default();
        self.count(uid, &name, wanted);
        Ok(name)
    }
}

impl Node {
    fn refuses(&self, pod: &Value, wanted: &Amounts) -> Option<String> {
        if self.unschedulable && !tolerates_unschedulable(pod) {
            return Some("node(s) were unschedulable".to_owned());
        }
        let selector = pod["spec"]["nodeSelector"].as_object();
        let selected = selector
            .into_iter()
            .flatten()
            .all(|(key, value)| self.labels[key] == *value);
        if !selected || !self.has_affinity(pod) {
            return Some("node(s) didn't match Pod's node affinity/selector".to_owned());
        }
        let short = wanted.iter().find(|(name, amount)| {
            let free = self.allocatable.get(*name).copied().unwrap_or_default()
                - self.used.get(*name).copied().unwrap_or_default();
            0 < **amount && free < **amount
        });
        short.map(|(name, _)| {
            if name == "pods" {
                "Too many pods".to_owned()
            } else {
                format!("Insufficient {name}")
            }
        })
    }
}

impl Node {
    /// Whether the node affinity that a pod requires holds here: any of its terms, and all of a term.
    fn has_affinity(&self, pod: &Value) -> bool {
        let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
        let Some(terms) = required["nodeSelectorTerms"].as_array() else {
            return true;
        };
        terms.iter().any(|term| {
            let list = |field: &str| term[field].as_array().cloned().unwrap_or_default();
            let field = |wanted: &Value| (wanted["key"] == "metadata.name").then_some(self.name.as_str());
            let label = |wanted: &Value| self.labels[wanted["key"].as_str()?].as_str();
            list("matchFields").iter().all(|wanted| holds(wanted, field(wanted)))
                && list("matchExpressions")
                    .iter()
                    .all(|wanted| holds(wanted, label(wanted)))
        })
    }
}

fn holds(requirement: &Value, value: Option<&str>) -> bool {
    let listed = || {
        let values = requirement["values"].as_array();
        values.into_iter().flatten().any(|one| one.as_str() == value)
    };
    match requirement["operator"].as_str() {
        Some("In") => value.is_some() && listed(),
        Some("NotIn") => value.is_none() || !listed(),
        Some("Exists") => value.is_some(),
        Some("DoesNotExist") => value.is_none(),
        // Comparisons of numbers: no node here has any.
        _ => false,
    }
}

/// Daemons run on nodes that take no other pods.
fn tolerates_unschedulable(pod: &Value) -> bool {
    let tolerations = pod["spec"]["tolerations"].as_array();
    tolerations.into_iter().flatten().any(|toleration| {
        let any = toleration["operator"] == "Exists";
        toleration["key"] == "node.kubernetes.io/unschedulable" || any && toleration["key"].is_null()
    })
}

fn amounts(list: &Value) -> Amounts {
    let pairs = list.as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), quantity::milli(value.as_str()?)?)))
        .collect()
}

/// What a pod asks for: the sum over its containers, or its largest init container, and one pod.
fn requests(spec: &Value) -> Amounts {
    let list = |field: &str| spec[field].as_array().cloned().unwrap_or_default();
    let mut sum = Amounts::new();
    for container in list("containers") {
        for (name, amount) in amounts(&container["resources"]["requests"]) {
            *sum.entry(name).or_default() += amount;
        }
    }
    for container in list("initContainers") {
        for (name, amount) in amounts(&container["resources"]["requests"]) {
            let entry = sum.entry(name).or_default();
            *entry = amount.max(*entry);
        }
    }
    sum.insert("pods".to_owned(), 1000);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubelet::{NodeShape, node};
    use serde_json::json;

    fn fleet(nodes: usize, cpu: &str) -> Fleet {
        let mut fleet = Fleet::default();
        let shape = NodeShape {
            cpu: cpu.to_owned(),
            ..NodeShape::default()
        };
        for index in 0..nodes {
            fleet.set_node(&node(&format!("n{index}"), &shape, "v1", "t"));
        }
        fleet
    }

    fn pod(uid: &str, cpu: &str) -> Value {
        json!({"metadata": {"uid": uid}, "spec": {"containers": [{"resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[test]
    fn pods_spread_and_stay_out_when_they_do_not_fit() {
        let mut fleet = fleet(2, "1");
        assert_eq!(fleet.place(&pod("a", "600m")), Ok("n0".to_owned()));
        assert_eq!(fleet.place(&pod("b", "600m")), Ok("n1".to_owned()));
        assert_eq!(
            fleet.place(&pod("c", "600m")),
            Err("0/2 nodes are available: 2 Insufficient cpu.".to_owned())
        );
        fleet.remove_pod("a");
        assert_eq!(fleet.place(&pod("c", "600m")), Ok("n0".to_owned()));
    }

    #[test]
    fn a_pod_goes_where_its_affinity_says() {
        let mut fleet = fleet(3, "1");
        let mut daemon = pod("a", "100m");
        let require = |term: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}});
        daemon["spec"]["affinity"] =
            require(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]}));
        assert_eq!(fleet.place(&daemon), Ok("n2".to_owned()));
        let mut cordoned = node("n2", &NodeShape::default(), "v1", "t");
        cordoned["spec"]["unschedulable"] = json!(true);
        fleet.set_node(&cordoned);
        assert!(fleet.place(&daemon).is_err());
        daemon["spec"]["tolerations"] = json!([{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]);
        assert_eq!(fleet.place(&daemon), Ok("n2".to_owned()));
        daemon["spec"]["affinity"] = require(
            json!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["n0", "n2"]}]}),
        );
        assert_eq!(fleet.place(&daemon), Ok("n1".to_owned()));
    }

    #[test]
    fn a_finished_pod_frees_its_place() {
        let mut fleet = fleet(1, "1");
        let mut running = pod("a", "1");
        running["spec"]["nodeName"] = json!("n0");
        fleet.set_pod(&running);
        assert!(fleet.place(&pod("b", "1")).is_err());
        running["status"]["phase"] = json!("Succeeded");
        fleet.set_pod(&running);
        assert!(fleet.place(&pod("b", "1")).is_ok());
    }
}
