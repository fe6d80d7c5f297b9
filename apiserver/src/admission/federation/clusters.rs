//! One cluster is registered once: two agents under two names would take each other's objects away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use schema::entry::{Entry, Key};
use schema::status::Status;
use serde::Deserialize;
use serde_json::Value;

use crate::verbs::call::Call;
use crate::verbs::object::meta_text;

/// Which name a cluster is registered under, by its id. What stands here is looked up before it is believed, so that a name that is
/// gone, or that was never stored, does no harm.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    names: Mutex<Option<HashMap<String, Arc<str>>>>,
}

#[derive(Default, Deserialize)]
struct Cluster {
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
struct Spec {
    #[serde(default)]
    id: String,
}

fn id_of(entry: &Entry) -> String {
    entry.typed::<Cluster>().unwrap_or_default().spec.id
}

/// Refuses a cluster that is registered already under another name.
pub(super) fn check(call: &Call<'_>, object: &Value, old: Option<&Value>) -> Result<(), Status> {
    let id = object["spec"]["id"].as_str().unwrap_or_default();
    if id.is_empty() || old.is_some_and(|old| old["spec"]["id"] == id) {
        return Ok(());
    }
    let (name, store) = (meta_text(object, "name"), &call.api.store);
    let mut names = call.api.identities.names.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_with(|| {
        let all = store.snapshot(&call.def.storage);
        all.iter().map(|entry| (id_of(entry), entry.name().into())).collect()
    });
    if let Some(other) = names.get(id).filter(|other| &***other != name) {
        let key = Key::new(call.def.storage.clone(), "", other.clone());
        if store.get(&key).is_some_and(|entry| id_of(&entry) == id) {
            let message = format!("the cluster ID {id} or the cluster name {other} has been registered");
            return Err(call.forbidden(name, &message));
        }
    }
    names.insert(id.to_owned(), name.into());
    Ok(())
}
