//! Semantic versions: reading and order.

use std::cmp::Ordering;

/// A semantic version; what comes after `+` does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    pre: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Text(String),
}

/// Reads a version. A lenient reader takes a `v`, missing parts and leading zeros.
pub(super) fn parse(text: &str, lenient: bool) -> Result<Semver, String> {
    let mut rest = text;
    if lenient {
        rest = rest.trim().strip_prefix('v').unwrap_or(rest.trim());
    }
    let (rest, build) = match rest.split_once('+') {
        Some((rest, build)) => (rest, Some(build)),
        None => (rest, None),
    };
    let (core, pre) = match rest.split_once('-') {
        Some((core, pre)) => (core, Some(pre)),
        None => (rest, None),
    };
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() > 3 || (parts.len() < 3 && !lenient) {
        return Err("No Major.Minor.Patch elements found".to_owned());
    }
    let mut numbers = [0; 3];
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("Invalid character(s) found in version number {part:?}"));
        }
        if part.len() > 1 && part.starts_with('0') && !lenient {
            return Err(format!("version number must not contain leading zeroes {part:?}"));
        }
        *slot = part
            .parse()
            .map_err(|_| format!("version number out of range {part:?}"))?;
    }
    let identifier =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if build.is_some_and(|build| !build.split('.').all(identifier)) {
        return Err("Invalid build meta data".to_owned());
    }
    let mut before = Vec::new();
    for part in pre.into_iter().flat_map(|pre| pre.split('.')) {
        if !identifier(part) {
            return Err(format!("Invalid prerelease version {part:?}"));
        }
        let numeric = part.bytes().all(|byte| byte.is_ascii_digit());
        if numeric && part.len() > 1 && part.starts_with('0') {
            return Err(format!(
                "numeric prerelease version must not contain leading zeroes {part:?}"
            ));
        }
        before.push(match part.parse() {
            Ok(number) if numeric => Part::Number(number),
            _ => Part::Text(part.to_owned()),
        });
    }
    Ok(Semver { numbers, pre: before })
}

impl Semver {
    pub(super) fn major(&self) -> i64 {
        self.part(0)
    }

    pub(super) fn minor(&self) -> i64 {
        self.part(1)
    }

    pub(super) fn patch(&self) -> i64 {
        self.part(2)
    }

    fn part(&self, index: usize) -> i64 {
        i64::try_from(self.numbers[index]).unwrap_or(i64::MAX)
    }
}

impl Ord for Semver {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            // A release comes after everything that led to it.
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                _ => self.pre.cmp(&other.pre),
            }
        })
    }
}

impl PartialOrd for Semver {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
