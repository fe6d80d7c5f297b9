//! Questions that are asked by POST and stored nowhere: who am I, may I do this.

use schema::status::Status;
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
        "selfsubjectaccessreviews" => decide(call, asking, &review["spec"]),
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let spec = &review["spec"];
            let subject = User {
                name: spec["user"].as_str().unwrap_or_default().to_owned(),
                groups: texts(&spec["groups"]),
                ..User::default()
            };
            decide(call, &subject, spec)
        }
        "selfsubjectrulesreviews" => rules(call, asking),
        _ => return Err(method_not_allowed()),
    };
    map(&mut review).insert("status".to_owned(), status);
    set_type(&mut review, &call.def.gvk());
    Ok(call.answer(201, AnswerBody::Object(call.def.clone(), review)))
}

fn user_info(user: &User) -> Value {
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

fn decide(call: &Call<'_>, user: &User, spec: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
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
    match call.api.authorizers.decide(user, &attributes) {
        Decision::Allow => json!({"allowed": true}),
        Decision::NoOpinion => json!({"allowed": false}),
        Decision::Deny(reason) => json!({"allowed": false, "denied": true, "reason": reason}),
    }
}

/// What somebody may do, as far as a list can say it: everything, or nothing that is certain.
fn rules(call: &Call<'_>, user: &User) -> Value {
    let anything = Attributes {
        verb: "*".to_owned(),
        group: "*".to_owned(),
        resource: "*".to_owned(),
        ..Attributes::default()
    };
    if call.api.authorizers.decide(user, &anything) == Decision::Allow {
        return json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        });
    }
    json!({"resourceRules": [], "nonResourceRules": [], "incomplete": true})
}
