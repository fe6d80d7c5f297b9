//! All tests that need more than one crate: facts about the tree, and a federation driven by real kubectl.

mod agent_faults;
mod bad_input;
mod demo;
mod hub_faults;
mod support;
mod tidy;
mod tutorial;
