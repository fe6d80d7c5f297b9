//! The server's own certificate authority: its certificate, its clients' certificates and kubeconfigs.
//!
//! [`Pki::load_or_create`] makes `ca`, `server` and their keys under a directory once and uses them again at later
//! starts; only the serving certificate is issued anew, when it lacks a name or ends soon. Keys are readable by their owner
//! only. Private keys come from the operating system's secure random numbers.
//!
//! Never here: who may do what ([`crate::auth`]), TLS itself ([`crate::front::server`]).

mod accounts;
mod files;
pub mod request;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use schema::clock::Clock;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use accounts::AccountKey;
pub use files::write_private;
pub use request::{CertificateRequest, RequestError};

const DAY: i64 = 24 * 3600;
const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 365;
/// A serving certificate that ends sooner is issued anew at the next start.
const RENEW_DAYS: i64 = 30;
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
}

/// A certificate authority with the serving certificate it issued.
pub struct Pki {
    /// Certificate of the authority.
    pub ca_pem: String,
    /// Serving certificate.
    pub server_pem: String,
    /// Its key.
    pub server_key_pem: String,
    /// Signs the tokens of service accounts.
    pub account_key: Arc<AccountKey>,
    ca_key_pem: String,
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
        let found = files::load_pair(dir, "ca")?;
        let (ca_pem, ca_key_pem) = match (found.certificate, found.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return Err(PkiError::Incomplete(files::key_path(dir, "ca"))),
            // A certificate made anew for the same key verifies whatever the key has signed.
            (None, key) => {
                let pair = authority(key, now)?;
                files::store_pair(dir, "ca", &pair)?;
                pair
            }
        };
        let wanted = subject_names(sans)?;
        let found = files::load_pair(dir, "server")?;
        let kept = found
            .certificate
            .zip(found.key)
            .filter(|pair| is_usable(pair, &ca_pem, &wanted, now).unwrap_or_default());
        let (server_pem, server_key_pem) = if let Some(pair) = kept {
            pair
        } else {
            let pair = issue(&ca_pem, &ca_key_pem, &server_params(wanted, now))?;
            files::store_pair(dir, "server", &pair)?;
            pair
        };
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
            server_pem,
            server_key_pem,
            account_key: Arc::new(account_key),
            ca_key_pem,
        })
    }

    /// Makes everything anew and keeps it nowhere: for servers that live as long as their process.
    pub fn ephemeral(sans: &[String], clock: &dyn Clock) -> Result<Self, PkiError> {
        let now = clock.now();
        let (ca_pem, ca_key_pem) = authority(None, now)?;
        let (server_pem, server_key_pem) = issue(&ca_pem, &ca_key_pem, &server_params(subject_names(sans)?, now))?;
        Ok(Self {
            ca_pem,
            server_pem,
            server_key_pem,
            account_key: Arc::new(AccountKey::generate()?),
            ca_key_pem,
        })
    }

    /// A client certificate and its key: `name` becomes the user, `groups` the groups.
    pub fn issue_client(&self, name: &str, groups: &[&str], clock: &dyn Clock) -> Result<(String, String), PkiError> {
        let mut params = leaf_params(clock.now());
        params.distinguished_name = distinguished(name, groups);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        issue(&self.ca_pem, &self.ca_key_pem, &params)
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

fn authority(key_pem: Option<String>, now: Timestamp) -> Result<(String, String), PkiError> {
    let key = key_pem.map_or_else(KeyPair::generate, |pem| KeyPair::from_pem(&pem))?;
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, CA_DAYS);
    params.distinguished_name = distinguished("flotilla-ca", &[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn issue(ca_pem: &str, ca_key_pem: &str, params: &CertificateParams) -> Result<(String, String), PkiError> {
    let issuer = Issuer::from_ca_cert_pem(ca_pem, KeyPair::from_pem(ca_key_pem)?)?;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn leaf_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_validity(&mut params, now, LEAF_DAYS);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.use_authority_key_identifier_extension = true;
    params
}

fn server_params(names: Vec<SanType>, now: Timestamp) -> CertificateParams {
    let mut params = leaf_params(now);
    params.distinguished_name = distinguished("kube-apiserver", &[]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names;
    params
}

fn set_validity(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |seconds: i64| epoch + std::time::Duration::from_secs(seconds.max(0).unsigned_abs());
    params.not_before = at(now.as_second() - SKEW_SECONDS);
    params.not_after = at(now.as_second() + days * DAY);
}

fn distinguished(name: &str, groups: &[&str]) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    for group in groups {
        distinguished.push(DnType::OrganizationName, *group);
    }
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

/// Whether a serving certificate belongs to its key and this authority, has these names and lasts a while.
fn is_usable(
    (certificate_pem, key_pem): &(String, String),
    ca_pem: &str,
    wanted: &[SanType],
    now: Timestamp,
) -> Option<bool> {
    let key = KeyPair::from_pem(key_pem).ok()?;
    let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).ok()?;
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok()?;
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let (_, ca) = X509Certificate::from_der(&ca).ok()?;
    let lasts = certificate.validity().not_after.timestamp() > now.as_second() + RENEW_DAYS * DAY;
    let began = certificate.validity().not_before.timestamp() <= now.as_second();
    let own = certificate.verify_signature(Some(ca.public_key())).is_ok();
    let present = certificate.subject_alternative_name().ok()??;
    let has = |name: &SanType| {
        present.value.general_names.iter().any(|own| match (own, name) {
            (GeneralName::DNSName(own), SanType::DnsName(name)) => *own == name.as_str(),
            (GeneralName::IPAddress(own), SanType::IpAddress(IpAddr::V4(name))) => **own == name.octets(),
            (GeneralName::IPAddress(own), SanType::IpAddress(IpAddr::V6(name))) => **own == name.octets(),
            _ => false,
        })
    };
    let paired = *certificate.public_key().subject_public_key.data == *key.public_key_raw();
    Some(lasts && began && own && paired && wanted.iter().all(has))
}
