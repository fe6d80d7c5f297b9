//! Tokens: `serviceaccounts/token`, which makes them, and `TokenReview`, which tells whose they are.

use schema::entry::{Entry, GroupResource, Key};
use schema::model::GroupVersionKind;
use schema::status::{FieldError, Reason, Status};
use serde_json::{Value, json};

use super::call::Call;
use super::object::{map, meta_text, metadata, set_type, texts, time};
use super::options::{OptionsKind, WriteOptions};
use super::{body, parts};
use crate::auth::authenticate::AUTHENTICATED;
use crate::auth::token::claims::{Bound, Claims, Named, account_name};
use crate::request::{Answer, AnswerBody};

/// The shortest life of a token, in seconds.
const SHORTEST: i64 = 10 * 60;
/// What a token gets when nothing is said.
const USUAL: i64 = 3600;

fn kind() -> GroupVersionKind {
    GroupVersionKind {
        group: "authentication.k8s.io".to_owned(),
        version: "v1".to_owned(),
        kind: "TokenRequest".to_owned(),
    }
}

/// POST of a token request.
pub(super) async fn request_token(call: &Call<'_>) -> Result<Answer, Status> {
    let api = call.api;
    let kind = kind();
    let options = WriteOptions::parse(call.request, OptionsKind::Create)?;
    let object = body::other(call, &kind)?;
    let account = call.current().ok_or_else(|| call.not_found())?;
    check_place(&object, &account, &kind)?;
    let mut object = parts::admit(call, &kind, &options, object).await?;
    let spec = object["spec"].clone();
    let mut audiences = texts(&spec["audiences"]);
    if audiences.is_empty() {
        audiences = api.tokens.audiences().to_vec();
    }
    let mut seconds = spec["expirationSeconds"].as_i64().unwrap_or(USUAL);
    check_seconds(seconds, &kind)?;
    let longest = api.config.max_token_seconds;
    if longest > 0 && seconds > longest {
        call.warn(format!(
            "requested expiration of {seconds} seconds shortened to {longest} seconds"
        ));
        seconds = longest;
    }
    let named = Named {
        name: account.name().to_owned(),
        uid: account.meta().uid.clone(),
    };
    let mut bound = Bound {
        namespace: account.namespace().to_owned(),
        serviceaccount: named,
        ..Bound::default()
    };
    if spec["boundObjectRef"].is_object() {
        bind(call, &spec["boundObjectRef"], &mut bound)?;
    }
    let now = api.clock.now();
    let end = now.as_second() + seconds;
    let claims = Claims {
        aud: audiences.clone(),
        exp: Some(end),
        iat: Some(now.as_second()),
        iss: api.tokens.issuer().to_owned(),
        jti: Some(api.random.uuid()),
        nbf: Some(now.as_second()),
        sub: account_name(account.namespace(), account.name()),
        bound: Some(bound),
        ..Claims::default()
    };
    let token = api.tokens.issue(&claims)?;
    let expires = jiff::Timestamp::from_second(end).map_err(Status::internal)?;
    let fields = metadata(&mut object);
    fields.insert("name".to_owned(), json!(account.name()));
    fields.insert("namespace".to_owned(), json!(account.namespace()));
    fields.insert("creationTimestamp".to_owned(), time(now));
    let root = map(&mut object);
    let spec = map(root.entry("spec").or_insert(Value::Null));
    spec.insert("audiences".to_owned(), json!(audiences));
    spec.insert("expirationSeconds".to_owned(), json!(seconds));
    spec.entry("boundObjectRef").or_insert(Value::Null);
    root.insert(
        "status".to_owned(),
        json!({"token": token, "expirationTimestamp": time(expires)}),
    );
    set_type(&mut object, &kind);
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), object)))
}

