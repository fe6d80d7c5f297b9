//! What members keep of their objects where a webhook says so: agents ask their hub, and the hub asks the webhook.
//!
//! An agent asks only when it is about to write an object that is there, so a member in which nothing happens asks nothing.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use runtime::retention::Keeper;
use schema::status::{Reason, Status};
use serde_json::Value;

use crate::context::Context;
use crate::door::Door;
use crate::interpret;

/// A way to the webhooks of this process. Cheap to clone; it opens when the controllers have seen what is stored.
#[derive(Clone, Default)]
pub struct Retentions(Door);

impl Retentions {
    /// The controllers are ready to answer.
    pub(crate) fn open(&self, context: &Arc<Context>) {
        self.0.open(context);
    }
}

impl fmt::Debug for Retentions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Retentions")
    }
}

#[async_trait]
impl Keeper for Retentions {
    async fn retain(&self, manifest: Value, observed: Value) -> Result<Value, Status> {
        let context = self.0.enter()?;
        let answer = interpret::retained(&context, manifest, &observed).await;
        answer.map_err(|error| Status::failure(500, Reason::InternalError, error.to_string()))
    }
}
