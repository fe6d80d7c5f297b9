//! The log and the current state: everything the server knows, in one order.
//!
//! [`Store::commit`] writes, [`Store::snapshot`] reads, [`Store::watch`] follows. One writer task groups what is queued
//! into one transaction; only committed state reaches the cache and the watchers.
//!
//! Never here: HTTP, admission, defaulting, or any knowledge of a kind.

pub mod api;
