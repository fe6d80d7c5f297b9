//! How a value falls apart into fields: what server-side apply may own on its own, and what only as a whole.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::fieldset::{FieldSet, Node, Step, item_by_keys, item_by_value, printed};
use crate::model::{ListKind, Scalar, Shape, TypeRef};

/// How a value merges.
#[derive(Clone, Copy)]
pub(super) enum Parts<'a> {
    /// As a whole.
    Leaf,
    /// By key. The place of each child is [`child`]'s answer.
    Object(Option<TypeRef<'a>>),
    /// By item.
    List(List<'a>),
}

/// A list that merges by item.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) element: TypeRef<'a>,
    /// Items are objects with these keys; without keys items are scalars.
    keys: Option<&'a [String]>,
}

/// Decides by type, and where there is none by value: objects merge by key, everything else as a whole.
pub(super) fn parts<'a>(place: Option<TypeRef<'a>>, value: &Value) -> Parts<'a> {
    let Some(place) = place.and_then(|place| place.formed(value)) else {
        return if value.is_object() {
            Parts::Object(None)
        } else {
            Parts::Leaf
        };
    };
    match (place.shape.bare(), value) {
        (Shape::Scalar(Scalar::Any), Value::Object(_)) => Parts::Object(None),
        (Shape::Struct(id), Value::Object(_)) if !place.types.get(*id).atomic => Parts::Object(Some(place)),
        (Shape::Map { atomic: false, .. }, Value::Object(_)) => Parts::Object(Some(place)),
        (Shape::List { element, kind }, Value::Array(_)) => {
            let element = TypeRef {
                types: place.types,
                shape: element,
            };
            match kind {
                ListKind::Atomic => Parts::Leaf,
                ListKind::Set => Parts::List(List { element, keys: None }),
                ListKind::Map(keys) => Parts::List(List {
                    element,
                    keys: Some(keys),
                }),
            }
        }
        _ => Parts::Leaf,
    }
}

/// The place behind a key; `None` when the types do not say.
pub(super) fn child<'a>(place: Option<TypeRef<'a>>, key: &str) -> Option<TypeRef<'a>> {
    place.and_then(|place| place.child(key))
}

/// Whether the key is a field of a struct. Owning something below such a field means owning the field; of a map's keys and
/// a list's items that has to be said.
pub(super) fn is_named(place: Option<TypeRef<'_>>, key: &str) -> bool {
    place.is_some_and(|place| place.field(key).is_some())
}

impl List<'_> {
    /// What identifies an item.
    pub(super) fn item(&self, item: &Value) -> Result<String, String> {
        let Some(keys) = self.keys else {
            return match item {
                Value::Object(_) | Value::Array(_) | Value::Null => {
                    Err("associative list without keys has an element that's not a scalar".to_owned())
                }
                scalar => Ok(item_by_value(scalar)),
            };
        };
        let fields = item
            .as_object()
            .ok_or("associative list with keys may not have non-map elements")?;
        let mut pairs = Vec::with_capacity(keys.len());
        for key in keys {
            let value = match fields.get(key) {
                Some(value) if !value.is_null() => Some(value),
                _ => self.element.field(key).and_then(|field| field.default.as_ref()),
            };
            let Some(value) = value else {
                return Err(format!(
                    "associative list with keys has an element that omits key field {key:?} (and doesn't have default value)"
                ));
            };
            pairs.push((key.as_str(), value));
        }
        pairs.sort_by_key(|(key, _)| *key);
        Ok(item_by_keys(pairs.into_iter()))
    }

    /// The identities of all items, or `None` when one has none: then the list can only be treated as a whole.
    pub(super) fn items(&self, list: &[Value]) -> Option<Vec<String>> {
        list.iter().map(|item| self.item(item).ok()).collect()
    }
}

impl FieldSet {
    /// The fields that a value sets. Lists with items that cannot be told apart count as one field.
    pub fn of(types: TypeRef<'_>, value: &Value) -> FieldSet {
        fields_below(Some(types), value)
    }
}

fn fields_below(place: Option<TypeRef<'_>>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match (parts(place, value), value) {
        (Parts::Object(place), Value::Object(fields)) => {
            for (key, value) in fields {
                set.put(Step::Field(key), field_node(place, key, value));
            }
        }
        (Parts::List(list), Value::Array(values)) => {
            for (item, value) in list.items(values).unwrap_or_default().iter().zip(values) {
                let children = fields_below(Some(list.element), value);
                set.put(Step::Item(item), Node { member: true, children });
            }
        }
        _ => {}
    }
    set
}

