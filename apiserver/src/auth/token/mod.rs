//! From a bearer token to a user: tokens of service accounts, which this server signs, and bootstrap tokens, which are
//! Secrets.
//!
//! Start with [`Tokens::check`]. A signature is verified once and remembered ([`cache`]); whether the account, and the object
//! that a token is bound to, are still there is asked of the store each time, which costs a look-up in memory.
//!
//! Never here: HTTP headers ([`super::authenticate`]), who may have a token made. No token ever appears in an error or a log.

mod account;
pub mod bootstrap;
mod cache;
pub mod claims;
pub(crate) mod jws;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use schema::status::Status;
use serde_json::{Value, json};
use storage::Store;

use crate::pki::AccountKey;
use crate::request::User;
use cache::Verified;
use claims::Claims;

/// How far clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// What a token that nobody knows gets told.
const UNKNOWN: &str = "invalid bearer token";

/// Who shows a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who it is.
    pub user: User,
    /// For whom the token is meant, of those who were asked about.
    pub audiences: Vec<String>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is none of this server's.
    #[error("{UNKNOWN}")]
    Unknown,
    /// It was once good, or is good for something else.
    #[error("[{UNKNOWN}, {0}]")]
    Refused(String),
}

impl Refusal {
    fn because(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }
}

/// Makes and checks tokens.
pub struct Tokens {
    key: Arc<AccountKey>,
    issuer: String,
    audiences: Vec<String>,
    verified: Verified,
}

impl Tokens {
    /// Tokens under a key; `issuer` stands in them and is the audience that means this server.
    pub fn new(key: Arc<AccountKey>, issuer: &str) -> Self {
        Self {
            key,
            issuer: issuer.to_owned(),
            audiences: vec![issuer.to_owned()],
            verified: Verified::default(),
        }
    }

    /// Who issues.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The audiences that mean this server.
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// Signs claims.
    pub fn issue(&self, claims: &Claims) -> Result<String, Status> {
        jws::sign(&self.key, claims).ok_or_else(|| Status::internal("the token could not be signed"))
    }

    /// Who shows this token, to anybody of these audiences.
    pub fn check(
        &self,
        store: &Store,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Authenticated, Refusal> {
        if let Some(parts) = bootstrap::parse(token) {
            let user = bootstrap::check(store, parts, now)?;
            // A bootstrap token is for whoever asks.
            let audiences = audiences.to_vec();
            return Ok(Authenticated { user, audiences });
        }
        let claims = self
            .verified
            .get_or_insert(token, || jws::verify(&self.key, token))
            .ok_or(Refusal::Unknown)?;
        account::check(self, store, &claims, token, audiences, now)
    }

    /// `/.well-known/openid-configuration`: what others need to verify tokens. `keys_url` is where the keys are.
    pub fn discovery(&self, keys_url: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": keys_url,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        })
    }

    /// `/openid/v1/jwks`: the public keys.
    pub fn keys(&self) -> Value {
        json!({"keys": [self.key.jwk()]})
    }
}
