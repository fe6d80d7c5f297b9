//! Timestamps and durations. Zones are offsets or names of the IANA database that the program carries; what the machine
//! has is never read.

use jiff::civil::{Date, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, Zoned};

use super::eval::{Eval, failed};
use super::value::CelValue as V;
pub(super) use crate::leaves::parse_duration;

/// Midnight of a date, in UTC.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let date: Date = text.parse().ok()?;
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A duration as CEL writes one: in seconds.
pub(super) fn format_duration(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    if rest == 0 {
        return format!("{sign}{seconds}s");
    }
    let rest = format!("{rest:09}");
    format!("{sign}{seconds}.{}s", rest.trim_end_matches('0'))
}

pub(super) fn shift<'a>(time: Timestamp, nanos: i64) -> Eval<'a> {
    match time.checked_add(SignedDuration::from_nanos(nanos)) {
        Ok(time) => Ok(V::Timestamp(time)),
        Err(_) => failed("timestamp overflow"),
    }
}

fn zone(text: &str) -> Option<TimeZone> {
    if matches!(text, "" | "UTC" | "Local") {
        return Some(TimeZone::UTC);
    }
    if !text.contains(':') {
        return crate::facts::time_zone(text);
    }
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    if minutes > 59 {
        return None;
    }
    let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
    Some(TimeZone::fixed(Offset::from_seconds(sign * seconds).ok()?))
}

/// The parts of a time or of a duration.
pub(super) fn call<'a>(name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    let number = match args {
        [V::Duration(nanos)] => match name {
            "getHours" => nanos / 3_600_000_000_000,
            "getMinutes" => nanos / 60_000_000_000,
            "getSeconds" => nanos / 1_000_000_000,
            "getMilliseconds" => nanos / 1_000_000 % 1_000,
            _ => return None,
        },
        [V::Timestamp(time), rest @ ..] if name.starts_with("get") => {
            let name_of_zone = match rest {
                [] => "UTC",
                [V::String(text)] => text.as_str(),
                _ => return None,
            };
            let Some(zone) = zone(name_of_zone) else {
                return Some(failed(format!("unknown time zone {name_of_zone}")));
            };
            part(name, &time.to_zoned(zone))?
        }
        _ => return None,
    };
    Some(Ok(V::Int(number)))
}

fn part(name: &str, time: &Zoned) -> Option<i64> {
    Some(match name {
        "getFullYear" => i64::from(time.year()),
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => i64::from(time.day()),
        "getDayOfWeek" => i64::from(time.weekday().since(Weekday::Sunday)),
        "getHours" => i64::from(time.hour()),
        "getMinutes" => i64::from(time.minute()),
        "getSeconds" => i64::from(time.second()),
        "getMilliseconds" => i64::from(time.millisecond()),
        _ => return None,
    })
}
