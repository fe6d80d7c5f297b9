//! Whether a user may do something: a chain of [`Authorizer`]s, of which the first with an opinion decides.
//!
//! Start with [`Chain::check`]. Without an opinion the answer is no.
//!
//! Never here: who somebody is ([`super::authenticate`]).

use schema::status::{Reason, Status};

use super::agent::AgentAuthorizer;
use super::rbac::rule::PolicyRule;
use crate::pki::MASTERS;
use crate::request::User;

/// What somebody wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// In the words of RBAC; for a path that is no resource the HTTP method in lower case.
    pub verb: String,
    /// API group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural; empty for a path that is no resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name: from the path, or the one name that a field selector allows.
    pub name: String,
    /// The path, when it is no resource.
    pub path: String,
}

impl Attributes {
    fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }

    /// 403 as Kubernetes words it.
    pub fn forbidden(&self, user: &User, reason: &str) -> Status {
        let Self {
            verb,
            group,
            resource,
            subresource,
            namespace,
            name,
            path,
            ..
        } = self;
        let who = &user.name;
        let because = if reason.is_empty() {
            String::new()
        } else {
            format!(": {reason}")
        };
        if !self.is_resource() {
            let text = format!("forbidden: User {who:?} cannot {verb} path {path:?}{because}");
            let mut status = Status::failure(403, Reason::Forbidden, text);
            status.details_mut();
            return status;
        }
        let full = if subresource.is_empty() {
            resource.clone()
        } else {
            format!("{resource}/{subresource}")
        };
        let place = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {namespace:?}")
        };
        let text = format!("User {who:?} cannot {verb} resource {full:?} in API group {group:?} {place}{because}");
        Status::forbidden(group, resource, name, &text)
    }
}

/// What an authorizer thinks, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, whatever others think.
    Allow(String),
    /// No, whatever others think.
    Deny(String),
    /// Let the next one decide.
    NoOpinion(String),
}

impl Decision {
    /// No opinion, for no reason worth telling.
    pub fn none() -> Self {
        Self::NoOpinion(String::new())
    }
}

/// What somebody may do, as far as a list can tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleList {
    /// What is allowed.
    pub rules: Vec<PolicyRule>,
    /// Why something may be missing.
    pub problems: Vec<String>,
    /// Whether more may be allowed than a list can tell.
    pub incomplete: bool,
}

/// One member of the chain.
pub trait Authorizer: Send + Sync + 'static {
    /// Judges a request.
    fn decide(&self, user: &User, attributes: &Attributes) -> Decision;

    /// Adds what a user may do in a namespace. False when later members of the chain have no say about this user.
    fn rules(&self, _user: &User, _namespace: &str, _into: &mut RuleList) -> bool {
        true
    }
}

/// Those who decide, in order.
pub struct Chain {
    members: Vec<Box<dyn Authorizer>>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            members: vec![Box::new(Masters), Box::new(AgentAuthorizer)],
        }
    }
}

impl Chain {
    /// Adds one at the end.
    pub fn push(&mut self, authorizer: Box<dyn Authorizer>) {
        self.members.push(authorizer);
    }

    /// The decision and why.
    pub fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        let mut reasons = Vec::new();
        for member in &self.members {
            match member.decide(user, attributes) {
                Decision::NoOpinion(reason) if reason.is_empty() => {}
                Decision::NoOpinion(reason) => reasons.push(reason),
                decided => return decided,
            }
        }
        Decision::NoOpinion(reasons.join("\n"))
    }

    /// Whether a user may do something.
    pub fn authorize(&self, user: &User, attributes: &Attributes) -> bool {
        matches!(self.decide(user, attributes), Decision::Allow(_))
    }

    /// 403 unless the request is allowed.
    pub fn check(&self, user: &User, attributes: &Attributes) -> Result<(), Status> {
        match self.decide(user, attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::Deny(reason) | Decision::NoOpinion(reason) => Err(attributes.forbidden(user, &reason)),
        }
    }

    /// What a user may do in a namespace.
    pub fn rules(&self, user: &User, namespace: &str) -> RuleList {
        let mut list = RuleList::default();
        for member in &self.members {
            if !member.rules(user, namespace, &mut list) {
                break;
            }
        }
        list
    }
}

/// `system:masters` may do everything.
struct Masters;

impl Authorizer for Masters {
    fn decide(&self, user: &User, _attributes: &Attributes) -> Decision {
        if user.is_in(MASTERS) {
            Decision::Allow(String::new())
        } else {
            Decision::none()
        }
    }
}

/// Whether it is a question about oneself.
pub(super) fn asks_about_itself(attributes: &Attributes) -> bool {
    attributes.verb == "create"
        && matches!(
            (attributes.group.as_str(), attributes.resource.as_str()),
            ("authentication.k8s.io", "selfsubjectreviews")
                | (
                    "authorization.k8s.io",
                    "selfsubjectaccessreviews" | "selfsubjectrulesreviews"
                )
        )
}

/// Whether it is a look at what is served.
pub(super) fn is_discovery(attributes: &Attributes) -> bool {
    let path = attributes.path.as_str();
    let root = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    !attributes.is_resource()
        && matches!(attributes.verb.as_str(), "get" | "head")
        && matches!(
            root,
            "" | "api" | "apis" | "openapi" | "version" | "healthz" | "livez" | "readyz"
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authenticate::{AUTHENTICATED, anonymous};

    fn user(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        User {
            name: name.to_owned(),
            groups,
            ..User::default()
        }
    }

    fn path(verb: &str, path: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            path: path.to_owned(),
            ..Attributes::default()
        }
    }

    fn resource(verb: &str, group: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            group: group.to_owned(),
            version: "v1".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        }
    }

    fn check(user: &User, attributes: &Attributes, expected: Result<(), &str>) {
        let found = Chain::default().check(user, attributes).map_err(|status| {
            assert_eq!((status.code, status.reason.clone()), (403, Some(Reason::Forbidden)));
            status.message
        });
        assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected);
    }

    #[test]
    fn everyone_else_is_refused_in_the_words_of_kubernetes() {
        let eve = user("eve", &[AUTHENTICATED]);
        let admin = user("admin", &[MASTERS, AUTHENTICATED]);
        check(&admin, &resource("delete", "", "pods", "n", "p"), Ok(()));
        check(&admin, &path("get", "/metrics"), Ok(()));
        let text = r#"forbidden: User "system:anonymous" cannot get path "/api""#;
        check(&anonymous(), &path("get", "/api"), Err(text));
        let text = r#"forbidden: User "eve" cannot post path "/version""#;
        check(&eve, &path("post", "/version"), Err(text));
        let text = r#"pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "n""#;
        check(&eve, &resource("list", "", "pods", "n", ""), Err(text));
        let text =
            r#"nodes "a" is forbidden: User "eve" cannot get resource "nodes" in API group "" at the cluster scope"#;
        check(&eve, &resource("get", "", "nodes", "", "a"), Err(text));
        let scale = Attributes {
            subresource: "scale".to_owned(),
            ..resource("get", "apps", "deployments", "n", "d")
        };
        let text = r#"deployments.apps "d" is forbidden: User "eve" cannot get resource "deployments/scale" in API group "apps" in the namespace "n""#;
        check(&eve, &scale, Err(text));
    }
}
