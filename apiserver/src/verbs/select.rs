//! Label and field selectors of a request, applied to stored objects.

use schema::entry::Entry;
use schema::selector::{FieldSelector, LabelSelector, field_value};
use schema::status::Status;

use crate::registry::ResourceDef;
use crate::request::Query;

/// What a list or watch selects.
#[derive(Debug, Clone)]
pub struct Selection {
    labels: LabelSelector,
    fields: FieldSelector,
    /// Labels of fields and where they are read, when they differ from each other.
    paths: Vec<(String, String)>,
}

impl Selection {
    /// Reads the selectors of a request; 400 when they cannot be understood.
    pub fn parse(def: &ResourceDef, query: &Query) -> Result<Self, Status> {
        let allowed: Vec<&str> = def.selectable_fields.iter().map(|(label, _)| label.as_str()).collect();
        Ok(Self {
            labels: LabelSelector::parse(&query.label_selector)?,
            fields: FieldSelector::parse(&query.field_selector, &allowed).map_err(|refused| unknown(def, refused))?,
            paths: def
                .selectable_fields
                .iter()
                .filter(|(label, path)| label != path)
                .cloned()
                .collect(),
        })
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The one name that can match, if the fields ask for one.
    pub fn name(&self) -> Option<&str> {
        self.fields.requires_exact("metadata.name")
    }

    /// The one namespace that can match, if the fields ask for one.
    pub fn namespace(&self) -> Option<&str> {
        self.fields.requires_exact("metadata.namespace")
    }

    /// A label and the one value of it that can match, if the selector asks for one.
    pub fn label(&self) -> Option<(&str, &str)> {
        let mut requirements = self.labels.requirements().iter();
        requirements.find_map(|requirement| {
            let key = requirement.key.as_str();
            Some((key, self.labels.requires_exact(key)?))
        })
    }

    /// Where a field is read and the one value of it that can match, if the fields ask for one: the one that tells most.
    pub fn field(&self) -> Option<(&str, &str)> {
        let terms = self.fields.requirements().iter();
        let exact = terms
            .filter(|term| !term.negated && !matches!(term.field.as_str(), "metadata.name" | "metadata.namespace"));
        let best = exact.max_by_key(|term| {
            let last = term.field.rsplit('.').next().unwrap_or_default();
            (last == "uid", last == "name" || last.ends_with("Name"))
        })?;
        Some((self.path(&best.field), &best.value))
    }

    /// Whether an object is selected.
    pub fn matches(&self, entry: &Entry) -> bool {
        if !self.labels.matches(&entry.meta().labels) {
            return false;
        }
        if self.fields.is_everything() {
            return true;
        }
        let own = |label: &str| match label {
            "metadata.name" => Some(entry.name().to_owned()),
            "metadata.namespace" => Some(entry.namespace().to_owned()),
            _ => None,
        };
        if self.fields.only_metadata() {
            return self.fields.matches(own);
        }
        let object = entry.value();
        self.fields
            .matches(|label| own(label).or_else(|| Some(field_value(&object, self.path(label)))))
    }

    fn path<'a>(&'a self, label: &'a str) -> &'a str {
        self.paths
            .iter()
            .find(|(own, _)| own == label)
            .map_or(label, |(_, path)| path)
    }
}

/// What is said of an unknown field differs for kinds that have none of their own.
fn unknown(def: &ResourceDef, refused: Status) -> Status {
    let common = |(label, _): &(String, String)| label.starts_with("metadata.");
    match refused.message.strip_prefix("field label not supported: ") {
        Some(field) if def.custom.is_none() && def.selectable_fields.iter().all(common) => Status::bad_request(
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""),
        ),
        _ => refused,
    }
}
