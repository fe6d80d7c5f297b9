//! Tokens of service accounts, after their signature: whether they hold now, and for whom.

use jiff::Timestamp;
use schema::entry::{Entry, GroupResource, Key};
use serde::Deserialize;
use std::sync::Arc;
use storage::Store;

use super::claims::{Bound, Claims, LEGACY_ISSUER, Named, account_name};
use super::{Authenticated, LEEWAY, Refusal, Tokens};
use crate::request::User;

/// Everybody's group.
const ACCOUNTS: &str = "system:serviceaccounts";
/// Label of a Secret whose token counts no more.
const INVALID_SINCE: &str = "kubernetes.io/legacy-token-invalid-since";
const INVALIDATED: &str = "service account token has been invalidated";

/// Judges verified claims.
pub(super) fn check(
    tokens: &Tokens,
    store: &Store,
    claims: &Claims,
    token: &str,
    audiences: &[String],
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    let legacy = claims.iss == LEGACY_ISSUER;
    if !legacy && claims.iss != tokens.issuer {
        return Err(Refusal::Unknown);
    }
    check_times(claims, now.as_second())?;
    // What says no audience is meant for this server.
    let meant = if legacy && claims.aud.is_empty() {
        &tokens.audiences
    } else {
        &claims.aud
    };
    let shared: Vec<String> = meant
        .iter()
        .filter(|audience| audiences.contains(audience))
        .cloned()
        .collect();
    if shared.is_empty() {
        let text = format!(
            "token audiences {} is invalid for the target audiences {}",
            list(meant),
            list(audiences)
        );
        return Err(Refusal::because(text));
    }
    let user = if legacy {
        check_legacy(store, claims, token, now)?
    } else {
        let bound = claims.bound.as_ref().ok_or(Refusal::Unknown)?;
        check_bound(store, claims, bound, now)?
    };
    if claims.sub != user.name {
        return Err(Refusal::Unknown);
    }
    Ok(Authenticated {
        user,
        audiences: shared,
    })
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

fn check_times(claims: &Claims, now: i64) -> Result<(), Refusal> {
    let ahead = |time: Option<i64>| time.is_some_and(|time| time > now + LEEWAY);
    if ahead(claims.nbf) {
        return Err(Refusal::because("service account token is not valid yet"));
    }
    if claims.exp.is_some_and(|end| end + LEEWAY < now) {
        return Err(Refusal::because("service account token has expired"));
    }
    if ahead(claims.iat) {
        return Err(Refusal::because("service account token is issued in the future"));
    }
    Ok(())
}

fn check_bound(store: &Store, claims: &Claims, bound: &Bound, now: Timestamp) -> Result<User, Refusal> {
    let namespace = bound.namespace.as_str();
    live(store, ("serviceaccounts", namespace), &bound.serviceaccount, now)?;
    let mut user = user(namespace, &bound.serviceaccount);
    if let Some(secret) = &bound.secret {
        live(store, ("secrets", namespace), secret, now)?;
    }
    let mut add = |key: &str, value: &str| {
        let key = format!("authentication.kubernetes.io/{key}");
        user.extra.insert(key, vec![value.to_owned()]);
    };
    if let Some(pod) = &bound.pod {
        live(store, ("pods", namespace), pod, now)?;
        add("pod-name", &pod.name);
        add("pod-uid", &pod.uid);
    }
    if let Some(node) = &bound.node {
        // The node of a Pod is told only; it may go before the Pod does.
        if bound.pod.is_none() {
            live(store, ("nodes", ""), node, now)?;
        }
        add("node-name", &node.name);
        if !node.uid.is_empty() {
            add("node-uid", &node.uid);
        }
    }
    if let Some(id) = claims.jti.as_deref().filter(|id| !id.is_empty()) {
        add("credential-id", &format!("JTI={id}"));
    }
    Ok(user)
}

/// A token in a Secret counts while exactly this token lies there.
fn check_legacy(store: &Store, claims: &Claims, token: &str, now: Timestamp) -> Result<User, Refusal> {
    let namespace = claims.legacy_namespace.as_str();
    let secret = Named {
        name: claims.legacy_secret.clone(),
        uid: String::new(),
    };
    let account = Named {
        name: claims.legacy_account.clone(),
        uid: claims.legacy_uid.clone(),
    };
    let entry = live(store, ("secrets", namespace), &secret, now)?;
    if held(&entry).as_deref() != Some(token.as_bytes()) {
        return Err(Refusal::because(INVALIDATED));
    }
    if entry
        .meta()
        .labels
        .get(INVALID_SINCE)
        .is_some_and(|since| !since.is_empty())
    {
        let text = format!(
            "the token in secret {namespace}/{} for service account {namespace}/{} has been marked invalid. Use tokens from \
             the TokenRequest API or manually created secret-based tokens, or remove the '{INVALID_SINCE}' label from the \
             secret to temporarily allow use of this token",
            secret.name, account.name
        );
        return Err(Refusal::because(text));
    }
    live(store, ("serviceaccounts", namespace), &account, now)?;
    Ok(user(namespace, &account))
}

/// The token that a Secret holds.
pub(crate) fn held(secret: &Entry) -> Option<Vec<u8>> {
    use base64::Engine;
    #[derive(Deserialize)]
    struct Secret {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        token: String,
    }
    let secret: Secret = secret.typed().ok()?;
    base64::engine::general_purpose::STANDARD.decode(secret.data.token).ok()
}

/// The object of this name and uid (any uid when none is told), if it is there and was not deleted a while ago.
fn live(
    store: &Store,
    (plural, namespace): (&'static str, &str),
    named: &Named,
    now: Timestamp,
) -> Result<Arc<Entry>, Refusal> {
    let key = Key::new(GroupResource::new("", plural), namespace, named.name.as_str());
    let Some(entry) = store.get(&key) else {
        return Err(Refusal::because(format!("{plural} {:?} not found", named.name)));
    };
    let meta = entry.meta();
    let gone = meta
        .deletion_timestamp
        .is_some_and(|at| at.as_second() + LEEWAY < now.as_second());
    if gone {
        return Err(Refusal::because(INVALIDATED));
    }
    if !named.uid.is_empty() && meta.uid != named.uid {
        let text = format!("{plural} UID ({}) does not match claim ({})", meta.uid, named.uid);
        return Err(Refusal::because(text));
    }
    Ok(entry)
}

fn user(namespace: &str, account: &Named) -> User {
    User {
        name: account_name(namespace, &account.name),
        uid: account.uid.clone(),
        groups: vec![ACCOUNTS.to_owned(), format!("{ACCOUNTS}:{namespace}")],
        ..User::default()
    }
}
