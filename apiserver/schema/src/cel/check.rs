//! The type checker: every node gets its type and every call the overloads it may mean, or it is said what does not fit.
//!
//! Types of parameters are found by unification; what is known at run time only is [`Type::Dyn`] and fits everywhere.

use std::sync::Arc;

use super::ast::{Ast, Const, Expr, Fold, Id, Kind};
use super::library::{self, Overload};
use super::types::Type;
use super::{CompileError, Environment, Issue};

/// What the checker knows about an expression.
#[derive(Debug, Default)]
pub(super) struct Checked {
    types: Vec<Type>,
    /// Ids of the overloads of each call.
    pub(super) overloads: Vec<Vec<&'static str>>,
}

impl Checked {
    pub(super) fn of(&self, id: Id) -> &Type {
        self.types.get(id).unwrap_or(&Type::Dyn)
    }
}

/// How many issues one expression may give.
const MAX_ISSUES: usize = 20;

/// Checks an expression against the variables of an environment.
pub(super) fn check(source: &str, ast: &Ast, environment: &Environment) -> Result<Checked, CompileError> {
    let count = ast.offsets.len();
    let mut checker = Checker {
        ast,
        environment,
        scope: Vec::new(),
        types: vec![Type::Dyn; count],
        overloads: vec![Vec::new(); count],
        bindings: Vec::new(),
        trail: Vec::new(),
        issues: Vec::new(),
    };
    checker.expr(&ast.root);
    if !checker.issues.is_empty() {
        return Err(CompileError::new(source, checker.issues));
    }
    let types = checker.types.iter().map(|own| checker.resolve(own)).collect();
    Ok(Checked {
        types,
        overloads: checker.overloads,
    })
}

struct Checker<'a> {
    ast: &'a Ast,
    environment: &'a Environment,
    /// Variables of loops, innermost last.
    scope: Vec<(&'a str, Type)>,
    types: Vec<Type>,
    overloads: Vec<Vec<&'static str>>,
    /// What each unknown was found to be.
    bindings: Vec<Option<Type>>,
    /// Earlier values of bindings, for taking a trial back.
    trail: Vec<(usize, Option<Type>)>,
    issues: Vec<Issue>,
}

impl<'a> Checker<'a> {
    fn issue(&mut self, id: Id, text: String) -> Type {
        let at = self.ast.offsets.get(id).copied().unwrap_or_default();
        if self.issues.len() < MAX_ISSUES {
            self.issues.push(Issue { at, text });
        }
        Type::Dyn
    }

    fn expr(&mut self, expr: &'a Expr) -> Type {
        let found = match &expr.kind {
            Kind::Const(literal) => of_literal(literal),
            Kind::Ident(name) => self.ident(expr.id, name),
            Kind::Select { operand, field, test } => {
                let operand = self.expr(operand);
                let found = self.select(expr.id, &operand, field);
                if *test { Type::Bool } else { found }
            }
            Kind::Call { function, target, args } => self.call(expr.id, function, target.as_deref(), args),
            Kind::List(items) => {
                let mut element = None;
                for item in items {
                    let mut found = self.expr(&item.value);
                    if item.optional {
                        found = self.inside_optional(item.value.id, &found);
                    }
                    self.join(item.value.id, &mut element, found);
                }
                let element = element.unwrap_or_else(|| self.fresh());
                Type::list(element)
            }
            Kind::Map(entries) => {
                let (mut key, mut value) = (None, None);
                for entry in entries {
                    let found = self.expr(&entry.key);
                    self.join(entry.key.id, &mut key, found);
                    let mut found = self.expr(&entry.value);
                    if entry.optional {
                        found = self.inside_optional(entry.value.id, &found);
                    }
                    self.join(entry.value.id, &mut value, found);
                }
                let key = key.unwrap_or_else(|| self.fresh());
                let value = value.unwrap_or_else(|| self.fresh());
                Type::map(key, value)
            }
            Kind::Struct(name) => self.undeclared(expr.id, name),
            Kind::Fold(fold) => self.fold(fold),
        };
        if let Some(slot) = self.types.get_mut(expr.id) {
            *slot = found.clone();
        }
        found
    }

    fn undeclared(&mut self, id: Id, name: &str) -> Type {
        self.issue(id, format!("undeclared reference to '{name}' (in container '')"))
    }

    fn ident(&mut self, id: Id, name: &str) -> Type {
        if let Some((_, found)) = self.scope.iter().rev().find(|(own, _)| *own == name) {
            return found.clone();
        }
        if let Some(found) = self.environment.find(name) {
            return found.to_type();
        }
        if super::eval::TYPE_NAMES.contains(&name) {
            return Type::Type;
        }
        self.undeclared(id, name)
    }

