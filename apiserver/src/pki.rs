//! The server's own certificate authority: its certificate, its clients' certificates and kubeconfigs.
//!
//! [`Pki::load_or_create`] makes `ca`, `server` and their keys under a directory once and uses them again at later
//! starts; only the serving certificate is issued anew, when it lacks a name or ends soon ([`renewal`] looks after that while
//! the server runs). Keys are readable by their owner only. Private keys come from the operating system's secure random
//! numbers.
//!
//! Never here: who may do what ([`crate::auth`]), TLS itself ([`crate::front::server`]).

mod accounts;
mod der;
mod files;
mod renewal;
pub mod request;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use schema::clock::Clock;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use accounts::AccountKey;
pub use files::write_private;
pub use renewal::{AdminFile, CHECK_PERIOD};
pub use request::{CertificateRequest, RequestError};

const DAY: i64 = 24 * 3600;
const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A certificate of the server or of its administrator that ends sooner is issued anew.
const RENEW_DAYS: i64 = 30;
/// Common name of the server's own authority.
const AUTHORITY: &str = "flotilla-ca";
/// Certificates begin a little in the past, for clients whose clocks are behind.
const SKEW_SECONDS: i64 = 300;

/// Name of the file with the key that signs tokens.
const ACCOUNT_KEY: &str = "sa";

/// Names every serving certificate carries.
const NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];
/// The address of the `kubernetes` Service in the default range.
const FIRST_SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// Group of those who may do everything.
pub const MASTERS: &str = "system:masters";
/// Group of all agents.
pub const AGENTS: &str = "system:karmada:agents";
/// User name of a cluster's agent without the cluster.
pub const AGENT_PREFIX: &str = "system:karmada:agent:";

/// Why certificates cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What a file holds is not what it should.
    #[error("{path} holds no usable certificate or key: {reason}")]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key of the authority is not there, but its certificate is: what it issued could not be continued.
    #[error("{0} is missing although its certificate is there")]
    Incomplete(PathBuf),
    /// A certificate cannot be made, mostly because of a name that is not one.
    #[error("cannot issue certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// The authority cannot sign.
    #[error("cannot issue certificate: {0}")]
    Sign(#[from] RequestError),
}

/// What the server shows to its clients.
#[derive(Clone, PartialEq, Eq)]
pub struct Serving {
    /// The certificate.
    pub certificate_pem: String,
    /// Its key.
    pub key_pem: String,
}

impl From<(String, String)> for Serving {
    fn from((certificate_pem, key_pem): (String, String)) -> Self {
        Self {
            certificate_pem,
            key_pem,
        }
    }
}

/// A certificate authority with the serving certificate it issued.
pub struct Pki {
    /// Certificate of the authority.
    pub ca_pem: String,
    /// Signs the tokens of service accounts.
    pub account_key: Arc<AccountKey>,
    ca_key_pem: String,
    serving: ArcSwap<Serving>,
    /// Names of the serving certificate.
    names: Vec<SanType>,
    /// Where the files are, if they are kept.
    dir: Option<PathBuf>,
}

impl std::fmt::Debug for Pki {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pki")
            .field("ca_pem", &self.ca_pem)
            .finish_non_exhaustive()
    }
}

impl Pki {
    /// Uses what is under `dir`, or makes it. `sans` are names and addresses that clients use beside the usual ones.
    pub fn load_or_create(dir: &Path, sans: &[String], clock: &dyn Clock) -> Result<Self, PkiError> {
        files::ensure_dir(dir)?;
        let now = clock.now();
        let (ca_pem, ca_key_pem) = load_authority(dir, now)?;
        let names = subject_names(sans)?;
        let serving = renewal::serving(dir, (&ca_pem, &ca_key_pem), &names, now)?;
        let account_key = if let Some(pem) = files::load_key(dir, ACCOUNT_KEY)? {
            AccountKey::from_pem(&pem).map_err(|error| PkiError::Content {
                path: files::key_path(dir, ACCOUNT_KEY),
                reason: error.to_string(),
            })?
        } else {
            let key = AccountKey::generate()?;
            write_private(&files::key_path(dir, ACCOUNT_KEY), key.pem())?;
            key
        };
        Ok(Self {
            ca_pem,
            account_key: Arc::new(account_key),
            ca_key_pem,
            serving: ArcSwap::from_pointee(serving),
            names,
            dir: Some(dir.to_owned()),
        })
    }

