//! The most that an expression may cost, from the bounds that a schema sets on its variables.
//!
//! The model is that of Kubernetes, number by number, because a definition that is accepted there must be accepted here:
//! a unit for each variable and field, a tenth of a unit for each character that a call goes through, ten for a list, and
//! loops as often as their range may have elements. What nothing bounds is without bound.

use std::collections::HashMap;
use std::sync::Arc;

use super::Environment;
use super::ast::{Ast, Expr, Fold, Id, Kind};
use super::check::Checked;
use super::types::{Decl, DeclKind, Type};

/// How large a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Size {
    min: u64,
    max: u64,
}

const UNBOUNDED: Size = Size { min: 0, max: u64::MAX };
const ONE: Size = Size { min: 1, max: 1 };

impl Size {
    fn exactly(size: u64) -> Self {
        Self { min: size, max: size }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_add(other.min),
            max: self.max.saturating_add(other.max),
        }
    }

    fn times(self, other: Self) -> Self {
        Self {
            min: self.min.saturating_mul(other.min),
            max: self.max.saturating_mul(other.max),
        }
    }

    fn union(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// What going through it at a price for each unit costs at most.
    fn priced(self, price: f64) -> u64 {
        scaled(self.max, price)
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "costs are rounded up; a float beyond the range saturates"
)]
fn scaled(count: u64, price: f64) -> u64 {
    (count as f64 * price).ceil() as u64
}

/// What is known of the value of a node.
#[derive(Debug, Clone, Default)]
struct Info {
    decl: Option<Arc<Decl>>,
    size: Option<Size>,
    /// Of a list that an expression made: how large its elements are.
    element: Option<Size>,
}

/// The most that an expression may cost.
pub(super) fn estimate(ast: &Ast, checked: &Checked, environment: &Environment) -> u64 {
    let mut estimator = Estimator {
        checked,
        environment,
        info: HashMap::new(),
        scope: Vec::new(),
    };
    estimator.cost(&ast.root)
}

struct Estimator<'a> {
    checked: &'a Checked,
    environment: &'a Environment,
    info: HashMap<Id, Info>,
    scope: Vec<(&'a str, Info)>,
}

impl<'a> Estimator<'a> {
    fn info(&self, expr: &Expr) -> Info {
        self.info.get(&expr.id).cloned().unwrap_or_default()
    }

    fn size(&self, expr: &Expr) -> Size {
        let literal = match &expr.kind {
            Kind::Const(super::ast::Const::String(text)) => Some(text.chars().count()),
            Kind::Const(super::ast::Const::Bytes(bytes)) => Some(bytes.len()),
            Kind::List(items) => Some(items.len()),
            Kind::Map(entries) => Some(entries.len()),
            _ => None,
        };
        if let Some(length) = literal {
            return Size::exactly(length as u64);
        }
        if let Some(info) = self.info.get(&expr.id) {
            if let Some(size) = info.size {
                return size;
            }
            if let Some(decl) = &info.decl {
                return Size { min: 0, max: decl.max };
            }
        }
        of_type(self.checked.of(expr.id))
    }

    fn element_size(&self, expr: &Expr) -> Size {
        let info = self.info(expr);
        if let Some(decl) = info.decl.as_ref().and_then(|decl| element(decl)) {
            return Size { min: 0, max: decl.max };
        }
        info.element.unwrap_or_else(|| match self.checked.of(expr.id) {
            Type::List(element) => of_type(element),
            _ => UNBOUNDED,
        })
    }

    fn know(&mut self, expr: &Expr, info: Info) {
        self.info.insert(expr.id, info);
    }

