//! The API server: everything between a TLS connection and the store.
//!
//! A request runs: [`front`] (TLS, authenticate, parse, authorise, negotiate) → [`verbs`] (decode, default, patch, admit,
//! validate, store) → [`views`] (JSON, Table, metadata only). [`api::Api`] is the state they share; [`registry`] says what
//! is served. One generic path serves every kind: what is special about a kind is a row of data or a small strategy.
//!
//! Never here: what a federation controller decides.

mod admission;
pub mod api;
pub mod auth;
pub mod bootstrap;
pub mod front;
pub mod housekeeping;
pub mod local;
pub mod metrics;
pub mod pki;
pub mod registry;
pub mod request;
pub mod server;
pub mod strategy;
pub mod verbs;
pub mod views;
