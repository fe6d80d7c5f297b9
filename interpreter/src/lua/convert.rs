//! Between JSON and Lua. Lua has no null, and one kind of table for lists and objects.

use mlua::{Error, Lua, Table, Value as LuaValue};
use serde_json::{Map, Number, Value};

/// How deep an answer may be nested.
const DEPTH: usize = 128;
/// How many values an answer may have, and how many bytes of text: tables that are used twice are written twice.
const VALUES: usize = 500_000;
const TEXT: usize = 8 << 20;

/// What is left for an answer.
pub(super) struct Budget {
    values: usize,
    text: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            values: VALUES,
            text: TEXT,
        }
    }
}

impl Budget {
    fn take(&mut self, text: usize) -> mlua::Result<()> {
        match (self.values.checked_sub(1), self.text.checked_sub(text)) {
            (Some(values), Some(text)) => {
                (self.values, self.text) = (values, text);
                Ok(())
            }
            _ => Err(Error::RuntimeError("the returned value is too large".to_owned())),
        }
    }
}

/// JSON as Lua has it; nulls are not there.
pub(super) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<LuaValue> {
    Ok(match value {
        Value::Null => LuaValue::Nil,
        Value::Bool(value) => LuaValue::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => LuaValue::Integer(integer),
            None => LuaValue::Number(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => LuaValue::String(lua.create_string(text)?),
        Value::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(to_lua(lua, item)?)?;
            }
            LuaValue::Table(table)
        }
        Value::Object(fields) => {
            let table = lua.create_table_with_capacity(0, fields.len())?;
            for (key, value) in fields {
                table.raw_set(key.as_str(), to_lua(lua, value)?)?;
            }
            LuaValue::Table(table)
        }
    })
}

/// An answer as JSON: empty tables are what the references have at the same place, and go where these have nothing.
pub(super) fn answer(value: LuaValue, references: &[&Value], budget: &mut Budget) -> mlua::Result<Value> {
    Ok(from_lua(value, references, budget, DEPTH)?.unwrap_or_else(|| Value::Array(Vec::new())))
}

/// `None` for an empty table that nobody knows.
fn from_lua(value: LuaValue, references: &[&Value], budget: &mut Budget, depth: usize) -> mlua::Result<Option<Value>> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(Error::RuntimeError("the returned value is nested too deep".to_owned()));
    };
    budget.take(0)?;
    Ok(Some(match value {
        LuaValue::Nil => Value::Null,
        LuaValue::Boolean(value) => Value::Bool(value),
        LuaValue::Integer(value) => Value::from(value),
        LuaValue::Number(value) => number(value)?,
        LuaValue::String(text) => {
            let text = text.to_str()?;
            budget.take(text.len())?;
            Value::String(text.to_owned())
        }
        LuaValue::Table(table) => return from_table(&table, references, budget, depth),
        other => {
            let message = format!("a value of type {} cannot be returned", other.type_name());
            return Err(Error::RuntimeError(message));
        }
    }))
}

/// Whole numbers are written without a fraction.
fn number(value: f64) -> mlua::Result<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[allow(clippy::cast_possible_truncation, reason = "a whole number within the bound")]
        return Ok(Value::from(value as i64));
    }
    Number::from_f64(value)
        .map(Value::Number)
        .ok_or_else(|| Error::RuntimeError(format!("{value} is no number that can be returned")))
}

fn from_table(table: &Table, references: &[&Value], budget: &mut Budget, depth: usize) -> mlua::Result<Option<Value>> {
    let length = table.raw_len();
    let mut entries = 0;
    for pair in table.pairs::<LuaValue, LuaValue>() {
        pair?;
        entries += 1;
    }
    if entries == 0 {
        let mut known = references.iter().filter(|known| known.is_object() || known.is_array());
        return Ok(known.next().map(|known| match known {
            Value::Object(_) => Value::Object(Map::new()),
            _ => Value::Array(Vec::new()),
        }));
    }
    if length == entries {
        let mut items = Vec::new();
        for (index, item) in table.sequence_values::<LuaValue>().enumerate() {
            let inside = inside(references, |known| known.get(index));
            items.extend(from_lua(item?, &inside, budget, depth)?);
        }
        return Ok(Some(Value::Array(items)));
    }
    let mut fields = Map::new();
    for pair in table.pairs::<LuaValue, LuaValue>() {
        let (key, value) = pair?;
        let key = match key {
            LuaValue::String(text) => text.to_str()?.to_owned(),
            LuaValue::Integer(index) => index.to_string(),
            LuaValue::Number(index) => index.to_string(),
            other => {
                let message = format!("a key of type {} cannot be returned", other.type_name());
                return Err(Error::RuntimeError(message));
            }
        };
        budget.take(key.len())?;
        let inside = inside(references, |known| known.get(key.as_str()));
        if let Some(value) = from_lua(value, &inside, budget, depth)? {
            fields.insert(key, value);
        }
    }
    Ok(Some(Value::Object(fields)))
}

fn inside<'a>(references: &[&'a Value], step: impl Fn(&'a Value) -> Option<&'a Value>) -> Vec<&'a Value> {
    references.iter().filter_map(|known| step(known)).collect()
}
