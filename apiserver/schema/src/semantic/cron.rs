//! Schedules of cron jobs: five fields or a name, and the time zone they are read in.

use crate::facts;

/// A field: its bounds and the names of its values, the first name being the lower bound.
struct Range {
    low: u32,
    high: u32,
    names: &'static [&'static str],
}

const FIELDS: [Range; 5] = [
    Range {
        low: 0,
        high: 59,
        names: &[],
    },
    Range {
        low: 0,
        high: 23,
        names: &[],
    },
    Range {
        low: 1,
        high: 31,
        names: &[],
    },
    Range {
        low: 1,
        high: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Range {
        low: 0,
        high: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

/// What is wrong with a schedule.
pub fn schedule_problem(schedule: &str) -> Option<String> {
    if schedule.contains("TZ") {
        return Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if schedule.starts_with('@') {
        return descriptor_problem(schedule);
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        let shown = fields.join(" ");
        return Some(format!("expected exactly 5 fields, found {}: [{shown}]", fields.len()));
    }
    fields.iter().zip(&FIELDS).find_map(|(field, range)| {
        let mut parts = field.split(',').filter(|part| !part.is_empty());
        parts.find_map(|part| range.problem(part).err())
    })
}

fn descriptor_problem(text: &str) -> Option<String> {
    const KNOWN: [&str; 7] = [
        "@yearly",
        "@annually",
        "@monthly",
        "@weekly",
        "@daily",
        "@midnight",
        "@hourly",
    ];
    if let Some(every) = text.strip_prefix("@every ") {
        let problem = || format!("failed to parse duration {text}: time: invalid duration {every:?}");
        return crate::leaves::parse_duration(every).is_none().then(problem);
    }
    (!KNOWN.contains(&text)).then(|| format!("unrecognized descriptor: {text}"))
}

impl Range {
    fn problem(&self, part: &str) -> Result<(), String> {
        let range_and_step: Vec<&str> = part.split('/').collect();
        let ends: Vec<&str> = range_and_step[0].split('-').collect();
        let (first, mut last) = match ends[..] {
            ["*" | "?", ..] => (self.low, self.high),
            [single] => {
                let number = self.value(single)?;
                (number, number)
            }
            [first, last] => (self.value(first)?, self.value(last)?),
            _ => return Err(format!("too many hyphens: {part}")),
        };
        let step = match range_and_step[..] {
            [_] => 1,
            [_, step] => {
                if ends.len() == 1 {
                    last = self.high;
                }
                number(step)?
            }
            _ => return Err(format!("too many slashes: {part}")),
        };
        let Self { low, high, .. } = self;
        if first < *low {
            return Err(format!("beginning of range ({first}) below minimum ({low}): {part}"));
        }
        if last > *high {
            return Err(format!("end of range ({last}) above maximum ({high}): {part}"));
        }
        if first > last {
            return Err(format!(
                "beginning of range ({first}) beyond end of range ({last}): {part}"
            ));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        Ok(())
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let name = text.to_lowercase();
        let named = self.names.iter().zip(self.low..).find(|(known, _)| **known == name);
        named.map_or_else(|| number(text), |(_, value)| Ok(value))
    }
}

fn number(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(number) if number < 0 => Err(format!("negative number ({number}) not allowed: {text}")),
        Ok(number) => u32::try_from(number).or(Ok(u32::MAX)),
        Err(_) => Err(format!(
            "failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax"
        )),
    }
}

/// What is wrong with a time zone.
pub(super) fn time_zone_problem(zone: &str) -> Option<String> {
    if zone.is_empty() {
        return Some("timeZone must be nil or non-empty string".to_owned());
    }
    if zone.eq_ignore_ascii_case("local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        return Some(detail.to_owned());
    }
    facts::time_zone(zone)
        .is_none()
        .then(|| format!("unknown time zone {zone}"))
}
