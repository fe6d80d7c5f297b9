//! Query parameters: read once, with the rules of Kubernetes for numbers and flags.
//!
//! Only the form is checked here; what parameters mean together is checked where they are used.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use schema::status::Status;

use crate::request::Query;

/// The longest and the usual time for a request that is not a watch.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(1);

/// Splits a query string into decoded pairs.
pub fn pairs(raw: &str) -> impl Iterator<Item = (String, String)> + '_ {
    raw.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// Reads the parameters of the API conventions; unknown ones are ignored. Of repeated ones the first counts.
pub fn parse(raw: &str) -> Result<Query, Status> {
    let mut query = Query::default();
    let mut seen = std::collections::HashSet::new();
    for (key, value) in pairs(raw) {
        if key == "dryRun" {
            query.dry_run.push(value);
            continue;
        }
        if !seen.insert(key.clone()) {
            continue;
        }
        match key.as_str() {
            "labelSelector" => query.label_selector = value,
            "fieldSelector" => query.field_selector = value,
            // A negative limit is none.
            "limit" => query.limit = usize::try_from(integer(&value)?).unwrap_or_default(),
            "continue" => query.continue_token = value,
            "resourceVersion" => query.resource_version = Some(value),
            "resourceVersionMatch" => query.resource_version_match = Some(value),
            "timeoutSeconds" => query.timeout_seconds = u64::try_from(integer(&value)?).ok(),
            "watch" => query.watch = flag(&value),
            "allowWatchBookmarks" => query.allow_watch_bookmarks = flag(&value),
            "sendInitialEvents" => query.send_initial_events = Some(flag(&value)),
            "fieldManager" => query.field_manager = Some(value),
            "fieldValidation" => query.field_validation = Some(value),
            "force" => query.force = Some(flag(&value)),
            "propagationPolicy" => query.propagation_policy = Some(value),
            "orphanDependents" => query.orphan_dependents = Some(flag(&value)),
            "gracePeriodSeconds" => query.grace_period_seconds = Some(integer(&value)?),
            "pretty" => query.pretty = flag(&value),
            "includeObject" => query.include_object = Some(value),
            _ => {}
        }
    }
    Ok(query)
}

/// Kubernetes takes everything but `0` and `false` for true, a bare key too.
fn flag(value: &str) -> bool {
    value != "0" && !value.eq_ignore_ascii_case("false")
}

fn integer(value: &str) -> Result<i64, Status> {
    value.parse().map_err(|error: std::num::ParseIntError| {
        use std::num::IntErrorKind::{NegOverflow, PosOverflow};
        let why = match error.kind() {
            PosOverflow | NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Status::bad_request(format!("strconv.ParseInt: parsing {value:?}: {why}"))
    })
}

/// How long a request may take: `timeout` of the query, capped.
pub fn timeout(raw: &str) -> Result<Duration, Status> {
    let Some((_, text)) = pairs(raw).find(|(key, _)| key == "timeout") else {
        return Ok(REQUEST_TIMEOUT);
    };
    if text.is_empty() {
        return Ok(REQUEST_TIMEOUT);
    }
    // A negative time is no wish.
    let (negative, amount) = match text.strip_prefix('-') {
        Some(amount) => (true, amount),
        None => (false, text.as_str()),
    };
    let duration = go_duration(amount).ok_or_else(|| {
        Status::bad_request(format!(
            "invalid timeout specified in the request URL - time: invalid duration {text:?}"
        ))
    })?;
    Ok(if negative || duration.is_zero() {
        REQUEST_TIMEOUT
    } else {
        duration.min(REQUEST_TIMEOUT)
    })
}

/// Reads a duration as Go writes it: `1m30s`, `1.5h`, `0`.
fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let scale = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read_by_the_rules_of_kubernetes() {
        let query =
            parse("labelSelector=a%3Db,c+in+%28d%29&limit=500&watch&allowWatchBookmarks=true&force=0&limit=7").unwrap();
        assert_eq!(query.label_selector, "a=b,c in (d)");
        assert_eq!(
            (query.limit, query.watch, query.allow_watch_bookmarks, query.force),
            (500, true, true, Some(false))
        );
        assert_eq!(
            parse("watch=False&dryRun=All&dryRun=x&other=1").unwrap().dry_run,
            ["All", "x"]
        );
        assert_eq!(parse("").unwrap(), Query::default());
        assert_eq!(parse("limit=-1&timeoutSeconds=-1").unwrap(), Query::default());
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for (raw, message) in [
            ("limit=x", r#"strconv.ParseInt: parsing "x": invalid syntax"#),
            ("timeoutSeconds=", r#"strconv.ParseInt: parsing "": invalid syntax"#),
            (
                "gracePeriodSeconds=99999999999999999999",
                r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#,
            ),
        ] {
            let status = parse(raw).unwrap_err();
            assert_eq!((status.code, status.message.as_str()), (400, message));
        }
    }

    #[test]
    fn timeouts_are_durations_of_go() {
        let check = |raw: &str, expected: Option<u64>| {
            assert_eq!(
                timeout(raw).ok().map(|found| u64::try_from(found.as_millis()).unwrap()),
                expected,
                "{raw}"
            );
        };
        check("", Some(60_000));
        check("timeout=34s", Some(34_000));
        check("timeout=1.5s", Some(1_500));
        check("timeout=2h45m", Some(60_000));
        check("timeout=0s", Some(60_000));
        check("timeout=0", Some(60_000));
        check("timeout=10", None);
        check("timeout=-1s", Some(60_000));
        check("timeout=s", None);
    }
}
