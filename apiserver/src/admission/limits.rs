//! What a `LimitRange` does: containers that say nothing get the defaults of their namespace, and what asks for too little or
//! too much is refused.
//!
//! Pods are looked at when they are made, claims whenever they change. Only plain clusters do this; on a hub, Pods are
//! templates of what runs elsewhere, and the members' own limits apply there.

use std::collections::BTreeMap;

use schema::entry::GroupResource;
use schema::quantity::Quantity;
use schema::status::Status;
use serde_json::{Map, Value, json};

use crate::api::Profile;
use crate::strategy;
use crate::verbs::call::Call;
use crate::verbs::object::{map, member, meta_text, metadata};
use crate::verbs::typed;

const ANNOTATION: &str = "kubernetes.io/limit-ranger";

/// Amounts by resource name.
type Amounts = BTreeMap<String, Quantity>;

/// Gives a new Pod the defaults of its namespace.
pub(super) fn fill(call: &Call<'_>, object: &mut Value) {
    if !strategy::is(&call.def, "", "pods") {
        return;
    }
    let ranges = ranges(call);
    if ranges.is_empty() {
        return;
    }
    // What a Pod says of its limits, it says of its requests too.
    typed::default(call, object, false);
    for range in &ranges {
        let (mut limits, mut requests) = (Map::new(), Map::new());
        for item in items(range).filter(|item| item["type"] == "Container") {
            limits.extend(entries(&item["default"]));
            requests.extend(entries(&item["defaultRequest"]));
        }
        let mut told = Vec::new();
        for (field, what) in [("containers", "container"), ("initContainers", "init container")] {
            let containers = member(object, "spec").get_mut(field).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default().to_owned();
                for (kind, defaults) in [("request", &requests), ("limit", &limits)] {
                    let set = fill_in(container, &format!("{kind}s"), defaults);
                    if !set.is_empty() {
                        told.push(format!("{} {kind} for {what} {name}", set.join(", ")));
                    }
                }
            }
        }
        if !told.is_empty() {
            let text = format!("LimitRanger plugin set: {}", told.join("; "));
            let annotations = map(metadata(object).entry("annotations").or_insert_with(|| json!({})));
            annotations.insert(ANNOTATION.to_owned(), Value::String(text));
        }
    }
}

/// Sets what is missing, and tells what that was.
fn fill_in(container: &mut Value, field: &str, defaults: &Map<String, Value>) -> Vec<String> {
    if defaults.is_empty() {
        return Vec::new();
    }
    let amounts = member(container, "resources").entry(field).or_insert_with(|| json!({}));
    let amounts = map(amounts);
    let mut set = Vec::new();
    for (name, amount) in defaults {
        if !amounts.contains_key(name) {
            amounts.insert(name.clone(), amount.clone());
            set.push(name.clone());
        }
    }
    set.sort_unstable();
    set
}

/// Refuses what is outside of the limits of its namespace.
pub(super) fn check(call: &Call<'_>, subresource: &str, creating: bool, object: &Value) -> Result<(), Status> {
    let pod = strategy::is(&call.def, "", "pods");
    let claim = strategy::is(&call.def, "", "persistentvolumeclaims");
    if !subresource.is_empty() || !(claim || pod && creating) {
        return Ok(());
    }
    let mut problems = Vec::new();
    for range in ranges(call) {
        for item in items(&range) {
            match item["type"].as_str() {
                Some("Container") if pod => {
                    let spec = &object["spec"];
                    for container in list(&spec["containers"]).chain(list(&spec["initContainers"])) {
                        let resources = &container["resources"];
                        let (requests, limits) = (amounts(&resources["requests"]), amounts(&resources["limits"]));
                        compare(&mut problems, "Container", item, &requests, &limits);
                    }
                }
                Some("Pod") if pod => {
                    let (requests, limits) = (total(&object["spec"], "requests"), total(&object["spec"], "limits"));
                    compare(&mut problems, "Pod", item, &requests, &limits);
                }
                Some("PersistentVolumeClaim") if claim => {
                    let requests = amounts(&object["spec"]["resources"]["requests"]);
                    compare_claim(&mut problems, item, &requests);
                }
                _ => {}
            }
        }
    }
    let detail = match problems.len() {
        0 => return Ok(()),
        1 => problems.concat(),
        _ => format!("[{}]", problems.join(", ")),
    };
    Err(call.forbidden(meta_text(object, "name"), &detail))
}

