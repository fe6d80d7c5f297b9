//! Whether a user may do something: a chain of [`Authorizer`]s, of which the first with an opinion decides.
//!
//! Start with [`Chain::check`]. Without an opinion the answer is no.
//!
//! Never here: who somebody is ([`super::authenticate`]).

use schema::status::{Reason, Status};

use super::agent::AgentAuthorizer;
use super::authenticate::AUTHENTICATED;
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

/// What an authorizer thinks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Yes, whatever others think.
    Allow,
    /// No, whatever others think.
    Deny(String),
    /// Let the next one decide.
    NoOpinion,
}

/// One member of the chain.
pub trait Authorizer: Send + Sync + 'static {
    /// Judges a request.
    fn decide(&self, user: &User, attributes: &Attributes) -> Decision;
}

/// Those who decide, in order.
pub struct Chain {
    members: Vec<Box<dyn Authorizer>>,
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            members: vec![Box::new(Masters), Box::new(Public), Box::new(AgentAuthorizer)],
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
        let mut opinions = self.members.iter().map(|member| member.decide(user, attributes));
        opinions
            .find(|decision| *decision != Decision::NoOpinion)
            .unwrap_or(Decision::NoOpinion)
    }

    /// 403 unless the request is allowed.
    pub fn check(&self, user: &User, attributes: &Attributes) -> Result<(), Status> {
        match self.decide(user, attributes) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(attributes.forbidden(user, &reason)),
            Decision::NoOpinion => Err(attributes.forbidden(user, "")),
        }
    }
}

/// `system:masters` may do everything.
struct Masters;

impl Authorizer for Masters {
    fn decide(&self, user: &User, _attributes: &Attributes) -> Decision {
        if user.is_in(MASTERS) {
            Decision::Allow
        } else {
            Decision::NoOpinion
        }
    }
}

/// What needs no rule: health and version for everyone, discovery and questions about oneself for the authenticated.
struct Public;

impl Authorizer for Public {
    fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        let allowed = if attributes.is_resource() {
            user.is_in(AUTHENTICATED) && asks_about_itself(attributes)
        } else {
            let reads = matches!(attributes.verb.as_str(), "get" | "head");
            let path = attributes.path.as_str();
            reads && (is_open(path) || (user.is_in(AUTHENTICATED) && is_discovery(path)))
        };
        if allowed { Decision::Allow } else { Decision::NoOpinion }
    }
}

fn asks_about_itself(attributes: &Attributes) -> bool {
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

fn is_open(path: &str) -> bool {
    let root = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(root, "healthz" | "livez" | "readyz") || path.trim_end_matches('/') == "/version"
}

fn is_discovery(path: &str) -> bool {
    let root = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    matches!(root, "" | "api" | "apis" | "openapi")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authenticate::anonymous;

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
        check(&anonymous(), &path("get", "/readyz/ping"), Ok(()));
        check(&anonymous(), &path("get", "/version"), Ok(()));
        let text = r#"forbidden: User "system:anonymous" cannot get path "/api""#;
        check(&anonymous(), &path("get", "/api"), Err(text));
        check(&eve, &path("get", "/apis/apps/v1"), Ok(()));
        check(
            &eve,
            &path("get", "/metrics"),
            Err(r#"forbidden: User "eve" cannot get path "/metrics""#),
        );
        check(
            &eve,
            &path("post", "/version"),
            Err(r#"forbidden: User "eve" cannot post path "/version""#),
        );
        check(
            &eve,
            &resource("create", "authorization.k8s.io", "selfsubjectaccessreviews", "", ""),
            Ok(()),
        );
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
