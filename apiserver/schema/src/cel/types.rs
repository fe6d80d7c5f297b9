//! What expressions and the data they look at are: [`Type`] for the checker, [`Decl`] for data with a schema.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The type of an expression.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the names are CEL's own")]
pub enum Type {
    /// Known at run time only.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    List(Arc<Type>),
    Map(Arc<Type>, Arc<Type>),
    Optional(Arc<Type>),
    /// The type of a type.
    Type,
    /// An object with a schema.
    Object(Arc<Decl>),
    /// A type of a library, for example `net.IP`.
    Opaque(&'static str),
    /// A type parameter of a function, or an unknown of the checker.
    Var(usize),
}

impl Type {
    pub(super) fn list(element: Type) -> Type {
        Type::List(Arc::new(element.shallow()))
    }

    pub(super) fn map(key: Type, value: Type) -> Type {
        let key = match key {
            Type::List(_) | Type::Map(..) | Type::Optional(_) => Type::Dyn,
            key => key,
        };
        Type::Map(Arc::new(key), Arc::new(value.shallow()))
    }

    pub(super) fn optional(inner: Type) -> Type {
        Type::Optional(Arc::new(inner.shallow()))
    }

    /// Types nested beyond reason are dynamic, so that walking one is cheap.
    fn shallow(self) -> Type {
        let mut depth = 0;
        let mut at = &self;
        while let Type::List(inner) | Type::Map(_, inner) | Type::Optional(inner) = at {
            depth += 1;
            at = inner;
            if depth > 24 {
                return Type::Dyn;
            }
        }
        self
    }

    pub(super) fn is_dyn(&self) -> bool {
        matches!(self, Type::Dyn)
    }
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Type::List(one), Type::List(other)) | (Type::Optional(one), Type::Optional(other)) => one == other,
            (Type::Map(key, value), Type::Map(other_key, other_value)) => key == other_key && value == other_value,
            (Type::Object(one), Type::Object(other)) => Arc::ptr_eq(one, other),
            (Type::Opaque(one), Type::Opaque(other)) => one == other,
            (Type::Var(one), Type::Var(other)) => one == other,
            (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Type::Dyn => "dyn",
            Type::Null => "null",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Uint => "uint",
            Type::Double => "double",
            Type::String => "string",
            Type::Bytes => "bytes",
            Type::Timestamp => "timestamp",
            Type::Duration => "duration",
            Type::Type => "type",
            Type::Opaque(name) => name,
            Type::Var(_) => "_var",
            Type::Object(decl) => match &decl.kind {
                DeclKind::Object(object) => &object.name,
                _ => "object",
            },
            Type::List(element) => return write!(formatter, "list({element})"),
            Type::Map(key, value) => return write!(formatter, "map({key}, {value})"),
            Type::Optional(inner) => return write!(formatter, "optional_type({inner})"),
        };
        formatter.write_str(name)
    }
}

/// What a place in an object holds, with the bounds that cost estimates need.
#[derive(Debug)]
pub struct Decl {
    /// What it is.
    pub kind: DeclKind,
    /// The most characters, elements or entries it may have.
    pub max: u64,
    /// The least bytes that it takes when written as JSON.
    pub min_size: u64,
}

/// What a declared place holds.
#[derive(Debug)]
#[allow(missing_docs, reason = "the names are CEL's own")]
pub enum DeclKind {
    /// An integer or a string, or anything.
    Dyn,
    Bool,
    Int,
    Double,
    String,
    /// Base64 text.
    Bytes,
    Timestamp,
    /// Text as `2006-01-02`.
    Date,
    Duration,
    List(Arc<Decl>, Keys),
    Map(Arc<Decl>),
    Object(ObjectDecl),
    /// A value that may not be there.
    Optional(Arc<Decl>),
}

/// How elements of a list are told apart, which decides when two lists are equal and what their sum is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// By their place.
    Place,
    /// By themselves.
    Value,
    /// By these fields.
    Fields(Vec<String>),
}

/// An object with named fields.
#[derive(Debug, Default)]
pub struct ObjectDecl {
    /// As messages show it.
    pub name: String,
    /// Fields by the name that expressions use, with their name in JSON.
    pub fields: BTreeMap<String, (String, Arc<Decl>)>,
}

impl Decl {
    /// A place of a size that does not matter.
    pub fn new(kind: DeclKind) -> Arc<Self> {
        Arc::new(Self {
            kind,
            max: u64::MAX,
            min_size: 1,
        })
    }

    /// What expressions see.
    pub fn to_type(self: &Arc<Self>) -> Type {
        match &self.kind {
            DeclKind::Dyn => Type::Dyn,
            DeclKind::Bool => Type::Bool,
            DeclKind::Int => Type::Int,
            DeclKind::Double => Type::Double,
            DeclKind::String => Type::String,
            DeclKind::Bytes => Type::Bytes,
            DeclKind::Timestamp | DeclKind::Date => Type::Timestamp,
            DeclKind::Duration => Type::Duration,
            DeclKind::List(element, _) => Type::list(element.to_type()),
            DeclKind::Map(value) => Type::map(Type::String, value.to_type()),
            DeclKind::Object(_) => Type::Object(Arc::clone(self)),
            DeclKind::Optional(inner) => Type::optional(inner.to_type()),
        }
    }

    /// A field of an object.
    pub(super) fn field(&self, name: &str) -> Option<&(String, Arc<Decl>)> {
        match &self.kind {
            DeclKind::Object(object) => object.fields.get(name),
            _ => None,
        }
    }
}

/// The name by which expressions know a property: words of the language and characters that no identifier has are
/// escaped. `None` when there is no such name.
pub(super) fn escape(property: &str) -> Option<String> {
    const WORDS: [&str; 20] = [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
    ];
    if WORDS.contains(&property) || property == "while" {
        return Some(format!("__{property}__"));
    }
    let first = property.chars().next()?;
    if !(first == '_' || first.is_ascii_alphabetic()) {
        return None;
    }
    let mut out = String::with_capacity(property.len());
    let mut rest = property;
    while let Some(c) = rest.chars().next() {
        if let Some(tail) = rest.strip_prefix("__") {
            out.push_str("__underscores__");
            rest = tail;
            continue;
        }
        match c {
            '.' => out.push_str("__dot__"),
            '-' => out.push_str("__dash__"),
            '/' => out.push_str("__slash__"),
            c if c == '_' || c.is_ascii_alphanumeric() => out.push(c),
            _ => return None,
        }
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}
