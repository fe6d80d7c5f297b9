//! Why a configuration was not applied, in Kubernetes' words.

use std::collections::BTreeMap;

use crate::status::{Cause, Reason, Status};

/// One field that another manager owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as messages name it.
    pub manager: String,
    /// Path of the field: `.spec.replicas`.
    pub field: String,
}

/// Why a configuration was not applied.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ApplyError {
    /// Others own what the configuration changes, and `force` was not set.
    #[error("{}", conflict_message(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration cannot be applied to anything.
    #[error("{0}")]
    BadRequest(String),
}

impl From<ApplyError> for Status {
    fn from(error: ApplyError) -> Self {
        let message = error.to_string();
        match error {
            ApplyError::BadRequest(_) => Self::bad_request(message),
            ApplyError::Conflicts(conflicts) => {
                let mut status = Self::failure(409, Reason::Conflict, message);
                status.details_mut().causes = conflicts
                    .into_iter()
                    .map(|conflict| Cause {
                        reason: "FieldManagerConflict".to_owned(),
                        message: format!("conflict with {}", conflict.manager),
                        field: conflict.field,
                    })
                    .collect();
                status
            }
        }
    }
}

fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        return format!(
            "Apply failed with 1 conflict: conflict with {}: {}",
            conflict.manager, conflict.field
        );
    }
    let mut managers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for conflict in conflicts {
        managers.entry(&conflict.manager).or_default().push(&conflict.field);
    }
    let mut lines = Vec::new();
    for (manager, fields) in managers {
        lines.push(format!("conflicts with {manager}:"));
        lines.extend(fields.into_iter().map(|field| format!("- {field}")));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}
