//! How loops see and change a server: the trait [`hub::Hub`], keyed queues, clocks.
//!
//! Never here: SQL, HTTP servers, or what a loop decides.

pub mod clock;
pub mod hub;
pub mod queue;
