//! Bootstrap tokens: those that have ended go, and the others sign `kube-public/cluster-info`, so that whoever has one can
//! tell that the address and the certificate in there are genuine.

use std::collections::BTreeMap;

use runtime::hub::Action;
use runtime::queue;
use schema::status::Status;
use serde_json::{Value, json};

use super::{Identity, config_maps, secrets, until};
use crate::auth::token::bootstrap::{BootstrapToken, NAME_PREFIX, NAMESPACE};
use crate::auth::token::jws;

/// Name of the map.
pub(crate) const CLUSTER_INFO: &str = "cluster-info";
/// Where it is.
pub(crate) const PUBLIC: &str = "kube-public";
/// Key of a signature, without the id of the token.
const SIGNATURE: &str = "jws-kubeconfig-";

/// The signatures that are missing (or wrong), and those that are to go (as null): a patch of `data`.
fn changes(data: &Value, tokens: &[BootstrapToken]) -> Option<Value> {
    let content = data["kubeconfig"].as_str().unwrap_or_default();
    let mut wanted = BTreeMap::new();
    if !content.is_empty() {
        for token in tokens {
            if let Some(signature) = jws::sign_detached(&token.id, &token.secret, content) {
                wanted.insert(format!("{SIGNATURE}{}", token.id), signature);
            }
        }
    }
    let mut patch = json!({});
    for (key, known) in data.as_object().into_iter().flatten() {
        match wanted.get(key) {
            Some(signature) if known == signature => drop(wanted.remove(key)),
            None if key.starts_with(SIGNATURE) => patch[key] = Value::Null,
            _ => {}
        }
    }
    for (key, signature) in wanted {
        patch[key] = json!(signature);
    }
    (patch != json!({})).then_some(patch)
}

impl Identity {
    /// Deletes a bootstrap token when it has ended.
    pub(super) async fn expire(&self, name: &str) -> Result<queue::Action, Status> {
        let Some(entry) = self.get("", "secrets", NAMESPACE, name) else {
            return Ok(queue::Action::Done);
        };
        let now = self.now();
        let Some((token, end)) = BootstrapToken::of(&entry).and_then(|token| Some((token.clone(), token.expires?)))
        else {
            return Ok(queue::Action::Done);
        };
        if !token.is_expired(now) {
            return Ok(queue::Action::After(until(end, now)));
        }
        self.delete(secrets(), &entry).await?;
        Ok(queue::Action::Done)
    }

    /// Keeps the signatures of `cluster-info`.
    pub(super) async fn sign_cluster_info(&self) -> Result<queue::Action, Status> {
        let Some(entry) = self.get("", "configmaps", PUBLIC, CLUSTER_INFO) else {
            return Ok(queue::Action::Done);
        };
        let now = self.now();
        let group = secrets().group_resource;
        let tokens: Vec<BootstrapToken> = self
            .hub
            .list(&group, Some(NAMESPACE))
            .iter()
            .filter(|entry| entry.name().starts_with(NAME_PREFIX))
            .filter_map(|entry| BootstrapToken::of(entry))
            .filter(|token| token.signs && !token.is_expired(now))
            .collect();
        if let Some(patch) = changes(&entry.value()["data"], &tokens) {
            let revision = entry.revision().to_string();
            let patch = json!({"metadata": {"resourceVersion": revision}, "data": patch});
            let request = super::super::about(&config_maps(), &entry, Action::Merge(patch));
            self.write(request).await?;
        }
        Ok(queue::Action::Done)
    }
}
