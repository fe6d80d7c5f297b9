//! All tests that need more than one crate: facts about the tree, and a federation driven by real kubectl.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking, in its helpers too"
)]

mod abuse;
mod agent_faults;
mod bad_input;
mod clients;
mod demo;
mod descheduling;
mod differential;
mod eviction;
mod explain;
mod governance;
mod hub_faults;
mod interpreter;
mod kinds;
mod lives;
mod members;
mod metrics;
mod overrides;
mod placement;
mod plan;
mod policies;
mod scene;
mod support;
mod taking_over;
mod tidy;
mod tutorial;
mod validation;
