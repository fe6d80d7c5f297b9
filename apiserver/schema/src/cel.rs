//! CEL, the expression language of Kubernetes' rules: compile an expression once, evaluate it often, within a budget.
//!
//! [`Program::compile`] parses, checks types against an [`Environment`] and estimates the worst cost; [`Program::eval`]
//! runs it over JSON where it lies. [`rules`] applies the rules of a custom resource to its objects.
//!
//! The language is implemented here. The library at hand (`cel` under `kube-cel`) has no type checker, so a rule about a
//! field that is not there could not be refused when it is written; no hook to meter an evaluation, so one rule of nested
//! loops could hold the server; and it copies every object into values of its own. With a checker, a cost model and a
//! metered evaluator to write anyway, all of which walk the tree, the parser that would be left of it brings a grammar
//! runtime of 20,000 lines.
//!
//! In reading order: [`lex`], [`parse`] and [`macros`] make the tree ([`ast`]); [`check`] gives types, from the table in
//! [`library`]; [`cost`] estimates; [`eval`] runs, with [`functions`] and the modules of its subjects.
//!
//! Never here: I/O, a clock, and anything that takes time or memory without being charged for it.

mod ast;
mod check;
mod cost;
mod eval;
mod formats;
mod functions;
mod lex;
mod library;
mod lists;
mod macros;
mod network;
mod parse;
mod regex;
pub mod rules;
mod semver;
mod strings;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod url;
mod value;

use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

pub use types::{Decl, DeclKind, Keys, ObjectDecl, Type};
pub use value::CelValue;

/// What one evaluation of a rule may cost, in Kubernetes.
pub const CALL_LIMIT: u64 = 1_000_000;
/// What all rules together may cost for one object.
pub const OBJECT_LIMIT: u64 = 10_000_000;
/// What the match conditions of one webhook or policy may cost together.
pub const MATCH_CONDITIONS_LIMIT: u64 = 2_500_000;

/// What an evaluation may cost. Time and memory are bounded in proportion.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Kubernetes' units.
    pub cost: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cost: CALL_LIMIT }
    }
}

/// The variables that an expression may use, with their types.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    variables: Vec<(String, Arc<Decl>)>,
}

impl Environment {
    /// No variables.
    pub fn new() -> Self {
        Self::default()
    }

    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, decl: Arc<Decl>) -> Self {
        self.variables.push((name.to_owned(), decl));
        self
    }

    /// What admission's expressions see: `object`, `oldObject`, and `request` with the fields of an `AdmissionRequest`.
    pub fn admission() -> Self {
        let any = || Decl::new(DeclKind::Dyn);
        Self::new()
            .with("object", any())
            .with("oldObject", any())
            .with("request", request())
    }

    fn find(&self, name: &str) -> Option<&Arc<Decl>> {
        self.variables.iter().find(|(own, _)| own == name).map(|(_, decl)| decl)
    }
}

fn object(name: &str, fields: Vec<(&str, Arc<Decl>)>) -> Arc<Decl> {
    let fields = fields
        .into_iter()
        .map(|(name, decl)| (name.to_owned(), (name.to_owned(), decl)));
    Decl::new(DeclKind::Object(ObjectDecl {
        name: name.to_owned(),
        fields: fields.collect(),
    }))
}

fn request() -> Arc<Decl> {
    let text = || Decl::new(DeclKind::String);
    let any = || Decl::new(DeclKind::Dyn);
    let texts = || Decl::new(DeclKind::List(text(), Keys::Place));
    let kind = || {
        object(
            "kubernetes.GroupVersionKind",
            vec![("group", text()), ("version", text()), ("kind", text())],
        )
    };
    let resource = || {
        let fields = vec![("group", text()), ("version", text()), ("resource", text())];
        object("kubernetes.GroupVersionResource", fields)
    };
    let user = object(
        "kubernetes.UserInfo",
        vec![
            ("username", text()),
            ("uid", text()),
            ("groups", texts()),
            ("extra", Decl::new(DeclKind::Map(texts()))),
        ],
    );
    object(
        "kubernetes.AdmissionRequest",
        vec![
            ("uid", text()),
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", text()),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", text()),
            ("name", text()),
            ("namespace", text()),
            ("operation", text()),
            ("userInfo", user),
            ("dryRun", Decl::new(DeclKind::Bool)),
            ("options", any()),
        ],
    )
}

