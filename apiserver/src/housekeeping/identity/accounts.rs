//! Service accounts: the tokens that lie in Secrets, and on a plain cluster the account and the certificates that every
//! namespace has.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::hub::{Action, Request};
use runtime::queue;
use schema::status::{Reason, Status};
use serde_json::{Value, json};

use super::{ACCOUNT_ANNOTATION, Identity, config_maps, resource, secrets};
use crate::auth::token::claims::{self, Named};

/// The account that every namespace has.
pub(crate) const DEFAULT: &str = "default";
/// The certificates that every namespace has.
pub(crate) const ROOTS: &str = "kube-root-ca.crt";
/// Type of a Secret that holds a token.
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";
const UID_ANNOTATION: &str = "kubernetes.io/service-account.uid";

/// What a Secret lacks to be of use with a token: a merge patch, or nothing. `make` makes a token.
fn missing(
    secret: &Value,
    (namespace, uid, ca): (&str, &str, &str),
    make: impl FnOnce() -> Result<String, Status>,
) -> Result<Option<Value>, Status> {
    let mut data = json!({});
    for (key, text) in [("ca.crt", ca), ("namespace", namespace)] {
        let encoded = STANDARD.encode(text);
        if secret["data"][key] != encoded.as_str() {
            data[key] = json!(encoded);
        }
    }
    if secret["data"]["token"].as_str().is_none_or(str::is_empty) {
        data["token"] = json!(STANDARD.encode(make()?));
    }
    let known = secret["metadata"]["annotations"][UID_ANNOTATION] == uid;
    if known && data == json!({}) {
        return Ok(None);
    }
    Ok(Some(json!({
        "metadata": {"annotations": {UID_ANNOTATION: uid}, "resourceVersion": secret["metadata"]["resourceVersion"]},
        "data": data,
    })))
}

impl Identity {
    /// Fills a Secret for a token; without its account it goes.
    pub(super) async fn fill_token(&self, namespace: &str, name: &str) -> Result<queue::Action, Status> {
        let Some(entry) = self.get("", "secrets", namespace, name) else {
            return Ok(queue::Action::Done);
        };
        let secret = entry.value();
        let meta = entry.meta();
        if secret["type"] != TOKEN_TYPE || meta.deletion_timestamp.is_some() {
            return Ok(queue::Action::Done);
        }
        let annotation = |key: &str| meta.annotations.get(key).unwrap_or_default();
        let account = self.get("", "serviceaccounts", namespace, annotation(ACCOUNT_ANNOTATION));
        let wanted = annotation(UID_ANNOTATION);
        let account = account.filter(|account| wanted.is_empty() || account.meta().uid == wanted);
        let Some(account) = account else {
            self.delete(secrets(), &entry).await?;
            return Ok(queue::Action::Done);
        };
        let named = Named {
            name: account.name().to_owned(),
            uid: account.meta().uid.clone(),
        };
        let api = &self.api;
        let make = || api.tokens.issue(&claims::legacy(namespace, &named, name));
        if let Some(patch) = missing(&secret, (namespace, &named.uid, &api.pki.ca_pem), make)? {
            let request = super::super::about(&secrets(), &entry, Action::Merge(patch));
            self.write(request).await?;
        }
        Ok(queue::Action::Done)
    }

    /// Has the token Secrets of an account looked at that is gone.
    pub(super) async fn drop_tokens(&self, namespace: &str, account: &str) -> Result<queue::Action, Status> {
        let group = secrets().group_resource;
        for entry in self.hub.list(&group, Some(namespace)) {
            let owner = entry.meta().annotations.get(ACCOUNT_ANNOTATION);
            if owner.is_some_and(|owner| owner == account) {
                self.fill_token(namespace, entry.name()).await?;
            }
        }
        Ok(queue::Action::Done)
    }

    /// Gives a namespace of a plain cluster its account and certificates.
    pub(super) async fn furnish(&self, namespace: &str) -> Result<queue::Action, Status> {
        let found = self.get("", "namespaces", "", namespace);
        if found.is_none_or(|entry| entry.meta().deletion_timestamp.is_some()) {
            return Ok(queue::Action::Done);
        }
        if self.get("", "serviceaccounts", namespace, DEFAULT).is_none() {
            let account = resource("", "serviceaccounts", "ServiceAccount", true);
            self.put(account, namespace, DEFAULT, default_account()).await?;
        }
        let roots = roots(&self.api.pki.ca_pem);
        match self.get("", "configmaps", namespace, ROOTS) {
            None => self.put(config_maps(), namespace, ROOTS, roots).await?,
            Some(entry) if entry.value()["data"] != roots["data"] => {
                let patch = json!([{"op": "add", "path": "/data", "value": roots["data"]}]);
                let request = super::super::about(&config_maps(), &entry, Action::Json(patch));
                self.write(request).await?;
            }
            Some(_) => {}
        }
        Ok(queue::Action::Done)
    }

    async fn put(
        &self,
        resource: runtime::hub::Resource,
        namespace: &str,
        name: &str,
        object: Value,
    ) -> Result<(), Status> {
        let request = Request {
            resource,
            namespace: namespace.into(),
            name: name.into(),
            subresource: None,
            action: Action::Create(object),
        };
        match self.write(request).await {
            // Made meanwhile, or the namespace is on its way out.
            Err(status) if status.is(&Reason::AlreadyExists) || status.is(&Reason::Forbidden) => Ok(()),
            other => other,
        }
    }
}

/// The account that pods get which name none.
pub(crate) fn default_account() -> Value {
    json!({"metadata": {"name": DEFAULT}})
}

/// What pods need to know the server.
fn roots(ca_pem: &str) -> Value {
    let description = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as \
        the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes \
        clusters.";
    json!({
        "metadata": {"name": ROOTS, "annotations": {"kubernetes.io/description": description}},
        "data": {"ca.crt": ca_pem},
    })
}
