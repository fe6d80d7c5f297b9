//! Questions that are asked by POST and stored nowhere: who am I, may I do this.

mod selectors;

use schema::status::{FieldError, Status};
use serde_json::{Value, json};

use super::body;
use super::call::{Call, method_not_allowed};
use super::object::{map, set_type, texts};
use super::options::Validation;
use crate::auth::authorize::{Attributes, Decision};
use crate::request::{Answer, AnswerBody, User};

/// Whether a resource is one of these.
pub(super) fn is_review(call: &Call<'_>) -> bool {
    matches!(
        call.def.group.as_str(),
        "authentication.k8s.io" | "authorization.k8s.io"
    )
}

/// Answers POST.
pub(super) fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let mut review = body::object(call, Validation::Warn)?;
    let asking = &call.request.user;
    let status = match call.def.plural.as_str() {
        "selfsubjectreviews" => json!({"userInfo": user_info(asking)}),
        "tokenreviews" => super::accounts::review(call, &review["spec"])?,
        "selfsubjectaccessreviews" => {
            expect_valid(call, &review, false)?;
            decide(call, asking, &review["spec"])
        }
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            expect_valid(call, &review, true)?;
            decide(call, &subject(&review["spec"]), &review["spec"])
        }
        "selfsubjectrulesreviews" => match review["spec"]["namespace"].as_str() {
            Some(namespace) if !namespace.is_empty() => {
                let status = rules(call, asking, namespace);
                // The question is not repeated, as Kubernetes has it.
                review["spec"] = json!({});
                status
            }
            _ => return Err(Status::bad_request("no namespace on request")),
        },
        _ => return Err(method_not_allowed()),
    };
    map(&mut review).insert("status".to_owned(), status);
    set_type(&mut review, call.def.gvk());
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), review)))
}

/// A user as reviews show it.
pub(super) fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name});
    if !user.uid.is_empty() {
        info["uid"] = json!(user.uid);
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

/// Whom a question is about.
fn subject(spec: &Value) -> User {
    let extra = spec["extra"].as_object().into_iter().flatten();
    User {
        name: text(&spec["user"]),
        uid: text(&spec["uid"]),
        groups: texts(&spec["groups"]),
        extra: extra.map(|(key, values)| (key.clone(), texts(values))).collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// 422 for a question that cannot be answered.
fn expect_valid(call: &Call<'_>, review: &Value, about_somebody: bool) -> Result<(), Status> {
    let spec = &review["spec"];
    let (resource, path) = (&spec["resourceAttributes"], &spec["nonResourceAttributes"]);
    let mut problems = Vec::new();
    match (resource.is_object(), path.is_object()) {
        (true, true) => problems.push(FieldError::invalid(
            "spec.nonResourceAttributes",
            path.clone(),
            "cannot be specified in combination with resourceAttributes",
        )),
        (false, false) => problems.push(FieldError::invalid(
            "spec.resourceAttributes",
            json!("null"),
            "exactly one of nonResourceAttributes or resourceAttributes must be specified",
        )),
        _ => {}
    }
    if about_somebody && text(&spec["user"]).is_empty() && texts(&spec["groups"]).is_empty() {
        problems.push(FieldError::invalid(
            "spec.user",
            json!(""),
            "at least one of user or group must be specified",
        ));
    }
    for kind in [selectors::Kind::Field, selectors::Kind::Label] {
        selectors::check(kind, resource, &mut problems);
    }
    if call.def.plural == "localsubjectaccessreviews" {
        let namespace = text(&resource["namespace"]);
        if resource.is_object() && namespace != call.request.target.namespace {
            problems.push(FieldError::invalid(
                "spec.resourceAttributes.namespace",
                json!(namespace),
                "must match metadata.namespace",
            ));
        }
        if path.is_object() {
            problems.push(FieldError::invalid(
                "spec.nonResourceAttributes",
                path.clone(),
                "disallowed on this kind of request",
            ));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    // Kubernetes names no kind here.
    Err(Status::invalid(&call.def.group, "", "", &problems))
}

fn decide(call: &Call<'_>, user: &User, spec: &Value) -> Value {
    let resource = &spec["resourceAttributes"];
    let attributes = if resource.is_object() {
        Attributes {
            verb: text(&resource["verb"]),
            group: text(&resource["group"]),
            version: text(&resource["version"]),
            resource: text(&resource["resource"]),
            subresource: text(&resource["subresource"]),
            namespace: text(&resource["namespace"]),
            name: text(&resource["name"]),
            path: String::new(),
        }
    } else {
        let asked = &spec["nonResourceAttributes"];
        Attributes {
            verb: text(&asked["verb"]),
            path: text(&asked["path"]),
            ..Attributes::default()
        }
    };
    let (mut status, reason) = match call.api.authorizers.decide(user, &attributes) {
        Decision::Allow(reason) => (json!({"allowed": true}), reason),
        Decision::NoOpinion(reason) => (json!({"allowed": false}), reason),
        Decision::Deny(reason) => (json!({"allowed": false, "denied": true}), reason),
    };
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    let ignored = selectors::ignored(resource);
    if !ignored.is_empty() {
        status["evaluationError"] = json!(ignored);
    }
    status
}

/// What somebody may do in a namespace.
fn rules(call: &Call<'_>, user: &User, namespace: &str) -> Value {
    let list = call.api.authorizers.rules(user, namespace);
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in list.rules {
        let verbs = rule.verbs;
        if !rule.resources.is_empty() {
            let mut shown = json!({"verbs": verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
            if !rule.resource_names.is_empty() {
                shown["resourceNames"] = json!(rule.resource_names);
            }
            resources.push(shown);
        }
        if !rule.non_resource_urls.is_empty() {
            paths.push(json!({"verbs": verbs, "nonResourceURLs": rule.non_resource_urls}));
        }
    }
    let mut status = json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": list.incomplete});
    match list.problems.as_slice() {
        [] => {}
        [one] => status["evaluationError"] = json!(one),
        several => status["evaluationError"] = json!(format!("[{}]", several.join(", "))),
    }
    status
}
