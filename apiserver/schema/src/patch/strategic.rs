//! Strategic merge patch: what kubectl sends for built-in kinds.
//!
//! Objects merge as in a merge patch. Lists are replaced, unless the field's type says that they merge: lists of objects by a
//! merge key, lists of scalars as a set. Directives in the patch steer the rest:
//!
//! - `$patch: replace | delete` in an object or in a list element; Kubernetes names a third, `merge`, and refuses it,
//! - `$retainKeys: [...]` in an object: all other keys of the current object go,
//! - `$setElementOrder/f: [...]` beside a list `f`: the order of the elements that the sender knows,
//! - `$deleteFromPrimitiveList/f: [...]`: scalars to take out of `f`.
//!
//! Places that the types do not describe fall back to a plain merge patch, where directives mean nothing.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::model::{Scalar, Shape, TypeRef};
use crate::status::{Status, in_go};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// The object after the patch. Every error is a 400.
pub fn apply(types: TypeRef<'_>, current: Value, patch: Value) -> Result<Value, Status> {
    let Value::Object(patch) = patch else {
        return Err(Status::bad_request("invalid patch: the body is not a JSON object"));
    };
    let current = match current {
        Value::Object(current) => current,
        _ => Object::new(),
    };
    merge_object(types, current, patch)
        .map(Value::Object)
        .map_err(Status::bad_request)
}

/// How the value behind a key merges.
#[derive(Clone, Copy)]
struct Strategy<'a> {
    /// The value's place; `None` when the types do not know it.
    place: Option<TypeRef<'a>>,
    merges: bool,
    replaces: bool,
    merge_key: Option<&'a str>,
}

impl<'a> Strategy<'a> {
    fn of(types: TypeRef<'a>, key: &str) -> Self {
        match types.field(key) {
            Some(field) => Self {
                place: Some(TypeRef {
                    types: types.types,
                    shape: &field.shape,
                }),
                merges: field.patch_merge,
                replaces: field.patch_replace,
                merge_key: field.merge_key.as_deref(),
            },
            None => Self {
                place: types.child(key),
                merges: false,
                replaces: false,
                merge_key: None,
            },
        }
    }
}

/// Whether directives mean something at this place. Free-form JSON may hold keys that only look like directives: a
/// `ControllerRevision` stores whole patches.
fn is_typed(types: TypeRef<'_>) -> bool {
    match types.shape.bare() {
        Shape::Struct(id) => types.types.get(*id).form.is_none(),
        Shape::Map { .. } | Shape::List { .. } => true,
        Shape::Scalar(scalar) => !matches!(scalar, Scalar::Any | Scalar::RawExtension | Scalar::FieldsV1),
        Shape::Checked { .. } => false,
    }
}

fn merge_object(types: TypeRef<'_>, mut current: Object, mut patch: Object) -> Result<Object, String> {
    match patch.remove(DIRECTIVE) {
        None => {}
        Some(Value::String(directive)) if directive == "replace" => {
            return Ok(plain_object(types, patch).unwrap_or_default());
        }
        Some(Value::String(directive)) if directive == "delete" => return Ok(Object::new()),
        Some(other) => return Err(unknown_directive(other, patch)),
    }
    retain_keys(&mut current, &mut patch)?;
    order_lists(types, &mut current, &mut patch)?;
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_FROM_LIST) {
            delete_from_list(&mut current, list, &value)?;
            continue;
        }
        if value.is_null() {
            current.remove(&key);
            continue;
        }
        let strategy = Strategy::of(types, &key);
        let merged = match (current.remove(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) if !strategy.replaces => {
                Some(match strategy.place.filter(|place| is_typed(*place)) {
                    Some(place) => Value::Object(merge_object(place, old, new)?),
                    None => merge_untyped(Value::Object(old), &Value::Object(new)),
                })
            }
            (Some(Value::Array(old)), Value::Array(new)) if strategy.merges => {
                Some(Value::Array(merge_list(strategy, old, new)?))
            }
            (_, new) => plain(strategy.place, new),
        };
        if let Some(merged) = merged {
            current.insert(key, merged);
        }
    }
    Ok(current)
}

fn merge_untyped(mut current: Value, patch: &Value) -> Value {
    json_patch::merge(&mut current, patch);
    current
}

/// `$retainKeys`: drops everything else from the current object. The patch may not set what the list does not name.
fn retain_keys(current: &mut Object, patch: &mut Object) -> Result<(), String> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else {
        return Ok(());
    };
    let keys: Option<Vec<&str>> = keys
        .as_array()
        .and_then(|keys| keys.iter().map(Value::as_str).collect());
    let Some(keys) = keys else {
        return Err("invalid patch format of retainKeys".to_owned());
    };
    let stray = |(key, value): (&String, &Value)| {
        !value.is_null()
            && !key.starts_with(DELETE_FROM_LIST)
            && !key.starts_with(ELEMENT_ORDER)
            && !keys.contains(&key.as_str())
    };
    if patch.iter().any(stray) {
        return Err("invalid patch format of retainKeys".to_owned());
    }
    current.retain(|key, _| keys.contains(&key.as_str()));
    Ok(())
}

