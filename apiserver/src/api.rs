//! The state that every part of the API server shares.

use std::sync::Arc;

use arc_swap::ArcSwap;
use schema::clock::{Clock, Random};

use crate::registry::Registry;

/// What kind of server this is (design §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The federation's hub: federation kinds, no default service accounts.
    #[default]
    Hub,
    /// What any cluster has; the simulator's members use it.
    Kubernetes,
}

/// Settings of an API server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Hub or plain cluster.
    pub profile: Profile,
    /// IPv4 range for cluster IPs, `10.96.0.0/12` unless told.
    pub service_range: String,
    /// How long an Event lives, in seconds.
    pub event_ttl_seconds: i64,
}

impl Default for Config {
    fn default() -> Self {
        Self { profile: Profile::Hub, service_range: "10.96.0.0/12".to_owned(), event_ttl_seconds: 3600 }
    }
}

/// The shared state. Cheap to clone through its `Arc`.
pub struct Api {
    /// Settings.
    pub config: Config,
    /// What is served now; replaced whole when a CRD changes.
    pub registry: ArcSwap<Registry>,
    /// The store.
    pub store: storage::Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where uids and names come from.
    pub random: Arc<dyn Random>,
}