/// A request may repeat whose token it wants, no more.
fn check_place(object: &Value, account: &Entry, kind: &GroupVersionKind) -> Result<(), Status> {
    for (field, own) in [("name", account.name()), ("namespace", account.namespace())] {
        let sent = meta_text(object, field);
        if !sent.is_empty() && sent != own {
            let detail = format!("must match the service account {field} if specified");
            let problem = FieldError::invalid(format!("metadata.{field}"), json!(sent), detail);
            return Err(Status::invalid(&kind.group, &kind.kind, account.name(), &[problem]));
        }
    }
    Ok(())
}

fn check_seconds(seconds: i64, kind: &GroupVersionKind) -> Result<(), Status> {
    let detail = if seconds < SHORTEST {
        "may not specify a duration less than 10 minutes"
    } else if seconds > 1 << 32 {
        "may not specify a duration larger than 2^32 seconds"
    } else {
        return Ok(());
    };
    let problem = FieldError::invalid("spec.expirationSeconds", json!(seconds), detail);
    Err(Status::invalid(&kind.group, &kind.kind, "", &[problem]))
}

/// Ties a token to the life of another object.
fn bind(call: &Call<'_>, reference: &Value, bound: &mut Bound) -> Result<(), Status> {
    let text = |key: &str| reference[key].as_str().unwrap_or_default();
    let (version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let (group, _) = version.split_once('/').unwrap_or_default();
    let plural = match (group, kind) {
        ("", "Pod") => "pods",
        ("", "Secret") => "secrets",
        ("", "Node") => "nodes",
        _ => {
            let text = format!("cannot bind token to object of type {version}, Kind={kind}");
            let text = if version.contains('/') {
                text
            } else {
                format!("cannot bind token to object of type /{version}, Kind={kind}")
            };
            return Err(Status::bad_request(text));
        }
    };
    let own = bound.namespace.clone();
    let find = |plural: &'static str, name: &str| {
        let namespace = if plural == "nodes" { "" } else { own.as_str() };
        let key = Key::new(GroupResource::new("", plural), namespace, name);
        call.api.store.get(&key)
    };
    let entry = find(plural, name).ok_or_else(|| Status::not_found("", plural, name))?;
    let uid = entry.meta().uid.clone();
    let named = Named {
        name: name.to_owned(),
        uid: uid.clone(),
    };
    match plural {
        "secrets" => bound.secret = Some(named),
        "nodes" => bound.node = Some(named),
        _ => {
            let spec = entry.value()["spec"].take();
            let account = bound.serviceaccount.name.as_str();
            if spec["serviceAccountName"] != account {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {account:?} to pod running with different serviceaccount name."
                )));
            }
            let node = spec["nodeName"].as_str().filter(|name| !name.is_empty());
            bound.node = node.map(|name| Named {
                name: name.to_owned(),
                uid: find("nodes", name)
                    .map(|node| node.meta().uid.clone())
                    .unwrap_or_default(),
            });
            bound.pod = Some(named);
        }
    }
    let wanted = text("uid");
    if !wanted.is_empty() && wanted != uid {
        let detail = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been \
             deleted and then recreated"
        );
        return Err(Status::conflict(group, kind, name, &detail));
    }
    Ok(())
}

/// The status of a `TokenReview`.
pub(super) fn review(call: &Call<'_>, spec: &Value) -> Result<Value, Status> {
    let token = spec["token"].as_str().unwrap_or_default();
    if token.is_empty() {
        let text = "token is required for TokenReview in authentication";
        return Err(Status::failure(400, Reason::BadRequest, text));
    }
    let api = call.api;
    let mut audiences = texts(&spec["audiences"]);
    if audiences.is_empty() {
        audiences = api.tokens.audiences().to_vec();
    }
    Ok(match api.tokens.check(&api.store, token, &audiences, api.clock.now()) {
        Ok(found) => {
            let mut user = found.user;
            user.groups.push(AUTHENTICATED.to_owned());
            json!({"authenticated": true, "user": super::reviews::user_info(&user), "audiences": found.audiences})
        }
        Err(refusal) => json!({"user": {}, "error": refusal.to_string()}),
    })
}
