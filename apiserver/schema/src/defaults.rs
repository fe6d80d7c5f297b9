//! Gives values to what was left unset: the rules of built-in kinds and the defaults of schemas.
//!
//! Run it after [`crate::decode::normalize`], on every request and on what is read from storage. [`apply_defaults`] is
//! idempotent. [`apply_create_rules`] runs once, when an object is made.
//!
//! Never here: what needs other objects (allocated addresses, default classes).

mod calls;
mod interpret;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::facts::{self, TypeRules, default_rules};
use crate::model::{Field, Shape, StructDef, StructId, TypeRef, Types, find_field};
use crate::quantity::Quantity;

/// What rules may ask for besides the object.
#[derive(Debug, Clone)]
pub struct Context {
    /// The time of the request.
    pub now: Timestamp,
    /// The requesting user, as the fields of `UserInfo` (`name` under `username`): `name`, `uid`, `groups`, `extra`.
    pub user: Value,
}

impl Context {
    /// A context without a user.
    pub fn at(now: Timestamp) -> Self {
        Self { now, user: Value::Null }
    }
}

/// Sets what is unset, outer values first.
pub fn apply_defaults(place: TypeRef<'_>, value: &mut Value, now: Timestamp) {
    let walk = Walk {
        types: place.types,
        builtin: Builtin::of(place.types),
        context: &Context::at(now),
    };
    walk.value(place.shape, value, true);
}

/// Runs the rules that hold once, when an object of a built-in kind is made. After [`apply_defaults`].
pub fn apply_create_rules(place: TypeRef<'_>, value: &mut Value, context: &Context) {
    let (Some(builtin), Some(def)) = (Builtin::of(place.types), place.as_struct()) else {
        return;
    };
    let Shape::Struct(id) = place.shape.bare() else { return };
    if let Some(rules) = builtin.rules.get(id) {
        interpret::run(place.types, def, &rules.create, value, context);
    }
}

/// What the walk knows about the built-in arena in advance.
struct Builtin {
    rules: HashMap<StructId, &'static TypeRules>,
    /// Structs that have rules, defaults or rounded quantities, or lead to some.
    relevant: HashSet<StructId>,
}

impl Builtin {
    fn of(types: &Types) -> Option<&'static Self> {
        static BUILTIN: OnceLock<Builtin> = OnceLock::new();
        let builtin = facts::builtin_types();
        std::ptr::eq(types, builtin).then(|| BUILTIN.get_or_init(|| Self::new(builtin)))
    }

    fn new(types: &'static Types) -> Self {
        let rules: HashMap<_, _> = default_rules()
            .iter()
            .filter_map(|(name, rules)| types.find(name).map(|id| (id, rules)))
            .collect();
        let acts = |id: StructId, def: &StructDef| {
            rules.contains_key(&id)
                || def
                    .fields
                    .iter()
                    .any(|field| field.default.is_some() || is_rounded(def, field))
        };
        let mut relevant: HashSet<_> = types
            .iter()
            .filter(|(id, def)| acts(*id, def))
            .map(|(id, _)| id)
            .collect();
        loop {
            let more: Vec<_> = types
                .iter()
                .filter(|(id, def)| {
                    !relevant.contains(id) && def.fields.iter().any(|field| leads_to(&field.shape, &relevant))
                })
                .map(|(id, _)| id)
                .collect();
            if more.is_empty() {
                return Self { rules, relevant };
            }
            relevant.extend(more);
        }
    }
}

fn leads_to(shape: &Shape, relevant: &HashSet<StructId>) -> bool {
    match shape.bare() {
        Shape::Struct(id) => relevant.contains(id),
        Shape::List { element, .. } => leads_to(element, relevant),
        Shape::Map { value, .. } => leads_to(value, relevant),
        Shape::Scalar(_) | Shape::Checked { .. } => false,
    }
}

/// Quantities in maps of core types are kept to thousandths.
fn is_rounded(def: &StructDef, field: &Field) -> bool {
    def.name.starts_with(facts::ROUNDED_QUANTITIES) && field.holds_quantities()
}

struct Walk<'a> {
    types: &'a Types,
    builtin: Option<&'static Builtin>,
    context: &'a Context,
}

impl Walk<'_> {
    fn value(&self, shape: &Shape, value: &mut Value, root: bool) {
        match (shape.bare(), value) {
            (Shape::Struct(id), value) => self.structure(*id, value, root),
            (Shape::List { element, .. }, Value::Array(items)) => {
                for item in items {
                    self.value(element, item, false);
                }
            }
            (Shape::Map { value: shape, .. }, Value::Object(entries)) => {
                for entry in entries.values_mut() {
                    self.value(shape, entry, false);
                }
            }
            _ => {}
        }
    }

    fn structure(&self, id: StructId, value: &mut Value, root: bool) {
        if self.builtin.is_some_and(|builtin| !builtin.relevant.contains(&id)) {
            return;
        }
        let def = self.types.get(id);
        if def.form.is_some() {
            let shape = Shape::Struct(id);
            if let Some(place) = (TypeRef {
                types: self.types,
                shape: &shape,
            })
            .formed(value)
                && !matches!(place.shape, Shape::Struct(other) if *other == id)
            {
                self.value(place.shape, value, false);
            }
            return;
        }
        if value.is_object() {
            self.rules(id, def, value, root);
        }
        let Value::Object(object) = value else { return };
        if def.custom {
            for field in def.defaulting() {
                if let Some(child) = object.get_mut(&field.json) {
                    self.value(&field.shape, child, false);
                }
            }
            return;
        }
        for (key, child) in object.iter_mut() {
            if let Some(field) = find_field(self.types, def, key) {
                self.value(&field.shape, child, false);
            }
        }
    }

    /// The rules, schema defaults and rounding of a struct and of what is inlined into it.
    fn rules(&self, id: StructId, def: &StructDef, value: &mut Value, root: bool) {
        if let Some(rules) = self.builtin.and_then(|builtin| builtin.rules.get(&id)) {
            interpret::run(self.types, def, &rules.always, value, self.context);
            if root {
                interpret::run(self.types, def, &rules.root, value, self.context);
            }
        }
        let Value::Object(object) = value else { return };
        for field in def.defaulted() {
            if let Some(default) = &field.default
                && !field.inline
            {
                set_default(field, def.custom, default, object);
            }
            if is_rounded(def, field)
                && let Some(Value::Object(entries)) = object.get_mut(&field.json)
            {
                entries.values_mut().for_each(round);
            }
        }
        for field in def.inlined() {
            if let Shape::Struct(inner) = field.shape.bare() {
                self.rules(*inner, self.types.get(*inner), value, false);
            }
        }
    }
}

fn set_default(field: &Field, custom: bool, default: &Value, object: &mut Map<String, Value>) {
    let unset = match object.get(&field.json) {
        None => true,
        Some(Value::Null) => !custom || !field.nullable,
        Some(value) => !custom && interpret::is_unset(Some(field), value),
    };
    if unset {
        object.insert(field.json.clone(), default.clone());
    }
}

fn round(value: &mut Value) {
    if let Some(quantity) = value.as_str().and_then(|text| Quantity::parse(text).ok()) {
        let rounded = quantity.rounded_to_milli();
        if rounded.nanos() != quantity.nanos() {
            *value = Value::from(rounded.to_string());
        }
    }
}