fn compare(problems: &mut Vec<String>, of: &str, item: &Value, requests: &Amounts, limits: &Amounts) {
    for (name, min) in amounts(&item["min"]) {
        let mut problem = |text: String| problems.push(format!("minimum {name} usage per {of} is {min}{text}"));
        match (requests.get(&name), limits.get(&name)) {
            (None, _) => problem(".  No request is specified".to_owned()),
            (Some(request), _) if *request < min => problem(format!(", but request is {request}")),
            (_, Some(limit)) if *limit < min => problem(format!(", but limit is {limit}")),
            _ => {}
        }
    }
    for (name, max) in amounts(&item["max"]) {
        let mut problem = |text: String| problems.push(format!("maximum {name} usage per {of} is {max}{text}"));
        match (requests.get(&name), limits.get(&name)) {
            (_, None) => problem(".  No limit is specified".to_owned()),
            (_, Some(limit)) if *limit > max => problem(format!(", but limit is {limit}")),
            (Some(request), _) if *request > max => problem(format!(", but request is {request}")),
            _ => {}
        }
    }
    for (name, most) in amounts(&item["maxLimitRequestRatio"]) {
        let mut problem = |text: String| {
            problems.push(format!(
                "{name} max limit to request ratio per {of} is {most}, but {text}"
            ));
        };
        let given = |amount: Option<&Quantity>| amount.map(|amount| amount.nanos()).filter(|nanos| *nanos != 0);
        match (given(requests.get(&name)), given(limits.get(&name))) {
            (None, _) => problem("no request is specified or request is 0".to_owned()),
            (_, None) => problem("no limit is specified or limit is 0".to_owned()),
            (Some(request), Some(limit)) => {
                let ratio = float(limit) / float(request);
                if ratio > float(most.nanos()) / 1e9 {
                    problem(format!("provided ratio is {ratio:.6}"));
                }
            }
        }
    }
}

fn compare_claim(problems: &mut Vec<String>, item: &Value, requests: &Amounts) {
    let of = "PersistentVolumeClaim";
    for (bound, word) in [("min", "minimum"), ("max", "maximum")] {
        for (name, bound_amount) in amounts(&item[bound]) {
            let mut problem =
                |text: String| problems.push(format!("{word} {name} usage per {of} is {bound_amount}{text}"));
            match requests.get(&name) {
                None => problem(".  No request is specified".to_owned()),
                Some(request)
                    if bound == "min" && *request < bound_amount || bound == "max" && *request > bound_amount =>
                {
                    problem(format!(", but request is {request}"));
                }
                Some(_) => {}
            }
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Kubernetes compares these ratios as floats too"
)]
fn float(nanos: i128) -> f64 {
    nanos as f64
}

/// What a whole Pod needs: its containers together, or the most demanding of those that run before them.
fn total(spec: &Value, field: &str) -> Amounts {
    let of = |container: &Value| amounts(&container["resources"][field]);
    let mut sum = Amounts::new();
    for container in list(&spec["containers"]) {
        add(&mut sum, &of(container));
    }
    let (mut beside, mut before) = (Amounts::new(), Amounts::new());
    for container in list(&spec["initContainers"]) {
        let mut own = of(container);
        if container["restartPolicy"] == "Always" {
            add(&mut sum, &own);
            add(&mut beside, &own);
            own.clone_from(&beside);
        } else {
            add(&mut own, &beside);
        }
        at_least(&mut before, &own);
    }
    at_least(&mut sum, &before);
    for (name, amount) in amounts(&spec["overhead"]) {
        if field == "requests" || sum.contains_key(&name) {
            add(&mut sum, &Amounts::from([(name, amount)]));
        }
    }
    sum
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let known = sum.get(name).copied().unwrap_or(Quantity::ZERO);
        sum.insert(name.clone(), known.plus(*amount));
    }
}

fn at_least(sum: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let known = sum.get(name).copied();
        sum.insert(name.clone(), known.map_or(*amount, |known| known.max(*amount)));
    }
}

/// The limits of the namespace of a request, on a plain cluster.
fn ranges(call: &Call<'_>) -> Vec<Value> {
    if call.api.config.profile != Profile::Kubernetes {
        return Vec::new();
    }
    let snapshot = call.api.store.snapshot(&GroupResource::new("", "limitranges"));
    if snapshot.is_empty() {
        return Vec::new();
    }
    let found = snapshot.iter_namespace(&call.request.target.namespace);
    found.map(|entry| entry.value()).collect()
}

fn items(range: &Value) -> impl Iterator<Item = &Value> {
    list(&range["spec"]["limits"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn amounts(value: &Value) -> Amounts {
    let pairs = value.as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, amount)| Some((name.clone(), Quantity::parse(amount.as_str()?).ok()?)))
        .collect()
}
