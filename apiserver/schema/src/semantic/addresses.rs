//! IP addresses and ranges as text, with what Kubernetes says about bad ones.

use std::net::{IpAddr, Ipv4Addr};

use super::Found;

const NOT_AN_ADDRESS: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
const NOT_A_RANGE: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// An address that must have its one spelling.
pub(super) fn address(found: &mut Found, path: String, text: &str) {
    if let Some(problem) = address_problem(text) {
        found.invalid(path, text, problem);
    }
}

fn address_problem(text: &str) -> Option<&'static str> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) if address.to_ipv4_mapped().is_some() => {
            Some("must not be an IPv4-mapped IPv6 address")
        }
        Ok(_) => None,
        Err(_) if without_zeros(text).is_some() => Some("must not have leading 0s"),
        Err(_) => Some(NOT_AN_ADDRESS),
    }
}

/// IPv4 as old parsers read it: leading zeros mean nothing.
fn without_zeros(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text
        .split('.')
        .map(|part| {
            let bare = part.trim_start_matches('0');
            if bare.is_empty() && !part.is_empty() { "0" } else { bare }
        })
        .collect();
    parts.join(".").parse().ok()
}

/// A range: its first address and the length of its prefix.
pub(super) fn parse_range(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
    let bits: u8 = bits.parse().ok().filter(|_| plain)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    (bits <= max).then_some((address, bits))
}

/// A range that must have its one spelling. Gives it back when it can be read.
pub(super) fn range(found: &mut Found, path: String, text: &str) -> Option<(IpAddr, u8)> {
    let Some((address, bits)) = parse_range(text) else {
        let zeros = text.split_once('/').is_some_and(|(address, bits)| {
            let bits = bits.trim_start_matches('0');
            let bare = without_zeros(address).map_or_else(|| address.to_owned(), |address| address.to_string());
            parse_range(&format!("{bare}/{}", if bits.is_empty() { "0" } else { bits })).is_some()
        });
        let detail = if zeros {
            "must not have leading 0s in IP or prefix length"
        } else {
            NOT_A_RANGE
        };
        found.invalid(path, text, detail);
        return None;
    };
    let leading_zero = text
        .split_once('/')
        .is_some_and(|(_, bits)| bits.len() > 1 && bits.starts_with('0'));
    if leading_zero {
        found.invalid(path, text, "must not have leading 0s in IP or prefix length");
    } else if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
        found.invalid(path, text, "must not have an IPv4-mapped IPv6 address");
    } else if masked(address, bits) != number(address) {
        found.invalid(path, text, "must not have bits set beyond the prefix length");
    }
    Some((address, bits))
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

fn masked(address: IpAddr, bits: u8) -> u128 {
    let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
    number(address) & mask
}

/// Whether the second range lies in the first and is smaller.
pub(super) fn is_strict_part(whole: (IpAddr, u8), part: (IpAddr, u8)) -> bool {
    whole.0.is_ipv4() == part.0.is_ipv4() && whole.1 < part.1 && masked(part.0, whole.1) == masked(whole.0, whole.1)
}

/// Addresses that are no endpoint of a Service.
pub(super) fn not_special(found: &mut Found, path: &str, text: &str) {
    let Ok(address) = text.parse::<IpAddr>() else { return };
    let (link_local, local_multicast) = match address {
        IpAddr::V4(address) => (address.is_link_local(), address.octets()[..3] == [224, 0, 0]),
        IpAddr::V6(address) => (
            address.segments()[0] & 0xffc0 == 0xfe80,
            address.segments()[0] & 0xff0f == 0xff02,
        ),
    };
    for (is_special, detail) in [
        (address.is_unspecified(), "may not be unspecified (0.0.0.0 or ::)"),
        (
            address.is_loopback(),
            "may not be in the loopback range (127.0.0.0/8, ::1/128)",
        ),
        (
            link_local,
            "may not be in the link-local range (169.254.0.0/16, fe80::/10)",
        ),
        (
            local_multicast,
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    ] {
        if is_special {
            found.invalid(path.to_owned(), text, detail);
        }
    }
}
