//! The table as it stands in files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

/// A file of the table: cases of one theme.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixture {
    /// The file's name without its ending.
    #[serde(skip)]
    pub(super) name: String,
    /// What the cases have in common, for the reader.
    #[serde(rename = "about")]
    _about: String,
    /// The release since which all of it holds, unless a case or a step says otherwise.
    pub(super) since: Minor,
    /// Texts that steps name as `$name`.
    #[serde(default)]
    pub(super) vars: BTreeMap<String, String>,
    /// Objects that steps send as `body: $name`.
    #[serde(default)]
    pub(super) bodies: BTreeMap<String, Value>,
    /// The cases, independent of each other.
    pub(super) cases: Vec<Case>,
}

/// Requests that follow each other in a namespace of their own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    #[serde(rename = "case")]
    pub(super) name: String,
    since: Option<Minor>,
    pub(super) hub_differs: Option<String>,
    pub(super) steps: Vec<Step>,
}

impl Fixture {
    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Case {
    pub(super) fn since(&self, fixture: &Fixture) -> Minor {
        self.since.unwrap_or(fixture.since)
    }
}

/// One request and what is expected of its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// `METHOD /path?query`; `WATCH` reads as many events as are expected.
    #[serde(rename = "do")]
    pub(super) request: String,
    pub(super) since: Option<Minor>,
    /// The last release of which it is known to hold.
    pub(super) until: Option<Minor>,
    pub(super) hub_differs: Option<String>,
    #[serde(rename = "as", default)]
    pub(super) user: User,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(rename = "type")]
    pub(super) content_type: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) body: Option<Value>,
    /// Merged into a body that is named.
    pub(super) with: Option<Value>,
    pub(super) code: u16,
    /// What the hub answers with the same text instead: a client's mistake is a 400 there, not a 500.
    pub(super) hub_code: Option<u16>,
    pub(super) answer: Option<Value>,
    pub(super) text: Option<String>,
    pub(super) events: Option<Value>,
    #[serde(default)]
    pub(super) gives: BTreeMap<String, String>,
    pub(super) warnings: Option<Vec<String>>,
    #[serde(default)]
    pub(super) keep: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) retry: bool,
}

/// Who asks.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum User {
    #[default]
    Admin,
    Anonymous,
    Stranger,
}

/// A minor version of Kubernetes 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Minor(u16);

impl TryFrom<String> for Minor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix("1.").unwrap_or_default();
        let digits = digits.split(|letter: char| !letter.is_ascii_digit()).next();
        let minor = digits.and_then(|digits| digits.parse().ok());
        minor
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no version such as 1.20"))
    }
}

/// Every file of a folder, by name.
pub fn read_all(folder: &Path) -> Result<Vec<Fixture>> {
    let mut fixtures = Vec::new();
    for entry in folder.read_dir().with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let place = path.display().to_string();
        let text = std::fs::read_to_string(&path).context(place.clone())?;
        let mut fixture: Fixture = serde_saphyr::from_str(&text).context(place)?;
        fixture.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        fixtures.push(fixture);
    }
    fixtures.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(fixtures)
}
