//! The controllers over a real API server in memory, with agents that only pretend to have a member.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step is a failed test")]
#![allow(clippy::needless_pass_by_value, reason = "stories read better without references")]
#![allow(clippy::too_many_lines, reason = "a story is told in one piece")]

mod attempts;
mod claims;
mod clusters;
mod customizations;
mod dependencies;
mod descheduling;
mod events;
mod eviction;
mod fallback;
mod governance;
mod harness;
mod interpreters;
mod metrics;
mod namespaces;
mod neighbours;
mod placement;
mod policies;
mod preview;
mod propagation;
mod rebalancing;
mod refusals;
mod requeue;
mod retention;
mod rooms;
mod selection;
mod webhook;
