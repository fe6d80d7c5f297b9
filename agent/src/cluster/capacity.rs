//! Sums up what a member can hold: node counts, allocatable, allocated and allocating resources, nodes by grade, and nodes that are alike
//! with what is free on them. Pure.
//!
//! Karmada semantics §6.2: allocated = requests of running pods that have a node, allocating = of pods that wait for one. The hub's
//! scheduler estimates from it how many replicas fit (§3.6); classes of nodes make an estimator beside the member needless.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use interpreter::requests::{self, Amounts};
use serde_json::{Value, json};

/// Entries that classes of nodes take in a status together. With more nodes than that the rooms of similar ones are told as one, rounded
/// down.
const ENTRIES: usize = 128;
/// Up to so many nodes labels of single nodes are told, too.
const SINGLE_NODES: usize = 16;

/// The two summaries of a Cluster's status.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Capacity {
    /// `status.nodeSummary`.
    pub(crate) nodes: Value,
    /// `status.resourceSummary`.
    pub(crate) resources: Value,
}

/// Sums nodes and pods. `models` is the cluster's `spec.resourceModels`.
pub(crate) fn sum<'a>(
    nodes: impl Iterator<Item = &'a Value>,
    pods: impl Iterator<Item = &'a Value>,
    models: &Value,
) -> Capacity {
    let mut allocated = Amounts::new();
    let mut allocating = Amounts::new();
    let mut used = HashMap::<&str, Amounts>::new();
    for pod in pods {
        if matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
            continue;
        }
        let mut requests = requests::pod(&pod["spec"]);
        *requests.entry("pods".to_owned()).or_default() += 1000;
        match pod["spec"]["nodeName"].as_str().filter(|name| !name.is_empty()) {
            Some(node) => {
                add(used.entry(node).or_default(), &requests);
                add(&mut allocated, &requests);
            }
            None => add(&mut allocating, &requests),
        }
    }
    let (mut total, mut ready) = (0_u64, 0_u64);
    let mut allocatable = Amounts::new();
    let mut usable = Vec::new();
    for node in nodes {
        total += 1;
        let has = requests::amounts(&node["status"]["allocatable"]);
        add(&mut allocatable, &has);
        if !is_ready(node) {
            continue;
        }
        ready += 1;
        if node["spec"]["unschedulable"] != true {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            usable.push(Node::new(node, has, used.get(name)));
        }
    }
    let mut resources = json!({
        "allocatable": requests::render(&allocatable),
        "allocated": requests::render(&allocated),
        "allocating": requests::render(&allocating),
    });
    let graded = by_grade(&usable, models);
    if !graded.is_empty() {
        resources["allocatableModelings"] = graded.into();
    }
    let classes = classes(usable);
    if !classes.is_empty() {
        resources["nodeClasses"] = classes.into();
    }
    Capacity {
        nodes: json!({"totalNum": total, "readyNum": ready}),
        resources,
    }
}

/// A node that takes pods.
struct Node {
    labels: BTreeMap<String, String>,
    /// (key, value, effect) of the taints that keep pods away.
    taints: BTreeSet<(String, String, String)>,
    free: Amounts,
}

impl Node {
    fn new(node: &Value, mut free: Amounts, used: Option<&Amounts>) -> Self {
        for (name, amount) in used.into_iter().flatten() {
            if let Some(free) = free.get_mut(name) {
                *free -= amount;
            }
        }
        free.retain(|_, amount| 0 < *amount);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = node["metadata"]["labels"].as_object();
        let taints = node["spec"]["taints"].as_array();
        Self {
            labels: labels
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), text(value)))
                .collect(),
            taints: taints
                .into_iter()
                .flatten()
                .filter(|taint| taint["effect"] != "PreferNoSchedule")
                .map(|taint| (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"])))
                .collect(),
            free,
        }
    }
}

