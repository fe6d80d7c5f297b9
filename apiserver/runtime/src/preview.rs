//! The seam between who is asked what a change would do and who knows: a server checks the changed objects as if they were applied, a
//! [`Previewer`] says what would follow.
//!
//! Never here: how anything is placed.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use schema::entry::{Entry, Key};
use schema::status::Status;
use serde_json::Value;

use crate::hub::Resource;

/// One object that would change.
#[derive(Debug, Clone)]
pub struct Changed {
    /// What it is, in the version that it is stored in.
    pub resource: Resource,
    /// Its name in the store.
    pub key: Key,
    /// As it is stored now.
    pub before: Option<Arc<Entry>>,
    /// As it would be stored; `None` when it would be deleted.
    pub after: Option<Value>,
}

/// Whether the caller may read an object.
pub type Reads<'a> = dyn Fn(&Resource, &Key) -> bool + Send + Sync + 'a;

/// Says what changes would do.
#[async_trait]
pub trait Previewer: Debug + Send + Sync + 'static {
    /// The status of a `PlacementPreview`: what these changes, together, would do, told as far as the caller may read.
    async fn preview(&self, changes: Vec<Changed>, reads: &Reads<'_>) -> Result<Value, Status>;
}
