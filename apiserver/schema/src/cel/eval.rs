//! The evaluator: walks the tree, counts what it costs, and stops when that is too much.
//!
//! Two meters run. *Cost* is Kubernetes' own unit, so that a rule fails here where it fails there. *Work* counts what
//! cost leaves out (elements copied and compared, bytes made, patterns compiled), so that no expression takes time or
//! memory out of proportion to its budget.

use std::collections::HashMap;
use std::sync::Arc;

use super::ast::{ACCU, Const, Entry, Expr, Fold, Item, Kind};
use super::regex::Pattern;
use super::types::Keys;
use super::value::{CelValue as V, List, Map, Table, compare};
use super::{Budget, EvalError, functions};

/// Types that expressions may name.
pub(super) const TYPE_NAMES: [&str; 12] = [
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "optional_type",
    "dyn",
];

/// Units of work for each unit of cost.
const WORK: u64 = 32;
/// Units of work that compiling a pattern takes.
const PATTERN: u64 = 300_000;

pub(super) type Eval<'a> = Result<V<'a>, EvalError>;

/// One evaluation under way.
pub(super) struct Machine<'p, 'a> {
    /// Variables, innermost last. A variable may hold an error: what does not look at it does not fail.
    scope: Vec<(&'p str, Eval<'a>)>,
    pub(super) cost: u64,
    limit: u64,
    work: u64,
    work_limit: u64,
    patterns: HashMap<String, Arc<Pattern>>,
}

pub(super) fn failed<T>(text: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Failed(text.into()))
}

pub(super) fn no_overload<T>() -> Result<T, EvalError> {
    failed("no such overload")
}

impl<'p, 'a> Machine<'p, 'a> {
    pub(super) fn new(variables: impl Iterator<Item = (&'p str, V<'a>)>, budget: Budget) -> Self {
        Self {
            scope: variables.map(|(name, value)| (name, Ok(value))).collect(),
            cost: 0,
            limit: budget.cost,
            work: 0,
            work_limit: budget.cost.saturating_mul(WORK).max(1 << 20),
            patterns: HashMap::new(),
        }
    }

    pub(super) fn charge(&mut self, cost: u64) -> Result<(), EvalError> {
        self.cost = self.cost.saturating_add(cost);
        if self.cost > self.limit {
            return Err(EvalError::CostExceeded);
        }
        Ok(())
    }

    pub(super) fn work(&mut self, units: usize) -> Result<(), EvalError> {
        self.work = self.work.saturating_add(units as u64);
        if self.work > self.work_limit {
            return Err(EvalError::CostExceeded);
        }
        Ok(())
    }

    pub(super) fn pattern(&mut self, text: &str) -> Result<Arc<Pattern>, EvalError> {
        if let Some(known) = self.patterns.get(text) {
            return Ok(Arc::clone(known));
        }
        self.work(usize::try_from(PATTERN).unwrap_or(usize::MAX))?;
        let pattern = super::regex::compile(text).map_err(EvalError::Failed)?;
        self.patterns.insert(text.to_owned(), Arc::clone(&pattern));
        Ok(pattern)
    }

    pub(super) fn eval(&mut self, expr: &'p Expr) -> Eval<'a> {
        self.work(1)?;
        match &expr.kind {
            Kind::Const(literal) => Ok(constant(literal)),
            Kind::Ident(name) => self.ident(name),
            Kind::Select { operand, field, test } => self.select(operand, field, *test),
            Kind::Call { function, target, args } => self.call(function, target.as_deref(), args),
            Kind::List(items) => self.list(items),
            Kind::Map(entries) => self.map(entries),
            Kind::Struct(_) => no_overload(),
            Kind::Fold(fold) => self.fold(fold),
        }
    }

    #[inline(never)]
    fn ident(&mut self, name: &str) -> Eval<'a> {
        self.charge(1)?;
        if let Some((_, value)) = self.scope.iter().rev().find(|(own, _)| *own == name) {
            return value.clone();
        }
        match TYPE_NAMES.iter().find(|own| **own == name) {
            Some(name) => Ok(V::Type(name)),
            None => failed(format!("no such attribute(s): {name}")),
        }
    }

