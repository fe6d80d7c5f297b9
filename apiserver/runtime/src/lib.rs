//! How loops see and change a server: the trait [`hub::Hub`], a server far away as one
//! ([`remote::RemoteHub`]), keyed queues, clocks, and calls of other
//! programs ([`webhook`]). What a loop writes is the difference between two states of an object ([`merge`]).
//!
//! Never here: SQL, HTTP servers, or what a loop decides.

pub mod clock;
pub mod hub;
pub mod merge;
pub mod preview;
pub mod queue;
pub mod remote;
pub mod retention;
pub mod webhook;
