//! The module `kube` of scripts (§4.5).

use crds::quantity;
use mlua::{Error, Lua, Table, Value as LuaValue, Variadic};
use serde_json::{Value, json};

use super::convert::{Budget, answer, to_lua};
use super::meter::placed;
use crate::{dependencies, requests};

/// What `require("kube")` gives.
pub(super) fn library(lua: &Lua) -> mlua::Result<Table> {
    let library = lua.create_table()?;
    library.raw_set(
        "resourceAdd",
        lua.create_function(|lua, quantities: Variadic<LuaValue>| {
            let mut sum = 0_i128;
            for quantity in quantities {
                sum = sum.saturating_add(milli(quantity).map_err(|error| placed(lua, &error))?);
            }
            Ok(quantity::format(sum))
        })?,
    )?;
    library.raw_set(
        "accuratePodRequirements",
        lua.create_function(|lua, template: LuaValue| {
            let template = json(template)?;
            let requirements = requests::requirements(&template);
            requirements.map_or(Ok(LuaValue::Nil), |requirements| to_lua(lua, &requirements))
        })?,
    )?;
    library.raw_set(
        "getPodDependencies",
        lua.create_function(|lua, (template, namespace): (LuaValue, Option<String>)| {
            let namespace = namespace.unwrap_or_else(|| "default".to_owned());
            let object = json!({"metadata": {"namespace": namespace}});
            let found = dependencies::of_pods(&object, &json(template)?["spec"]);
            to_lua(lua, &Value::Array(found))
        })?,
    )?;
    library.raw_set(
        "getResourceQuantity",
        lua.create_function(|lua, quantity: LuaValue| {
            let milli = milli(quantity).map_err(|error| placed(lua, &error))?;
            if milli < 0 {
                let error = Error::RuntimeError("a quantity cannot be negative".to_owned());
                return Err(placed(lua, &error));
            }
            #[allow(clippy::cast_precision_loss, reason = "numbers of Lua are no finer")]
            Ok(milli as f64 / 1000.0)
        })?,
    )?;
    Ok(library)
}

fn json(value: LuaValue) -> mlua::Result<Value> {
    answer(value, &[], &mut Budget::default())
}

/// A quantity in thousandths; nothing counts as zero.
fn milli(value: LuaValue) -> mlua::Result<i128> {
    let text = match json(value)? {
        Value::Null => return Ok(0),
        Value::String(text) => text,
        other => other.to_string(),
    };
    quantity::milli(&text).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        Error::RuntimeError(format!("{text:?} is no quantity"))
    })
}
