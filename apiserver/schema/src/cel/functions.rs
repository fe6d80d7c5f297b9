//! What the functions do, by name and by what their arguments turn out to be.
//!
//! [`call`] charges the cost first, then tries one group after another: numbers and conversions here, the rest in the
//! modules of their subject.

use std::sync::Arc;

use super::eval::{Eval, Machine, failed, no_overload};
use super::types::Keys;
use super::value::{CelValue as V, List, Map};
use super::{EvalError, lists, network, strings, time};
use crate::quantity::Quantity;

/// Calls a function or an arithmetic operator.
pub(super) fn call<'a>(machine: &mut Machine<'_, 'a>, name: &str, args: &[V<'a>]) -> Eval<'a> {
    let cost = cost(machine, name, args)?;
    machine.charge(cost)?;
    let known = match name.as_bytes() {
        [b'_', _, b'_'] | [b'-' | b'!', b'_'] => Some(operator(machine, name, args)),
        _ => None,
    };
    if let Some(result) = known {
        return result;
    }
    if let Some(result) = convert(machine, name, args) {
        return result;
    }
    if let Some(result) = strings::call(machine, name, args) {
        return result;
    }
    if let Some(result) = lists::call(machine, name, args) {
        return result;
    }
    if let Some(result) = network::call(name, args) {
        return result;
    }
    if let Some(result) = time::call(name, args) {
        return result;
    }
    if let Some(result) = number(name, args) {
        return result;
    }
    if let Some(result) = kinds(name, args) {
        return result;
    }
    no_overload()
}

/// A tenth of a size, rounded up: what going through it costs.
fn tenth(size: u64) -> u64 {
    size.div_ceil(10)
}

/// What a call costs, in Kubernetes' units.
fn cost(machine: &mut Machine<'_, '_>, name: &str, args: &[V<'_>]) -> Result<u64, EvalError> {
    let size = |index: usize| args.get(index).map_or(0, V::size);
    Ok(match (name, args) {
        ("_+_", [V::String(_) | V::Bytes(_), _]) => tenth(size(0) + size(1)),
        ("bytes" | "string", [V::String(_) | V::Bytes(_)])
        | ("format", [V::String(_), _])
        | (
            "strings.quote" | "url" | "lowerAscii" | "upperAscii" | "substring" | "trim" | "cidr" | "isIP" | "isCIDR"
            | "quantity" | "isQuantity" | "semver" | "isSemver",
            _,
        )
        | ("ip", [V::String(_)]) => tenth(size(0)),
        ("startsWith" | "endsWith", _) => tenth(size(1)),
        ("matches" | "find" | "findAll", _) => tenth(1 + size(0)) * size(1).div_ceil(4),
        ("contains", _) => tenth(size(0)) * tenth(size(1)),
        ("replace" | "split" | "ip.isCanonical", _) => size(0).div_ceil(5),
        (
            "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "sort" | "distinct" | "reverse",
            [first, ..],
        ) => traversal(machine, first)?,
        ("sets.contains" | "sets.intersects" | "sets.equivalent", _) => size(0).max(1) * size(1).max(1),
        ("validate", _) => tenth(1 + size(1)) * 32,
        ("containsIP", [V::Cidr(..), V::String(_)]) => tenth(2 * size(0)) + tenth(size(1)),
        ("containsIP", _) => tenth(2 * size(0)),
        ("containsCIDR", [V::Cidr(..), other]) => {
            let parse = if matches!(other, V::String(_)) {
                tenth(size(1))
            } else {
                0
            };
            tenth(2 * size(0)) + tenth(size(0)) + 1 + parse
        }
        _ => 1,
    })
}

/// What going through a whole value costs.
fn traversal(machine: &mut Machine<'_, '_>, value: &V<'_>) -> Result<u64, EvalError> {
    machine.work(1)?;
    Ok(match value {
        V::String(_) | V::Bytes(_) => value.size() / 10,
        V::List(list) => {
            let mut cost = 0;
            for item in list.iter() {
                cost += traversal(machine, &item)?;
            }
            cost
        }
        V::Map(map) => {
            let mut cost = 0;
            for (key, item) in map.entries() {
                cost += traversal(machine, &key)? + traversal(machine, &item)?;
            }
            cost
        }
        _ => 1,
    })
}

fn checked<'a, T>(result: Option<T>, kind: &str, make: impl FnOnce(T) -> V<'a>) -> Eval<'a> {
    match result {
        Some(value) => Ok(make(value)),
        None => failed(format!("{kind} overflow")),
    }
}

