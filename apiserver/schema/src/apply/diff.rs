//! The fields in which two states of an object differ, as far as owning them goes.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::fieldset::{FieldSet, Node, Step};
use super::walk::{List, Parts, child, parts};
use crate::model::{Field, Shape, TypeRef};

/// What a write did.
#[derive(Debug, Default)]
pub(super) struct Diff {
    /// Fields that are new or have another value.
    pub(super) changed: FieldSet,
    /// Fields that are gone.
    pub(super) removed: FieldSet,
}

impl Diff {
    /// Compares two states. An object that was not there is the empty object.
    pub(super) fn between(types: TypeRef<'_>, old: Option<&Value>, new: &Value) -> Self {
        let nothing = Value::Object(Map::new());
        let pair = Pair {
            old: Some(old.unwrap_or(&nothing)),
            new: Some(new),
            implied: false,
        };
        let (changed, removed) = pair.compare(Some(types));
        Self {
            changed: changed.children,
            removed: removed.children,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }

    /// Leaves fields, and all below them, out of consideration.
    pub(super) fn ignore_below(&mut self, paths: &FieldSet) {
        self.changed.subtract_below(paths);
        self.removed.subtract_below(paths);
    }

    /// Leaves exactly these fields out of consideration.
    pub(super) fn ignore(&mut self, paths: &FieldSet) {
        self.changed.subtract(paths);
        self.removed.subtract(paths);
    }
}

/// One place in both states.
#[derive(Clone, Copy)]
struct Pair<'v> {
    old: Option<&'v Value>,
    new: Option<&'v Value>,
    /// The key being absent means the same as an empty value, so that nobody adds or removes it: structs of built-in kinds
    /// that are always there in Kubernetes' own types.
    implied: bool,
}

impl<'v> Pair<'v> {
    /// The nodes of what changed and of what was removed.
    fn compare(self, place: Option<TypeRef<'_>>) -> (Node, Node) {
        if self.old.is_some() && self.old == self.new {
            return (Node::default(), Node::default());
        }
        let shape = |value: Option<&Value>| value.filter(|value| !value.is_null()).map(|value| parts(place, value));
        let (before, after) = (shape(self.old), shape(self.new));
        if is_blank(self.old) && is_blank(self.new) {
            return self.compare_whole();
        }
        let (mut changed, mut removed) = match (before, after) {
            (Some(Parts::Object(place)), Some(Parts::Object(_)) | None) | (None, Some(Parts::Object(place))) => {
                self.compare_objects(place)
            }
            (Some(Parts::List(list)), Some(Parts::List(_)) | None) | (None, Some(Parts::List(list))) => {
                match self.compare_lists(list) {
                    Some(nodes) => nodes,
                    None => return self.compare_whole(),
                }
            }
            (Some(Parts::Leaf) | None, Some(Parts::Leaf) | None) => return self.compare_whole(),
            // Free-form content changed its form: the place itself has changed, and with it all it held or holds.
            _ => {
                let (mut changed, _) = Pair { old: None, ..self }.compare(place);
                let (_, removed) = Pair { new: None, ..self }.compare(place);
                changed.member = true;
                (
                    changed,
                    Node {
                        member: false,
                        ..removed
                    },
                )
            }
        };
        if !self.implied {
            changed.member |= self.old.is_none();
            removed.member |= self.new.is_none();
        }
        (changed, removed)
    }

    fn compare_whole(self) -> (Node, Node) {
        match (self.old, self.new) {
            (Some(old), Some(new)) if old != new => (Node::leaf(), Node::default()),
            (None, Some(new)) if !(self.implied && is_zero(new)) => (Node::leaf(), Node::default()),
            (Some(old), None) if !(self.implied && is_zero(old)) => (Node::default(), Node::leaf()),
            _ => (Node::default(), Node::default()),
        }
    }

    fn compare_objects(self, place: Option<TypeRef<'_>>) -> (Node, Node) {
        let (mut changed, mut removed) = (Node::default(), Node::default());
        let (old, new) = (self.old.and_then(Value::as_object), self.new.and_then(Value::as_object));
        let builtin = place.and_then(TypeRef::as_struct).is_some_and(|def| !def.custom);
        let parents = self.implied || (old.is_some() && new.is_some());
        let mut compare = |key: &str, old: Option<&'v Value>, new: Option<&'v Value>| {
            let implied = builtin
                && parents
                && (old.is_none() || new.is_none())
                && place.and_then(|place| place.field(key)).is_some_and(is_implied);
            let (change, removal) = Pair { old, new, implied }.compare(child(place, key));
            changed.children.put(Step::Field(key), change);
            removed.children.put(Step::Field(key), removal);
        };
        for (key, value) in new.into_iter().flatten() {
            compare(key, old.and_then(|old| old.get(key)), Some(value));
        }
        for (key, value) in old.into_iter().flatten() {
            if new.is_none_or(|new| !new.contains_key(key)) {
                compare(key, Some(value), None);
            }
        }
        (changed, removed)
    }

    /// `None` when items cannot be told apart.
    fn compare_lists(self, list: List<'_>) -> Option<(Node, Node)> {
        let (mut changed, mut removed) = (Node::default(), Node::default());
        if self.old == self.new {
            return Some((changed, removed));
        }
        let values = |value: Option<&'v Value>| value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (old, new) = (group(list, values(self.old))?, group(list, values(self.new))?);
        for (item, after) in &new {
            let step = Step::Item(item);
            let before = old.get(item).map(Vec::as_slice).unwrap_or_default();
            if 1 < before.len() || 1 < after.len() {
                // Twins cannot be compared one by one.
                if before != after.as_slice() {
                    changed.children.put(step, Node::leaf());
                }
                continue;
            }
            let pair = Pair {
                old: before.first().copied(),
                new: after.first().copied(),
                implied: false,
            };
            let (change, removal) = pair.compare(Some(list.element));
            changed.children.put(step, change);
            removed.children.put(step, removal);
        }
        for (item, before) in &old {
            if !new.contains_key(item) {
                let pair = Pair {
                    old: before.first().copied(),
                    new: None,
                    implied: false,
                };
                removed
                    .children
                    .put(Step::Item(item), pair.compare(Some(list.element)).1);
            }
        }
        Some((changed, removed))
    }
}

fn group<'v>(list: List<'_>, values: &'v [Value]) -> Option<HashMap<String, Vec<&'v Value>>> {
    let mut groups: HashMap<String, Vec<&Value>> = HashMap::with_capacity(values.len());
    for (item, value) in list.items(values)?.into_iter().zip(values) {
        groups.entry(item).or_default().push(value);
    }
    Some(groups)
}

fn is_implied(field: &Field) -> bool {
    field.emit || (!field.ptr && matches!(field.shape.bare(), Shape::Struct(_)))
}

/// Nothing that could be owned part by part.
fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}
