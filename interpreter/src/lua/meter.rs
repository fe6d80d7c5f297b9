//! What a script may use: steps of the language, and steps for the work that functions of the library do in one go.
//!
//! The machine asks at every call, loop and step of a pattern. A library function that looks at much at once (a search in a long
//! text, the sorting of a list) is one call to the machine, however long it takes: [`guard`] makes it pay by the size
//! of what it is given and of what it gives.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Error, Function, Lua, MultiValue, Table, Value, VmState};

/// Steps that a call may take.
const STEPS: u64 = 2_000_000;
/// Bytes that a machine may hold.
const MEMORY: usize = 32 << 20;
/// As many bytes in use make each step cost one more.
const BYTES_A_STEP: usize = 32 << 10;
/// As many bytes of text, and as many entries of a table, are looked at in one step.
const TEXT_A_STEP: u64 = 64;
const ENTRIES_A_STEP: u64 = 32;
/// As many comparisons of bytes, when a text is searched for another.
const COMPARED_A_STEP: u64 = 1024;

/// How much a function works, before it does.
#[derive(Clone, Copy)]
enum Work {
    /// It reads its texts once.
    Texts,
    /// It may read the second text at every place of the first.
    Search,
    /// It writes the first text as often as the second argument says.
    Repeat,
    /// It passes over its table once.
    Table,
    /// It compares the entries of its table.
    Sort,
    /// It makes as many entries as the first argument says.
    Create,
}

/// The functions that do much at once.
const HEAVY: [(&str, &[&str], Work); 7] = [
    ("string", &["find", "gmatch", "gsub", "match", "split"], Work::Search),
    ("string", &["rep"], Work::Repeat),
    (
        "string",
        &[
            "byte", "char", "format", "lower", "pack", "reverse", "sub", "unpack", "upper",
        ],
        Work::Texts,
    ),
    ("utf8", &["char", "codepoint", "len", "offset"], Work::Texts),
    (
        "table",
        &[
            "clear", "clone", "concat", "find", "foreach", "foreachi", "freeze", "getn", "insert", "maxn", "move",
            "pack", "remove", "unpack",
        ],
        Work::Table,
    ),
    ("table", &["sort"], Work::Sort),
    ("table", &["create"], Work::Create),
];

/// What is left for one call of a script.
pub(super) struct Meter {
    left: Cell<u64>,
    /// What the machine held when the script began.
    base: Cell<usize>,
}

impl Meter {
    /// Puts the library of a machine under guard.
    pub(super) fn install(lua: &Lua) -> mlua::Result<Rc<Self>> {
        let meter = Rc::new(Self {
            left: Cell::new(STEPS),
            base: Cell::new(0),
        });
        let globals = lua.globals();
        for (library, functions, work) in HEAVY {
            let library: Table = globals.get(library)?;
            for name in functions {
                meter.guard(lua, &library, name, work)?;
            }
        }
        for name in ["tonumber", "tostring", "unpack"] {
            meter.guard(lua, &globals, name, Work::Texts)?;
        }
        Ok(meter)
    }

    fn guard(self: &Rc<Self>, lua: &Lua, library: &Table, name: &str, work: Work) -> mlua::Result<()> {
        let Value::Function(inner) = library.raw_get(name)? else {
            return Ok(());
        };
        let meter = self.clone();
        library.raw_set(
            name,
            lua.create_function(move |lua, arguments| meter.run(lua, &inner, work, arguments))?,
        )
    }

    fn run(&self, lua: &Lua, inner: &Function, work: Work, arguments: MultiValue) -> mlua::Result<MultiValue> {
        self.pay(lua, work.steps(&arguments))?;
        let answers: MultiValue = inner.call(arguments).map_err(|error| placed(lua, &error))?;
        self.pay(lua, texts(&answers) / TEXT_A_STEP)?;
        Ok(answers)
    }

    /// Begins to count.
    pub(super) fn start(self: Rc<Self>, lua: &Lua) {
        self.base.set(lua.used_memory());
        // Fails only for a machine that somebody else allocates for.
        let _ = lua.set_memory_limit(self.base.get().saturating_add(MEMORY));
        lua.set_interrupt(move |lua| {
            let held = lua.used_memory().saturating_sub(self.base.get()) / BYTES_A_STEP;
            self.pay(lua, u64::try_from(held).unwrap_or(u64::MAX).saturating_add(1))?;
            Ok(VmState::Continue)
        });
    }

    fn pay(&self, lua: &Lua, steps: u64) -> mlua::Result<()> {
        self.left.set(self.left.get().saturating_sub(steps));
        if self.left.get() == 0 {
            let text = "the script took too many steps and was stopped";
            return Err(Error::RuntimeError(at(lua, text)));
        }
        Ok(())
    }
}

impl Work {
    fn steps(self, arguments: &MultiValue) -> u64 {
        let text = |index: usize| match arguments.get(index) {
            Some(Value::String(text)) => size(text.as_bytes().len()),
            _ => 0,
        };
        let number = |index: usize| match arguments.get(index) {
            Some(Value::Integer(number)) => u64::try_from(*number).unwrap_or_default(),
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "what is no number of times is none or too many"
            )]
            Some(Value::Number(number)) => *number as u64,
            _ => 0,
        };
        let entries = match arguments.front() {
            Some(Value::Table(table)) => size(table.raw_len()),
            _ => 0,
        };
        match self {
            Self::Texts => texts(arguments) / TEXT_A_STEP,
            Self::Search => text(0).saturating_mul(text(1)) / COMPARED_A_STEP + texts(arguments) / TEXT_A_STEP,
            Self::Repeat => text(0).saturating_add(text(2)).saturating_mul(number(1)) / TEXT_A_STEP,
            Self::Table => entries / ENTRIES_A_STEP,
            Self::Sort => entries.saturating_mul(u64::from(entries.max(1).ilog2()) + 1) / ENTRIES_A_STEP,
            Self::Create => number(0) / ENTRIES_A_STEP,
        }
    }
}

fn texts(values: &MultiValue) -> u64 {
    let text = |value: &Value| match value {
        Value::String(text) => size(text.as_bytes().len()),
        _ => 0,
    };
    values.iter().map(text).sum()
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// An error of a function that is not Lua, with the line that called it.
pub(super) fn placed(lua: &Lua, error: &Error) -> Error {
    match error {
        Error::RuntimeError(text) if !text.starts_with("script:") => Error::RuntimeError(at(lua, text)),
        Error::CallbackError { cause, .. } => placed(lua, cause),
        other => other.clone(),
    }
}

/// A text with the line that the script is at.
pub(super) fn at(lua: &Lua, text: &str) -> String {
    // What is on top may be a function of the library.
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method alone is not general enough in its lifetime"
    )]
    let line = (0..8).find_map(|level| lua.inspect_stack(level, |frame| frame.current_line())?);
    line.map_or_else(|| text.to_owned(), |line| format!("script:{line}: {text}"))
}
