//! The list `metadata.managedFields`: who owns which fields.
//!
//! Field sets stay in their JSON form until an operation really changes them: most writes touch one manager's fields, and a
//! list can hold a dozen managers.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::fieldset::FieldSet;

/// Entries of updaters that a list may hold; the oldest beyond that are merged.
const MAX_UPDATERS: usize = 10;

/// The manager of merged entries.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply: it asked to own them.
    Apply,
    /// Any other write: it changed them.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Fields of one manager.
#[derive(Debug, Clone)]
enum Fields {
    /// As the object has them.
    Json(Value),
    Set(FieldSet),
}

/// One entry of the list.
#[derive(Debug, Clone)]
pub struct ManagerEntry {
    /// Who.
    pub manager: String,
    /// How.
    pub operation: Operation,
    /// In which version the fields are named.
    pub api_version: String,
    /// Through which subresource; empty for the object itself.
    pub subresource: String,
    /// When the entry last changed; Kubernetes keeps seconds.
    pub time: Option<Timestamp>,
    fields: Fields,
}

impl ManagerEntry {
    /// An entry of a manager.
    pub fn new(manager: &str, operation: Operation, api_version: &str, subresource: &str, fields: FieldSet) -> Self {
        Self {
            // An anonymous writer still owns what it wrote.
            manager: if manager.is_empty() { "unknown" } else { manager }.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
            time: None,
            fields: Fields::Set(fields),
        }
    }

    fn parse(entry: &mut Value) -> Result<Self, String> {
        let fields = entry.as_object_mut().ok_or("an entry is not an object")?;
        let mut text = |name: &str| match fields.remove(name) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(format!("{name} is not a string")),
        };
        let operation = match text("operation")?.as_str() {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            other => return Err(format!("invalid operation {other:?}")),
        };
        let kind = text("fieldsType")?;
        if kind != "FieldsV1" {
            return Err(format!("unsupported fieldsType {kind:?}"));
        }
        let time = match text("time")?.as_str() {
            "" => None,
            time => Some(time.parse().map_err(|error| format!("invalid time: {error}"))?),
        };
        Ok(Self {
            manager: text("manager")?,
            operation,
            api_version: text("apiVersion")?,
            subresource: text("subresource")?,
            time,
            fields: Fields::Json(fields.remove("fieldsV1").unwrap_or_else(|| Value::Object(Map::new()))),
        })
    }

    fn into_json(self) -> Value {
        let mut entry = Map::new();
        let mut text = |name: &str, text: String| {
            if !text.is_empty() {
                entry.insert(name.to_owned(), Value::String(text));
            }
        };
        text("apiVersion", self.api_version);
        text("fieldsType", "FieldsV1".to_owned());
        text("manager", self.manager);
        text("operation", self.operation.name().to_owned());
        text("subresource", self.subresource);
        text("time", self.time.map(format_time).unwrap_or_default());
        let fields = match self.fields {
            Fields::Json(json) => json,
            Fields::Set(set) => set.to_json(),
        };
        entry.insert("fieldsV1".to_owned(), fields);
        Value::Object(entry)
    }

    /// The fields. What is not readable owns nothing.
    pub fn set(&self) -> Cow<'_, FieldSet> {
        match &self.fields {
            Fields::Json(json) => Cow::Owned(FieldSet::from_json(json).unwrap_or_default()),
            Fields::Set(set) => Cow::Borrowed(set),
        }
    }

    fn change(&mut self, change: impl FnOnce(&mut FieldSet)) {
        let mut set = self.set().into_owned();
        change(&mut set);
        self.fields = Fields::Set(set);
    }

    fn touches(&self, paths: &FieldSet) -> bool {
        match &self.fields {
            Fields::Json(json) => paths.touches_json(json),
            Fields::Set(set) => !set.intersection(paths).is_empty(),
        }
    }

    /// Gives up these fields, at no cost if it has none of them. Returns whether that changed anything.
    pub(super) fn release(&mut self, paths: &FieldSet) -> bool {
        let touched = !paths.is_empty() && self.touches(paths);
        if touched {
            self.change(|set| set.subtract(paths));
        }
        touched
    }

    /// Takes these fields on, at no cost if it has all of them.
    pub(super) fn acquire(&mut self, paths: FieldSet) {
        let has_all = match &self.fields {
            Fields::Json(json) => paths.within_json(json),
            Fields::Set(_) => false,
        };
        if !has_all {
            self.change(|set| set.union(paths));
        }
    }

    fn is_empty(&self) -> bool {
        match &self.fields {
            Fields::Json(json) => json.as_object().is_none_or(Map::is_empty),
            Fields::Set(set) => set.is_empty(),
        }
    }

    /// Whether this is the entry that the same manager would write again. Appliers keep theirs when they move to another
    /// version.
    pub(super) fn is_of(&self, manager: &str, operation: Operation, api_version: &str, subresource: &str) -> bool {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        self.manager == manager
            && self.operation == operation
            && self.subresource == subresource
            && (operation == Operation::Apply || self.api_version == api_version)
    }

    fn seconds(&self) -> i64 {
        self.time.map_or(0, Timestamp::as_second)
    }
}

