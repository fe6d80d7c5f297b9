//! Runs rules of the tables on a value.

use serde_json::{Map, Value};

use super::Context;
use super::calls;
use crate::facts::{Call, Condition, DefaultRule, Expression, Operation, Target, Test};
use crate::model::{Field, Shape, StructDef, Types, find_field};

/// Runs rules in order on a value of a struct.
pub(super) fn run(types: &Types, def: &StructDef, rules: &[DefaultRule], value: &mut Value, context: &Context) {
    let mut emptied = Vec::new();
    for rule in rules {
        let start = Start { types, def, context };
        match &rule.each {
            None => start.apply(rule, value, &mut emptied),
            Some(list) => {
                // Tests from the root look at the whole value, which cannot be borrowed while its elements change.
                if !holds(&rule.condition, |test| !is_rooted(test) || start.test(test, value)) {
                    continue;
                }
                let Some(element) = element_struct(types, def, list) else {
                    continue;
                };
                let inner = Start {
                    types,
                    def: element,
                    context,
                };
                for_each(value, list, &mut |item| inner.apply(rule, item, &mut Vec::new()));
            }
        }
    }
    // An empty map was only there for rules that put something into it.
    for path in emptied {
        if find(value, path).is_some_and(|value| value.as_object().is_some_and(Map::is_empty))
            && let Some((last, parents)) = path.split_last()
            && let Some(Value::Object(parent)) = find_mut(value, parents)
        {
            parent.remove(*last);
        }
    }
}

struct Start<'a> {
    types: &'a Types,
    def: &'a StructDef,
    context: &'a Context,
}

impl Start<'_> {
    fn apply<'r>(&self, rule: &'r DefaultRule, value: &mut Value, emptied: &mut Vec<&'r [&'static str]>) {
        let rooted_are_known = rule.each.is_some();
        if !holds(&rule.condition, |test| {
            (rooted_are_known && is_rooted(test)) || self.test(test, value)
        }) {
            return;
        }
        let field = self.field(&rule.path);
        if rule.makes_parents {
            make_parents(value, &rule.path);
        }
        match &rule.operation {
            Operation::Drop => {
                if let Some((last, Value::Object(parent))) = parent_mut(value, &rule.path) {
                    parent.remove(last);
                    // A struct without presence is never absent, only empty.
                    if field.is_some_and(|field| !field.ptr && matches!(field.shape, Shape::Struct(_))) {
                        parent.insert(last.to_owned(), Value::Object(Map::new()));
                    }
                }
            }
            Operation::Append(element) => append(rule, element, value),
            Operation::Set(expression) => {
                if let Some(result) = self.evaluate(expression, &rule.path, value) {
                    assign(value, &rule.path, result);
                } else if matches!(expression, Expression::Call(Call::User(_)))
                    && let Some((last, Value::Object(parent))) = parent_mut(value, &rule.path)
                {
                    // Who asks is never what the request claims.
                    parent.remove(last);
                }
            }
            Operation::Default(expression) => {
                let present = find(value, &rule.path).is_some_and(|value| !is_unset(field, value));
                if present && !matches!(expression, Expression::Call(call) if calls::completes(call)) {
                    return;
                }
                let Some(result) = self.evaluate(expression, &rule.path, value) else {
                    return;
                };
                let empty_map = result.as_object().is_some_and(Map::is_empty);
                if empty_map && field.is_some_and(|field| !field.ptr && matches!(field.shape, Shape::Map { .. })) {
                    emptied.push(&rule.path);
                }
                assign(value, &rule.path, result);
            }
        }
    }

    fn evaluate(&self, expression: &Expression, path: &[&'static str], value: &Value) -> Option<Value> {
        match expression {
            Expression::Literal(literal) => Some(literal.clone()),
            Expression::Copy(target) => {
                let found = find(value, &target.path)?;
                (!is_unset(self.field(&target.path), found)).then(|| found.clone())
            }
            Expression::Call(call) => calls::call(call, find(value, path), value, self.context),
        }
    }

    fn field(&self, path: &[&'static str]) -> Option<&Field> {
        let mut def = self.def;
        let (last, parents) = path.split_last()?;
        for key in parents {
            match find_field(self.types, def, key)?.shape.bare() {
                Shape::Struct(id) => def = self.types.get(*id),
                _ => return None,
            }
        }
        find_field(self.types, def, last)
    }

    fn is_set(&self, target: &Target, value: &Value) -> bool {
        find(value, &target.path).is_some_and(|found| !is_unset(self.field(&target.path), found))
    }

    fn test(&self, test: &Test, value: &Value) -> bool {
        match test {
            Test::Equal(target, expected) => find(value, &target.path).unwrap_or(&Value::Null) == expected,
            Test::NotEqual(target, expected) => find(value, &target.path).unwrap_or(&Value::Null) != expected,
            Test::Set(target) => self.is_set(target, value),
            Test::Unset(target) => !self.is_set(target, value),
            Test::Gate(on) => *on,
            // The fields of an inlined struct lie beside those of its parent.
            Test::Empty => self
                .def
                .fields
                .iter()
                .all(|field| value.get(&field.json).is_none_or(Value::is_null)),
        }
    }
}

fn append(rule: &DefaultRule, element: &Value, value: &mut Value) {
    if let Some((last, Value::Object(parent))) = parent_mut(value, &rule.path)
        && let list = parent.entry(last).or_insert_with(|| Value::Array(Vec::new()))
        && let Value::Array(items) = list
        && !items.contains(element)
    {
        items.push(element.clone());
    }
}

fn is_rooted(test: &Test) -> bool {
    match test {
        Test::Equal(target, _) | Test::NotEqual(target, _) | Test::Set(target) | Test::Unset(target) => target.root,
        Test::Gate(_) | Test::Empty => false,
    }
}

fn holds(condition: &Condition, mut test: impl FnMut(&Test) -> bool) -> bool {
    match condition {
        Condition::All(tests) => tests.iter().all(&mut test),
        Condition::Any(tests) => tests.iter().any(test),
    }
}

/// Whether a value counts as unset in its field: absent, null, or zero where presence does not count.
pub(super) fn is_unset(field: Option<&Field>, value: &Value) -> bool {
    if value.is_null() {
        return true;
    }
    if field.is_none_or(|field| field.ptr) {
        return false;
    }
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// The struct of the elements of a list, some steps away.
fn element_struct<'a>(types: &'a Types, def: &'a StructDef, path: &[&'static str]) -> Option<&'a StructDef> {
    let mut def = def;
    for key in path {
        let mut shape = find_field(types, def, key)?.shape.bare();
        if let Shape::List { element, .. } = shape {
            shape = element.bare();
        }
        match shape {
            Shape::Struct(id) => def = types.get(*id),
            _ => return None,
        }
    }
    Some(def)
}

