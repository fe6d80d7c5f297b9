//! `Impersonate-*` headers: an administrator acts as somebody else.
//!
//! Only `system:masters` may; for everyone else the request fails rather than go on under the wrong name.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use schema::status::Status;

use super::authenticate::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED};
use super::authorize::Attributes;
use crate::pki::MASTERS;
use crate::request::User;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";

/// The user that a request acts as.
pub fn impersonate(user: User, headers: &HeaderMap) -> Result<User, Status> {
    let Some(wanted) = wanted(headers) else {
        return Ok(user);
    };
    if wanted.name.is_empty() {
        return Err(Status::bad_request(
            "requested impersonation of groups, a uid or extra values without a user",
        ));
    }
    if !user.is_in(MASTERS) {
        let attributes = Attributes {
            verb: "impersonate".to_owned(),
            resource: "users".to_owned(),
            name: wanted.name,
            ..Attributes::default()
        };
        return Err(attributes.forbidden(&user, ""));
    }
    let mut wanted = wanted;
    let implied = if wanted.name == ANONYMOUS {
        UNAUTHENTICATED
    } else {
        AUTHENTICATED
    };
    if !wanted.is_in(implied) {
        wanted.groups.push(implied.to_owned());
    }
    Ok(wanted)
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

    fn check(groups: &[&str], headers: &[(&'static str, &str)], expected: Result<(&str, &[&str]), u16>) {
        let user = User {
            name: "admin".to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let found = impersonate(user, &map);
        let found = found
            .as_ref()
            .map(|user| (user.name.as_str(), user.groups.clone()))
            .map_err(|status| status.code);
        let expected = expected.map(|(name, groups)| (name, groups.iter().map(|group| (*group).to_owned()).collect()));
        assert_eq!(found, expected);
    }

    #[test]
    fn only_masters_act_as_others() {
        check(&[MASTERS], &[], Ok(("admin", &[MASTERS])));
        check(
            &[MASTERS],
            &[(USER, "eve"), (GROUP, "a"), (GROUP, "b")],
            Ok(("eve", &["a", "b", AUTHENTICATED])),
        );
        check(&[MASTERS], &[(USER, ANONYMOUS)], Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(&[MASTERS], &[(GROUP, "a")], Err(400));
        check(&["dev"], &[(USER, "eve")], Err(403));
    }
}
