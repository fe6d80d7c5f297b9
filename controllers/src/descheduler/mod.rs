//! Takes replicas away from clusters that find no node for them, so that the scheduler places them elsewhere (§3.13).
//!
//! Agents report in `status.manifestStatuses[].unschedulable` of a Work how many pods of a Deployment wait for a node, and since when; no
//! estimator is asked. [`plan`] computes the new shares, [`reconcile`] looks at the reports at a fixed pace and writes them. Never here:
//! where the replicas go instead. It is off unless [`crate::Config::descheduler`] says otherwise.

pub mod plan;
pub(crate) mod reconcile;

use std::time::Duration;

/// Settings, under the names of the peer's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descheduler {
    /// How often the reports are looked at.
    pub descheduling_interval: Duration,
    /// How long a pod may wait for a node.
    pub unschedulable_threshold: Duration,
}

impl Default for Descheduler {
    fn default() -> Self {
        Self {
            descheduling_interval: Duration::from_mins(2),
            unschedulable_threshold: Duration::from_mins(5),
        }
    }
}