/// The manager as conflict messages name it: `"kubectl" using apps/v1`.
impl fmt::Display for ManagerEntry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.manager)?;
        if !self.subresource.is_empty() {
            write!(formatter, " with subresource {:?}", self.subresource)?;
        }
        if self.operation == Operation::Update {
            write!(formatter, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

/// The whole list.
#[derive(Debug, Clone, Default)]
pub struct ManagedFields {
    /// Entries, in the order of the list.
    pub entries: Vec<ManagerEntry>,
}

impl ManagedFields {
    /// Reads `metadata.managedFields`; field sets are looked at when they matter. The error is for people.
    pub fn parse(list: Value) -> Result<Self, String> {
        let Value::Array(list) = list else {
            return Err("managedFields is not a list".to_owned());
        };
        let entries = list
            .into_iter()
            .map(|mut entry| ManagerEntry::parse(&mut entry))
            .collect::<Result<_, _>>()?;
        Ok(Self { entries })
    }

    /// [`ManagedFields::parse`] for a list that a request brought, which may hold anything.
    pub fn parse_strictly(list: Value) -> Result<Self, String> {
        let mut managed = Self::parse(list)?;
        for entry in &mut managed.entries {
            if let Fields::Json(json) = &entry.fields {
                entry.fields = Fields::Set(FieldSet::from_json(json)?);
            }
        }
        Ok(managed)
    }

    /// Whether nobody is in the list.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the list in the order that Kubernetes gives it, or `None` when nobody owns anything.
    pub fn into_json(mut self) -> Option<Value> {
        self.entries.retain(|entry| !entry.is_empty());
        if self.entries.is_empty() {
            return None;
        }
        merge_ancient(&mut self.entries);
        self.entries.sort_by(|left, right| {
            let order = |entry: &ManagerEntry| (entry.operation, entry.seconds());
            let names = |left: &ManagerEntry, right: &ManagerEntry| {
                left.manager
                    .cmp(&right.manager)
                    .then_with(|| left.api_version.cmp(&right.api_version))
                    .then_with(|| left.subresource.cmp(&right.subresource))
            };
            order(left).cmp(&order(right)).then_with(|| names(left, right))
        });
        Some(Value::Array(
            self.entries.into_iter().map(ManagerEntry::into_json).collect(),
        ))
    }
}

/// Merges the oldest updaters of each version into one entry, until there are few enough.
fn merge_ancient(entries: &mut Vec<ManagerEntry>) {
    let mut updaters = entries
        .iter()
        .filter(|entry| entry.operation == Operation::Update)
        .count();
    if updaters <= MAX_UPDATERS {
        return;
    }
    let (mut old, kept): (Vec<_>, Vec<_>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| entry.operation == Operation::Update);
    *entries = kept;
    old.sort_by(|left, right| {
        left.seconds()
            .cmp(&right.seconds())
            .then_with(|| left.manager.cmp(&right.manager))
    });
    let mut merged: Vec<ManagerEntry> = Vec::new();
    for entry in old {
        // An older entry of the same version takes this one in; the time is the newer one's.
        let bucket = merged.iter_mut().find(|bucket| bucket.api_version == entry.api_version);
        match bucket {
            Some(bucket) if MAX_UPDATERS < updaters => {
                ANCIENT.clone_into(&mut bucket.manager);
                bucket.subresource.clear();
                bucket.time = entry.time;
                bucket.change(|set| set.union(entry.set().into_owned()));
                updaters -= 1;
            }
            _ => merged.push(entry),
        }
    }
    entries.append(&mut merged);
}

/// RFC 3339 to the second, in UTC.
pub(super) fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
