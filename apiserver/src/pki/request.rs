//! Certificate requests of clients (PKCS #10), and the certificates that answer them.
//!
//! A certificate repeats subject, key and alternative names of its request byte for byte; [`super::der`] says why it is put
//! together here.
//!
//! Never here: whether a request is approved.

use rcgen::{KeyPair, PublicKeyData, SigningKey};
use ring::digest::{SHA256, digest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use schema::clock::Clock;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::der::{algorithm, bits, extension, name, pem, positive, sequence, time, tlv};
use super::{DAY, LEAF_DAYS, Pki, PkiError, SKEW_SECONDS};

/// The shortest life of a certificate that a request gets, in seconds.
const SHORTEST: i64 = 600;
/// Identifier of the extension with alternative names.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// Why a request cannot be read or answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Something else than a request.
    #[error("PEM block type must be CERTIFICATE REQUEST")]
    Pem,
    /// What is in it is not one.
    #[error("asn1: structure error: {0}")]
    Content(String),
    /// Not signed by the key it carries.
    #[error("unable to verify certificate request signature: {0}")]
    Signature(String),
    /// The authority cannot sign.
    #[error("the authority cannot sign: {0}")]
    Authority(String),
}

/// A request, with what rules about it look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    der: Vec<u8>,
    /// Common name of the subject, or empty.
    pub name: String,
    /// Organisations of the subject.
    pub organizations: Vec<String>,
    /// Which kinds of alternative names it asks for: `DNS`, `Email`, `IP`, `URI` or `Other`.
    pub alternatives: Vec<&'static str>,
}

impl CertificateRequest {
    /// Reads a request in PEM form.
    pub fn parse(pem: &[u8]) -> Result<Self, RequestError> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem).map_err(|_| RequestError::Pem)?;
        let (rest, request) =
            X509CertificationRequest::from_der(&der).map_err(|error| RequestError::Content(error.to_string()))?;
        if !rest.is_empty() {
            return Err(RequestError::Content("trailing data".to_owned()));
        }
        let subject = &request.certification_request_info.subject;
        let mut alternatives = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                alternatives.extend(names.general_names.iter().map(|name| match name {
                    GeneralName::DNSName(_) => "DNS",
                    GeneralName::RFC822Name(_) => "Email",
                    GeneralName::IPAddress(_) => "IP",
                    GeneralName::URI(_) => "URI",
                    _ => "Other",
                }));
            }
        }
        let texts = |part: &x509_parser::x509::AttributeTypeAndValue<'_>| part.as_str().ok().map(str::to_owned);
        Ok(Self {
            // The last one counts, as in Go; the server itself takes the first: more than one is refused below.
            name: match subject.iter_common_name().collect::<Vec<_>>().as_slice() {
                [] => String::new(),
                [name] => texts(name).ok_or_else(|| RequestError::Content("the common name is no text".to_owned()))?,
                _ => return Err(RequestError::Content("more than one common name".to_owned())),
            },
            organizations: subject.iter_organization().filter_map(texts).collect(),
            alternatives,
            der: der.to_vec(),
        })
    }
}

/// Whose certificate, and what for. Everything is DER.
struct Subject<'a> {
    name: &'a [u8],
    key: &'a [u8],
    /// Alternative names: whether they are critical, and the value of the extension.
    alternatives: Vec<(bool, &'a [u8])>,
    usages: &'a [&'a str],
}