/// Handles every `$setElementOrder/f` together with its list, and takes both out of the patch.
fn order_lists(types: TypeRef<'_>, current: &mut Object, patch: &mut Object) -> Result<(), String> {
    let directives: Vec<String> = patch
        .keys()
        .filter(|key| key.starts_with(ELEMENT_ORDER))
        .cloned()
        .collect();
    for directive in directives {
        let key = &directive[ELEMENT_ORDER.len()..];
        let Some(Value::Array(order)) = patch.remove(&directive) else {
            return Err(format!(
                "invalid patch format of setElementOrder list: {directive} is not a list"
            ));
        };
        let strategy = Strategy::of(types, key);
        let new = match patch.remove(key) {
            None => None,
            Some(Value::Array(new)) => Some(new),
            // Null or another type: the list goes, so there is nothing to order.
            Some(other) => {
                patch.insert(key.to_owned(), other);
                continue;
            }
        };
        let old = match current.remove(key) {
            None | Some(Value::Null) => None,
            Some(Value::Array(old)) => Some(old),
            Some(_) => return Err(format!("{key} is not a list in the current object")),
        };
        check_order(new.as_deref().unwrap_or_default(), &order, strategy.merge_key)?;
        let server_order = positions(old.as_deref().unwrap_or_default(), strategy.merge_key);
        let merged = match (old, new) {
            (None, None) => continue,
            (Some(old), None) => old,
            (Some(old), Some(new)) if strategy.merges => merge_list(strategy, old, new)?,
            (_, Some(new)) => plain_list(strategy.place.and_then(TypeRef::element), new),
        };
        let ordered = enforce_order(
            merged,
            &positions(&order, strategy.merge_key),
            &server_order,
            strategy.merge_key,
        );
        current.insert(key.to_owned(), Value::Array(ordered));
    }
    Ok(())
}

/// The elements of the patch must stand in the same order as in the directive, and all be in it.
fn check_order(patch: &[Value], order: &[Value], merge_key: Option<&str>) -> Result<(), String> {
    let mut rest = order.iter();
    for element in patch.iter().filter(|element| element.get(DIRECTIVE).is_none()) {
        let key = identity(element, merge_key)?;
        if !rest
            .by_ref()
            .any(|other| identity(other, merge_key).is_ok_and(|other| other == key))
        {
            let (patch, order) = (in_go(&Value::from(patch.to_vec())), in_go(&Value::from(order.to_vec())));
            return Err(format!(
                "The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n"
            ));
        }
    }
    Ok(())
}

fn delete_from_list(current: &mut Object, key: &str, values: &Value) -> Result<(), String> {
    let Some(values) = values.as_array() else {
        return Err("invalid patch format of primitive list".to_owned());
    };
    if let Some(Value::Array(list)) = current.get_mut(key) {
        let gone = positions(values, None);
        list.retain(|item| !gone.contains_key(&item.to_string()));
    }
    Ok(())
}

fn merge_list(strategy: Strategy<'_>, mut old: Vec<Value>, new: Vec<Value>) -> Result<Vec<Value>, String> {
    let both = || old.iter().chain(&new);
    if both().any(Value::is_array) {
        return Err("lists of lists are not supported".to_owned());
    }
    if !both().any(Value::is_object) {
        return Ok(merge_scalars(old, new));
    }
    if !both().all(Value::is_object) {
        return Err("list element types are not identical".to_owned());
    }
    let Some(merge_key) = strategy.merge_key else {
        return Err("cannot merge lists without merge key".to_owned());
    };
    let element_type = strategy.place.and_then(TypeRef::element);
    let mut changes = Vec::with_capacity(new.len());
    let mut replaces = false;
    for mut element in new {
        match take_directive(&mut element)?.as_deref() {
            None => changes.push(element),
            Some("merge") => return Err("merging lists cannot yet be specified in the patch".to_owned()),
            Some("replace") => replaces = true,
            Some("delete") => {
                let key = identity(&element, Some(merge_key))?;
                old.retain(|item| identity(item, Some(merge_key)).ok().as_ref() != Some(&key));
            }
            Some(other) => return Err(unknown_directive(other.into(), element)),
        }
    }
    if replaces {
        return Ok(plain_list(element_type, changes));
    }
    let server_order = positions(&old, Some(merge_key));
    let patch_order = positions(&changes, Some(merge_key));
    let mut merged = old;
    let mut places = server_order.clone();
    for change in changes {
        let key = identity(&change, Some(merge_key))?;
        match (places.get(&key), change) {
            (Some(index), Value::Object(change)) => {
                let current = match merged[*index].take() {
                    Value::Object(current) => current,
                    _ => Object::new(),
                };
                merged[*index] = Value::Object(match element_type.filter(|place| is_typed(*place)) {
                    Some(place) => merge_object(place, current, change)?,
                    None => match merge_untyped(Value::Object(current), &Value::Object(change)) {
                        Value::Object(merged) => merged,
                        _ => Object::new(),
                    },
                });
            }
            (_, change) => {
                if let Some(change) = plain(element_type, change) {
                    places.insert(key, merged.len());
                    merged.push(change);
                }
            }
        }
    }
    Ok(enforce_order(merged, &patch_order, &server_order, Some(merge_key)))
}

