//! Bootstrap tokens: `ID.SECRET`, each an object `bootstrap-token-ID` in `kube-system`. They let somebody in who has nothing
//! yet, for as long as it takes to get something better.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use schema::entry::{Entry, GroupResource, Key};
use serde::Deserialize;
use std::collections::BTreeMap;
use storage::Store;

use super::Refusal;
use crate::request::User;

/// Where bootstrap tokens are.
pub const NAMESPACE: &str = "kube-system";
/// Name of the Secret of a token, without its id.
pub const NAME_PREFIX: &str = "bootstrap-token-";
/// Type of these Secrets.
pub const TYPE: &str = "bootstrap.kubernetes.io/token";
/// The group of all who show one.
pub const GROUP: &str = "system:bootstrappers";

/// What a Secret says about a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    /// The first half.
    pub id: String,
    /// The second half.
    pub secret: String,
    /// When it ends. What cannot be read has ended.
    pub expires: Option<Timestamp>,
    /// May be shown for authentication.
    pub authenticates: bool,
    /// Signs `cluster-info`.
    pub signs: bool,
    /// Groups beside [`GROUP`], comma separated.
    groups: String,
}

/// The halves of a token, if it has the form of one.
pub fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    (is_half(id, 6) && is_half(secret, 16)).then_some((id, secret))
}

fn is_half(text: &str, length: usize) -> bool {
    text.len() == length
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

impl BootstrapToken {
    /// Reads a Secret; `None` when it is no bootstrap token, or says another id than its name.
    pub fn of(entry: &Entry) -> Option<Self> {
        #[derive(Deserialize)]
        struct Secret {
            #[serde(rename = "type", default)]
            kind: String,
            #[serde(default)]
            data: BTreeMap<String, String>,
        }
        let named = entry.name().strip_prefix(NAME_PREFIX)?;
        if entry.namespace() != NAMESPACE || entry.meta().deletion_timestamp.is_some() {
            return None;
        }
        let secret: Secret = entry.typed().ok()?;
        if secret.kind != TYPE {
            return None;
        }
        let text = |key: &str| {
            let bytes = STANDARD.decode(secret.data.get(key)?).ok()?;
            String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
        };
        let id = text("token-id").filter(|id| id == named && is_half(id, 6))?;
        Some(Self {
            id,
            secret: text("token-secret")?,
            expires: text("expiration").map(|time| time.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
            authenticates: text("usage-bootstrap-authentication").as_deref() == Some("true"),
            signs: text("usage-bootstrap-signing").as_deref() == Some("true"),
            groups: text("auth-extra-groups").unwrap_or_default(),
        })
    }

    /// Whether it has ended.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// The groups of who shows it; an error when one of them is none that a token may give.
    fn groups(&self) -> Result<Vec<String>, Refusal> {
        let mut groups = vec![GROUP.to_owned()];
        for group in self.groups.split(',').map(str::trim).filter(|group| !group.is_empty()) {
            if !is_group(group) {
                return Err(Refusal::because(format!("bootstrap group {group:?} is invalid")));
            }
            if !groups.iter().any(|known| known == group) {
                groups.push(group.to_owned());
            }
        }
        groups.sort();
        Ok(groups)
    }
}

/// `system:bootstrappers:` and something of lower case letters, digits, `:` and `-` that ends in one of the former.
fn is_group(group: &str) -> bool {
    let Some(rest) = group.strip_prefix("system:bootstrappers:") else {
        return false;
    };
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    rest.len() <= 256
        && rest.bytes().all(|byte| is_plain(byte) || matches!(byte, b':' | b'-'))
        && rest.bytes().last().is_some_and(is_plain)
}

/// Who shows these halves.
pub(super) fn check(store: &Store, (id, secret): (&str, &str), now: Timestamp) -> Result<User, Refusal> {
    let key = Key::new(
        GroupResource::new("", "secrets"),
        NAMESPACE,
        format!("{NAME_PREFIX}{id}"),
    );
    let token = store
        .get(&key)
        .and_then(|entry| BootstrapToken::of(&entry))
        .ok_or(Refusal::Unknown)?;
    // Digests tell no guesser how much of a secret was right by the time that it takes to compare them.
    let same =
        |one: &str, other: &str| digest(&SHA256, one.as_bytes()).as_ref() == digest(&SHA256, other.as_bytes()).as_ref();
    if !same(&token.secret, secret) || token.is_expired(now) || !token.authenticates {
        return Err(Refusal::Unknown);
    }
    Ok(User {
        name: format!("system:bootstrap:{id}"),
        groups: token.groups()?,
        ..User::default()
    })
}
