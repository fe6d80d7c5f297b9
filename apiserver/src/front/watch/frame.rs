//! Events as lines of JSON, in the form that was negotiated.

use std::sync::Arc;

use schema::clock::Clock;
use schema::entry::Entry;
use schema::status::Status;
use serde_json::json;
use storage::Event;

use crate::front::negotiate::Form;
use crate::registry::ResourceDef;
use crate::verbs::Selection;
use crate::views::list::{ListMeta, present, present_json};
use crate::views::partial::partial_of_json;
use crate::views::table::{TableOptions, table_json, table_value_json};

/// Annotation of the bookmark behind the initial events.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// Writes the events of one watch.
pub(super) struct Frames {
    def: Arc<ResourceDef>,
    selection: Selection,
    everything: bool,
    form: Form,
    table: TableOptions,
    clock: Arc<dyn Clock>,
}

/// An event's object.
enum Object<'a> {
    /// As stored.
    Entry(&'a Arc<Entry>),
    /// As stored, but at another revision.
    At(&'a Entry, u64),
}

impl Frames {
    pub(super) fn new(
        def: Arc<ResourceDef>,
        selection: Selection,
        form: Form,
        table: TableOptions,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let everything = selection.is_everything();
        Self {
            def,
            selection,
            everything,
            form,
            table,
            clock,
        }
    }

    fn selects(&self, entry: &Entry) -> bool {
        self.everything || self.selection.matches(entry)
    }

    /// An object of the initial state. Says whether anything was written.
    pub(super) fn initial(&mut self, out: &mut Vec<u8>, entry: &Arc<Entry>) -> bool {
        let selected = self.selects(entry);
        if selected {
            self.write(out, "ADDED", &Object::Entry(entry));
        }
        selected
    }

    /// A change, as it looks to somebody who sees only what is selected. Says whether anything was written.
    pub(super) fn change(&mut self, out: &mut Vec<u8>, event: &Event) -> bool {
        let before = match &event.previous {
            Some(previous) => self.selects(previous),
            None => event.deleted && self.selects(&event.entry),
        };
        let after = !event.deleted && self.selects(&event.entry);
        match (before, after) {
            (false, true) => self.write(out, "ADDED", &Object::Entry(&event.entry)),
            (true, true) => self.write(out, "MODIFIED", &Object::Entry(&event.entry)),
            (true, false) if event.deleted => self.write(out, "DELETED", &Object::Entry(&event.entry)),
            (true, false) => {
                // It only left the selection: its old state, so that the client recognises it, at the new revision.
                let previous = event.previous.as_ref().unwrap_or(&event.entry);
                self.write(out, "DELETED", &Object::At(previous, event.entry.revision()));
            }
            (false, false) => return false,
        }
        true
    }

    /// Says that everything up to a revision has been sent.
    pub(super) fn bookmark(&mut self, out: &mut Vec<u8>, revision: u64, initial_end: bool) {
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if initial_end {
            metadata["annotations"] = json!({INITIAL_END: "true"});
        }
        let object = match self.form {
            Form::Object => {
                json!({"kind": self.def.kind, "apiVersion": self.def.api_version(), "metadata": metadata})
            }
            Form::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Form::Table => {
                let meta = ListMeta {
                    revision,
                    ..ListMeta::default()
                };
                let none: [&Arc<Entry>; 0] = [];
                let options = self.next_table();
                let table = table_json(&self.def, none, options, &meta, self.clock.now());
                return line(out, "BOOKMARK", &table);
            }
        };
        line(out, "BOOKMARK", object.to_string().as_bytes());
    }

    /// The last line of a watch that cannot go on.
    pub(super) fn error(out: &mut Vec<u8>, status: &Status) {
        line(out, "ERROR", &serde_json::to_vec(status).unwrap_or_default());
    }

    fn write(&mut self, out: &mut Vec<u8>, kind: &str, object: &Object<'_>) {
        if self.form == Form::Table {
            let options = self.next_table();
            let now = self.clock.now();
            let table = match object {
                Object::Entry(entry) => {
                    let meta = ListMeta {
                        revision: entry.revision(),
                        ..ListMeta::default()
                    };
                    table_json(&self.def, [*entry], options, &meta, now)
                }
                Object::At(entry, revision) => {
                    let json = entry.json_at(*revision);
                    let json = present_json(&self.def, &json);
                    let value = serde_json::from_slice(&json).unwrap_or_default();
                    table_value_json(&self.def, &value, options, now)
                }
            };
            return line(out, kind, &table);
        }
        let moved;
        let json = match object {
            Object::Entry(entry) => present(&self.def, entry),
            Object::At(entry, revision) => {
                moved = entry.json_at(*revision);
                present_json(&self.def, &moved)
            }
        };
        match self.form {
            Form::Metadata => line(out, kind, &partial_of_json(&json)),
            _ => line(out, kind, &json),
        }
    }

    /// Only the first Table of a stream describes its columns.
    fn next_table(&mut self) -> TableOptions {
        let options = self.table;
        self.table.no_headers = true;
        options
    }
}

fn line(out: &mut Vec<u8>, kind: &str, object: &[u8]) {
    out.reserve(object.len() + 40);
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(br#"","object":"#);
    out.extend_from_slice(object);
    out.extend_from_slice(b"}\n");
}
