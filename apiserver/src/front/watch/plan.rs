//! Where a watch begins, by `resourceVersion`, `resourceVersionMatch` and `sendInitialEvents`.

use schema::status::{FieldError, FieldErrorKind, Status};
use serde_json::json;

use crate::registry::ResourceDef;
use crate::request::Query;

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// With the current state as additions.
    Current {
        /// The state must be at least this new.
        at_least: u64,
        /// A bookmark says where the additions end.
        announce_end: bool,
    },
    /// With the next change.
    Newest,
    /// With the first change after this revision.
    After(u64),
}

/// Decides where a watch begins; 422 when the parameters do not fit together.
pub(super) fn plan(query: &Query, def: &ResourceDef) -> Result<Start, Status> {
    const NOT_OLDER: &str = "NotOlderThan";
    let rule = query.resource_version_match.as_deref().unwrap_or_default();
    let mut errors = Vec::new();
    let mut forbid = |detail: &str| errors.push(FieldError::forbidden("resourceVersionMatch", detail));
    if query.send_initial_events.is_some() && rule != NOT_OLDER {
        forbid("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
    }
    if !rule.is_empty() {
        if query.send_initial_events.is_none() {
            forbid("resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided");
        }
        if !query.continue_token.is_empty() {
            forbid("resourceVersionMatch is forbidden when continue is provided");
        }
        if rule != NOT_OLDER {
            errors.push(FieldError {
                path: "resourceVersionMatch".to_owned(),
                kind: FieldErrorKind::NotSupported,
                value: Some(json!(rule)),
                detail: r#"supported values: "NotOlderThan""#.to_owned(),
            });
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid("meta.k8s.io", "ListOptions", "", &errors));
    }
    let revision = match query.resource_version.as_deref().unwrap_or_default() {
        "" => 0,
        text => text.parse().map_err(|_| {
            let detail = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            let problem = FieldError::invalid("resourceVersion", json!(text), detail);
            Status::invalid(&def.group, &def.plural, "", &[problem])
        })?,
    };
    Ok(match (query.send_initial_events, revision) {
        (Some(true), at_least) => Start::Current {
            at_least,
            announce_end: true,
        },
        (Some(false), 0) => Start::Newest,
        (None, 0) => Start::Current {
            at_least: 0,
            announce_end: false,
        },
        (_, revision) => Start::After(revision),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::testing::resource;

    fn check(raw: &str, expected: Option<Start>) {
        let query = crate::front::query::parse(raw).unwrap();
        let found = plan(&query, &resource("", "v1", "pods", "Pod", true));
        assert_eq!(
            found.map_err(|status| assert_eq!(status.code, 422)).ok(),
            expected,
            "{raw}"
        );
    }

    #[test]
    fn parameters_decide_where_a_watch_begins() {
        let current = |at_least, announce_end| Some(Start::Current { at_least, announce_end });
        check("", current(0, false));
        check("resourceVersion=", current(0, false));
        check("resourceVersion=0", current(0, false));
        check("resourceVersion=7", Some(Start::After(7)));
        check(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
            current(0, true),
        );
        check(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7",
            current(7, true),
        );
        check(
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan",
            Some(Start::Newest),
        );
        check(
            "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=7",
            Some(Start::After(7)),
        );
        check("sendInitialEvents=true", None);
        check("sendInitialEvents=true&resourceVersionMatch=Exact", None);
        check("resourceVersionMatch=NotOlderThan", None);
        check(
            "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x",
            None,
        );
        check("resourceVersion=x", None);
        check("resourceVersion=-1", None);
    }
}
