//! From credentials to a user: a client certificate says who its owner is, or a bearer token does; nothing at all is an
//! anonymous user, and anything else is refused.
//!
//! Never here: whether a certificate is genuine; the TLS handshake has verified it.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use schema::status::{Reason, Status};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::token::Refusal;
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

/// Finds out who sends a request. `check` knows tokens.
pub fn authenticate(
    peer: Option<&Identity>,
    headers: &HeaderMap,
    now: Timestamp,
    check: impl FnOnce(&str) -> Result<User, Refusal>,
) -> Result<User, Status> {
    let mut user = match (peer, bearer(headers)) {
        (Some(identity), _) if now.as_second() <= identity.not_after => identity.user.clone(),
        (_, Some(token)) => check(token).map_err(|refusal| {
            tracing::debug!(%refusal, "a token was refused");
            unauthorized()
        })?,
        (Some(_), None) => return Err(unauthorized()),
        (None, None) => return Ok(anonymous()),
    };
    if !user.is_in(AUTHENTICATED) {
        user.groups.push(AUTHENTICATED.to_owned());
    }
    Ok(user)
}

/// The token of a request. A scheme without a token is as good as nothing.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.split(' ').next().unwrap_or_default();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
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
        let known = |token: &str| match token {
            "good" => Ok(User {
                name: "ada".to_owned(),
                ..User::default()
            }),
            _ => Err(Refusal::Unknown),
        };
        let found = authenticate(peer, &headers, Timestamp::from_second(1000).unwrap(), known);
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
        check(None, Some("bearer  good"), Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(None, Some("bearer"), Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(None, Some("bearer good"), Ok(("ada", &[AUTHENTICATED])));
        check(None, Some("BEARER good for nothing"), Ok(("ada", &[AUTHENTICATED])));
        check(None, Some("Basic abc"), Ok((ANONYMOUS, &[UNAUTHENTICATED])));
        check(Some(&valid), None, Ok(("eve", &["dev", AUTHENTICATED])));
        check(Some(&valid), Some("Bearer abc"), Ok(("eve", &["dev", AUTHENTICATED])));
        check(Some(&ended), None, Err(401));
        check(Some(&ended), Some("Bearer abc"), Err(401));
        check(Some(&ended), Some("Bearer good"), Ok(("ada", &[AUTHENTICATED])));
    }
}