/// Visits the elements of the list at a path, going through every list on the way.
fn for_each(value: &mut Value, path: &[&'static str], visit: &mut impl FnMut(&mut Value)) {
    if let Value::Array(items) = value {
        for item in items {
            for_each(item, path, visit);
        }
        return;
    }
    match path.split_first() {
        None => visit(value),
        Some((key, rest)) => {
            if let Some(child) = value.get_mut(*key) {
                for_each(child, rest, visit);
            }
        }
    }
}

/// What stands at a path.
pub(super) fn find<'v>(value: &'v Value, path: &[&'static str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, key| value.get(*key))
}

fn find_mut<'v>(value: &'v mut Value, path: &[&'static str]) -> Option<&'v mut Value> {
    path.iter().try_fold(value, |value, key| value.get_mut(*key))
}

fn parent_mut<'v>(value: &'v mut Value, path: &[&'static str]) -> Option<(&'static str, &'v mut Value)> {
    let (last, parents) = path.split_last()?;
    find_mut(value, parents).map(|parent| (*last, parent))
}

/// Makes the objects on the way to a path, where nothing stands yet.
fn make_parents(value: &mut Value, path: &[&'static str]) {
    let mut place = value;
    for key in path.iter().take(path.len().saturating_sub(1)) {
        let Value::Object(object) = place else { return };
        place = object.entry(*key).or_insert(Value::Null);
        if place.is_null() {
            *place = Value::Object(Map::new());
        }
    }
}

fn assign(value: &mut Value, path: &[&'static str], result: Value) {
    if let Some((last, Value::Object(parent))) = parent_mut(value, path) {
        parent.insert(last.to_owned(), result);
    }
}
