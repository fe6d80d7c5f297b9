//! Scripts of users, in a box: a fresh Luau machine for each call, without clock, randomness, files or a way to load more code.
//!
//! What a script may use is counted, not timed ([`meter`]): the machine asks at every call, loop and step of a pattern whether it
//! may go on (the more memory is in use, the more a step costs, since one step may copy all of it), functions that do much in
//! one go pay for it, and memory has a bound. So the same script on the same object always has the same answer, on any machine. Start with [`Script`].
//!
//! Never here: which script answers which question; [`crate::customize`] knows that.

mod convert;
mod kube;
mod meter;
#[cfg(test)]
mod tests;

use mlua::chunk::{ChunkMode, Compiler};
use mlua::{Function, IntoLuaMulti, Lua, LuaOptions, MultiValue, StdLib, Table, Value as LuaValue};
use serde_json::Value;

use crate::error::InterpretError;
use meter::Meter;

/// Functions of the language that scripts do not get: they load code, look behind the language, or answer differently each time.
const TAKEN: [&str; 17] = [
    "collectgarbage",
    "dofile",
    "gcinfo",
    "getfenv",
    "getmetatable",
    "load",
    "loadfile",
    "loadstring",
    "module",
    "newproxy",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "setfenv",
    "setmetatable",
];

/// A script that has been read, ready to be called.
#[derive(Debug)]
pub(crate) struct Script {
    code: Vec<u8>,
}

impl Script {
    /// Reads a script; what is no Lua is told with its line.
    pub(crate) fn read(text: &str) -> Result<Self, InterpretError> {
        let code = Compiler::new().compile(text).map_err(|error| {
            let text = message(&error);
            // The compiler knows no name for what it reads.
            let place = text.strip_prefix(": ").unwrap_or(&text);
            InterpretError::Syntax(format!("script:{place}"))
        })?;
        Ok(Self { code })
    }

    /// Calls a function of the script. `references` are what empty tables of the answer are compared with: Lua has one kind of
    /// table for lists and objects.
    pub(crate) fn call(
        &self,
        function: &'static str,
        arguments: &[Value],
        references: &[&Value],
    ) -> Result<Value, InterpretError> {
        let mut answers = self.call_many(function, arguments, &[references])?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// The same for a function that answers with several values, as many as there are lists of references.
    pub(crate) fn call_many(
        &self,
        function: &'static str,
        arguments: &[Value],
        references: &[&[&Value]],
    ) -> Result<Vec<Value>, InterpretError> {
        self.run(function, arguments, references)
            .map_err(|error| InterpretError::Script {
                function,
                message: message(&error),
            })
    }

    /// Whether the script has a function of this name; it is run for that, without being asked anything.
    pub(crate) fn defines(&self, function: &'static str) -> Result<(), InterpretError> {
        let loaded = machine().and_then(|lua| self.load(&lua, function).map(|_| ()));
        loaded.map_err(|error| InterpretError::Script {
            function,
            message: message(&error),
        })
    }

    /// Runs what is outside of functions, which makes them, and finds one.
    fn load(&self, lua: &Lua, function: &str) -> mlua::Result<Function> {
        Meter::install(lua)?.start(lua);
        // Luau trusts what its compiler wrote, and nobody else wrote this.
        lua.load(self.code.as_slice())
            .set_name("=script")
            .set_mode(ChunkMode::Binary)
            .exec()?;
        match lua.globals().get::<LuaValue>(function)? {
            LuaValue::Function(found) => Ok(found),
            _ => Err(mlua::Error::RuntimeError(format!("not found function {function}"))),
        }
    }

    fn run(&self, function: &str, arguments: &[Value], references: &[&[&Value]]) -> mlua::Result<Vec<Value>> {
        let lua = machine()?;
        let mut given = MultiValue::new();
        for argument in arguments {
            given.push_back(convert::to_lua(&lua, argument)?);
        }
        let called = self.load(&lua, function)?;
        let answered: MultiValue = called.call(given.into_lua_multi(&lua)?)?;
        let mut answered = answered.into_iter();
        let mut budget = convert::Budget::default();
        references
            .iter()
            .map(|references| convert::answer(answered.next().unwrap_or(LuaValue::Nil), references, &mut budget))
            .collect()
    }
}

/// A machine with the safe part of the library.
fn machine() -> mlua::Result<Lua> {
    let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::UTF8 | StdLib::BIT;
    let lua = Lua::new_with(libraries, LuaOptions::default())?;
    let globals = lua.globals();
    for name in TAKEN {
        globals.raw_remove(name)?;
    }
    let math: Table = globals.get("math")?;
    for name in ["noise", "random", "randomseed"] {
        math.raw_remove(name)?;
    }
    let require: Function = lua.create_function(|lua, name: String| {
        if name == "kube" {
            return kube::library(lua);
        }
        let text = format!("module {name:?} not found");
        Err(mlua::Error::RuntimeError(meter::at(lua, &text)))
    })?;
    globals.raw_set("require", require)?;
    Ok(lua)
}

/// The first line of what went wrong, without the machine's own stack.
fn message(error: &mlua::Error) -> String {
    let text = match error {
        mlua::Error::RuntimeError(text) => text.clone(),
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::CallbackError { cause, .. } => return message(cause),
        mlua::Error::MemoryError(_) => "the script used too much memory and was stopped".to_owned(),
        other => other.to_string(),
    };
    // A script chooses the text of its errors, and it ends up in conditions.
    text.lines().next().unwrap_or_default().chars().take(512).collect()
}
