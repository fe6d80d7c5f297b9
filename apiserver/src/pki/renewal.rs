//! Certificates that end are replaced in time, while the server runs: the serving certificate, and the one in the
//! administrator's kubeconfig.
//!
//! Both last a year and are issued anew in their last month. The front looks once in a while ([`Pki::renew`]) and shows the
//! new certificate to new connections; [`AdminFile::keep`] does the same for the kubeconfig.
//!
//! Never here: the certificates of clients, who renew them by certificate requests, and a new key of the authority.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use schema::clock::Clock;
use tokio_util::sync::CancellationToken;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{DAY, LEAF_DAYS, Pki, PkiError, RENEW_DAYS, Serving, files, issue_serving, kubeconfig, write_private};

/// How often somebody looks whether a certificate ends soon.
pub const CHECK_PERIOD: Duration = Duration::from_hours(1);

/// What the server is to show: what is under the directory when that will do, otherwise something new that is left there.
pub(super) fn serving(
    dir: &Path,
    authority: (&str, &str),
    names: &[SanType],
    now: Timestamp,
) -> Result<Serving, PkiError> {
    let found = files::load_pair(dir, "server")?;
    let kept = found
        .certificate
        .zip(found.key)
        .map(Serving::from)
        .filter(|pair| is_usable(pair, authority.0, names, now).unwrap_or_default());
    if let Some(pair) = kept {
        return Ok(pair);
    }
    let pair = issue_serving(authority, names, now)?;
    files::store_pair(dir, "server", &pair)?;
    Ok(pair.into())
}

impl Pki {
    /// Replaces the serving certificate when it ends soon, or when somebody has put another good one into its place. Whether
    /// there is a new one.
    pub fn renew(&self, clock: &dyn Clock) -> Result<bool, PkiError> {
        let now = clock.now();
        let current = self.serving();
        let authority = (self.ca_pem.as_str(), self.ca_key_pem.as_str());
        let next = match &self.dir {
            Some(dir) => serving(dir, authority, &self.names, now)?,
            None if is_usable(&current, authority.0, &self.names, now).unwrap_or_default() => return Ok(false),
            None => issue_serving(authority, &self.names, now)?.into(),
        };
        if next == *current {
            return Ok(false);
        }
        self.serving.store(Arc::new(next));
        Ok(true)
    }
}

/// The administrator's kubeconfig.
#[derive(Debug)]
pub struct AdminFile {
    path: PathBuf,
    url: String,
    /// When its certificate is to be replaced, in seconds since 1970.
    due: AtomicI64,
}

impl AdminFile {
    /// Writes a kubeconfig for a server at `url`, with a certificate that may do everything.
    pub fn create(path: &Path, url: &str, pki: &Pki, clock: &dyn Clock) -> Result<Self, PkiError> {
        let file = Self {
            path: path.to_owned(),
            url: url.to_owned(),
            due: AtomicI64::new(0),
        };
        file.renew(pki, clock)?;
        Ok(file)
    }

    /// Writes it again when its certificate ends soon. Whether it did.
    pub fn renew(&self, pki: &Pki, clock: &dyn Clock) -> Result<bool, PkiError> {
        let now = clock.now().as_second();
        if now < self.due.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let (certificate, key) = pki.issue_admin(clock)?;
        let text = kubeconfig(&self.url, &pki.ca_pem, &certificate, &key, "flotilla");
        write_private(&self.path, &text)?;
        self.due.store(now + (LEAF_DAYS - RENEW_DAYS) * DAY, Ordering::Relaxed);
        Ok(true)
    }

    /// Looks after it until cancelled.
    pub async fn keep(self, pki: Arc<Pki>, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(CHECK_PERIOD) => {}
            }
            match self.renew(&pki, clock.as_ref()) {
                Ok(true) => tracing::info!(path = %self.path.display(), "the administrator's certificate was renewed"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "cannot renew the administrator's certificate"),
            }
        }
    }
}

/// Whether a serving certificate belongs to its key and this authority, has these names and lasts a while.
fn is_usable(
    Serving {
        certificate_pem,
        key_pem,
    }: &Serving,
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
