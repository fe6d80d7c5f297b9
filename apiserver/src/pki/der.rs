//! Certificates are written byte for byte (DER): values with a tag and a length, the times and algorithms of X.509, PEM.
//!
//! Only what a client certificate needs is here: subjects, keys and alternative names come as they were sent, and whatever
//! names somebody has, all of them come through. That is why no library that takes names apart makes them.
//!
//! Never here: who gets a certificate. Start with [`super::request`], which puts one together.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::SignatureAlgorithm;

/// An extension of a certificate.
pub(super) fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[0x01, 0x01, 0xff] } else { &[] };
    sequence(&[&tlv(0x06, oid), critical, &tlv(0x04, value)])
}

/// `AlgorithmIdentifier` of the signatures of a key.
pub(super) fn algorithm(kind: &'static SignatureAlgorithm) -> Option<&'static [u8]> {
    const KNOWN: [(&SignatureAlgorithm, &[u8]); 4] = [
        (
            &rcgen::PKCS_ECDSA_P256_SHA256,
            &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
        ),
        (
            &rcgen::PKCS_ECDSA_P384_SHA384,
            &[0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03],
        ),
        (&rcgen::PKCS_ED25519, &[0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70]),
        (
            &rcgen::PKCS_RSA_SHA256,
            &[
                0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00,
            ],
        ),
    ];
    KNOWN.iter().find(|(known, _)| *known == kind).map(|(_, der)| *der)
}

/// A time as RFC 5280 wants it: two digits for the year until 2049.
pub(super) fn time(second: i64) -> Option<Vec<u8>> {
    let time = Timestamp::from_second(second).ok()?;
    let year: i64 = time.strftime("%Y").to_string().parse().ok()?;
    Some(match year {
        1950..2050 => tlv(0x17, time.strftime("%y%m%d%H%M%SZ").to_string().as_bytes()),
        _ => tlv(0x18, time.strftime("%Y%m%d%H%M%SZ").to_string().as_bytes()),
    })
}

/// A number above zero as the content of an INTEGER.
pub(super) fn positive(number: u128) -> Vec<u8> {
    // The first bit is the sign; the second one makes it as long as can be and never zero.
    let number = (number >> 1) | (1 << 126);
    number.to_be_bytes().to_vec()
}

pub(super) fn bits(unused: u8, bytes: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[unused], bytes].concat())
}

pub(super) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A DER value: tag, length, content.
pub(super) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut der = vec![tag];
    let length = content.len().to_be_bytes();
    let digits = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    if let [short @ 0..0x80] = digits {
        der.push(*short);
    } else {
        // A usize has at most eight digits.
        der.push(0x80 | u8::try_from(digits.len()).unwrap_or_default());
        der.extend_from_slice(digits);
    }
    der.extend_from_slice(content);
    der
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem.push_str("-----END ");
    pem.push_str(label);
    pem.push_str("-----\n");
    pem
}

/// A distinguished name: organisations, each in a place of its own, and a common name.
pub(super) fn name(common: &str, organizations: &[&str]) -> Vec<u8> {
    const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
    const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
    let part = |kind: &[u8], text: &str| {
        let pair = sequence(&[&tlv(0x06, kind), &tlv(0x0c, text.as_bytes())]);
        tlv(0x31, &pair)
    };
    let mut parts: Vec<Vec<u8>> = organizations.iter().map(|text| part(ORGANIZATION, text)).collect();
    parts.push(part(COMMON_NAME, common));
    tlv(0x30, &parts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_times_are_der() {
        assert_eq!(tlv(4, &[])[..], [4, 0]);
        assert_eq!(tlv(4, &[0; 127])[..2], [4, 127]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 300])[..4], [4, 0x82, 1, 44]);
        assert_eq!(time(0).unwrap()[2..], *b"700101000000Z");
        assert_eq!(time(2_524_608_000).unwrap()[2..], *b"20500101000000Z");
    }
}
