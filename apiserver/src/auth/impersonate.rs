//! `Impersonate-*` headers: somebody acts as somebody else.
//!
//! Who may is a question to the chain for each user, group, uid and extra value: the verb is `impersonate`. Without a yes to
//! all of them the request fails rather than go on under the wrong name.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use schema::status::Status;

use super::authenticate::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};
use super::authorize::{Attributes, Chain};
use crate::request::User;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
/// The API group of what is no object.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The user that a request acts as.
pub fn impersonate(user: User, headers: &HeaderMap, chain: &Chain) -> Result<User, Status> {
    let Some(mut wanted) = wanted(headers) else {
        return Ok(user);
    };
    if wanted.name.is_empty() {
        return Err(Status::bad_request(
            "requested impersonation of groups, a uid or extra values without a user",
        ));
    }
    for attributes in questions(&wanted) {
        chain.check(&user, &attributes)?;
    }
    if let Some((namespace, _)) = service_account(&wanted.name)
        && wanted.groups.is_empty()
    {
        wanted.groups = vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    let implied = if wanted.name == ANONYMOUS {
        UNAUTHENTICATED
    } else {
        AUTHENTICATED
    };
    if !wanted.is_in(AUTHENTICATED) && !wanted.is_in(UNAUTHENTICATED) {
        wanted.groups.push(implied.to_owned());
    }
    Ok(wanted)
}

/// Namespace and name of a service account, if a user name is one's.
fn service_account(name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = name.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

/// What whoever acts as this user must be allowed to: a question for each attribute.
fn questions(wanted: &User) -> Vec<Attributes> {
    let question = |group: &str, resource: &str, name: &str| Attributes {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    };
    let who = match service_account(&wanted.name) {
        Some((namespace, name)) => Attributes {
            namespace: namespace.to_owned(),
            ..question("", "serviceaccounts", name)
        },
        None => question("", "users", &wanted.name),
    };
    let mut questions = vec![who];
    questions.extend(wanted.groups.iter().map(|group| question("", "groups", group)));
    for (key, values) in &wanted.extra {
        questions.extend(values.iter().map(|value| Attributes {
            subresource: key.clone(),
            ..question(AUTHENTICATION, "userextras", value)
        }));
    }
    if !wanted.uid.is_empty() {
        questions.push(question(AUTHENTICATION, "uids", &wanted.uid));
    }
    questions
}

fn wanted(headers: &HeaderMap) -> Option<User> {
    let texts = |name: &str| {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect::<Vec<String>>()
    };
    let mut extra = std::collections::BTreeMap::new();
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            extra.insert(key, texts(name.as_str()));
        }
    }
    let user = User {
        name: texts(USER).into_iter().next().unwrap_or_default(),
        uid: texts(UID).into_iter().next().unwrap_or_default(),
        groups: texts(GROUP),
        extra,
    };
    (user != User::default()).then_some(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authorize::{Authorizer, Decision};
    use crate::pki::MASTERS;

    /// Allows to act as what is listed: `resource[/subresource] [namespace/]name`.
    struct Listed(Vec<String>);

    impl Authorizer for Listed {
        fn decide(&self, _user: &User, asked: &Attributes) -> Decision {
            assert_eq!(asked.verb, "impersonate");
            let parts = [&asked.resource, &asked.subresource];
            let what: Vec<&str> = parts
                .map(String::as_str)
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            let place = [&asked.namespace, &asked.name];
            let place: Vec<&str> = place
                .map(String::as_str)
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            if self.0.contains(&format!("{} {}", what.join("/"), place.join("/"))) {
                Decision::Allow(String::new())
            } else {
                Decision::none()
            }
        }
    }

    fn check(who: &str, headers: &[(&'static str, &str)], expected: Result<(&str, &[&str]), &str>) {
        let user = User {
            name: "admin".to_owned(),
            groups: vec![who.to_owned()],
            ..User::default()
        };
        let mut chain = Chain::default();
        chain.push(Box::new(Listed(who.split(',').map(str::to_owned).collect())));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let found = impersonate(user, &map, &chain);
        let found = found
            .as_ref()
            .map(|user| (user.name.as_str(), user.groups.clone()))
            .map_err(|status| status.message.as_str());
        let expected = expected.map(|(name, groups)| (name, groups.iter().map(|group| (*group).to_owned()).collect()));
        assert_eq!(found, expected);
    }

    #[test]
    fn who_may_acts_as_others() {
        check(MASTERS, &[], Ok(("admin", &[MASTERS])));
        check(
            MASTERS,
            &[(USER, "eve"), (GROUP, "a"), (GROUP, "b")],
            Ok(("eve", &["a", "b", AUTHENTICATED])),
        );
        check(MASTERS, &[(USER, ANONYMOUS)], Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        let text = "requested impersonation of groups, a uid or extra values without a user";
        check(MASTERS, &[(GROUP, "a")], Err(text));
        check("users eve", &[(USER, "eve")], Ok(("eve", &[AUTHENTICATED])));
        let text = r#"groups "a" is forbidden: User "admin" cannot impersonate resource "groups" in API group "" at the cluster scope"#;
        check("users eve", &[(USER, "eve"), (GROUP, "a")], Err(text));
        let text = r#"users "bob" is forbidden: User "admin" cannot impersonate resource "users" in API group "" at the cluster scope"#;
        check("users eve", &[(USER, "bob")], Err(text));
        let text = r#"uids.authentication.k8s.io "1" is forbidden: User "admin" cannot impersonate resource "uids" in API group "authentication.k8s.io" at the cluster scope"#;
        check("users eve", &[(USER, "eve"), (UID, "1")], Err(text));
        let headers = [(USER, "eve"), ("impersonate-extra-a%2fb", "c")];
        check("users eve,userextras/a/b c", &headers, Ok(("eve", &[AUTHENTICATED])));
        let text = r#"userextras.authentication.k8s.io "c" is forbidden: User "admin" cannot impersonate resource "userextras/a/b" in API group "authentication.k8s.io" at the cluster scope"#;
        check("users eve", &headers, Err(text));
        let account = [(USER, "system:serviceaccount:n:s")];
        let groups = ["system:serviceaccounts", "system:serviceaccounts:n", AUTHENTICATED];
        check(
            "serviceaccounts n/s",
            &account,
            Ok(("system:serviceaccount:n:s", &groups)),
        );
        let text = r#"serviceaccounts "s" is forbidden: User "admin" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "n""#;
        check("users system:serviceaccount:n:s", &account, Err(text));
    }
}