fn merge_scalars(mut old: Vec<Value>, new: Vec<Value>) -> Vec<Value> {
    let server_order = positions(&old, None);
    let patch_order = positions(&new, None);
    let mut seen = HashSet::new();
    old.extend(new);
    old.retain(|item| seen.insert(item.to_string()));
    enforce_order(old, &patch_order, &server_order, None)
}

fn take_directive(element: &mut Value) -> Result<Option<String>, String> {
    match element.as_object_mut().and_then(|fields| fields.remove(DIRECTIVE)) {
        None => Ok(None),
        Some(Value::String(directive)) => Ok(Some(directive)),
        Some(other) => Err(unknown_directive(other, element.take())),
    }
}

fn unknown_directive(directive: Value, place: impl Into<Value>) -> String {
    let mut place = place.into();
    let shown = in_go(&directive);
    if let Some(fields) = place.as_object_mut() {
        fields.insert(DIRECTIVE.to_owned(), directive);
    }
    format!("unknown patch type: {shown} in map: {}", in_go(&place))
}

/// What identifies an element of a merging list, as text.
fn identity(element: &Value, merge_key: Option<&str>) -> Result<String, String> {
    match (element, merge_key) {
        (Value::Object(fields), Some(merge_key)) => fields.get(merge_key).map(ToString::to_string).ok_or_else(|| {
            format!(
                "map: {} does not contain declared merge key: {merge_key}",
                in_go(element)
            )
        }),
        _ => Ok(element.to_string()),
    }
}

/// First place of every identity; elements without one have no place.
fn positions(list: &[Value], merge_key: Option<&str>) -> HashMap<String, usize> {
    let mut positions = HashMap::with_capacity(list.len());
    for (index, element) in list.iter().enumerate() {
        if let Ok(key) = identity(element, merge_key) {
            positions.entry(key).or_insert(index);
        }
    }
    positions
}

/// Orders a merged list: elements that the sender named stand in its order, all others in the current order. Where the two
/// meet, the current order decides if both were there before; otherwise the sender's element goes first.
fn enforce_order(
    merged: Vec<Value>,
    named_order: &HashMap<String, usize>,
    server_order: &HashMap<String, usize>,
    merge_key: Option<&str>,
) -> Vec<Value> {
    struct Placed {
        value: Value,
        named: Option<usize>,
        server: Option<usize>,
    }
    let (mut named, mut others): (Vec<Placed>, Vec<Placed>) = merged
        .into_iter()
        .map(|value| {
            let key = identity(&value, merge_key).unwrap_or_default();
            let (named, server) = (named_order.get(&key).copied(), server_order.get(&key).copied());
            Placed { value, named, server }
        })
        .partition(|placed| placed.named.is_some());
    named.sort_by_key(|placed| placed.named);
    others.sort_by_key(|placed| placed.server);

    let mut ordered = Vec::with_capacity(named.len() + others.len());
    let mut named = named.into_iter().peekable();
    for other in others {
        while let Some(next) = named.next_if(|next| !matches!((other.server, next.server), (Some(l), Some(r)) if l < r))
        {
            ordered.push(next.value);
        }
        ordered.push(other.value);
    }
    ordered.extend(named.map(|placed| placed.value));
    ordered
}

/// A value of the patch that meets nothing to merge with: nulls and directives go. `None` when the value deletes itself.
fn plain(types: Option<TypeRef<'_>>, value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) => match types.filter(|place| is_typed(*place)) {
            Some(place) => plain_object(place, fields).map(Value::Object),
            None => Some(merge_untyped(Value::Object(Object::new()), &Value::Object(fields))),
        },
        Value::Array(items) => Some(Value::Array(plain_list(types.and_then(TypeRef::element), items))),
        scalar => Some(scalar),
    }
}

fn plain_object(types: TypeRef<'_>, mut fields: Object) -> Option<Object> {
    if fields.remove(DIRECTIVE).is_some_and(|directive| directive == "delete") {
        return None;
    }
    let is_directive =
        |key: &str| key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) || key.starts_with(DELETE_FROM_LIST);
    Some(
        fields
            .into_iter()
            .filter(|(key, value)| !value.is_null() && !is_directive(key))
            .filter_map(|(key, value)| {
                let value = plain(types.child(&key), value)?;
                Some((key, value))
            })
            .collect(),
    )
}

fn plain_list(element: Option<TypeRef<'_>>, items: Vec<Value>) -> Vec<Value> {
    // `[{"$patch": "replace"}, …]`: the first element is only a directive.
    let only_directive = |item: &Value| {
        item.as_object()
            .is_some_and(|fields| fields.len() == 1 && fields.contains_key(DIRECTIVE))
    };
    let typed = element.is_some_and(is_typed);
    items
        .into_iter()
        .filter(|item| !(typed && only_directive(item)))
        .filter_map(|item| match item {
            Value::Object(_) => plain(element, item),
            other => Some(other),
        })
        .collect()
}