/// One thing that is wrong with an expression, at a character of it.
#[derive(Debug, Clone)]
struct Issue {
    at: usize,
    text: String,
}

/// An expression cannot be compiled. The text shows each place, as Kubernetes does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CompileError {
    text: String,
}

impl CompileError {
    fn new(source: &str, mut issues: Vec<Issue>) -> Self {
        issues.sort_by_key(|issue| issue.at);
        let mut parts = Vec::new();
        for issue in issues {
            let before: Vec<char> = source.chars().take(issue.at).collect();
            let line = before.iter().filter(|c| **c == '\n').count();
            let column = before.iter().rev().take_while(|c| **c != '\n').count();
            let shown = source.lines().nth(line).unwrap_or_default();
            // A long line of dots helps nobody and could be as long as the source for each issue.
            let dots = ".".repeat(column.min(1_000));
            let shown: String = shown.chars().take(1_100).collect();
            parts.push(format!(
                "ERROR: <input>:{}:{}: {}\n | {shown}\n | {dots}^",
                line + 1,
                column + 1,
                issue.text
            ));
            if parts.len() >= 20 {
                break;
            }
        }
        Self { text: parts.join("\n") }
    }
}

/// An evaluation gave no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The expression itself: a key that is not there, a division by zero.
    #[error("{0}")]
    Failed(String),
    /// It cost more than its budget.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostExceeded,
}

/// A compiled expression.
pub struct Program {
    ast: ast::Ast,
    result: Type,
    estimate: u64,
    names: Vec<String>,
}

impl fmt::Debug for Program {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "Program({} nodes -> {})",
            self.ast.offsets.len(),
            self.result
        )
    }
}

impl Program {
    /// Parses and checks an expression.
    pub fn compile(source: &str, environment: &Environment) -> Result<Self, CompileError> {
        let ast = parse::parse(source)?;
        let checked = check::check(source, &ast, environment)?;
        let result = checked.of(ast.root.id).clone();
        let result = if matches!(result, Type::Var(_)) {
            Type::Dyn
        } else {
            result
        };
        let estimate = cost::estimate(&ast, &checked, environment);
        let mut names = Vec::new();
        used(&ast.root, &mut names);
        Ok(Self {
            ast,
            result,
            estimate,
            names,
        })
    }

    /// What it gives.
    pub fn result(&self) -> &Type {
        &self.result
    }

    /// The most that it may cost, by the bounds of its variables' types.
    pub fn estimated_cost(&self) -> u64 {
        self.estimate
    }

    /// Whether it looks at a variable.
    pub fn uses(&self, name: &str) -> bool {
        self.names.iter().any(|own| own == name)
    }

    /// Evaluates over untyped variables. Of JSON only what the expression looks at is looked at.
    pub fn eval<'v>(&'v self, variables: &[(&'v str, &'v Json)], budget: Budget) -> Result<CelValue<'v>, EvalError> {
        let variables = variables
            .iter()
            .map(|(name, json)| (*name, CelValue::from_json(json, None)));
        self.run(variables, budget).0
    }

    /// Evaluates over given values, and tells what it cost.
    pub fn run<'v>(
        &'v self,
        variables: impl IntoIterator<Item = (&'v str, CelValue<'v>)>,
        budget: Budget,
    ) -> (Result<CelValue<'v>, EvalError>, u64) {
        let mut machine = eval::Machine::new(variables.into_iter(), budget);
        let result = machine.eval(&self.ast.root);
        (result, machine.cost)
    }
}

/// Names of everything an expression calls by name.
fn used(expr: &ast::Expr, names: &mut Vec<String>) {
    use ast::Kind;
    match &expr.kind {
        Kind::Const(_) | Kind::Struct(_) => {}
        Kind::Ident(name) => {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Kind::Select { operand, .. } => used(operand, names),
        Kind::Call { target, args, .. } => {
            for part in target.iter().map(AsRef::as_ref).chain(args) {
                used(part, names);
            }
        }
        Kind::List(items) => items.iter().for_each(|item| used(&item.value, names)),
        Kind::Map(entries) => entries.iter().for_each(|entry| {
            used(&entry.key, names);
            used(&entry.value, names);
        }),
        Kind::Fold(fold) => [&fold.range, &fold.init, &fold.condition, &fold.step, &fold.result]
            .into_iter()
            .for_each(|part| used(part, names)),
    }
}
