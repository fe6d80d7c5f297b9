//! The key that signs the tokens of service accounts: ECDSA on P-256, as `ES256` of RFC 7518 has it.
//!
//! Never here: what a token says ([`crate::auth::token`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PublicKeyData};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, UnparsedPublicKey};
use serde_json::{Value, json};

/// A signing key with its public half.
pub struct AccountKey {
    pem: String,
    pair: EcdsaKeyPair,
    /// An uncompressed point: 4, x, y.
    point: Vec<u8>,
    id: String,
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AccountKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl AccountKey {
    /// A new key.
    pub fn generate() -> Result<Self, rcgen::Error> {
        Self::from_pair(&KeyPair::generate()?)
    }

    /// A key in PEM form.
    pub fn from_pem(pem: &str) -> Result<Self, rcgen::Error> {
        Self::from_pair(&KeyPair::from_pem(pem)?)
    }

    fn from_pair(key: &KeyPair) -> Result<Self, rcgen::Error> {
        if key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(rcgen::Error::UnsupportedSignatureAlgorithm);
        }
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &SystemRandom::new(),
        )
        .map_err(|error| rcgen::Error::RingKeyRejected(error.to_string()))?;
        let id = URL_SAFE_NO_PAD.encode(digest(&SHA256, &key.subject_public_key_info()));
        Ok(Self {
            pem: key.serialize_pem(),
            pair,
            point: key.der_bytes().to_vec(),
            id,
        })
    }

    /// The key as it is kept: PKCS #8 in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// What names it in the header of a token: a digest of its public half.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs a message; `None` when the system has no random numbers.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message).ok()?;
        Some(signature.as_ref().to_vec())
    }

    /// Whether a signature is its own.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
            .verify(message, signature)
            .is_ok()
    }

    /// The public half as a JSON Web Key (RFC 7517).
    pub fn jwk(&self) -> Value {
        let coordinate = |range: std::ops::Range<usize>| {
            let bytes = self.point.get(range).unwrap_or_default();
            URL_SAFE_NO_PAD.encode(bytes)
        };
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": coordinate(1..33),
            "y": coordinate(33..65),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_file_and_knows_its_signatures() {
        let key = AccountKey::generate().unwrap();
        let again = AccountKey::from_pem(key.pem()).unwrap();
        assert_eq!((key.id(), key.jwk()), (again.id(), again.jwk()));
        let signature = key.sign(b"message").unwrap();
        assert_eq!(signature.len(), 64);
        assert!(again.verify(b"message", &signature));
        assert!(!again.verify(b"massage", &signature));
        assert!(!AccountKey::generate().unwrap().verify(b"message", &signature));
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
