//! Which cluster IPs and node ports are taken.
//!
//! Kept in memory beside the store: rebuilt from the stored Services at start, claimed before a write and given back when
//! the write fails or the Service goes.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// Node ports, as kube-apiserver has them unless told.
const PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

/// The allocator of one server.
#[derive(Debug)]
pub struct Addresses {
    first: u32,
    count: u32,
    /// The range as it was given, for messages.
    range: String,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Each with the uid of its Service.
    addresses: HashMap<u32, String>,
    ports: HashMap<u16, String>,
}

/// Why an address or port cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not one of ours.
    #[error("the provided IP ({address}) is not in the valid range. The range of valid IPs is {range}")]
    OutOfRange {
        /// What was asked for.
        address: String,
        /// What there is.
        range: String,
    },
    /// Another Service has the address.
    #[error("provided IP is already allocated")]
    AddressTaken,
    /// Another Service has the port.
    #[error("provided port is already allocated")]
    PortTaken,
    /// Not one of ours.
    #[error("provided port is not in the valid range. The range of valid ports is 30000-32767")]
    PortOutOfRange,
    /// None is left.
    #[error("range is full")]
    Full,
}

impl Addresses {
    /// An allocator over an IPv4 range such as `10.96.0.0/12`; `None` when it is not one.
    pub fn new(range: &str) -> Option<Self> {
        let (network, bits) = range.split_once('/')?;
        let network = u32::from(network.parse::<Ipv4Addr>().ok()?);
        let bits: u32 = bits.parse().ok().filter(|bits| (8..=30).contains(bits))?;
        let size = 1u32 << (32 - bits);
        let base = network & !(size - 1);
        // Neither the network's own address nor its broadcast address.
        Some(Self {
            first: base + 1,
            count: size - 2,
            range: range.to_owned(),
            taken: Mutex::default(),
        })
    }

    /// The address of the `kubernetes` Service: the first of the range.
    pub fn first(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.first)
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a stored Service has.
    pub(crate) fn adopt(&self, service: &Value) {
        let uid = uid(service).to_owned();
        let mut taken = self.lock();
        for address in held_addresses(service) {
            taken.addresses.insert(address, uid.clone());
        }
        for port in held_ports(service) {
            taken.ports.insert(port, uid.clone());
        }
    }

    /// Gives back what a Service has and `keep` (the same Service later) has not.
    pub(crate) fn release(&self, service: &Value, keep: Option<&Value>) {
        let uid = uid(service);
        let kept_addresses: HashSet<u32> = keep.into_iter().flat_map(held_addresses).collect();
        let kept_ports: HashSet<u16> = keep.into_iter().flat_map(held_ports).collect();
        let mut taken = self.lock();
        for address in held_addresses(service).filter(|address| !kept_addresses.contains(address)) {
            if taken.addresses.get(&address).is_some_and(|owner| owner == uid) {
                taken.addresses.remove(&address);
            }
        }
        for port in held_ports(service).filter(|port| !kept_ports.contains(port)) {
            if taken.ports.get(&port).is_some_and(|owner| owner == uid) {
                taken.ports.remove(&port);
            }
        }
    }

    /// Begins to claim for a Service.
    pub(crate) fn claim(&self, uid: &str) -> Lease<'_> {
        Lease {
            owner: Some(self),
            uid: uid.to_owned(),
            addresses: Vec::new(),
            ports: Vec::new(),
        }
    }
}

/// Claims that are given back unless they are kept.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    owner: Option<&'a Addresses>,
    uid: String,
    addresses: Vec<u32>,
    ports: Vec<u16>,
}

