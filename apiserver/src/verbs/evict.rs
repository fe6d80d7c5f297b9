//! POST of an eviction: a Pod goes unless a disruption budget needs it.
//!
//! Budgets are judged by their status, which somebody else keeps; as in Kubernetes an eviction takes from it what it uses.

use std::sync::Arc;

use schema::entry::{Entry, GroupResource};
use schema::model::GroupVersionKind;
use schema::selector::LabelSelector;
use schema::status::{Cause, Reason, Status};
use serde_json::{Value, json};

use super::call::{Call, Payload};
use super::object::{map, member, meta_text, time};
use super::options::{OptionsKind, WriteOptions};
use super::{body, delete, parts};
use crate::bootstrap::system_user;
use crate::request::{Answer, ApiRequest, Query, Target, Verb};

/// How often a budget is asked again when somebody else takes from it.
const ATTEMPTS: usize = 4;
/// When to try again while a budget has not been looked at.
const LATER: u32 = 10;

const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Answers POST.
pub(super) async fn evict(call: &Call<'_>) -> Result<Answer, Status> {
    let kind = GroupVersionKind {
        group: "policy".to_owned(),
        version: "v1".to_owned(),
        kind: "Eviction".to_owned(),
    };
    let write = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let eviction = body::other(call, &kind)?;
    let name = meta_text(&eviction, "name");
    if !name.is_empty() && name != call.request.target.name {
        return Err(Status::bad_request(
            "name in URL does not match name in Eviction object",
        ));
    }
    let eviction = parts::admit(call, &kind, &write, eviction).await?;
    let pod = call.current().ok_or_else(|| call.not_found())?;
    let options = delete::Options::of(&call.request.query, eviction["deleteOptions"].clone())?;
    let value = pod.value();
    let phase = value["status"]["phase"].as_str().unwrap_or_default();
    // What does not run disturbs nobody.
    if !matches!(phase, "Pending" | "Succeeded" | "Failed") && pod.meta().deletion_timestamp.is_none() {
        spend(call, &pod, &value, options.is_dry_run()).await?;
    }
    delete::delete_with(call, &options).await?;
    Ok(parts::created(call))
}

/// Takes one disruption from the Pod's budget; 429 when there is none left.
async fn spend(call: &Call<'_>, pod: &Entry, value: &Value, dry_run: bool) -> Result<(), Status> {
    for _ in 0..ATTEMPTS {
        let budgets = budgets(call, pod);
        let [budget] = budgets.as_slice() else {
            if budgets.is_empty() {
                return Ok(());
            }
            let text =
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.";
            return Err(Status::internal(text));
        };
        let Some(spent) = take(call, budget, pod, value)? else {
            return Ok(());
        };
        if dry_run {
            return Ok(());
        }
        match store(call, budget, spent).await {
            Err(status) if status.is(&Reason::Conflict) => {}
            done => return done,
        }
    }
    Err(too_many(0, format!("The budgets of pod {} keep changing", pod.name())))
}

fn budgets(call: &Call<'_>, pod: &Entry) -> Vec<Arc<Entry>> {
    let resource = GroupResource::new("policy", "poddisruptionbudgets");
    let snapshot = call.api.store.snapshot(&resource);
    let covers = |budget: &&Arc<Entry>| {
        let selector = &budget.value()["spec"]["selector"];
        !selector.is_null()
            && LabelSelector::from_json(selector).is_ok_and(|selector| selector.matches(&pod.meta().labels))
    };
    snapshot
        .iter_namespace(pod.namespace())
        .filter(covers)
        .cloned()
        .collect()
}

/// The budget after this eviction; `None` when it need not be asked.
fn take(call: &Call<'_>, budget: &Entry, pod: &Entry, value: &Value) -> Result<Option<Value>, Status> {
    let mut object = budget.value();
    let number = |field: &str| object["status"][field].as_i64().unwrap_or_default();
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    let allowed = number("disruptionsAllowed");
    if number("observedGeneration") < budget.meta().generation {
        let name = budget.name();
        let text = format!("The disruption budget {name} is still being processed by the server.");
        return Err(too_many(LATER, text));
    }
    let ready = value["status"]["conditions"]
        .as_array()
        .is_some_and(|list| list.iter().any(|own| own["type"] == "Ready" && own["status"] == "True"));
    let lenient = object["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow" || (healthy >= desired && desired > 0);
    if !ready && lenient {
        return Ok(None);
    }
    if allowed < 0 {
        let text = "pdb disruptions allowed is negative";
        return Err(Status::forbidden("policy", "poddisruptionbudget", budget.name(), text));
    }
    if allowed == 0 {
        let text = format!(
            "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
            budget.name()
        );
        return Err(too_many(0, text));
    }
    let status = member(&mut object, "status");
    status.insert("disruptionsAllowed".to_owned(), json!(allowed - 1));
    let gone = map(status.entry("disruptedPods").or_insert_with(|| json!({})));
    gone.insert(pod.name().to_owned(), time(call.api.clock.now()));
    Ok(Some(object))
}

fn too_many(seconds: u32, message: String) -> Status {
    let mut status = Status::failure(429, Reason::TooManyRequests, REFUSED);
    let details = status.details_mut();
    details.retry_after_seconds = seconds;
    details.causes.push(Cause {
        reason: "DisruptionBudget".to_owned(),
        message,
        field: String::new(),
    });
    status
}

/// Stores what is left of a budget, as the server itself: who may evict need not be allowed to change budgets.
async fn store(call: &Call<'_>, budget: &Entry, object: Value) -> Result<(), Status> {
    let request = ApiRequest {
        user: system_user(),
        verb: Verb::Update,
        target: Target {
            group: "policy".to_owned(),
            version: "v1".to_owned(),
            resource: "poddisruptionbudgets".to_owned(),
            namespace: budget.namespace().to_owned(),
            name: budget.name().to_owned(),
            subresource: "status".to_owned(),
        },
        query: Query::default(),
        content_type: "application/json".to_owned(),
        body: bytes::Bytes::new(),
        agent: call.request.agent.clone(),
        liberties: crate::request::Liberties::default(),
    };
    // A write within a write: its type would contain itself.
    Box::pin(call.api.run(&request, Payload::Value(object))).await.map(drop)
}