/// Nodes by the grade of what is free on them: the lowest that any resource of the models puts them in.
fn by_grade(nodes: &[Node], models: &Value) -> Vec<Value> {
    let Some(models) = models.as_array().filter(|models| !models.is_empty()) else {
        return Vec::new();
    };
    // By model: its grade and the minimum of each resource.
    let mut grades: Vec<(i64, Amounts)> = models
        .iter()
        .map(|model| {
            let ranges = model["ranges"].as_array().into_iter().flatten();
            let minima: serde_json::Map<String, Value> = ranges
                .map(|range| {
                    (
                        range["name"].as_str().unwrap_or_default().to_owned(),
                        range["min"].clone(),
                    )
                })
                .collect();
            (
                model["grade"].as_i64().unwrap_or_default(),
                requests::amounts(&minima.into()),
            )
        })
        .collect();
    grades.sort_by_key(|(grade, _)| *grade);
    let mut counts = vec![0_u64; grades.len()];
    for node in nodes {
        let fits = |minima: &Amounts| {
            minima
                .iter()
                .all(|(name, least)| *least <= node.free.get(name).copied().unwrap_or_default())
        };
        // Ranges follow each other without a gap: the grade is the last whose minima all hold.
        let grade = grades.iter().rposition(|(_, minima)| fits(minima));
        if let Some(count) = grade.and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
    grades
        .iter()
        .zip(counts)
        .map(|((grade, _), count)| json!({"grade": grade, "count": count}))
        .collect()
}

type Class = (BTreeMap<String, String>, BTreeSet<(String, String, String)>);

/// Nodes with the same labels and taints, with what is free on them; nothing when they are too different to be told shortly.
fn classes(mut nodes: Vec<Node>) -> Vec<Value> {
    if SINGLE_NODES < nodes.len() {
        drop_single_labels(&mut nodes);
    }
    let mut classes = BTreeMap::<Class, Vec<Amounts>>::new();
    for node in nodes {
        classes.entry((node.labels, node.taints)).or_default().push(node.free);
    }
    if ENTRIES < classes.len() {
        return Vec::new();
    }
    let each = ENTRIES / classes.len().max(1);
    classes
        .into_iter()
        .map(|((labels, taints), rooms)| {
            let taints: Vec<Value> = taints.iter().map(taint).collect();
            json!({"labels": labels, "taints": taints, "free": rooms_of(rooms, each)})
        })
        .collect()
}

fn taint((key, value, effect): &(String, String, String)) -> Value {
    let mut taint = json!({"key": key, "effect": effect});
    if !value.is_empty() {
        taint["value"] = json!(value);
    }
    taint
}

/// Leaves out labels by which every node is different: nobody selects nodes of any cluster by them.
fn drop_single_labels(nodes: &mut [Node]) {
    let mut values = HashMap::<&String, BTreeSet<&String>>::new();
    for (key, value) in nodes.iter().flat_map(|node| &node.labels) {
        values.entry(key).or_default().insert(value);
    }
    let single: BTreeSet<String> = values
        .into_iter()
        .filter(|(_, values)| values.len() == nodes.len())
        .map(|(key, _)| key.clone())
        .collect();
    for node in nodes {
        node.labels.retain(|key, _| !single.contains(key));
    }
}

/// The rooms of alike nodes in at most `most` entries: neighbours in order of their CPU share one that holds for all of them.
fn rooms_of(mut rooms: Vec<Amounts>, most: usize) -> Vec<Value> {
    let cpu = |room: &Amounts| room.get("cpu").copied().unwrap_or_default();
    rooms.sort_by(|a, b| (cpu(a), a).cmp(&(cpu(b), b)));
    let same = rooms.chunk_by(|a, b| a == b).count();
    let entry = |rooms: &[Amounts]| json!({"count": rooms.len(), "resources": requests::render(&least(rooms))});
    if same <= most {
        rooms.chunk_by(|a, b| a == b).map(entry).collect()
    } else {
        rooms.chunks(rooms.len().div_ceil(most.max(1))).map(entry).collect()
    }
}

/// What every one of them has.
fn least(rooms: &[Amounts]) -> Amounts {
    let Some((first, rest)) = rooms.split_first() else {
        return Amounts::new();
    };
    let mut least = first.clone();
    for room in rest {
        least.retain(|name, amount| {
            *amount = (*amount).min(room.get(name).copied().unwrap_or_default());
            0 < *amount
        });
    }
    least
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn add(sums: &mut Amounts, amounts: &Amounts) {
    for (name, amount) in amounts {
        *sums.entry(name.clone()).or_default() += amount;
    }
}

#[cfg(test)]
mod tests;
