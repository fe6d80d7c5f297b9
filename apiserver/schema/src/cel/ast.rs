//! The syntax tree of an expression, with macros expanded.
//!
//! Every node has an id: the index of what the checker knows about it (its type) and of where it stands in the source.

/// Index of a node.
pub(super) type Id = usize;

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Expr {
    pub(super) id: Id,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Const(Const),
    Ident(String),
    /// `operand.field`; with `test` it is `has(operand.field)`.
    Select {
        operand: Box<Expr>,
        field: String,
        test: bool,
    },
    /// Operators are calls too: `_+_`, `_?_:_`.
    Call {
        function: String,
        target: Option<Box<Expr>>,
        args: Vec<Expr>,
    },
    List(Vec<Item>),
    Map(Vec<Entry>),
    /// `Name{field: value}`.
    Struct(String),
    Fold(Box<Fold>),
}

/// An element of a list; an optional one (`[?a]`) is left out when it has no value.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// An entry of a map.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: Expr,
    pub(super) value: Expr,
    pub(super) optional: bool,
}

/// A loop, which is what macros become.
#[derive(Debug, Clone)]
pub(super) struct Fold {
    pub(super) var: String,
    /// Of a loop with two variables: `var` is then the index or the key.
    pub(super) second: Option<String>,
    pub(super) range: Expr,
    pub(super) accu: String,
    pub(super) init: Expr,
    pub(super) condition: Expr,
    pub(super) step: Expr,
    pub(super) result: Expr,
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Const {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    String(std::sync::Arc<str>),
    Bytes(std::sync::Arc<[u8]>),
}

/// A whole expression.
#[derive(Debug, Clone)]
pub(super) struct Ast {
    pub(super) root: Expr,
    /// Where each node stands: a character of the source.
    pub(super) offsets: Vec<usize>,
}

/// The hidden accumulator of macros: no identifier of a user can be it.
pub(super) const ACCU: &str = "@result";

impl Expr {
    /// The string that a literal is.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Const(Const::String(text)) => Some(text),
            _ => None,
        }
    }
}
