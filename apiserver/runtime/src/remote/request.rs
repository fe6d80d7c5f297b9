//! Requests as data: paths, queries, bodies, and what comes back. Pure.

use std::sync::Arc;

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use schema::entry::{Draft, Entry, Key};
use schema::status::Status;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hub::{Action, Propagation, Request, Resource};
use crate::remote::Limit;

/// Names come from objects that others wrote: what has a meaning in a URL must not get through as it is.
const UNSAFE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

/// A request without host and credentials.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plain {
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

/// The path of a collection or, with a name, of an object.
pub(super) fn path(resource: &Resource, namespace: &str, name: &str, subresource: Option<&str>) -> String {
    let encode = |part: &str| utf8_percent_encode(part, UNSAFE).to_string();
    let group = &resource.group_resource.group;
    let mut path = if group.is_empty() {
        "/api/".to_owned()
    } else {
        format!("/apis/{}/", encode(group))
    };
    path += &encode(&resource.version);
    if !namespace.is_empty() {
        path.extend(["/namespaces/", &encode(namespace)]);
    }
    for part in [
        &*resource.group_resource.resource,
        name,
        subresource.unwrap_or_default(),
    ] {
        if !part.is_empty() {
            path.extend(["/", &encode(part)]);
        }
    }
    path
}

/// The path and query of a list or watch.
pub(super) fn collection(resource: &Resource, limit: &Limit, parameters: &[(&str, &str)]) -> String {
    let mut query = String::new();
    let mut add = |name: &str, value: &str| {
        query += if query.is_empty() { "?" } else { "&" };
        query.extend([name, "="]);
        query.extend(utf8_percent_encode(value, UNSAFE));
    };
    if let Some(name) = &limit.name {
        add("fieldSelector", &format!("metadata.name={name}"));
    }
    if let Some(labels) = &limit.labels {
        add("labelSelector", labels);
    }
    for (name, value) in parameters {
        add(name, value);
    }
    path(resource, limit.namespace.as_deref().unwrap_or_default(), "", None) + &query
}

/// A write as HTTP.
pub(super) fn write(manager: &str, request: &Request) -> Result<Plain, Status> {
    let Request {
        resource,
        namespace,
        name,
        subresource,
        action,
    } = request;
    let object = path(
        resource,
        namespace,
        if matches!(action, Action::Create(_) | Action::Record(_)) && subresource.is_none() {
            ""
        } else {
            name
        },
        *subresource,
    );
    let manager = format!("?fieldManager={}", utf8_percent_encode(manager, UNSAFE));
    // Nobody reads warnings about fields, so the server need not look for them.
    let unread = format!("{manager}&fieldValidation=Ignore");
    let (method, query, content_type, body) = match action {
        Action::Create(body) | Action::Record(body) => (Method::POST, unread, "application/json", body.clone()),
        Action::Update(body) => (Method::PUT, unread, "application/json", body.clone()),
        Action::Merge(body) => (Method::PATCH, unread, "application/merge-patch+json", body.clone()),
        Action::Edit(edit) if edit.whole => {
            return Err(Status::bad_request(
                "an object and its status are written together only within the hub",
            ));
        }
        Action::Edit(edit) => {
            let patch = edit.patch().unwrap_or_else(|| json!({}));
            (Method::PATCH, unread, "application/merge-patch+json", patch)
        }
        Action::Json(body) => (Method::PATCH, unread, "application/json-patch+json", body.clone()),
        // JSON is YAML; older servers know only this name.
        Action::Apply { object, force } => (
            Method::PATCH,
            format!("{manager}&force={force}"),
            "application/apply-patch+yaml",
            object.clone(),
        ),
        Action::Delete {
            uid,
            revision,
            propagation,
        } => {
            let mut options =
                json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy(*propagation)});
            if let Some(uid) = uid {
                options["preconditions"]["uid"] = json!(uid);
            }
            if let Some(revision) = revision {
                options["preconditions"]["resourceVersion"] = json!(revision.to_string());
            }
            (Method::DELETE, String::new(), "application/json", options)
        }
        Action::Finish { uid } => {
            let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": {"uid": uid}});
            (Method::DELETE, String::new(), "application/json", options)
        }
    };
    if name.is_empty() && method != Method::POST {
        return Err(Status::bad_request("name is required"));
    }
    let body = serde_json::to_vec(&body).map_err(Status::internal)?;
    Ok(Plain {
        method,
        path: object + &query,
        content_type,
        body,
    })
}