    fn select(&mut self, id: Id, operand: &Type, field: &str) -> Type {
        match self.resolve(operand) {
            Type::Dyn | Type::Var(_) => Type::Dyn,
            Type::Map(_, value) => (*value).clone(),
            Type::Optional(inner) => {
                let found = self.select(id, &inner, field);
                Type::optional(found)
            }
            Type::Object(decl) => match decl.field(field) {
                Some((_, decl)) => decl.to_type(),
                None => self.issue(id, format!("undefined field '{field}'")),
            },
            other => self.issue(id, format!("type '{other}' does not support field selection")),
        }
    }

    fn inside_optional(&mut self, id: Id, found: &Type) -> Type {
        match self.resolve(found) {
            Type::Optional(inner) => (*inner).clone(),
            Type::Dyn => Type::Dyn,
            other => self.issue(id, format!("expected type 'optional_type(dyn)' but found '{other}'")),
        }
    }

    /// All elements of a literal have one type.
    fn join(&mut self, id: Id, all: &mut Option<Type>, found: Type) {
        let Some(so_far) = all else {
            *all = Some(found);
            return;
        };
        let own = so_far.clone();
        if self.trial(|checker| checker.unify(&own, &found)) {
            if self.resolve(&found).is_dyn() || matches!(self.resolve(&own), Type::Null) {
                *all = Some(found);
            }
        } else {
            let text = format!(
                "expected type '{}' but found '{}'",
                self.resolve(&own),
                self.resolve(&found)
            );
            self.issue(id, text);
        }
    }

    fn fold(&mut self, fold: &'a Fold) -> Type {
        let range = self.expr(&fold.range);
        let (key, value) = match self.resolve(&range) {
            Type::List(element) => (Type::Int, (*element).clone()),
            Type::Map(key, value) => ((*key).clone(), (*value).clone()),
            Type::Dyn | Type::Var(_) => (Type::Dyn, Type::Dyn),
            other => {
                let text = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                self.issue(fold.range.id, text);
                (Type::Dyn, Type::Dyn)
            }
        };
        let init = self.expr(&fold.init);
        self.scope.push((&fold.accu, init.clone()));
        if let Some(second) = &fold.second {
            self.scope.push((&fold.var, key));
            self.scope.push((second, value));
        } else {
            let single = matches!(self.resolve(&range), Type::List(_));
            self.scope.push((&fold.var, if single { value } else { key }));
        }
        let condition = self.expr(&fold.condition);
        self.expect(fold.condition.id, &Type::Bool, &condition);
        // A variable that `cel.bind` makes is no loop's accumulator: its step is itself.
        let step = self.expr(&fold.step);
        self.expect(fold.step.id, &init, &step);
        self.scope.pop();
        if fold.second.is_some() {
            self.scope.pop();
        }
        let result = self.expr(&fold.result);
        self.scope.pop();
        result
    }

    fn expect(&mut self, id: Id, wanted: &Type, found: &Type) {
        if !self.trial(|checker| checker.unify(wanted, found)) {
            let text = format!(
                "expected type '{}' but found '{}'",
                self.resolve(wanted),
                self.resolve(found)
            );
            self.issue(id, text);
        }
    }

    fn call(&mut self, id: Id, function: &str, target: Option<&'a Expr>, args: &'a [Expr]) -> Type {
        if function == "_?._"
            && let [operand, field] = args
        {
            let operand = self.expr(operand);
            let field_name = field.as_text().unwrap_or_default();
            let found = match self.resolve(&operand) {
                Type::Optional(inner) => self.select(id, &inner, field_name),
                other => self.select(id, &other, field_name),
            };
            return Type::optional(found);
        }
        let mut types = Vec::with_capacity(args.len() + 1);
        types.extend(target.map(|target| self.expr(target)));
        for arg in args {
            // What is to be printed may be of any types.
            if let ("format", Kind::List(items)) = (function, &arg.kind) {
                for item in items {
                    self.expr(&item.value);
                }
                types.push(Type::list(Type::Dyn));
            } else {
                types.push(self.expr(arg));
            }
        }
        let overloads = library::overloads(function);
        if overloads.is_empty() {
            return self.undeclared(id, function);
        }
        self.literal(function, args);
        let member = target.is_some();
        let mut result: Option<Type> = None;
        for overload in overloads
            .iter()
            .filter(|own| own.member == member && own.args.len() == types.len())
        {
            let Some(found) = self.try_overload(overload, &types) else {
                continue;
            };
            if let Some(slot) = self.overloads.get_mut(id) {
                slot.push(overload.id);
            }
            result = Some(match result {
                None => found,
                Some(other) if self.resolve(&other) == self.resolve(&found) => other,
                Some(_) => Type::Dyn,
            });
        }
        if let Some(result) = result {
            return result;
        }
        let shown: Vec<String> = types.iter().map(|own| self.resolve(own).to_string()).collect();
        let shown = if member {
            format!("{}.({})", shown[0], shown[1..].join(", "))
        } else {
            format!("({})", shown.join(", "))
        };
        self.issue(
            id,
            format!("found no matching overload for '{function}' applied to '{shown}'"),
        )
    }