    fn cost(&mut self, expr: &'a Expr) -> u64 {
        match &expr.kind {
            Kind::Const(_) => 0,
            Kind::Struct(_) => 40,
            Kind::Ident(name) => {
                let info = self
                    .scope
                    .iter()
                    .rev()
                    .find(|(own, _)| own == name)
                    .map(|(_, info)| info.clone())
                    .or_else(|| {
                        // The name of a type is as large as the place itself, in Kubernetes: what makes
                        // `type(self) == string` affordable.
                        let decl = self.environment.find(name).or_else(|| self.environment.find("self"));
                        decl.map(|decl| Info {
                            decl: Some(Arc::clone(decl)),
                            ..Info::default()
                        })
                    });
                self.know(expr, info.unwrap_or_default());
                1
            }
            Kind::Select { operand, field, test } => {
                let cost = self.cost(operand);
                if *test {
                    return cost;
                }
                let from = self.info(operand).decl;
                let decl = from.and_then(|decl| match &decl.kind {
                    DeclKind::Map(value) => Some(Arc::clone(value)),
                    _ => decl.field(field).map(|(_, decl)| Arc::clone(decl)),
                });
                self.know(
                    expr,
                    Info {
                        decl,
                        ..Info::default()
                    },
                );
                let counts = !matches!(self.checked.of(operand.id), Type::Dyn | Type::Optional(_));
                cost.saturating_add(u64::from(counts))
            }
            Kind::List(items) => {
                let cost = items
                    .iter()
                    .fold(10, |sum: u64, item| sum.saturating_add(self.cost(&item.value)));
                let element = items.iter().map(|item| self.size(&item.value)).reduce(Size::union);
                self.know(
                    expr,
                    Info {
                        element,
                        ..Info::default()
                    },
                );
                cost
            }
            Kind::Map(entries) => entries.iter().fold(30, |sum: u64, entry| {
                let entry = self.cost(&entry.key).saturating_add(self.cost(&entry.value));
                sum.saturating_add(entry)
            }),
            Kind::Fold(fold) => self.fold(expr, fold),
            Kind::Call { function, target, args } => {
                let mut costs = Vec::with_capacity(args.len() + 1);
                let mut all = Vec::with_capacity(args.len() + 1);
                for arg in target.iter().map(AsRef::as_ref).chain(args) {
                    costs.push(self.cost(arg));
                    all.push(arg);
                }
                self.call(expr, function, &all, &costs)
            }
        }
    }

    fn fold(&mut self, expr: &'a Expr, fold: &'a Fold) -> u64 {
        let mut cost = self.cost(&fold.range).saturating_add(self.cost(&fold.init));
        let range = self.info(&fold.range);
        let is_map = matches!(self.checked.of(fold.range.id), Type::Map(..));
        let size = self.size(&fold.range);
        let value = Info {
            decl: range.decl.as_ref().and_then(|decl| element(decl)),
            size: range.decl.is_none().then(|| self.element_size(&fold.range)),
            element: None,
        };
        let key = Info {
            size: Some(if is_map { Size::exactly(0) } else { ONE }),
            ..Info::default()
        };
        let init = self.info(&fold.init);
        let bound = matches!(&fold.range.kind, Kind::List(items) if items.is_empty());
        let mark = self.scope.len();
        let accu = if bound {
            Info {
                size: Some(self.size(&fold.init)),
                ..init
            }
        } else {
            Info {
                size: Some(Size { min: 0, max: size.max }),
                ..Info::default()
            }
        };
        self.scope.push((&fold.accu, accu));
        match &fold.second {
            Some(second) => {
                self.scope.push((&fold.var, key));
                self.scope.push((second, value));
            }
            None => self.scope.push((&fold.var, if is_map { key } else { value })),
        }
        let round = self.cost(&fold.condition).saturating_add(self.cost(&fold.step));
        let element = added(&fold.step).map(|item| self.size(item));
        self.scope.truncate(mark + 1);
        cost = cost.saturating_add(self.cost(&fold.result));
        self.scope.truncate(mark);
        let mut info = if bound {
            Info {
                size: Some(self.size(&fold.result)),
                ..self.info(&fold.result)
            }
        } else {
            Info::default()
        };
        if !bound && matches!(self.checked.of(expr.id), Type::List(_) | Type::Map(..)) {
            info.size = Some(Size { min: 0, max: size.max });
            info.element = element;
        }
        self.know(expr, info);
        cost.saturating_add(size.max.saturating_mul(round))
    }