fn policy(propagation: Propagation) -> &'static str {
    match propagation {
        Propagation::Background => "Background",
        Propagation::Foreground => "Foreground",
        Propagation::Orphan => "Orphan",
    }
}

/// What a write answered with. A deletion that is done answers with a `Status`; then the last known state is given.
pub(super) fn entry_of(
    resource: &Resource,
    answer: &[u8],
    last: impl FnOnce() -> Option<Arc<Entry>>,
) -> Result<Arc<Entry>, Status> {
    // A Status has no revision.
    if let Some(entry) = Entry::received(&resource.group_resource, answer) {
        return Ok(Arc::new(entry));
    }
    let answer: Value = parse(answer)?;
    if answer["kind"] != "Status" || *resource.kind == *"Status" {
        return completed(resource, answer).map(Arc::new);
    }
    if let Some(entry) = last() {
        return Ok(entry);
    }
    let details = &answer["details"];
    let bare = json!({"metadata": {"name": details["name"].as_str().unwrap_or_default(), "uid": details["uid"].as_str().unwrap_or_default()}});
    completed(resource, bare).map(Arc::new)
}

/// An object from the wire as an entry. Items of lists come without kind and version.
pub(super) fn entry(resource: &Resource, object: &[u8]) -> Result<Entry, Status> {
    match Entry::received(&resource.group_resource, object) {
        Some(entry) => Ok(entry),
        None => completed(resource, parse(object)?),
    }
}

/// Reads what the server sent.
pub(super) fn parse<'a, T: Deserialize<'a>>(sent: &'a [u8]) -> Result<T, Status> {
    serde_json::from_slice(sent)
        .map_err(|error| Status::internal(format!("the server's answer is not understood: {error}")))
}