impl Lease<'_> {
    /// A lease of nothing.
    pub(crate) fn empty() -> Self {
        Self {
            owner: None,
            uid: String::new(),
            addresses: Vec::new(),
            ports: Vec::new(),
        }
    }

    /// The write went through: what was claimed stays claimed.
    pub(crate) fn keep(mut self) {
        self.owner = None;
    }

    /// Claims this address.
    pub(crate) fn address(&mut self, text: &str) -> Result<(), Refusal> {
        let Some(owner) = self.owner else { return Ok(()) };
        let outside = || Refusal::OutOfRange {
            address: text.to_owned(),
            range: owner.range.clone(),
        };
        let address = text.parse::<Ipv4Addr>().map(u32::from).map_err(|_| outside())?;
        if address < owner.first || address - owner.first >= owner.count {
            return Err(outside());
        }
        let mut taken = owner.lock();
        match taken.addresses.get(&address) {
            Some(uid) if *uid == self.uid => Ok(()),
            Some(_) => Err(Refusal::AddressTaken),
            None => {
                taken.addresses.insert(address, self.uid.clone());
                self.addresses.push(address);
                Ok(())
            }
        }
    }

    /// Claims any address. Where the search begins depends on the uid, so that a deleted Service's address is not the
    /// next one's.
    pub(crate) fn any_address(&mut self) -> Result<Ipv4Addr, Refusal> {
        let Some(owner) = self.owner else {
            return Err(Refusal::Full);
        };
        let start = place(&self.uid, owner.count);
        let mut taken = owner.lock();
        let free = (0..owner.count)
            .map(|step| owner.first + (start + step) % owner.count)
            .find(|address| *address != owner.first && !taken.addresses.contains_key(address))
            .ok_or(Refusal::Full)?;
        taken.addresses.insert(free, self.uid.clone());
        self.addresses.push(free);
        Ok(Ipv4Addr::from(free))
    }

    /// Claims this port.
    pub(crate) fn port(&mut self, port: u16) -> Result<(), Refusal> {
        let Some(owner) = self.owner else { return Ok(()) };
        if !PORTS.contains(&port) {
            return Err(Refusal::PortOutOfRange);
        }
        let mut taken = owner.lock();
        match taken.ports.get(&port) {
            Some(uid) if *uid == self.uid => Ok(()),
            Some(_) => Err(Refusal::PortTaken),
            None => {
                taken.ports.insert(port, self.uid.clone());
                self.ports.push(port);
                Ok(())
            }
        }
    }

    /// Claims any port.
    pub(crate) fn any_port(&mut self) -> Result<u16, Refusal> {
        let Some(owner) = self.owner else {
            return Err(Refusal::Full);
        };
        let count = PORTS.end() - PORTS.start() + 1;
        let start = u16::try_from(place(&self.uid, u32::from(count))).unwrap_or_default();
        let mut taken = owner.lock();
        let free = (0..count)
            .map(|step| PORTS.start() + (start + step) % count)
            .find(|port| !taken.ports.contains_key(port))
            .ok_or(Refusal::Full)?;
        taken.ports.insert(free, self.uid.clone());
        self.ports.push(free);
        Ok(free)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(owner) = self.owner else { return };
        let mut taken = owner.lock();
        for address in &self.addresses {
            taken.addresses.remove(address);
        }
        for port in &self.ports {
            taken.ports.remove(port);
        }
    }
}

fn place(uid: &str, count: u32) -> u32 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    u32::try_from(hasher.finish() % u64::from(count)).unwrap_or_default()
}

fn uid(service: &Value) -> &str {
    service["metadata"]["uid"].as_str().unwrap_or_default()
}

fn held_addresses(service: &Value) -> impl Iterator<Item = u32> + '_ {
    let list = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str()?.parse::<Ipv4Addr>().ok())
        .map(u32::from)
}

fn held_ports(service: &Value) -> impl Iterator<Item = u16> + '_ {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports
        .map(|port| &port["nodePort"])
        .chain(std::iter::once(&service["spec"]["healthCheckNodePort"]))
        .filter_map(|number| u16::try_from(number.as_u64()?).ok())
        .filter(|port| *port > 0)
}