    /// Times, durations and patterns that are written out are read once, here.
    fn literal(&mut self, function: &str, args: &'a [Expr]) {
        let Some(arg) = args.last() else { return };
        let Some(text) = arg.as_text() else { return };
        let fits = match function {
            "duration" => super::time::parse_duration(text).is_some(),
            "timestamp" => text.parse::<jiff::Timestamp>().is_ok(),
            "matches" => super::regex::compile(text).is_ok(),
            _ => return,
        };
        if !fits {
            self.issue(arg.id, format!("invalid {function} argument"));
        }
    }

    fn try_overload(&mut self, overload: &Overload, args: &[Type]) -> Option<Type> {
        let base = self.bindings.len();
        for _ in 0..overload.params {
            self.fresh();
        }
        let fits = self.trial(|checker| {
            overload
                .args
                .iter()
                .zip(args)
                .all(|(wanted, found)| checker.unify(&instance(wanted, base), found))
        });
        fits.then(|| instance(&overload.result, base))
    }

    fn fresh(&mut self) -> Type {
        self.bindings.push(None);
        Type::Var(self.bindings.len() - 1)
    }

    /// Runs something and takes back what it found out when it fails.
    fn trial(&mut self, run: impl FnOnce(&mut Self) -> bool) -> bool {
        let mark = self.trail.len();
        let held = run(self);
        if !held {
            while self.trail.len() > mark {
                if let Some((var, old)) = self.trail.pop() {
                    self.bindings[var] = old;
                }
            }
        }
        held
    }

    fn bind(&mut self, var: usize, to: Type) {
        let old = self.bindings[var].replace(to);
        self.trail.push((var, old));
    }

    /// Whether `found` fits where `wanted` is asked for.
    fn unify(&mut self, wanted: &Type, found: &Type) -> bool {
        match (wanted, found) {
            (Type::Var(one), Type::Var(other)) if one == other => true,
            (Type::Var(var), other) | (other, Type::Var(var)) => self.unify_var(*var, other),
            (Type::Dyn, _) | (_, Type::Dyn) | (Type::Type, Type::Type) => true,
            (Type::Null, other) | (other, Type::Null) => matches!(
                other,
                Type::Null | Type::Object(_) | Type::Timestamp | Type::Duration | Type::Opaque(_)
            ),
            (Type::List(one), Type::List(other)) | (Type::Optional(one), Type::Optional(other)) => {
                self.unify(one, other)
            }
            (Type::Map(key, value), Type::Map(other_key, other_value)) => {
                self.unify(key, other_key) && self.unify(value, other_value)
            }
            (one, other) => one == other,
        }
    }

    fn unify_var(&mut self, var: usize, other: &Type) -> bool {
        let Some(bound) = self.bindings[var].clone() else {
            let resolved = self.resolve(other);
            if resolved == Type::Var(var) {
                return true;
            }
            if occurs(var, &resolved) {
                return false;
            }
            self.bind(var, resolved);
            return true;
        };
        if !self.unify(&bound, other) {
            return false;
        }
        let more_general =
            other.is_dyn() || (matches!(bound, Type::Null) && !matches!(other, Type::Null | Type::Var(_)));
        if more_general {
            self.bind(var, other.clone());
        }
        true
    }

    /// A type with what was found out filled in.
    fn resolve(&self, own: &Type) -> Type {
        match own {
            Type::Var(var) => match &self.bindings[*var] {
                Some(bound) => self.resolve(bound),
                None => Type::Var(*var),
            },
            Type::List(inner) => Type::list(self.resolve(inner)),
            Type::Optional(inner) => Type::optional(self.resolve(inner)),
            Type::Map(key, value) => Type::map(self.resolve(key), self.resolve(value)),
            other => other.clone(),
        }
    }
}

fn occurs(var: usize, within: &Type) -> bool {
    match within {
        Type::Var(own) => *own == var,
        Type::List(inner) | Type::Optional(inner) => occurs(var, inner),
        Type::Map(key, value) => occurs(var, key) || occurs(var, value),
        _ => false,
    }
}

/// A type of the table with its parameters as unknowns of the checker.
fn instance(of: &Type, base: usize) -> Type {
    match of {
        Type::Var(index) => Type::Var(base + index),
        Type::List(inner) => Type::List(Arc::new(instance(inner, base))),
        Type::Optional(inner) => Type::Optional(Arc::new(instance(inner, base))),
        Type::Map(key, value) => Type::Map(Arc::new(instance(key, base)), Arc::new(instance(value, base))),
        other => other.clone(),
    }
}

fn of_literal(literal: &Const) -> Type {
    match literal {
        Const::Null => Type::Null,
        Const::Bool(_) => Type::Bool,
        Const::Int(_) => Type::Int,
        Const::Uint(_) => Type::Uint,
        Const::Double(_) => Type::Double,
        Const::String(_) => Type::String,
        Const::Bytes(_) => Type::Bytes,
    }
}
