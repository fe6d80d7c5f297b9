//! A way to the controllers of this process for those who ask them something: previews of changes, and what members keep.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use schema::status::{Reason, Status};

use crate::context::Context;

/// Cheap to clone; it opens when the controllers have seen what is stored, and closes with them.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<Weak<Context>>>);

impl Door {
    /// The controllers are ready to answer.
    pub(crate) fn open(&self, context: &Arc<Context>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(context);
    }

    /// The controllers, or 503.
    pub(crate) fn enter(&self) -> Result<Arc<Context>, Status> {
        let context = self.0.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        context.ok_or_else(|| {
            let text = "the controllers have not seen everything that is stored yet";
            Status::failure(503, Reason::ServiceUnavailable, text)
        })
    }
}
