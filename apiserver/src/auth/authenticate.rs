//! From credentials to a user: a client certificate says who its owner is, nothing at all is an anonymous user, and
//! anything else is refused.
//!
//! Never here: whether a certificate is genuine; the TLS handshake has verified it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use schema::status::{Reason, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::request::User;

/// Name of those who show no credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Group of those who show no credentials.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Group of everyone else.
pub const AUTHENTICATED: &str = "system:authenticated";

/// What a client certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Common name and organisations.
    pub user: User,
    /// When the certificate ends, in seconds since 1970: a connection may outlive it, its owner's rights may not.
    pub not_after: i64,
}

impl Identity {
    /// Reads a certificate in DER form; `None` when it names nobody.
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let subject = certificate.subject();
        let name = subject.iter_common_name().next()?.as_str().ok()?;
        if name.is_empty() {
            return None;
        }
        let groups = subject
            .iter_organization()
            .filter_map(|part| part.as_str().ok())
            .map(str::to_owned)
            .collect();
        let user = User {
            name: name.to_owned(),
            groups,
            ..User::default()
        };
        Some(Self {
            user,
            not_after: certificate.validity().not_after.timestamp(),
        })
    }
}

/// Finds out who sends a request.
pub fn authenticate(peer: Option<&Identity>, headers: &HeaderMap, now: Timestamp) -> Result<User, Status> {
    if let Some(identity) = peer {
        if identity.not_after < now.as_second() {
            return Err(unauthorized());
        }
        let mut user = identity.user.clone();
        if !user.is_in(AUTHENTICATED) {
            user.groups.push(AUTHENTICATED.to_owned());
        }
        return Ok(user);
    }
    // Whoever shows a token wants to be somebody: to treat them as nobody would hide that the token is wrong.
    let scheme = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.split(' ').next());
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer")) {
        return Err(unauthorized());
    }
    Ok(anonymous())
}

/// The user without credentials.
pub fn anonymous() -> User {
    User {
        name: ANONYMOUS.to_owned(),
        groups: vec![UNAUTHENTICATED.to_owned()],
        ..User::default()
    }
}

fn unauthorized() -> Status {
    Status::failure(401, Reason::Unauthorized, "Unauthorized")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: Option<&Identity>, authorization: Option<&str>, expected: Result<(&str, &[&str]), u16>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        let found = authenticate(peer, &headers, Timestamp::from_second(1000).unwrap());
        let found = found
            .as_ref()
            .map(|user| (user.name.as_str(), user.groups.clone()))
            .map_err(|status| status.code);
        let expected = expected.map(|(name, groups)| (name, groups.iter().map(|group| (*group).to_owned()).collect()));
        assert_eq!(found, expected);
    }

    #[test]
    fn certificates_count_first_and_unknown_tokens_are_refused() {
        let user = User {
            name: "eve".to_owned(),
            groups: vec!["dev".to_owned()],
            ..User::default()
        };
        let valid = Identity {
            user: user.clone(),
            not_after: 1000,
        };
        let ended = Identity { user, not_after: 999 };
        check(None, None, Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(None, Some("Bearer abc"), Err(401));
        check(None, Some("bearer"), Err(401));
        check(None, Some("Basic abc"), Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(Some(&valid), None, Ok(("eve", &["dev", AUTHENTICATED])));
        check(Some(&valid), Some("Bearer abc"), Ok(("eve", &["dev", AUTHENTICATED])));
        check(Some(&ended), None, Err(401));
    }
}
