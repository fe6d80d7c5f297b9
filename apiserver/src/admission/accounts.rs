//! Pods of a plain cluster run as a service account that is there.
//!
//! Never here: the volume with the account's token. Nothing on this server runs pods, and it would come back as a difference
//! in whatever compares them.

use schema::entry::{GroupResource, Key};
use schema::status::Status;
use serde_json::{Value, json};

use crate::api::Profile;
use crate::housekeeping::identity::accounts::DEFAULT;
use crate::strategy;
use crate::verbs::call::Call;
use crate::verbs::object::{member, meta_text};

/// Pods that a kubelet made by itself name no account.
const MIRROR: &str = "kubernetes.io/config.mirror";

fn concerns(call: &Call<'_>, object: &Value) -> bool {
    call.api.config.profile == Profile::Kubernetes
        && strategy::is(&call.def, "", "pods")
        && object["metadata"]["annotations"].get(MIRROR).is_none()
}

/// Who names no account gets the usual one.
pub(super) fn fill(call: &Call<'_>, object: &mut Value) {
    if call.request.target.subresource.is_empty()
        && concerns(call, object)
        && object["spec"]["serviceAccountName"].as_str().is_none_or(str::is_empty)
    {
        member(object, "spec").insert("serviceAccountName".to_owned(), json!(DEFAULT));
    }
}

/// Who names one that is not there is refused; the others get what the account has for pulling images.
pub(super) fn create(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if !concerns(call, object) {
        return Ok(());
    }
    let name = object["spec"]["serviceAccountName"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let namespace = call.request.target.namespace.as_str();
    let key = Key::new(GroupResource::new("", "serviceaccounts"), namespace, name.as_str());
    let Some(account) = call.api.store.get(&key) else {
        let detail = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(call.forbidden(meta_text(object, "name"), &detail));
    };
    let has = |value: &Value| value.as_array().is_some_and(|list| !list.is_empty());
    if !has(&object["spec"]["imagePullSecrets"]) {
        let secrets = account.value()["imagePullSecrets"].take();
        if has(&secrets) {
            member(object, "spec").insert("imagePullSecrets".to_owned(), secrets);
        }
    }
    Ok(())
}
