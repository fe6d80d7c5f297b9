//! The seam between an agent that asks what its cluster keeps of an object and who knows: a server finds the manifest, a [`Keeper`]
//! says what becomes of it.
//!
//! Never here: what any kind keeps.

use std::fmt::Debug;

use async_trait::async_trait;
use schema::status::Status;
use serde_json::Value;

/// Says what clusters keep.
#[async_trait]
pub trait Keeper: Debug + Send + Sync + 'static {
    /// A manifest, with what a cluster keeps that has the object like this.
    async fn retain(&self, manifest: Value, observed: Value) -> Result<Value, Status>;
}
