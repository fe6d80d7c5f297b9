//! Tables: what `kubectl get` shows.
//!
//! A kind has a [`Printer`] (columns and a function from an object to cells) in one of the submodules; a custom resource
//! has `additionalPrinterColumns` ([`custom`]); every other kind shows its name and when it was made. Start with
//! [`table_json`].
//!
//! Never here: column widths or anything else that the client decides.

mod custom;
mod machinery;
mod network;
mod pod;
mod policy;
mod storage;
mod text;
mod workloads;

use std::sync::Arc;

use jiff::Timestamp;
use schema::entry::Entry;
use serde_json::{Value, json};

use super::list::{ListMeta, present, write_meta};
use super::partial::write_partial;
use crate::registry::ResourceDef;
use crate::verbs::object::set_type;
use custom::CustomPrinter;

/// What each row carries besides its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// The metadata.
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl IncludeObject {
    /// Reads the `includeObject` query parameter.
    pub fn parse(parameter: Option<&str>) -> Option<Self> {
        match parameter {
            None | Some("" | "Metadata") => Some(Self::Metadata),
            Some("Object") => Some(Self::Object),
            Some("None") => Some(Self::None),
            Some(_) => None,
        }
    }
}

/// How a Table is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableOptions {
    /// Leave the column definitions out: every event of a watch but the first.
    pub no_headers: bool,
    /// What each row carries.
    pub include_object: IncludeObject,
}

/// A column of a built-in kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    name: &'static str,
    kind: &'static str,
    priority: u8,
}

/// A column that always shows.
const fn column(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        priority: 0,
    }
}

/// A column that `-o wide` adds.
const fn wide(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        priority: 1,
    }
}

/// A column of integers.
const fn integer(name: &'static str) -> Column {
    Column {
        name,
        kind: "integer",
        priority: 0,
    }
}

const NAME: Column = column("Name");
const AGE: Column = column("Age");

/// How a kind is shown.
struct Printer {
    columns: &'static [Column],
    cells: fn(&Value, Timestamp) -> Vec<Value>,
}

const PLAIN: Printer = Printer {
    columns: const {
        &[
            NAME,
            Column {
                name: "Created At",
                kind: "date",
                priority: 0,
            },
        ]
    },
    cells: plain_cells,
};

fn plain_cells(object: &Value, _now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(text::string(object, "/metadata/creationTimestamp")),
    ]
}

fn builtin(group: &str, kind: &str) -> Option<Printer> {
    workloads::printer(group, kind)
        .or_else(|| network::printer(group, kind))
        .or_else(|| storage::printer(group, kind))
        .or_else(|| machinery::printer(group, kind))
        .or_else(|| policy::printer(group, kind))
}

/// The printer of a resource, ready to be used on many objects.
enum Rows {
    Builtin(Printer),
    Custom(CustomPrinter),
}

impl Rows {
    fn of(def: &ResourceDef) -> Self {
        match (builtin(&def.storage.group, &def.kind), &def.custom) {
            (Some(printer), _) => Self::Builtin(printer),
            (None, Some(custom)) => Self::Custom(CustomPrinter::new(&custom.printer_columns)),
            (None, None) => Self::Builtin(PLAIN),
        }
    }

    fn definitions(&self) -> Vec<Value> {
        match self {
            Self::Builtin(printer) => printer.columns.iter().map(definition).collect(),
            Self::Custom(printer) => printer.definitions(),
        }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match self {
            Self::Builtin(printer) => (printer.cells)(object, now),
            Self::Custom(printer) => printer.cells(object, now),
        }
    }
}

fn definition(column: &Column) -> Value {
    let format = if column.name == "Name" && column.priority == 0 {
        "name"
    } else {
        ""
    };
    column_definition(column.name, column.kind, format, "", i64::from(column.priority))
}

fn column_definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// Stored objects as a Table.
pub fn table_json<'a>(
    def: &ResourceDef,
    entries: impl IntoIterator<Item = &'a Arc<Entry>>,
    options: TableOptions,
    meta: &ListMeta,
    now: Timestamp,
) -> Vec<u8> {
    let rows = Rows::of(def);
    let mut out = head(&rows, options, meta);
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let json = present(def, entry);
        // Versions of one object look alike: cells come from the stored form.
        let object: Value = if def.converts() {
            entry.value()
        } else {
            serde_json::from_slice(&json).unwrap_or_default()
        };
        write_row(&mut out, &rows.cells(&object, now), &json, options);
    }
    out.extend_from_slice(b"]}");
    out
}

/// One object that is not stored in this form as a Table of one row.
pub fn table_value_json(def: &ResourceDef, object: &Value, options: TableOptions, now: Timestamp) -> Vec<u8> {
    let rows = Rows::of(def);
    let revision = text::string(object, "/metadata/resourceVersion")
        .parse()
        .unwrap_or_default();
    let mut out = head(
        &rows,
        options,
        &ListMeta {
            revision,
            ..ListMeta::default()
        },
    );
    let json = serde_json::to_vec(object).unwrap_or_default();
    let cells = if def.converts() {
        let mut stored = object.clone();
        set_type(&mut stored, &def.stored_kind());
        rows.cells(&stored, now)
    } else {
        rows.cells(object, now)
    };
    write_row(&mut out, &cells, &json, options);
    out.extend_from_slice(b"]}");
    out
}

fn head(rows: &Rows, options: TableOptions, meta: &ListMeta) -> Vec<u8> {
    let mut out = br#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":"#.to_vec();
    write_meta(&mut out, meta);
    out.extend_from_slice(br#","columnDefinitions":"#);
    let definitions = if options.no_headers {
        Vec::new()
    } else {
        rows.definitions()
    };
    out.extend(Value::from(definitions).to_string().into_bytes());
    out.extend_from_slice(br#","rows":["#);
    out
}

fn write_row(out: &mut Vec<u8>, cells: &[Value], json: &[u8], options: TableOptions) {
    out.extend_from_slice(br#"{"cells":["#);
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend(cell.to_string().into_bytes());
    }
    out.extend_from_slice(br#"],"object":"#);
    match options.include_object {
        IncludeObject::None => out.extend_from_slice(b"null"),
        IncludeObject::Metadata => write_partial(out, json),
        IncludeObject::Object => out.extend_from_slice(json),
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests;
