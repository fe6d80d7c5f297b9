//! JSON Web Signatures in compact form (RFC 7515), as far as tokens need them: `ES256` made and verified here, `HS256` with a
//! detached payload made for bootstrap tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::claims::Claims;
use crate::pki::AccountKey;

/// The longest token that is looked at.
const LONGEST: usize = 16 << 10;

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: String,
}

fn encode(value: &impl Serialize) -> Option<String> {
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).ok()?))
}

fn header(algorithm: &str, key: &str) -> Option<String> {
    encode(&Header {
        alg: algorithm.to_owned(),
        kid: key.to_owned(),
    })
}

/// A token that says these claims.
pub(super) fn sign(key: &AccountKey, claims: &Claims) -> Option<String> {
    let message = format!("{}.{}", header("ES256", key.id())?, encode(claims)?);
    let signature = key.sign(message.as_bytes())?;
    Some(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// The claims of a token that this key has signed.
pub(super) fn verify(key: &AccountKey, token: &str) -> Option<Claims> {
    if token.len() > LONGEST {
        return None;
    }
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    if header.alg != "ES256" || !(header.kid.is_empty() || header.kid == key.id()) {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !key.verify(message.as_bytes(), &signature) {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

/// A signature over content that the reader has already: the middle part is left out.
pub(crate) fn sign_detached(id: &str, secret: &str, content: &str) -> Option<String> {
    let header = header("HS256", id)?;
    let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, message.as_bytes());
    Some(format!("{header}..{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::OnceLock;

    fn key() -> &'static AccountKey {
        static KEY: OnceLock<AccountKey> = OnceLock::new();
        KEY.get_or_init(|| AccountKey::generate().unwrap())
    }

    proptest! {
        #[test]
        fn claims_survive_and_no_other_text_is_a_token(
            sub in ".{0,40}", exp in any::<Option<i64>>(), place in 0usize..1000, other in "[A-Za-z0-9_.-]",
            rubbish in "[A-Za-z0-9_.=-]{0,80}",
        ) {
            let claims = Claims { sub, exp, iss: "me".to_owned(), ..Claims::default() };
            let token = sign(key(), &claims).unwrap();
            prop_assert_eq!(verify(key(), &token), Some(claims.clone()));
            let place = place % token.len();
            let changed = format!("{}{other}{}", &token[..place], &token[place + 1..]);
            // The last letters of a part carry bits that mean nothing; strict decoding refuses them.
            prop_assert_eq!(verify(key(), &changed), (changed == token).then_some(claims));
            prop_assert_eq!(verify(key(), &rubbish), None);
        }
    }
}
