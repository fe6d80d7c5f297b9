//! `continue` tokens: which revision a list is of, and behind which object its next page begins.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schema::status::Status;
use serde::{Deserialize, Serialize};

/// A place within a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Revision of the list; 0: whatever is newest (the list is no longer consistent).
    #[serde(rename = "rv")]
    pub(crate) revision: u64,
    /// Namespace of the last object that was sent.
    #[serde(rename = "ns")]
    pub(crate) namespace: String,
    /// Its name.
    #[serde(rename = "n")]
    pub(crate) name: String,
}

impl Token {
    /// As clients carry it.
    pub(crate) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Reads one back.
    pub(crate) fn decode(text: &str) -> Result<Self, Status> {
        let refused = |problem: String| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {problem}"))
        };
        let json = URL_SAFE_NO_PAD
            .decode(text.trim_end_matches('='))
            .map_err(|problem| refused(problem.to_string()))?;
        serde_json::from_slice(&json).map_err(|problem| refused(problem.to_string()))
    }
}
