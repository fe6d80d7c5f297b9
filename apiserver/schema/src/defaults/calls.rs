//! The functions that rules may call.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Context;
use super::interpret::find;
use crate::facts::{Call, Target};
use crate::leaves;
use crate::quantity::Quantity;

/// Whether a function completes what is there rather than replacing nothing.
pub(super) fn completes(call: &Call) -> bool {
    matches!(call, Call::Missing(_) | Call::PodHugepageLimits | Call::PodRequests)
}

/// Calls a function. `current` is what stands where the result goes; `value` is where paths start.
pub(super) fn call(call: &Call, current: Option<&Value>, value: &Value, context: &Context) -> Option<Value> {
    let text = |target: &Target| {
        find(value, &target.path)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    match call {
        Call::Missing(target) => {
            let source = find(value, &target.path)?.as_object()?.clone();
            (!source.is_empty()).then(|| complete(current, source))
        }
        Call::Pull(target) => Some(Value::from(pull_policy(text(target).unwrap_or_default()))),
        Call::Lower(target) => text(target).map(|text| Value::from(text.to_lowercase())),
        Call::Cat(target, tail) => text(target).map(|text| Value::from(format!("{text}{tail}"))),
        Call::Now => Some(Value::from(leaves::format_time(context.now))),
        Call::Overlay(target, base) => {
            let mut result = base.as_object()?.clone();
            if let Some(over) = find(value, &target.path).and_then(Value::as_object) {
                result.extend(
                    over.iter()
                        .filter(|(_, value)| !value.is_null())
                        .map(|(key, value)| (key.clone(), value.clone())),
                );
            }
            Some(Value::Object(result))
        }
        Call::StorageVersion(target) => {
            let stored = find(value, &target.path)?
                .as_array()?
                .iter()
                .find(|version| version["storage"] == true)?;
            Some(json!([stored.get("name")?]))
        }
        Call::PodHugepageLimits => hugepage_limits(current, value),
        Call::PodRequests => pod_requests(current, value),
        Call::Qos(target) => Some(Value::from(qos_class(find(value, &target.path)?))),
        Call::User(field) => context.user.get(*field).filter(|value| !value.is_null()).cloned(),
    }
}

/// The map with the keys of another that it lacks.
fn complete(current: Option<&Value>, source: Map<String, Value>) -> Value {
    let mut result = current.and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in source {
        result.entry(key).or_insert(value);
    }
    Value::Object(result)
}

/// `Always` for a moving tag, `IfNotPresent` for a fixed one or a digest.
fn pull_policy(image: &str) -> &'static str {
    let (name, digest) = image.split_once('@').map_or((image, false), |(name, _)| (name, true));
    let tag = name
        .rsplit('/')
        .next()
        .and_then(|last| last.split_once(':'))
        .map(|(_, tag)| tag);
    match tag {
        Some("latest") => "Always",
        None if !digest && !image.is_empty() => "Always",
        _ => "IfNotPresent",
    }
}

type Amounts = BTreeMap<String, Quantity>;

fn amounts(resources: Option<&Value>, which: &str) -> Amounts {
    let entries = resources
        .and_then(|resources| resources.get(which))
        .and_then(Value::as_object);
    entries
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.clone(), Quantity::parse(value.as_str()?).ok()?)))
        .collect()
}

fn add(total: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = total.entry(name.clone()).or_insert(Quantity::ZERO);
        *entry = entry.plus(*amount);
    }
}

fn containers<'v>(pod: &'v Value, list: &str) -> impl Iterator<Item = &'v Value> {
    pod["spec"][list].as_array().into_iter().flatten()
}

/// What a pod's containers need at once: all containers together with the init containers that keep running, or the
/// largest step of initialisation.
fn effective(pod: &Value, which: &str) -> Amounts {
    let mut running = Amounts::new();
    let mut largest = Amounts::new();
    for container in containers(pod, "initContainers") {
        let own = amounts(container.get("resources"), which);
        let mut step = running.clone();
        add(&mut step, &own);
        if container["restartPolicy"] == "Always" {
            running.clone_from(&step);
        }
        for (name, amount) in step {
            let entry = largest.entry(name).or_insert(amount);
            *entry = (*entry).max(amount);
        }
    }
    for container in containers(pod, "containers") {
        add(&mut running, &amounts(container.get("resources"), which));
    }
    for (name, amount) in largest {
        let entry = running.entry(name).or_insert(amount);
        *entry = (*entry).max(amount);
    }
    running
}

fn as_map(amounts: Amounts) -> Map<String, Value> {
    amounts
        .into_iter()
        .map(|(name, amount)| (name, Value::from(amount.to_string())))
        .collect()
}

fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn hugepage_limits(current: Option<&Value>, pod: &Value) -> Option<Value> {
    let resources = &pod["spec"]["resources"];
    let has = |which: &str| resources[which].as_object().is_some_and(|map| !map.is_empty());
    if !has("limits") && !has("requests") {
        return None;
    }
    let mut sums = Amounts::new();
    for container in containers(pod, "containers") {
        add(&mut sums, &amounts(container.get("resources"), "limits"));
    }
    sums.retain(|name, _| {
        name.starts_with("hugepages-")
            && resources["limits"].get(name).is_none()
            && resources["requests"].get(name).is_none()
    });
    (!sums.is_empty()).then(|| complete(current, as_map(sums)))
}

fn pod_requests(current: Option<&Value>, pod: &Value) -> Option<Value> {
    let mut requests = effective(pod, "requests");
    requests.retain(|name, _| matches!(name.as_str(), "cpu" | "memory"));
    let completed = complete(current, as_map(requests));
    let mut limits = amounts(pod["spec"].get("resources"), "limits");
    limits.retain(|name, _| is_pod_level(name));
    let completed = complete(Some(&completed), as_map(limits));
    completed
        .as_object()
        .is_some_and(|map| !map.is_empty())
        .then_some(completed)
}

/// `Guaranteed` when every container has equal cpu and memory requests and limits, `BestEffort` when none has any.
fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let all = lists
        .iter()
        .flat_map(|list| spec[*list].as_array().into_iter().flatten());
    let sources: Vec<&Value> = match spec.get("resources").filter(|resources| !resources.is_null()) {
        Some(resources) => vec![resources],
        None => all.map(|container| &container["resources"]).collect(),
    };
    let mut any = false;
    let mut guaranteed = !sources.is_empty();
    for resources in sources {
        let (requests, limits) = (amounts(Some(resources), "requests"), amounts(Some(resources), "limits"));
        let counted = |map: &Amounts, name: &str| map.get(name).copied().filter(|amount| amount.nanos() > 0);
        for name in ["cpu", "memory"] {
            let (request, limit) = (counted(&requests, name), counted(&limits, name));
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}