fn operator<'a>(machine: &mut Machine<'_, 'a>, name: &str, args: &[V<'a>]) -> Eval<'a> {
    match (name, args) {
        ("!_", [V::Bool(value)]) => Ok(V::Bool(!value)),
        ("-_", [V::Int(value)]) => checked(value.checked_neg(), "integer", V::Int),
        ("-_", [V::Double(value)]) => Ok(V::Double(-value)),
        ("_+_", [V::Int(left), V::Int(right)]) => checked(left.checked_add(*right), "integer", V::Int),
        ("_-_", [V::Int(left), V::Int(right)]) => checked(left.checked_sub(*right), "integer", V::Int),
        ("_*_", [V::Int(left), V::Int(right)]) => checked(left.checked_mul(*right), "integer", V::Int),
        ("_/_", [V::Int(_), V::Int(0)] | [V::Uint(_), V::Uint(0)]) => failed("division by zero"),
        ("_%_", [V::Int(_), V::Int(0)] | [V::Uint(_), V::Uint(0)]) => failed("modulus by zero"),
        ("_/_", [V::Int(left), V::Int(right)]) => checked(left.checked_div(*right), "integer", V::Int),
        ("_%_", [V::Int(left), V::Int(right)]) => checked(left.checked_rem(*right), "integer", V::Int),
        ("_+_", [V::Uint(left), V::Uint(right)]) => checked(left.checked_add(*right), "unsigned integer", V::Uint),
        ("_-_", [V::Uint(left), V::Uint(right)]) => checked(left.checked_sub(*right), "unsigned integer", V::Uint),
        ("_*_", [V::Uint(left), V::Uint(right)]) => checked(left.checked_mul(*right), "unsigned integer", V::Uint),
        ("_/_", [V::Uint(left), V::Uint(right)]) => checked(left.checked_div(*right), "unsigned integer", V::Uint),
        ("_%_", [V::Uint(left), V::Uint(right)]) => checked(left.checked_rem(*right), "unsigned integer", V::Uint),
        ("_+_", [V::Double(left), V::Double(right)]) => Ok(V::Double(left + right)),
        ("_-_", [V::Double(left), V::Double(right)]) => Ok(V::Double(left - right)),
        ("_*_", [V::Double(left), V::Double(right)]) => Ok(V::Double(left * right)),
        ("_/_", [V::Double(left), V::Double(right)]) => Ok(V::Double(left / right)),
        ("_+_", [V::String(left), V::String(right)]) => {
            machine.work(left.as_str().len() + right.as_str().len())?;
            Ok(V::text([left.as_str(), right.as_str()].concat()))
        }
        ("_+_", [V::Bytes(left), V::Bytes(right)]) => {
            machine.work(left.len() + right.len())?;
            Ok(V::Bytes(Arc::from([left.as_ref(), right.as_ref()].concat())))
        }
        ("_+_", [V::List(left), V::List(right)]) => concat(machine, left, right),
        ("_+_", [V::Timestamp(time), V::Duration(nanos)] | [V::Duration(nanos), V::Timestamp(time)]) => {
            time::shift(*time, *nanos)
        }
        ("_-_", [V::Timestamp(time), V::Duration(nanos)]) => match nanos.checked_neg() {
            Some(nanos) => time::shift(*time, nanos),
            None => failed("timestamp overflow"),
        },
        ("_-_", [V::Timestamp(left), V::Timestamp(right)]) => {
            let nanos = i64::try_from(left.as_nanosecond() - right.as_nanosecond()).ok();
            checked(nanos, "duration", V::Duration)
        }
        ("_+_", [V::Duration(left), V::Duration(right)]) => checked(left.checked_add(*right), "duration", V::Duration),
        ("_-_", [V::Duration(left), V::Duration(right)]) => checked(left.checked_sub(*right), "duration", V::Duration),
        _ => no_overload(),
    }
}

