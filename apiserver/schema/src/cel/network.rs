//! URLs, addresses and blocks of addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::eval::{Eval, failed};
use super::url;
use super::value::{CelValue as V, Map, Table};

pub(super) fn call<'a>(name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    Some(match (name, args) {
        ("url", [V::String(text)]) => match url::parse(text.as_str()) {
            Ok(url) => Ok(V::Url(Arc::new(url))),
            Err(text) => failed(text),
        },
        ("isURL", [V::String(text)]) => Ok(V::Bool(url::parse(text.as_str()).is_ok())),
        ("getScheme", [V::Url(url)]) => Ok(V::text(url.scheme())),
        ("getHost", [V::Url(url)]) => Ok(V::text(url.host())),
        ("getHostname", [V::Url(url)]) => Ok(V::text(url.hostname())),
        ("getPort", [V::Url(url)]) => Ok(V::text(url.port())),
        ("getEscapedPath", [V::Url(url)]) => Ok(V::text(url.path())),
        ("getQuery", [V::Url(url)]) => {
            let mut table = Table::default();
            for (key, values) in url.query() {
                table.insert(V::text(key), V::list(values.into_iter().map(V::text).collect()));
            }
            Ok(V::Map(Map::Own(Arc::new(table))))
        }
        ("ip", [V::String(text)]) => parse_ip(text.as_str()).map_or_else(failed, |ip| Ok(V::Ip(ip))),
        ("isIP", [V::String(text)]) => Ok(V::Bool(parse_ip(text.as_str()).is_ok())),
        ("ip.isCanonical", [V::String(text)]) => {
            parse_ip(text.as_str()).map_or_else(failed, |ip| Ok(V::Bool(ip.to_string() == text.as_str())))
        }
        ("family", [V::Ip(ip)]) => Ok(V::Int(if ip.is_ipv4() { 4 } else { 6 })),
        ("isUnspecified", [V::Ip(ip)]) => Ok(V::Bool(ip.is_unspecified())),
        ("isLoopback", [V::Ip(ip)]) => Ok(V::Bool(ip.is_loopback())),
        ("isLinkLocalMulticast", [V::Ip(ip)]) => Ok(V::Bool(match ip {
            IpAddr::V4(ip) => ip.octets()[..3] == [224, 0, 0],
            IpAddr::V6(ip) => ip.segments()[0] & 0xff0f == 0xff02,
        })),
        ("isLinkLocalUnicast", [V::Ip(ip)]) => Ok(V::Bool(is_link_local(*ip))),
        ("isGlobalUnicast", [V::Ip(ip)]) => Ok(V::Bool(
            !(ip.is_unspecified()
                || ip.is_loopback()
                || ip.is_multicast()
                || is_link_local(*ip)
                || *ip == IpAddr::V4(Ipv4Addr::BROADCAST)),
        )),
        ("cidr", [V::String(text)]) => {
            parse_cidr(text.as_str()).map_or_else(failed, |(ip, bits)| Ok(V::Cidr(ip, bits)))
        }
        ("isCIDR", [V::String(text)]) => Ok(V::Bool(parse_cidr(text.as_str()).is_ok())),
        ("ip", [V::Cidr(ip, _)]) => Ok(V::Ip(*ip)),
        ("masked", [V::Cidr(ip, bits)]) => Ok(V::Cidr(masked(*ip, *bits), *bits)),
        ("prefixLength", [V::Cidr(_, bits)]) => Ok(V::Int(i64::from(*bits))),
        ("containsIP", [V::Cidr(ip, bits), other]) => {
            let other = match other {
                V::Ip(other) => Ok(*other),
                V::String(text) => parse_ip(text.as_str()),
                _ => return None,
            };
            other.map_or_else(failed, |other| Ok(V::Bool(holds(*ip, *bits, other))))
        }
        ("containsCIDR", [V::Cidr(ip, bits), other]) => {
            let other = match other {
                V::Cidr(other, length) => Ok((*other, *length)),
                V::String(text) => parse_cidr(text.as_str()),
                _ => return None,
            };
            other.map_or_else(failed, |(other, length)| {
                Ok(V::Bool(length >= *bits && holds(*ip, *bits, other)))
            })
        }
        _ => return None,
    })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address with zone value is not allowed: {text:?}"));
    }
    let ip: IpAddr = text.parse().map_err(|_| {
        format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )
    })?;
    match ip {
        IpAddr::V6(six) if six.to_ipv4_mapped().is_some() => {
            Err(format!("IPv4-mapped IPv6 address is not allowed: {text:?}"))
        }
        ip => Ok(ip),
    }
}

fn parse_cidr(text: &str) -> Result<(IpAddr, u8), String> {
    let bad = || format!("network address parse error during conversion from string: netip.ParsePrefix({text:?})");
    let (address, bits) = text.split_once('/').ok_or_else(bad)?;
    let ip = parse_ip(address)?;
    let max = if ip.is_ipv4() { 32 } else { 128 };
    let plain = !bits.is_empty()
        && bits.bytes().all(|byte| byte.is_ascii_digit())
        && (bits.len() == 1 || !bits.starts_with('0'));
    let bits: u8 = bits.parse().ok().filter(|bits| plain && *bits <= max).ok_or_else(bad)?;
    Ok((ip, bits))
}

fn masked(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(ip) & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(ip) & mask))
        }
    }
}

fn holds(block: IpAddr, bits: u8, ip: IpAddr) -> bool {
    block.is_ipv4() == ip.is_ipv4() && masked(block, bits) == masked(ip, bits)
}