    fn call(&mut self, expr: &'a Expr, function: &str, args: &[&'a Expr], costs: &[u64]) -> u64 {
        let sum = costs.iter().fold(0u64, |sum, cost| sum.saturating_add(*cost));
        match (function, costs) {
            ("_&&_" | "_||_", _) => return sum,
            ("_?_:_", [condition, then, otherwise]) => {
                let size = self.size(args[1]).union(self.size(args[2]));
                let element = self.element_size(args[1]).union(self.element_size(args[2]));
                let scalar = of_type(self.checked.of(expr.id)) == ONE;
                if !scalar {
                    self.know(
                        expr,
                        Info {
                            decl: None,
                            size: Some(size),
                            element: Some(element),
                        },
                    );
                }
                return condition.saturating_add(*then.max(otherwise));
            }
            _ => {}
        }
        let mut own = 0;
        let overloads = self.checked.overloads.get(expr.id).cloned().unwrap_or_default();
        for overload in &overloads {
            own = own.max(self.overload(expr, function, overload, args));
        }
        if overloads.is_empty() {
            own = 1;
        }
        sum.saturating_add(own)
    }

    fn result(&mut self, expr: &Expr, size: Size, element: Option<Size>) {
        let size = self.info(expr).size.map_or(size, |other| other.union(size));
        self.know(
            expr,
            Info {
                decl: None,
                size: Some(size),
                element,
            },
        );
    }

    /// The cost of one way to understand a call, without its arguments.
    fn overload(&mut self, expr: &'a Expr, function: &str, overload: &str, args: &[&'a Expr]) -> u64 {
        let size = |index: usize| args.get(index).map_or(ONE, |arg| self.size(arg));
        match (function, overload) {
            ("_==_" | "_!=_", _)
            | (
                _,
                "less_string"
                | "less_bytes"
                | "less_equals_string"
                | "less_equals_bytes"
                | "greater_string"
                | "greater_bytes"
                | "greater_equals_string"
                | "greater_equals_bytes",
            ) => {
                if args
                    .first()
                    .is_some_and(|arg| matches!(self.checked.of(arg.id), Type::Opaque(_)))
                {
                    return 1;
                }
                scaled(size(0).max.min(size(1).max), 0.1)
            }
            (_, "string_to_bytes") => {
                let own = size(0);
                let result = Size {
                    min: own.min,
                    max: own.max.saturating_mul(4),
                };
                self.result(expr, result, None);
                own.priced(0.1)
            }
            (_, "bytes_to_string") => {
                let own = size(0);
                let result = Size {
                    min: own.min / 4,
                    max: own.max,
                };
                self.result(expr, result, None);
                own.priced(0.1)
            }
            (_, "string_to_string" | "bytes_to_bytes") => {
                let own = size(0);
                self.result(expr, own, None);
                1
            }
            (_, "string_format") => size(0).priced(0.1),
            (_, "strings_quote") => {
                let own = size(0);
                let result = Size {
                    min: own.min.saturating_add(2),
                    max: own.max.saturating_mul(2).saturating_add(2),
                };
                self.result(expr, result, None);
                own.priced(0.1)
            }
            (_, "starts_with_string" | "ends_with_string") => size(1).priced(0.1),
            (_, "in_list") => size(1).max,
            (_, "matches_string" | "matches") => size(0).plus(ONE).priced(0.1).saturating_mul(size(1).priced(0.25)),
            (_, "contains_string") => size(0).priced(0.1).saturating_mul(size(1).priced(0.1)),
            (_, "add_string" | "add_bytes") => {
                let both = size(0).plus(size(1));
                self.result(expr, both, None);
                both.priced(0.1)
            }
            (_, "add_list") => {
                let both = size(0).plus(size(1));
                let element = self.element_size(args[0]).union(self.element_size(args[1]));
                self.result(expr, both, Some(element));
                1
            }
            (_, "index_list" | "index_map") => {
                let from = self.info(args[0]);
                let decl = from.decl.as_ref().and_then(|decl| element(decl));
                let size = decl.is_none().then(|| self.element_size(args[0]));
                if decl.is_some() || of_type(self.checked.of(expr.id)) != ONE {
                    self.know(
                        expr,
                        Info {
                            decl,
                            size,
                            element: None,
                        },
                    );
                }
                1
            }
            _ => self.library(expr, function, args),
        }
    }

    /// What Kubernetes' own functions cost.
    fn library(&mut self, expr: &'a Expr, function: &str, args: &[&'a Expr]) -> u64 {
        let size = |index: usize| args.get(index).map_or(ONE, |arg| self.size(arg));
        let is_text = |index: usize| {
            args.get(index)
                .is_some_and(|arg| *self.checked.of(arg.id) == Type::String)
        };
        match function {
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" => {
                if is_text(0) {
                    return size(0).priced(0.1);
                }
                let texts = matches!(self.checked.of(args[0].id), Type::List(element) if matches!(**element, Type::String | Type::Bytes));
                let each = if texts {
                    self.element_size(args[0]).priced(0.1).saturating_add(1)
                } else {
                    1
                };
                size(0).max.saturating_mul(each)
            }
            "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" => {
                let own = size(0);
                self.result(expr, own, None);
                own.priced(0.1)
            }
            "replace" => {
                let (own, old, new) = (size(0), size(1), size(2));
                let result = replaced(own, old, new);
                self.result(expr, result, None);
                own.priced(0.2)
            }
            "split" | "findAll" => {
                let own = size(0);
                let limit = args.get(2).and_then(|arg| match &arg.kind {
                    Kind::Const(super::ast::Const::Int(limit)) => u64::try_from(*limit).ok(),
                    _ => None,
                });
                let max = if function == "split" {
                    limit.unwrap_or(own.max)
                } else {
                    own.max
                };
                let element = Size { min: 0, max: own.max };
                let cost = if function == "split" {
                    own.priced(0.2)
                } else {
                    own.plus(ONE).priced(0.1).saturating_mul(size(1).priced(0.25))
                };
                self.result(expr, Size { min: 0, max }, Some(element));
                cost
            }
            "find" => {
                let own = size(0);
                let cost = own.plus(ONE).priced(0.1).saturating_mul(size(1).priced(0.25));
                self.result(expr, Size { min: 0, max: own.max }, None);
                cost
            }
            "join" => {
                let count = size(0);
                let mut joined = count.times(self.element_size(args[0]));
                if args.len() > 1 {
                    let between = Size {
                        min: count.min.saturating_sub(1),
                        max: count.max.saturating_sub(1),
                    };
                    joined = joined.plus(size(1).times(between));
                }
                self.result(expr, joined, None);
                joined.priced(0.1)
            }
            "cidr" | "isIP" | "isCIDR" | "quantity" | "isQuantity" | "semver" | "isSemver" => size(0).priced(0.1),
            "ip" if is_text(0) => size(0).priced(0.1),
            "ip.isCanonical" => size(0).priced(0.2),
            "containsIP" => 4 + if is_text(1) { size(1).priced(0.1) } else { 0 },
            "containsCIDR" => 7 + if is_text(1) { size(1).priced(0.1) } else { 0 },
            "validate" => scaled(size(1).priced(0.1), 32.0),
            "sets.contains" | "sets.intersects" => size(0).max.saturating_mul(size(1).max).max(1),
            "sets.equivalent" => size(0).max.saturating_mul(size(1).max).saturating_mul(2).max(1),
            "lists.range" | "flatten" | "distinct" | "reverse" | "sort" | "slice" => {
                let own = size(0);
                let element = self.element_size(args[0]);
                self.result(expr, Size { min: 0, max: own.max }, Some(element));
                let each = if function == "distinct" { own.max } else { 1 };
                own.max.saturating_mul(each).max(1)
            }
            _ => 1,
        }
    }
}