/// The sum of two lists: of sets their union, of keyed lists the left one with what the right one replaces and adds.
fn concat<'a>(machine: &mut Machine<'_, 'a>, left: &List<'a>, right: &List<'a>) -> Eval<'a> {
    machine.work(left.len() + right.len())?;
    let keys = left.keys();
    let mut all: Vec<V<'a>> = left.iter().collect();
    if *keys == Keys::Place {
        all.extend(right.iter());
        return Ok(V::list(all));
    }
    let base = left.clone();
    for item in right.iter() {
        match machine.position(&base, &item, keys, 0)? {
            Some(place) => all[place] = item,
            None => all.push(item),
        }
    }
    Ok(V::list(all))
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the ranges are checked; conversions to floats round, as CEL says"
)]
fn convert<'a>(machine: &mut Machine<'_, 'a>, name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    let [arg] = args else { return None };
    let range = |kind: &str| failed(format!("{kind} overflow"));
    Some(match (name, arg) {
        ("dyn", value) => Ok(value.clone()),
        ("type", value) => Ok(V::Type(value.type_name())),
        ("bool", V::Bool(_))
        | ("int", V::Int(_))
        | ("uint", V::Uint(_))
        | ("double", V::Double(_))
        | ("string", V::String(_))
        | ("bytes", V::Bytes(_))
        | ("timestamp", V::Timestamp(_))
        | ("duration", V::Duration(_)) => Ok(arg.clone()),
        ("bool", V::String(text)) => match text.as_str() {
            "true" | "True" | "TRUE" | "t" | "1" => Ok(V::Bool(true)),
            "false" | "False" | "FALSE" | "f" | "0" => Ok(V::Bool(false)),
            _ => failed("type conversion error from 'string' to 'bool'"),
        },
        ("int", V::Uint(value)) => i64::try_from(*value).map_or_else(|_| range("integer"), |value| Ok(V::Int(value))),
        ("int", V::Double(value)) if value.abs() < 9.223_372_036_854_775e18 => Ok(V::Int(*value as i64)),
        ("int", V::Double(_)) => range("integer"),
        ("int", V::String(text)) => match text.as_str().parse() {
            Ok(value) => Ok(V::Int(value)),
            Err(_) => failed(format!("strconv.ParseInt: parsing {:?}: invalid syntax", text.as_str())),
        },
        ("int", V::Timestamp(time)) => Ok(V::Int(time.as_second())),
        ("int", V::Duration(nanos)) => Ok(V::Int(*nanos)),
        ("uint", V::Int(value)) => {
            u64::try_from(*value).map_or_else(|_| range("unsigned integer"), |value| Ok(V::Uint(value)))
        }
        ("uint", V::Double(value)) if (0.0..1.844_674_407_370_955e19).contains(value) => Ok(V::Uint(*value as u64)),
        ("uint", V::Double(_)) => range("unsigned integer"),
        ("uint", V::String(text)) => match text.as_str().parse() {
            Ok(value) => Ok(V::Uint(value)),
            Err(_) => failed(format!(
                "strconv.ParseUint: parsing {:?}: invalid syntax",
                text.as_str()
            )),
        },
        ("double", V::Int(value)) => Ok(V::Double(*value as f64)),
        ("double", V::Uint(value)) => Ok(V::Double(*value as f64)),
        ("double", V::String(text)) => match text.as_str().parse() {
            Ok(value) => Ok(V::Double(value)),
            Err(_) => failed(format!(
                "strconv.ParseFloat: parsing {:?}: invalid syntax",
                text.as_str()
            )),
        },
        ("string", V::Bytes(bytes)) => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(V::text(text)),
            Err(_) => failed("invalid UTF-8 in bytes, cannot convert to string"),
        },
        ("bytes", V::String(text)) => machine
            .work(text.as_str().len())
            .map(|()| V::Bytes(Arc::from(text.as_str().as_bytes()))),
        ("timestamp", V::Int(seconds)) => jiff::Timestamp::from_second(*seconds)
            .map_or_else(|_| failed("timestamp overflow"), |time| Ok(V::Timestamp(time))),
        ("timestamp", V::String(text)) => match text.as_str().parse() {
            Ok(time) => Ok(V::Timestamp(time)),
            Err(_) => failed(format!("invalid timestamp {:?}", text.as_str())),
        },
        ("duration", V::Int(nanos)) => Ok(V::Duration(*nanos)),
        ("duration", V::String(text)) => match time::parse_duration(text.as_str()) {
            Some(nanos) => Ok(V::Duration(nanos)),
            None => failed(format!("time: invalid duration {:?}", text.as_str())),
        },
        ("string", value) => match strings::shown(value) {
            Some(text) => Ok(V::text(text)),
            None => no_overload(),
        },
        _ => return None,
    })
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "quantities become floats by asking for approximate ones; shifts are bounded before"
)]
fn number<'a>(name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    Some(match (name, args) {
        ("math.ceil", [V::Double(value)]) => Ok(V::Double(value.ceil())),
        ("math.floor", [V::Double(value)]) => Ok(V::Double(value.floor())),
        ("math.round", [V::Double(value)]) => Ok(V::Double(value.round())),
        ("math.trunc", [V::Double(value)]) => Ok(V::Double(value.trunc())),
        ("math.isNaN", [V::Double(value)]) => Ok(V::Bool(value.is_nan())),
        ("math.isInf", [V::Double(value)]) => Ok(V::Bool(value.is_infinite())),
        ("math.isFinite", [V::Double(value)]) => Ok(V::Bool(value.is_finite())),
        ("math.sqrt", [V::Double(value)]) => Ok(V::Double(value.sqrt())),
        ("math.sqrt", [V::Int(value)]) => Ok(V::Double((*value as f64).sqrt())),
        ("math.sqrt", [V::Uint(value)]) => Ok(V::Double((*value as f64).sqrt())),
        ("math.abs", [V::Int(value)]) => checked(value.checked_abs(), "integer", V::Int),
        ("math.abs", [V::Uint(value)]) => Ok(V::Uint(*value)),
        ("math.abs", [V::Double(value)]) => Ok(V::Double(value.abs())),
        ("math.sign", [V::Int(value)]) => Ok(V::Int(value.signum())),
        ("math.sign", [V::Uint(value)]) => Ok(V::Uint((*value).min(1))),
        ("math.sign", [V::Double(value)]) => Ok(V::Double(if *value == 0.0 || value.is_nan() {
            *value
        } else {
            value.signum()
        })),
        ("math.bitAnd", [V::Int(left), V::Int(right)]) => Ok(V::Int(left & right)),
        ("math.bitAnd", [V::Uint(left), V::Uint(right)]) => Ok(V::Uint(left & right)),
        ("math.bitOr", [V::Int(left), V::Int(right)]) => Ok(V::Int(left | right)),
        ("math.bitOr", [V::Uint(left), V::Uint(right)]) => Ok(V::Uint(left | right)),
        ("math.bitXor", [V::Int(left), V::Int(right)]) => Ok(V::Int(left ^ right)),
        ("math.bitXor", [V::Uint(left), V::Uint(right)]) => Ok(V::Uint(left ^ right)),
        ("math.bitNot", [V::Int(value)]) => Ok(V::Int(!value)),
        ("math.bitNot", [V::Uint(value)]) => Ok(V::Uint(!value)),
        ("math.bitShiftLeft" | "math.bitShiftRight", [value @ (V::Int(_) | V::Uint(_)), V::Int(by)]) => {
            let Ok(by) = u32::try_from(*by) else {
                return Some(failed(format!("{name}() negative offset: {by}")));
            };
            let left = name == "math.bitShiftLeft";
            let shift = |bits: u64| {
                if left {
                    bits.checked_shl(by)
                } else {
                    bits.checked_shr(by)
                }
                .unwrap_or(0)
            };
            Ok(match value {
                V::Uint(value) => V::Uint(shift(*value)),
                V::Int(value) => V::Int(shift(value.cast_unsigned()).cast_signed()),
                other => other.clone(),
            })
        }
        ("math.greatest" | "math.least", [V::List(list)]) => {
            let all: Vec<V<'a>> = list.iter().collect();
            bound(&all, name == "math.greatest")
        }
        ("math.greatest" | "math.least", all) => bound(all, name == "math.greatest"),
        _ => return None,
    })
}

