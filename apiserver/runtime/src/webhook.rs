//! How other programs are asked over HTTPS: what a `WebhookClientConfig` leads to, which certificates are believed, calls bounded
//! in size and time. Admission webhooks and interpreter webhooks share it.
//!
//! Start with [`Client`]. Never here: what is sent, what an answer means, and which webhook is asked.

mod client;
mod dial;
mod tls;

pub use client::{ANSWER, CallError, Client, SystemRoots, Target, TargetError};
pub use dial::Services;