/// The longest and shortest result of `replace`.
fn replaced(own: Size, old: Size, new: Size) -> Size {
    let mut count = Size { min: 0, max: 0 };
    let mut kept = Size { min: 0, max: 0 };
    if old.min == 0 {
        count.max = own.max.saturating_add(1);
        kept.max = own.max;
    } else if new.max <= old.min {
        kept.max = own.max;
    } else {
        count.max = own.max.div_ceil(old.min);
    }
    if old.max == 0 {
        count.min = own.min.saturating_add(1);
        kept.min = own.min;
    } else if old.max <= new.min {
        kept.min = own.min;
    } else {
        count.min = own.min.div_ceil(old.max);
    }
    count.times(new).plus(kept)
}

/// Values of some types are all of one size.
fn of_type(own: &Type) -> Size {
    match own {
        Type::Bool | Type::Int | Type::Uint | Type::Double | Type::Timestamp | Type::Duration => ONE,
        _ => UNBOUNDED,
    }
}

fn element(decl: &Decl) -> Option<Arc<Decl>> {
    match &decl.kind {
        DeclKind::List(element, _) | DeclKind::Map(element) => Some(Arc::clone(element)),
        _ => None,
    }
}

/// The item that a step adds to its list: `accu + [item]`, perhaps under a condition.
fn added(step: &Expr) -> Option<&Expr> {
    let Kind::Call { function, args, .. } = &step.kind else {
        return None;
    };
    match (function.as_str(), args.as_slice()) {
        ("_+_", [_, list]) => match &list.kind {
            Kind::List(items) => items.first().map(|item| &item.value),
            _ => None,
        },
        ("_?_:_", [_, then, _]) => added(then),
        _ => None,
    }
}
