//! The controllers over a real API server in memory, with agents that only pretend to have a member.

mod clusters;
mod harness;
mod propagation;