fn completed(resource: &Resource, mut object: Value) -> Result<Entry, Status> {
    let revision = object["metadata"]["resourceVersion"]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    if let Some(fields) = object.as_object_mut() {
        fields
            .entry("apiVersion")
            .or_insert_with(|| resource.api_version().into());
        fields.entry("kind").or_insert_with(|| (*resource.kind).into());
    }
    let draft = Draft::new(object).map_err(|error| {
        Status::internal(format!(
            "the server sent {resource}: {error}",
            resource = resource.group_resource
        ))
    })?;
    let key = Key::new(
        resource.group_resource.clone(),
        draft.meta().namespace.clone(),
        draft.meta().name.clone(),
    );
    Ok(draft.seal(key, revision))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::hub::Edit;
    use schema::entry::GroupResource;

    fn resource(group: &str, plural: &str, kind: &str) -> Resource {
        Resource {
            group_resource: GroupResource::new(group, plural),
            version: "v1".into(),
            kind: kind.into(),
            namespaced: true,
        }
    }

    #[test]
    fn writes_become_requests() {
        let check = |action: Action, subresource: Option<&'static str>, expected: &str| {
            let request = Request {
                resource: resource("apps", "deployments", "Deployment"),
                namespace: "default".into(),
                name: "web".into(),
                subresource,
                action,
            };
            let Plain {
                method,
                path,
                content_type,
                body,
            } = write("agent x", &request).unwrap();
            let text = format!("{method} {path} {content_type} {}", String::from_utf8(body).unwrap());
            assert_eq!(text, expected);
        };
        let base = "/apis/apps/v1/namespaces/default/deployments";
        let body = json!({"a": 1});
        check(
            Action::Create(body.clone()),
            None,
            &format!(r#"POST {base}?fieldManager=agent%20x&fieldValidation=Ignore application/json {{"a":1}}"#),
        );
        check(
            Action::Update(body.clone()),
            Some("status"),
            &format!(
                r#"PUT {base}/web/status?fieldManager=agent%20x&fieldValidation=Ignore application/json {{"a":1}}"#
            ),
        );
        check(
            Action::Merge(body.clone()),
            None,
            &format!(
                r#"PATCH {base}/web?fieldManager=agent%20x&fieldValidation=Ignore application/merge-patch+json {{"a":1}}"#
            ),
        );
        let key = Key::new(GroupResource::new("apps", "deployments"), "default", "web");
        let read = Draft::new(json!({"metadata": {"name": "web"}, "spec": {"a": 1}, "status": {"b": 1}}));
        let mut edit = Edit::of_status(Arc::new(read.unwrap().seal(key, 7)));
        edit.want["status"]["b"] = json!(2);
        check(
            Action::Edit(Box::new(edit.clone())),
            Some("status"),
            &format!(
                r#"PATCH {base}/web/status?fieldManager=agent%20x&fieldValidation=Ignore application/merge-patch+json {{"metadata":{{"resourceVersion":"7"}},"status":{{"b":2}}}}"#
            ),
        );
        edit.whole = true;
        let whole = Request {
            resource: resource("apps", "deployments", "Deployment"),
            namespace: "default".into(),
            name: "web".into(),
            subresource: None,
            action: Action::Edit(Box::new(edit)),
        };
        assert_eq!(write("agent x", &whole).unwrap_err().code, 400);
        check(
            Action::Apply {
                object: body,
                force: true,
            },
            None,
            &format!(r#"PATCH {base}/web?fieldManager=agent%20x&force=true application/apply-patch+yaml {{"a":1}}"#),
        );
        check(
            Action::Delete {
                uid: Some("u".to_owned()),
                revision: Some(7),
                propagation: Propagation::Foreground,
            },
            None,
            &format!(
                r#"DELETE {base}/web application/json {{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{{"resourceVersion":"7","uid":"u"}},"propagationPolicy":"Foreground"}}"#
            ),
        );
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_path() {
        let pods = resource("", "pods", "Pod");
        assert_eq!(
            path(&pods, "", "a/../b?dryRun=All#", None),
            "/api/v1/pods/a%2F..%2Fb%3FdryRun%3DAll%23"
        );
        let limit = Limit {
            namespace: Some("n".into()),
            name: Some("x&y".into()),
            labels: Some("a=b".into()),
            ..Limit::default()
        };
        assert_eq!(
            collection(&pods, &limit, &[("limit", "5")]),
            "/api/v1/namespaces/n/pods?fieldSelector=metadata.name%3Dx%26y&labelSelector=a%3Db&limit=5"
        );
    }

    #[test]
    fn answers_become_entries() {
        let pods = resource("", "pods", "Pod");
        let bytes = |value: &Value| serde_json::to_vec(value).unwrap();
        let bare = json!({"metadata": {"name": "a", "namespace": "n", "resourceVersion": "12"}});
        let pod = entry(&pods, &bytes(&bare)).unwrap();
        assert_eq!(
            (pod.revision(), pod.value()["kind"].as_str(), pod.namespace()),
            (12, Some("Pod"), "n")
        );
        assert!(entry(&pods, b"\"text\"").is_err());
        assert!(entry(&pods, b"{").is_err());
        let done = bytes(&json!({"kind": "Status", "status": "Success", "details": {"name": "a", "uid": "u"}}));
        let gone = entry_of(&pods, &done, || None).unwrap();
        assert_eq!((gone.name(), &*gone.meta().uid), ("a", "u"));
        let known = Arc::new(pod);
        assert_eq!(entry_of(&pods, &done, || Some(known)).unwrap().revision(), 12);
    }
}