impl Pki {
    /// The certificate of a client, in PEM form, for these usages of its key and at most so many seconds.
    pub fn sign_request(
        &self,
        request: &CertificateRequest,
        usages: &[String],
        seconds: Option<i64>,
        serial: u128,
        clock: &dyn Clock,
    ) -> Result<String, RequestError> {
        let content = |error: &dyn std::fmt::Display| RequestError::Content(error.to_string());
        let (_, parsed) = X509CertificationRequest::from_der(&request.der).map_err(|error| content(&error))?;
        parsed
            .verify_signature()
            .map_err(|error| RequestError::Signature(error.to_string()))?;
        let asked = &parsed.certification_request_info;
        let mut alternatives = Vec::new();
        for attribute in asked.iter_attributes() {
            if let ParsedCriAttribute::ExtensionRequest(wanted) = attribute.parsed_attribute() {
                let wanted = wanted.extensions.iter();
                let names = wanted.filter(|wanted| wanted.oid.as_bytes() == ALTERNATIVE_NAMES);
                alternatives.extend(names.map(|names| (names.critical, names.value)));
            }
        }
        let usages: Vec<&str> = usages.iter().map(String::as_str).collect();
        let subject = Subject {
            name: asked.subject.as_raw(),
            key: asked.subject_pki.raw,
            alternatives,
            usages: &usages,
        };
        self.certify(&subject, seconds, serial, clock)
    }

    /// A client certificate and its key: `name` becomes the user, `groups` the groups.
    pub fn issue_client(&self, user: &str, groups: &[&str], clock: &dyn Clock) -> Result<(String, String), PkiError> {
        let key = KeyPair::generate()?;
        let public = key.subject_public_key_info();
        // A new key each time, so that its digest is a number nobody has had.
        let mut serial = [0; 16];
        serial.copy_from_slice(&digest(&SHA256, &public).as_ref()[..16]);
        let subject = Subject {
            name: &name(user, groups),
            key: &public,
            alternatives: Vec::new(),
            usages: &["digital signature", "key encipherment"],
        };
        let certificate = self.certify(&subject, None, u128::from_be_bytes(serial), clock)?;
        Ok((certificate, key.serialize_pem()))
    }

    fn certify(
        &self,
        subject: &Subject<'_>,
        seconds: Option<i64>,
        serial: u128,
        clock: &dyn Clock,
    ) -> Result<String, RequestError> {
        let broken = |error: &dyn std::fmt::Display| RequestError::Authority(error.to_string());
        let key = KeyPair::from_pem(&self.ca_key_pem).map_err(|error| broken(&error))?;
        let algorithm = algorithm(key.algorithm()).ok_or_else(|| broken(&"unknown kind of key"))?;
        let ca = CertificateDer::from_pem_slice(self.ca_pem.as_bytes()).map_err(|error| broken(&error))?;
        let (_, ca) = X509Certificate::from_der(&ca).map_err(|error| broken(&error))?;

        let now = clock.now().as_second();
        let longest = LEAF_DAYS * DAY;
        let end = now + seconds.unwrap_or(longest).clamp(SHORTEST, longest);
        let end = end.min(ca.validity().not_after.timestamp());
        let validity = [time(now - SKEW_SECONDS), time(end)];
        let [Some(begin), Some(end)] = validity else {
            return Err(broken(&"the time is out of range"));
        };
        let signed = sequence(&[
            &tlv(0xa0, &[0x02, 0x01, 0x02]),
            &tlv(0x02, &positive(serial)),
            algorithm,
            ca.subject().as_raw(),
            &sequence(&[&begin, &end]),
            subject.name,
            subject.key,
            &tlv(0xa3, &extensions(subject, &ca)),
        ]);
        let signature = key.sign(&signed).map_err(|error| broken(&error))?;
        let der = sequence(&[&signed, algorithm, &bits(0, &signature)]);
        Ok(pem("CERTIFICATE", &der))
    }
}