    #[inline(never)]
    fn select(&mut self, operand: &'p Expr, field: &'p str, test: bool) -> Eval<'a> {
        let operand = self.eval(operand)?;
        if !test {
            self.charge(1)?;
        }
        let key = V::text(field);
        match operand {
            V::Map(map) => match map.get(&key) {
                found if test => Ok(V::Bool(found.is_some())),
                Some(found) => Ok(found),
                None => failed(format!("no such key: {field}")),
            },
            V::Optional(inner) => {
                let found = match inner.as_deref() {
                    Some(V::Map(map)) => map.get(&key),
                    Some(_) => return no_overload(),
                    None => None,
                };
                Ok(if test {
                    V::Bool(found.is_some())
                } else {
                    V::Optional(found.map(Arc::new))
                })
            }
            _ => no_overload(),
        }
    }

    #[inline(never)]
    fn list(&mut self, items: &'p [Item]) -> Eval<'a> {
        self.charge(10)?;
        let mut out = Vec::with_capacity(items.len());
        for item in items {
            let value = self.eval(&item.value)?;
            match (item.optional, value) {
                (false, value) => out.push(value),
                (true, V::Optional(Some(value))) => out.push((*value).clone()),
                (true, V::Optional(None)) => {}
                (true, _) => return no_overload(),
            }
        }
        Ok(V::list(out))
    }

    #[inline(never)]
    fn map(&mut self, entries: &'p [Entry]) -> Eval<'a> {
        self.charge(30)?;
        let mut table = Table::default();
        for entry in entries {
            let key = self.eval(&entry.key)?;
            let value = match (entry.optional, self.eval(&entry.value)?) {
                (false, value) => value,
                (true, V::Optional(Some(value))) => (*value).clone(),
                (true, V::Optional(None)) => continue,
                (true, _) => return no_overload(),
            };
            insert(&mut table, key, value)?;
        }
        Ok(V::Map(Map::Own(Arc::new(table))))
    }

    #[inline(never)]
    fn fold(&mut self, fold: &'p Fold) -> Eval<'a> {
        let range = self.eval(&fold.range)?;
        let init = self.eval(&fold.init);
        if matches!(init, Err(EvalError::CostExceeded)) {
            return init;
        }
        let slot = self.scope.len();
        self.scope.push((&fold.accu, init));
        self.scope.push((&fold.var, Ok(V::Null)));
        if let Some(second) = &fold.second {
            self.scope.push((second, Ok(V::Null)));
        }
        let looped = self.steps(fold, slot, &range);
        self.scope.truncate(slot + 1);
        let result = looped.and_then(|()| self.eval(&fold.result));
        self.scope.truncate(slot);
        result
    }

    fn steps(&mut self, fold: &'p Fold, slot: usize, range: &V<'a>) -> Result<(), EvalError> {
        let two = fold.second.is_some();
        match range {
            V::List(list) => {
                for index in 0..list.len() {
                    let Some(value) = list.get(index) else { break };
                    if two {
                        let index = i64::try_from(index).unwrap_or(i64::MAX);
                        self.scope[slot + 1].1 = Ok(V::Int(index));
                        self.scope[slot + 2].1 = Ok(value);
                    } else {
                        self.scope[slot + 1].1 = Ok(value);
                    }
                    if !self.step(fold, slot)? {
                        break;
                    }
                }
                Ok(())
            }
            V::Map(map) => {
                for (key, value) in map.entries() {
                    self.scope[slot + 1].1 = Ok(key);
                    if two {
                        self.scope[slot + 2].1 = Ok(value);
                    }
                    if !self.step(fold, slot)? {
                        break;
                    }
                }
                Ok(())
            }
            _ => no_overload(),
        }
    }

    /// One round of a loop; false when it was the last.
    fn step(&mut self, fold: &'p Fold, slot: usize) -> Result<bool, EvalError> {
        match self.eval(&fold.condition) {
            Ok(V::Bool(true)) => {}
            Err(EvalError::CostExceeded) => return Err(EvalError::CostExceeded),
            _ => return Ok(false),
        }
        let next = self.eval(&fold.step);
        let (fatal, error) = match &next {
            Err(EvalError::CostExceeded) => (true, true),
            Err(_) => (false, true),
            Ok(_) => (false, false),
        };
        if fatal {
            return Err(EvalError::CostExceeded);
        }
        self.scope[slot].1 = next;
        // Only conditions that look at the accumulator can get over an error in it.
        Ok(!(error && matches!(fold.condition.kind, Kind::Const(_))))
    }

    #[inline(never)]
    fn call(&mut self, function: &'p str, target: Option<&'p Expr>, args: &'p [Expr]) -> Eval<'a> {
        match (function, args) {
            ("_&&_", [left, right]) => self.logical(left, right, false),
            ("_||_", [left, right]) => self.logical(left, right, true),
            ("_?_:_", [condition, then, otherwise]) => match self.eval(condition)? {
                V::Bool(true) => self.eval(then),
                V::Bool(false) => self.eval(otherwise),
                _ => no_overload(),
            },
            ("@not_strictly_false", [arg]) => {
                let value = self.eval(arg);
                self.charge(1)?;
                match value {
                    Err(EvalError::CostExceeded) => value,
                    Ok(V::Bool(false)) => Ok(V::Bool(false)),
                    _ => Ok(V::Bool(true)),
                }
            }
            ("_+_", [accu, item]) if is_accu(accu) && matches!(item.kind, Kind::List(_)) => self.append(item),
            ("cel.@mapInsert", [accu, rest @ ..]) if is_accu(accu) => self.map_insert(rest),
            _ => {
                let mut values = Vec::with_capacity(args.len() + 1);
                if let Some(target) = target {
                    values.push(self.eval(target)?);
                }
                for arg in args {
                    values.push(self.eval(arg)?);
                }
                self.apply(function, &values)
            }
        }
    }

    fn apply(&mut self, function: &str, values: &[V<'a>]) -> Eval<'a> {
        match (function, values) {
            ("_==_" | "_!=_", [left, right]) => {
                self.charge_compare(left, right)?;
                let same = self.equal(left, right)?;
                Ok(V::Bool(same == (function == "_==_")))
            }
            ("_<_" | "_<=_" | "_>_" | "_>=_", [left, right]) => {
                if matches!(left, V::String(_) | V::Bytes(_)) {
                    self.charge_compare(left, right)?;
                } else {
                    self.charge(1)?;
                }
                let Some(order) = compare(left, right) else {
                    // Nothing orders a number that is none.
                    let numbers = matches!(left, V::Double(_)) || matches!(right, V::Double(_));
                    return if numbers { Ok(V::Bool(false)) } else { no_overload() };
                };
                Ok(V::Bool(match function {
                    "_<_" => order.is_lt(),
                    "_<=_" => order.is_le(),
                    "_>_" => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            ("_[_]" | "_[?_]" | "_?._", [from, index]) => {
                self.charge(1)?;
                index_of(from, index, function != "_[_]")
            }
            ("@in", [item, V::List(list)]) => {
                self.charge(list.len() as u64)?;
                for own in list.iter() {
                    if self.equal(item, &own)? {
                        return Ok(V::Bool(true));
                    }
                }
                Ok(V::Bool(false))
            }
            ("@in", [key, V::Map(map)]) => {
                self.charge(1)?;
                Ok(V::Bool(map.get(key).is_some()))
            }
            _ => functions::call(self, function, values),
        }
    }

    fn charge_compare(&mut self, left: &V<'a>, right: &V<'a>) -> Result<(), EvalError> {
        let opaque = matches!(
            left,
            V::Quantity(_) | V::Ip(_) | V::Cidr(..) | V::Format(_) | V::Url(_) | V::Semver(_)
        );
        let cost = if opaque {
            1
        } else {
            left.size().min(right.size()).div_ceil(10)
        };
        self.charge(cost)
    }

    fn logical(&mut self, left: &'p Expr, right: &'p Expr, decides: bool) -> Eval<'a> {
        let left = self.eval(left);
        match &left {
            Ok(V::Bool(value)) if *value == decides => return left,
            Err(EvalError::CostExceeded) => return left,
            _ => {}
        }
        let right = self.eval(right);
        match (left, right) {
            (_, Err(EvalError::CostExceeded)) => Err(EvalError::CostExceeded),
            (_, Ok(V::Bool(value))) if value == decides => Ok(V::Bool(value)),
            (Ok(V::Bool(_)), Ok(V::Bool(value))) => Ok(V::Bool(value)),
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => no_overload(),
        }
    }

    /// Takes the accumulator of the innermost loop, so that adding to it copies nothing.
    fn take_accu(&mut self) -> Eval<'a> {
        self.charge(1)?;
        match self.scope.iter_mut().rev().find(|(name, _)| *name == ACCU) {
            Some((_, value)) => std::mem::replace(value, Ok(V::Null)),
            None => no_overload(),
        }
    }

    fn append(&mut self, item: &'p Expr) -> Eval<'a> {
        let added = self.eval(item)?;
        self.charge(1)?;
        match (self.take_accu()?, added) {
            (V::List(List::Own(mut list)), V::List(added)) => {
                let all = Arc::make_mut(&mut list);
                all.extend(added.iter());
                Ok(V::List(List::Own(list)))
            }
            _ => no_overload(),
        }
    }

    fn map_insert(&mut self, rest: &'p [Expr]) -> Eval<'a> {
        let mut values = Vec::with_capacity(2);
        for arg in rest {
            values.push(self.eval(arg)?);
        }
        self.charge(1)?;
        let V::Map(Map::Own(mut table)) = self.take_accu()? else {
            return no_overload();
        };
        let all = Arc::make_mut(&mut table);
        match values.as_slice() {
            [key, value] => insert(all, key.clone(), value.clone())?,
            [V::Map(map)] => {
                self.work(map.len())?;
                for (key, value) in map.entries() {
                    insert(all, key, value)?;
                }
            }
            _ => return no_overload(),
        }
        Ok(V::Map(Map::Own(table)))
    }

    /// Equality as CEL has it: numbers by value, lists of sets and keyed lists without order.
    pub(super) fn equal(&mut self, left: &V<'a>, right: &V<'a>) -> Result<bool, EvalError> {
        self.work(1)?;
        Ok(match (left, right) {
            (V::Null, V::Null) | (V::Optional(None), V::Optional(None)) => true,
            (V::Type(left), V::Type(right)) | (V::Format(left), V::Format(right)) => left == right,
            (V::String(left), V::String(right)) => {
                self.work(left.as_str().len().min(right.as_str().len()) / 16)?;
                left.as_str() == right.as_str()
            }
            (V::Ip(left), V::Ip(right)) => left == right,
            (V::Cidr(left, bits), V::Cidr(right, other)) => left == right && bits == other,
            (V::Url(left), V::Url(right)) => left.text() == right.text(),
            (V::Optional(Some(left)), V::Optional(Some(right))) => self.equal(left, right)?,
            (V::List(left), V::List(right)) => self.equal_lists(left, right)?,
            (V::Map(left), V::Map(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (key, value) in left.entries() {
                    let Some(other) = right.get(&key) else { return Ok(false) };
                    if !self.equal(&value, &other)? {
                        return Ok(false);
                    }
                }
                true
            }
            (left, right) => compare(left, right) == Some(std::cmp::Ordering::Equal),
        })
    }

    fn equal_lists(&mut self, left: &List<'a>, right: &List<'a>) -> Result<bool, EvalError> {
        if left.len() != right.len() {
            return Ok(false);
        }
        let keys = if *left.keys() == Keys::Place {
            right.keys()
        } else {
            left.keys()
        };
        for (index, item) in left.iter().enumerate() {
            let same = match keys {
                Keys::Place => match right.get(index) {
                    Some(other) => self.equal(&item, &other)?,
                    None => false,
                },
                _ => match self.position(right, &item, keys, index)? {
                    Some(place) => match right.get(place) {
                        Some(other) => self.equal(&item, &other)?,
                        None => false,
                    },
                    None => false,
                },
            };
            if !same {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where a list has the element that is the same by its keys; `hint` is where to look first.
    pub(super) fn position(
        &mut self,
        list: &List<'a>,
        item: &V<'a>,
        keys: &Keys,
        hint: usize,
    ) -> Result<Option<usize>, EvalError> {
        for index in std::iter::once(hint).chain(0..list.len()) {
            let Some(own) = list.get(index) else { continue };
            let same = match keys {
                Keys::Fields(fields) => {
                    let mut same = true;
                    for field in fields {
                        let name = V::text(super::types::escape(field).unwrap_or_default());
                        same &= match (&own, item) {
                            (V::Map(one), V::Map(other)) => match (one.get(&name), other.get(&name)) {
                                (Some(one), Some(other)) => self.equal(&one, &other)?,
                                (one, other) => one.is_none() && other.is_none(),
                            },
                            _ => false,
                        };
                    }
                    same
                }
                _ => self.equal(&own, item)?,
            };
            if same {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }
}

fn is_accu(expr: &Expr) -> bool {
    matches!(&expr.kind, Kind::Ident(name) if name == ACCU)
}

fn constant<'a>(literal: &Const) -> V<'a> {
    match literal {
        Const::Null => V::Null,
        Const::Bool(value) => V::Bool(*value),
        Const::Int(value) => V::Int(*value),
        Const::Uint(value) => V::Uint(*value),
        Const::Double(value) => V::Double(*value),
        Const::String(text) => V::text(Arc::clone(text)),
        Const::Bytes(bytes) => V::Bytes(Arc::clone(bytes)),
    }
}

fn insert<'a>(table: &mut Table<'a>, key: V<'a>, value: V<'a>) -> Result<(), EvalError> {
    let shown = key.to_string();
    match table.insert(key, value) {
        Some(true) => Ok(()),
        Some(false) => failed(format!("insert failed: key {shown} already exists")),
        None => failed(format!("unsupported key type: {shown}")),
    }
}

fn index_of<'a>(from: &V<'a>, index: &V<'a>, optional: bool) -> Eval<'a> {
    let found = match (from, index) {
        (V::Optional(inner), _) => {
            let found = match inner {
                None => None,
                Some(inner) => match index_of(inner, index, true)? {
                    V::Optional(found) => found,
                    _ => None,
                },
            };
            return Ok(V::Optional(found));
        }
        (V::List(list), index) => {
            let Some(super::value::Key::Number(number)) = index.key() else {
                return failed(format!("unsupported index type '{}' in list", index.type_name()));
            };
            let found = usize::try_from(number).ok().and_then(|index| list.get(index));
            if found.is_none() && !optional {
                return failed(format!("index out of bounds: {number}"));
            }
            found
        }
        (V::Map(map), key) => {
            let found = map.get(key);
            if found.is_none() && !optional {
                return failed(format!("no such key: {key}"));
            }
            found
        }
        _ => return no_overload(),
    };
    Ok(match found {
        found if optional => V::Optional(found.map(Arc::new)),
        Some(found) => found,
        None => V::Null,
    })
}
