//! Built-in kinds that are served in two versions with different fields: events and horizontal pod autoscalers.
//!
//! Start with [`convert`]. Objects go in and come out in canonical form ([`crate::decode::normalize`]); what one version has
//! no field for is kept where Kubernetes keeps it, so that nothing is lost on the way there and back.
//!
//! Never here: custom resources, whose versions have the same fields or a webhook.

mod autoscaler;

#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::facts;
use crate::model::{GroupVersionKind, Shape, TypeRef};

const CORE: &str = "v1";
const EVENTS: &str = "events.k8s.io/v1";
const OLD_AUTOSCALER: &str = "autoscaling/v1";
const AUTOSCALER: &str = "autoscaling/v2";

/// Fields of events: in the core group, and in their own.
const EVENT_FIELDS: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Whether objects of a kind have other fields in another version.
pub fn differs(kind: &str, from: &str, to: &str) -> bool {
    let pair = [from, to];
    match kind {
        "Event" => pair == [CORE, EVENTS] || pair == [EVENTS, CORE],
        "HorizontalPodAutoscaler" => pair == [OLD_AUTOSCALER, AUTOSCALER] || pair == [AUTOSCALER, OLD_AUTOSCALER],
        _ => false,
    }
}

/// Brings an object of one `apiVersion` into another, `apiVersion` included. Returns whether it had to; otherwise the object
/// is untouched.
pub fn convert(kind: &str, from: &str, to: &str, object: &mut Value) -> bool {
    if !differs(kind, from, to) {
        return false;
    }
    let Some(fields) = object.as_object_mut() else {
        return false;
    };
    match to {
        EVENTS => rename(fields, EVENT_FIELDS),
        CORE => rename(fields, EVENT_FIELDS.map(|(core, own)| (own, core))),
        AUTOSCALER => autoscaler::to_new(fields),
        _ => autoscaler::to_old(fields),
    }
    fields.insert("apiVersion".to_owned(), Value::from(to));
    settle(kind, to, object);
    true
}

/// Where a field that is selected by in one version stands in another.
pub fn field(kind: &str, from: &str, to: &str, path: &str) -> String {
    if !differs(kind, from, to) || kind != "Event" {
        return path.to_owned();
    }
    let (first, rest) = path
        .split_once('.')
        .map_or((path, None), |(first, rest)| (first, Some(rest)));
    let renamed = EVENT_FIELDS
        .iter()
        .map(|(core, own)| if to == CORE { (*own, *core) } else { (*core, *own) })
        .find(|(old, _)| *old == first)
        .map_or(first, |(_, new)| new);
    rest.map_or_else(|| renamed.to_owned(), |rest| format!("{renamed}.{rest}"))
}

fn rename(fields: &mut Map<String, Value>, names: [(&str, &str); EVENT_FIELDS.len()]) {
    for (old, new) in names {
        if let Some(value) = fields.remove(old) {
            fields.insert(new.to_owned(), value);
        }
    }
}

/// The canonical form of the new version, with its defaults: a stored object has them.
fn settle(kind: &str, to: &str, object: &mut Value) {
    let (group, version) = to.split_once('/').unwrap_or(("", to));
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    let Some(id) = facts::kind(&gvk) else { return };
    let shape = Shape::Struct(id);
    let place = TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    };
    let before = object.clone();
    if crate::decode::normalize(place, object).is_err() {
        *object = before;
    }
    crate::defaults::apply_defaults(place, object, jiff::Timestamp::UNIX_EPOCH);
}