/// What a client certificate says beside its names: what its key is for, and who signed.
fn extensions(subject: &Subject<'_>, ca: &X509Certificate<'_>) -> Vec<u8> {
    const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
    const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
    const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
    const AUTHORITY_KEY: &[u8] = &[0x55, 0x1d, 0x23];
    const CLIENT_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    let bit = |usage: &str, bit: u8| if subject.usages.contains(&usage) { bit } else { 0 };
    let usage = bit("digital signature", 0x80) | bit("key encipherment", 0x20);
    let mut list = vec![
        extension(EXTENDED_KEY_USAGE, false, &sequence(&[&tlv(0x06, CLIENT_AUTH)])),
        extension(BASIC_CONSTRAINTS, true, &sequence(&[])),
    ];
    if usage != 0 {
        // Bits behind the last one that is set do not count.
        let unused = u8::try_from(usage.trailing_zeros()).unwrap_or_default();
        list.push(extension(KEY_USAGE, true, &bits(unused, &[usage])));
    }
    let own_id = ca.extensions().iter().find_map(|known| match known.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    });
    if let Some(id) = own_id {
        list.push(extension(AUTHORITY_KEY, false, &sequence(&[&tlv(0x80, id)])));
    }
    let names = subject.alternatives.iter();
    list.extend(names.map(|(critical, value)| extension(ALTERNATIVE_NAMES, *critical, value)));
    let parts: Vec<&[u8]> = list.iter().map(Vec::as_slice).collect();
    sequence(&parts)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::auth::authenticate::Identity;
    use jiff::Timestamp;
    use proptest::prelude::{prop_assert, proptest};
    use rcgen::{CertificateParams, DistinguishedName, DnType, SanType};

    /// A request with one organisation, and its key, both in PEM form.
    pub(crate) fn request(name: &str, organization: &str, dns: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let mut subject = DistinguishedName::new();
        if !organization.is_empty() {
            subject.push(DnType::OrganizationName, organization);
        }
        subject.push(DnType::CommonName, name);
        params.distinguished_name = subject;
        params.subject_alt_names = dns
            .iter()
            .map(|name| SanType::DnsName((*name).try_into().unwrap()))
            .collect();
        (
            params.serialize_request(&key).unwrap().pem().unwrap(),
            key.serialize_pem(),
        )
    }

    /// `openssl req -new -newkey ed25519 -nodes -subj '/O=dev/O=ops/CN=jane'`
    const TWO_GROUPS: &str = include_str!("two-groups.csr");

    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0).unwrap()
        }
    }

    #[test]
    fn a_certificate_carries_what_its_request_says() {
        let clock = At(1_800_000_000);
        let pki = Pki::ephemeral(&[], &clock).unwrap();
        let (pem, _) = request("jane", "dev", &["jane.example.com"]);
        let request = CertificateRequest::parse(pem.as_bytes()).unwrap();
        assert_eq!(
            (
                request.name.as_str(),
                &request.organizations[..],
                &request.alternatives[..]
            ),
            ("jane", &["dev".to_owned()][..], &["DNS"][..])
        );
        let usages = ["client auth".to_owned(), "digital signature".to_owned()];
        for (asked, given) in [
            (None, 365 * DAY),
            (Some(3600), 3600),
            (Some(5), 600),
            (Some(1 << 40), 365 * DAY),
        ] {
            let signed = pki.sign_request(&request, &usages, asked, 7, &clock).unwrap();
            let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
            let (rest, certificate) = X509Certificate::from_der(&der).unwrap();
            assert!(rest.is_empty());
            assert_eq!(certificate.validity().not_after.timestamp(), clock.0 + given);
            assert_eq!(certificate.validity().not_before.timestamp(), clock.0 - 300);
            let ca = CertificateDer::from_pem_slice(pki.ca_pem.as_bytes()).unwrap();
            let (_, ca) = X509Certificate::from_der(&ca).unwrap();
            certificate.verify_signature(Some(ca.public_key())).unwrap();
            assert!(!certificate.is_ca());
            let usage = certificate.key_usage().unwrap().unwrap().value;
            assert!(usage.digital_signature() && !usage.key_encipherment());
            assert!(certificate.extended_key_usage().unwrap().unwrap().value.client_auth);
            assert!(certificate.subject_alternative_name().unwrap().is_some());
        }
    }

    #[test]
    fn every_group_comes_through() {
        let clock = At(1_800_000_000);
        let pki = Pki::ephemeral(&[], &clock).unwrap();
        let request = CertificateRequest::parse(TWO_GROUPS.as_bytes()).unwrap();
        let signed = pki.sign_request(&request, &[], None, u128::MAX, &clock).unwrap();
        let der = CertificateDer::from_pem_slice(signed.as_bytes()).unwrap();
        let identity = Identity::of_certificate(&der).unwrap();
        assert_eq!(
            (identity.user.name.as_str(), identity.user.groups.join(",")),
            ("jane", "dev,ops".to_owned())
        );
    }

    #[test]
    fn every_group_that_is_issued_comes_through() {
        let clock = At(1_800_000_000);
        let pki = Pki::ephemeral(&[], &clock).unwrap();
        let check = |name: &str, groups: &[&str]| {
            let (certificate, key) = pki.issue_client(name, groups, &clock).unwrap();
            let der = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let (rest, parsed) = X509Certificate::from_der(&der).unwrap();
            assert!(rest.is_empty());
            let ca = CertificateDer::from_pem_slice(pki.ca_pem.as_bytes()).unwrap();
            let (_, ca) = X509Certificate::from_der(&ca).unwrap();
            parsed.verify_signature(Some(ca.public_key())).unwrap();
            assert_eq!(
                &*parsed.public_key().subject_public_key.data,
                KeyPair::from_pem(&key).unwrap().public_key_raw()
            );
            assert_eq!(parsed.validity().not_after.timestamp(), clock.0 + 365 * DAY);
            assert!(parsed.extended_key_usage().unwrap().unwrap().value.client_auth);
            let user = Identity::of_certificate(&der).unwrap().user;
            assert_eq!(
                (user.name.as_str(), user.groups),
                (name, groups.iter().map(|&group| group.to_owned()).collect())
            );
        };
        check("jane", &[]);
        check("jane", &["dev"]);
        check("jane", &["dev", "ops", "dev", "system:masters"]);
        let long = "g".repeat(300);
        check("jörg", &[&long, "öffentlich"]);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let clock = At(1_800_000_000);
        let pki = Pki::ephemeral(&[], &clock).unwrap();
        let refused = |pem: &str| CertificateRequest::parse(pem.as_bytes()).unwrap_err();
        assert_eq!(refused("rubbish"), RequestError::Pem);
        assert_eq!(refused(&pki.ca_pem), RequestError::Pem);
        assert!(matches!(
            refused(&super::pem("CERTIFICATE REQUEST", b"abc")),
            RequestError::Content(_)
        ));
        let (pem, _) = request("jane", "dev", &[]);
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut other = der.to_vec();
        // The signature lies at the end.
        let last = other.len() - 1;
        other[last] ^= 1;
        let forged = CertificateRequest::parse(super::pem("CERTIFICATE REQUEST", &other).as_bytes()).unwrap();
        assert!(matches!(
            pki.sign_request(&forged, &[], None, 1, &clock),
            Err(RequestError::Signature(_))
        ));
    }

    proptest! {
        #[test]
        fn damaged_requests_are_refused_or_answered(place in 0usize..400, bits in 1u8.., cut in 0usize..400) {
            let clock = At(1_800_000_000);
            let pki = Pki::ephemeral(&[], &clock).unwrap();
            let der = CertificateSigningRequestDer::from_pem_slice(TWO_GROUPS.as_bytes()).unwrap();
            let mut damaged = der.to_vec();
            let place = place % damaged.len();
            damaged[place] ^= bits;
            damaged.truncate(damaged.len() - cut % 4);
            if let Ok(request) = CertificateRequest::parse(super::pem("CERTIFICATE REQUEST", &damaged).as_bytes()) {
                // What the signature covers is whole, or nothing comes of it.
                let signed = pki.sign_request(&request, &[], None, 1, &clock);
                prop_assert!(signed.is_err() || (request.name == "jane" && request.organizations == ["dev", "ops"]));
            }
        }
    }
}