fn bound<'a>(all: &[V<'a>], greatest: bool) -> Eval<'a> {
    let Some((first, rest)) = all.split_first() else {
        return failed("math.@min(list) argument must not be empty");
    };
    let mut best = first;
    for value in rest {
        match super::value::compare(value, best) {
            Some(order) if order.is_gt() == greatest && order.is_ne() => best = value,
            Some(_) => {}
            None => return no_overload(),
        }
    }
    Ok(best.clone())
}

/// Optional values, quantities, versions and formats.
#[allow(clippy::cast_precision_loss, reason = "asked for: an approximate float")]
fn kinds<'a>(name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    Some(match (name, args) {
        ("optional.none", []) => Ok(V::Optional(None)),
        ("optional.of", [value]) => Ok(V::some(value.clone())),
        ("optional.ofNonZeroValue", [value]) => Ok(if is_zero(value) {
            V::Optional(None)
        } else {
            V::some(value.clone())
        }),
        ("hasValue", [V::Optional(value)]) => Ok(V::Bool(value.is_some())),
        ("value", [V::Optional(Some(value))]) => Ok((**value).clone()),
        ("value", [V::Optional(None)]) => failed("optional.none() dereference"),
        ("or", [first @ V::Optional(value), second]) => {
            Ok(if value.is_some() { first.clone() } else { second.clone() })
        }
        ("orValue", [V::Optional(value), other]) => Ok(value.as_deref().unwrap_or(other).clone()),
        ("quantity", [V::String(text)]) => Quantity::parse(text.as_str())
            .map(V::Quantity)
            .map_err(|error| EvalError::Failed(error.to_string())),
        ("isQuantity", [V::String(text)]) => Ok(V::Bool(Quantity::parse(text.as_str()).is_ok())),
        ("sign", [V::Quantity(value)]) => Ok(V::Int(i64::try_from(value.nanos().signum()).unwrap_or_default())),
        ("isInteger", [V::Quantity(value)]) => Ok(V::Bool(whole(*value).is_some())),
        ("asInteger", [V::Quantity(value)]) => match whole(*value) {
            Some(value) => Ok(V::Int(value)),
            None => failed("cannot convert value to integer"),
        },
        ("asApproximateFloat", [V::Quantity(value)]) => Ok(V::Double(value.nanos() as f64 / 1e9)),
        ("isGreaterThan", [V::Quantity(left), V::Quantity(right)]) => Ok(V::Bool(left.nanos() > right.nanos())),
        ("isLessThan", [V::Quantity(left), V::Quantity(right)]) => Ok(V::Bool(left.nanos() < right.nanos())),
        ("compareTo", [V::Quantity(left), V::Quantity(right)]) => Ok(V::Int(left.nanos().cmp(&right.nanos()) as i64)),
        ("add" | "sub", [V::Quantity(left), right]) => {
            let right = match right {
                V::Quantity(right) => *right,
                V::Int(right) => match Quantity::parse(&right.to_string()) {
                    Ok(right) => right,
                    Err(error) => return Some(failed(error.to_string())),
                },
                _ => return None,
            };
            Ok(V::Quantity(if name == "add" {
                left.plus(right)
            } else {
                left.minus(right)
            }))
        }
        ("semver" | "isSemver", [V::String(text), rest @ ..]) => {
            let lenient = matches!(rest, [V::Bool(true)]);
            match (name, super::semver::parse(text.as_str(), lenient)) {
                ("isSemver", parsed) => Ok(V::Bool(parsed.is_ok())),
                (_, Ok(version)) => Ok(V::Semver(Arc::new(version))),
                (_, Err(text)) => failed(text),
            }
        }
        ("major", [V::Semver(version)]) => Ok(V::Int(version.major())),
        ("minor", [V::Semver(version)]) => Ok(V::Int(version.minor())),
        ("patch", [V::Semver(version)]) => Ok(V::Int(version.patch())),
        ("isGreaterThan", [V::Semver(left), V::Semver(right)]) => Ok(V::Bool(left > right)),
        ("isLessThan", [V::Semver(left), V::Semver(right)]) => Ok(V::Bool(left < right)),
        ("compareTo", [V::Semver(left), V::Semver(right)]) => Ok(V::Int(left.cmp(right) as i64)),
        ("format.named", [V::String(text)]) => Ok(V::Optional(
            super::formats::find(text.as_str()).map(|name| Arc::new(V::Format(name))),
        )),
        ("validate", [V::Format(format), V::String(text)]) => {
            let problems = super::formats::problems(format, text.as_str());
            Ok(V::Optional((!problems.is_empty()).then(|| {
                Arc::new(V::list(problems.into_iter().map(V::text).collect()))
            })))
        }
        (name, []) => match name.strip_prefix("format.").and_then(super::formats::find) {
            Some(format) => Ok(V::Format(format)),
            None => return None,
        },
        _ => return None,
    })
}

fn whole(value: Quantity) -> Option<i64> {
    let nanos = value.nanos();
    (nanos % 1_000_000_000 == 0).then(|| i64::try_from(nanos / 1_000_000_000).ok())?
}

fn is_zero(value: &V<'_>) -> bool {
    match value {
        V::Null | V::Bool(false) | V::Int(0) | V::Uint(0) | V::Duration(0) | V::Optional(None) => true,
        V::Double(value) => *value == 0.0,
        V::String(_) | V::Bytes(_) | V::List(_) => value.size() == 0,
        V::Map(map @ (Map::Lent(..) | Map::Own(_))) => map.len() == 0,
        _ => false,
    }
}