fn field_node(parent: Option<TypeRef<'_>>, key: &str, value: &Value) -> Node {
    let place = child(parent, key);
    let whole = match (parts(place, value), value) {
        (Parts::Object(_), Value::Object(fields)) => fields.is_empty(),
        (Parts::List(list), Value::Array(values)) => list.items(values).is_none(),
        _ => true,
    };
    if whole {
        return Node::leaf();
    }
    // A map's key is owned for itself, a struct's field by what is below it.
    Node {
        member: !is_named(parent, key),
        children: fields_below(place, value),
    }
}

/// Finds what keeps a configuration from being applied: items of a list that have no identity or the same one.
pub(super) fn check_items(place: Option<TypeRef<'_>>, value: &Value, path: &str) -> Result<(), String> {
    match (parts(place, value), value) {
        (Parts::Object(place), Value::Object(fields)) => fields
            .iter()
            .try_for_each(|(key, value)| check_items(child(place, key), value, &format!("{path}.{key}"))),
        (Parts::List(list), Value::Array(values)) => {
            let mut seen = BTreeSet::new();
            for (index, value) in values.iter().enumerate() {
                let item = list
                    .item(value)
                    .map_err(|error| format!("{path}: element {index}: {error}"))?;
                let shown = printed(Step::Item(&item));
                check_items(Some(list.element), value, &format!("{path}{shown}"))?;
                if !seen.insert(item) {
                    return Err(format!("{path}: duplicate entries for key {shown}"));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Paths of the fields of a configuration that its type does not have; items of lists are named by what identifies them.
pub fn undeclared_fields(types: TypeRef<'_>, config: &Value) -> Vec<String> {
    crate::decode::unknown_fields_with(types, config, |place, value, index| {
        let item = match parts(Some(place), value) {
            Parts::List(list) => value.get(index).and_then(|item| list.item(item).ok()),
            _ => None,
        };
        item.map_or_else(|| format!("[{index}]"), |item| printed(Step::Item(&item)))
    })
}

/// The live value with a configuration laid over it. Live items keep their order among themselves, and so do the
/// configuration's; new ones go where the configuration has them.
pub(super) fn merge(place: Option<TypeRef<'_>>, live: Value, config: &Value) -> Value {
    match (parts(place, config), live, config) {
        (Parts::Object(place), Value::Object(mut live), Value::Object(config)) => {
            for (key, value) in config {
                merge_key(place, &mut live, key, value);
            }
            Value::Object(live)
        }
        (Parts::List(list), Value::Array(live), Value::Array(config)) => merge_list(list, live, config),
        (_, _, config) => without_nulls(place, config),
    }
}

fn merge_key(parent: Option<TypeRef<'_>>, live: &mut Map<String, Value>, key: &str, value: &Value) {
    let place = child(parent, key);
    if value.is_null() {
        // Null has nothing to add to what merges by parts, and unsets everything else.
        let keeps = live
            .get(key)
            .is_some_and(|live| !matches!(parts(place, live), Parts::Leaf));
        if !keeps {
            live.remove(key);
            let custom = parent.and_then(TypeRef::as_struct).is_none_or(|def| def.custom);
            if custom {
                live.insert(key.to_owned(), Value::Null);
            }
        }
        return;
    }
    let merged = match live.remove(key) {
        Some(old) => merge(place, old, value),
        None => without_nulls(place, value),
    };
    live.insert(key.to_owned(), merged);
}

/// The value as it stands for itself. In built-in types null means absent.
fn without_nulls(place: Option<TypeRef<'_>>, value: &Value) -> Value {
    let Some(place) = place.and_then(|place| place.formed(value)) else {
        return value.clone();
    };
    match value {
        Value::Object(fields) => {
            let builtin = place.as_struct().is_some_and(|def| !def.custom);
            let kept = fields.iter().filter(|(_, value)| !(builtin && value.is_null()));
            kept.map(|(key, value)| (key.clone(), without_nulls(place.child(key), value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(|item| without_nulls(place.element(), item)).collect(),
        scalar => scalar.clone(),
    }
}

fn merge_list(list: List<'_>, live: Vec<Value>, config: &[Value]) -> Value {
    let (Some(live_items), Some(config_items)) = (list.items(&live), list.items(config)) else {
        return Value::Array(config.to_vec());
    };
    let wanted: HashMap<&str, usize> = config_items.iter().map(String::as_str).zip(0..).collect();
    let mut shared: HashMap<usize, Value> = HashMap::new();
    // What is left of the live list: items of its own, or the place where a shared item stood.
    let mut rest: Vec<Result<Value, usize>> = Vec::with_capacity(live.len());
    for (item, value) in live_items.iter().zip(live) {
        match wanted.get(item.as_str()) {
            None => rest.push(Ok(value)),
            Some(index) if shared.contains_key(index) => {}
            Some(index) => {
                rest.push(Err(*index));
                shared.insert(*index, value);
            }
        }
    }
    let mut order: Vec<usize> = shared.keys().copied().collect();
    order.sort_unstable();
    let mut order = order.into_iter().peekable();
    let mut merged = Vec::with_capacity(rest.len() + config.len());
    let mut taken = 0;
    let mut take_until = |end: usize, merged: &mut Vec<Value>| {
        while taken < end {
            let value = &config[taken];
            merged.push(match shared.remove(&taken) {
                Some(old) => merge(Some(list.element), old, value),
                None => without_nulls(Some(list.element), value),
            });
            taken += 1;
        }
    };
    for place in rest {
        match place {
            Ok(own) => merged.push(own),
            // The next shared item in the configuration's order stands here; others have to wait for theirs.
            Err(index) if order.next_if_eq(&index).is_some() => take_until(index + 1, &mut merged),
            Err(_) => {}
        }
    }
    take_until(config.len(), &mut merged);
    Value::Array(merged)
}

/// Takes out of a merged value what the applier owned before (`last`) and nobody owns any more (`owned`: everybody's fields,
/// the applier's new ones among them). A field goes with everything below it.
pub(super) fn prune(types: TypeRef<'_>, merged: &mut Value, last: &FieldSet, owned: &FieldSet) {
    let above = Above {
        covered: false,
        loose: false,
    };
    prune_below(Some(types), merged, Some(last), Some(owned), above);
}

/// What is known from the path so far.
#[derive(Clone, Copy)]
struct Above {
    /// The applier owned something on the path.
    covered: bool,
    /// Something on the path was the applier's and is nobody's now.
    loose: bool,
}

/// Returns whether nothing is left of something.
fn prune_below(
    place: Option<TypeRef<'_>>,
    value: &mut Value,
    last: Option<&FieldSet>,
    owned: Option<&FieldSet>,
    above: Above,
) -> bool {
    if last.is_none_or(FieldSet::is_empty) {
        return false;
    }
    match (parts(place, value), value) {
        (Parts::Object(place), Value::Object(fields)) => {
            let before = fields.len();
            fields.retain(|key, value| {
                let step = Step::Field(key);
                !prunes(
                    child(place, key),
                    value,
                    step,
                    is_named(place, key),
                    (last, owned),
                    above,
                )
            });
            0 < before && fields.is_empty()
        }
        (Parts::List(items), Value::Array(values)) => {
            let before = values.len();
            values.retain_mut(|value| {
                let Ok(item) = items.item(value) else { return true };
                !prunes(
                    Some(items.element),
                    value,
                    Step::Item(&item),
                    false,
                    (last, owned),
                    above,
                )
            });
            0 < before && values.is_empty()
        }
        _ => false,
    }
}

/// Whether the value has to go; if not, what is below it has been pruned.
fn prunes(
    place: Option<TypeRef<'_>>,
    value: &mut Value,
    step: Step<'_>,
    named: bool,
    (last, owned): (Option<&FieldSet>, Option<&FieldSet>),
    above: Above,
) -> bool {
    let last = last.and_then(|set| set.node(step));
    let owned = owned.and_then(|set| set.node(step));
    let has = |node: Option<&Node>| node.is_some_and(|node| node.member || (named && !node.children.is_empty()));
    let covered = above.covered || has(last);
    let loose = above.loose || (covered && !has(owned));
    if loose && has(last) {
        return true;
    }
    // A container that is empty now, and was not, says no more than one that is absent, unless somebody wants it as such.
    let wanted = owned.is_some_and(|node| node.member);
    let (last, owned) = (last.map(|node| &node.children), owned.map(|node| &node.children));
    prune_below(place, value, last, owned, Above { covered, loose }) && !wanted
}

/// Removes these paths and everything below them.
pub(super) fn remove(value: &mut Value, paths: &FieldSet) {
    let Value::Object(fields) = value else { return };
    for (step, node) in paths.nodes() {
        let Step::Field(name) = step else { continue };
        if node.member {
            fields.remove(name);
        } else if let Some(below) = fields.get_mut(name) {
            remove(below, &node.children);
        }
    }
}