    /// Makes everything anew and keeps it nowhere: for servers that live as long as their process.
    pub fn ephemeral(sans: &[String], clock: &dyn Clock) -> Result<Self, PkiError> {
        let now = clock.now();
        let (ca_pem, ca_key_pem) = authority(None, now)?;
        let names = subject_names(sans)?;
        let serving = issue_serving((&ca_pem, &ca_key_pem), &names, now)?;
        Ok(Self {
            ca_pem,
            account_key: Arc::new(AccountKey::generate()?),
            ca_key_pem,
            serving: ArcSwap::from_pointee(serving.into()),
            names,
            dir: None,
        })
    }

    /// What the server shows now.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// A certificate that may do everything.
    pub fn issue_admin(&self, clock: &dyn Clock) -> Result<(String, String), PkiError> {
        self.issue_client("kubernetes-admin", &[MASTERS], clock)
    }

    /// The certificate of a cluster's agent.
    pub fn issue_agent(&self, cluster: &str, clock: &dyn Clock) -> Result<(String, String), PkiError> {
        self.issue_client(&format!("{AGENT_PREFIX}{cluster}"), &[AGENTS], clock)
    }
}

/// A kubeconfig with everything in it. `name` names cluster, user and context.
pub fn kubeconfig(server_url: &str, ca_pem: &str, cert_pem: &str, key_pem: &str, name: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let (name, server) = (quote(name), quote(server_url));
    let (ca, cert, key) = (encode(ca_pem), encode(cert_pem), encode(key_pem));
    format!(
        "apiVersion: v1\n\
         kind: Config\n\
         clusters:\n\
         - name: {name}\n  \
           cluster:\n    \
             server: {server}\n    \
             certificate-authority-data: {ca}\n\
         users:\n\
         - name: {name}\n  \
           user:\n    \
             client-certificate-data: {cert}\n    \
             client-key-data: {key}\n\
         contexts:\n\
         - name: {name}\n  \
           context:\n    \
             cluster: {name}\n    \
             user: {name}\n\
         current-context: {name}\n"
    )
}

/// The authority under a directory, made or continued as needed. One that would end before a certificate it issues now is
/// certified again: with the same key and name, so that whatever it signed goes on being good.
fn load_authority(dir: &Path, now: Timestamp) -> Result<(String, String), PkiError> {
    let found = files::load_pair(dir, "ca")?;
    let key = match (found.certificate, found.key) {
        (Some(certificate), Some(key)) => {
            let last = now.as_second() + (LEAF_DAYS + RENEW_DAYS) * DAY;
            match ends_as_own(&certificate) {
                Some(end) if end < last => Some(key),
                _ => return Ok((certificate, key)),
            }
        }
        (Some(_), None) => return Err(PkiError::Incomplete(files::key_path(dir, "ca"))),
        // A certificate made anew for the same key verifies whatever the key has signed.
        (None, key) => key,
    };
    let pair = authority(key, now)?;
    files::store_pair(dir, "ca", &pair)?;
    Ok(pair)
}

/// When a certificate of an authority ends, if it is one that this server makes for itself: others have other owners.
fn ends_as_own(certificate_pem: &str) -> Option<i64> {
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    (name == AUTHORITY).then(|| certificate.validity().not_after.timestamp())
}

fn authority(key_pem: Option<String>, now: Timestamp) -> Result<(String, String), PkiError> {
    let key = key_pem.map_or_else(KeyPair::generate, |pem| KeyPair::from_pem(&pem))?;
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, CA_DAYS);
    params.distinguished_name = distinguished(AUTHORITY);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

/// A serving certificate and its key.
fn issue_serving(
    (ca_pem, ca_key_pem): (&str, &str),
    names: &[SanType],
    now: Timestamp,
) -> Result<(String, String), PkiError> {
    let issuer = Issuer::from_ca_cert_pem(ca_pem, KeyPair::from_pem(ca_key_pem)?)?;
    let key = KeyPair::generate()?;
    let certificate = server_params(names, now).signed_by(&key, &issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn server_params(names: &[SanType], now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, LEAF_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    params.distinguished_name = distinguished("kube-apiserver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names.to_vec();
    params
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |seconds: i64| epoch + std::time::Duration::from_secs(seconds.max(0).unsigned_abs());
    params.not_before = at(now.as_second() - SKEW_SECONDS);
    params.not_after = at(now.as_second() + days * DAY);
}

fn distinguished(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// The names of the serving certificate: the usual ones and those that were asked for.
fn subject_names(sans: &[String]) -> Result<Vec<SanType>, PkiError> {
    let mut names = vec![
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        SanType::IpAddress(FIRST_SERVICE),
    ];
    for name in NAMES.into_iter().chain(sans.iter().map(String::as_str)) {
        let name = match name.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.try_into()?),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
