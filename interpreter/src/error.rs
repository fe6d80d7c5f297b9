//! Why a question about an object has no answer.

use std::sync::Arc;

/// A rule that could not answer. Rules that are built in always can; those of users may fail in any way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterpretError {
    /// The script is not Lua.
    #[error("{0}")]
    Syntax(String),
    /// The script failed while it ran, or was stopped at a limit.
    #[error("{}: {message}", crate::Operation::of_function(function))]
    Script {
        /// The function that was called.
        function: &'static str,
        /// What went wrong.
        message: String,
    },
    /// A script of a customization; which, and what came of it.
    #[error("ResourceInterpreterCustomization {customization}: {cause}")]
    Customized {
        /// Name of the customization.
        customization: Arc<str>,
        /// What went wrong.
        cause: Box<InterpretError>,
    },
    /// A webhook that answers for the kind failed, or gave no answer that makes sense.
    #[error("{operation}: failed calling webhook {webhook:?}: {message}")]
    Webhook {
        /// `<configuration>/<webhook>`.
        webhook: String,
        /// What it was asked.
        operation: crate::Operation,
        /// What went wrong.
        message: String,
    },
}

impl InterpretError {
    /// The same question has the same answer until somebody changes a script or the object: there is nothing to retry. A webhook
    /// may answer the next time.
    pub fn is_lasting(&self) -> bool {
        match self {
            Self::Syntax(_) | Self::Script { .. } | Self::Customized { .. } => true,
            Self::Webhook { .. } => false,
        }
    }
}
