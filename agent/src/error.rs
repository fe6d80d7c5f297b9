//! What can go wrong in an agent, and what to do about it.

use schema::status::Status;

/// A failed round.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AgentError {
    /// The hub refused or could not be reached.
    #[error("hub: {0}")]
    Hub(#[source] Status),
    /// The member refused or could not be reached.
    #[error("{0}")]
    Member(#[source] Status),
    /// The member does not serve this kind.
    #[error("no matches for kind \"{kind}\" in version \"{api_version}\" in the cluster")]
    UnknownKind {
        /// As the manifest says.
        api_version: String,
        /// As the manifest says.
        kind: String,
    },
    /// Somebody else's object is in the way.
    #[error("{0}")]
    Refused(String),
    /// A script of a user failed; its author must change it.
    #[error("{0}")]
    Interpreter(#[from] interpreter::InterpretError),
    /// A webhook that says what the member keeps could not be asked, or gave no answer.
    #[error("{}", retention(webhook, message))]
    Retention {
        /// `<configuration>/<webhook>`.
        webhook: String,
        /// What the hub said.
        message: String,
    },
    /// A manifest without `metadata.name`.
    #[error("metadata.name: a manifest of the Work has no name")]
    Nameless,
    /// The agent is shutting down.
    #[error("the agent is stopping")]
    Stopping,
}

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try again with backoff.
    Retry,
    /// Try again when something in the hub or in the member changes, or after a long while.
    AwaitChange,
    /// A user must change the manifest; there is nothing to retry.
    UserInput,
}

impl AgentError {
    /// Exhaustive on purpose: a new variant must choose its class.
    pub fn class(&self) -> ErrorClass {
        match self {
            // The definition of an unknown kind may be on its way.
            Self::Hub(_) | Self::Stopping | Self::UnknownKind { .. } | Self::Retention { .. } => ErrorClass::Retry,
            // The member's own validation will say the same thing until the manifest changes; all else may pass.
            Self::Member(status) => match status.code {
                400 | 422 => ErrorClass::AwaitChange,
                _ => ErrorClass::Retry,
            },
            Self::Refused(_) | Self::Interpreter(_) => ErrorClass::AwaitChange,
            Self::Nameless => ErrorClass::UserInput,
        }
    }
}

/// Names the webhook, unless the hub has done so.
fn retention(webhook: &str, message: &str) -> String {
    if message.contains(webhook) {
        message.to_owned()
    } else {
        format!("Retain: webhook {webhook:?} could not be asked: {message}")
    }
}
