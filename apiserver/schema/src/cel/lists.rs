//! Lists and sets.

use super::eval::{Eval, Machine, failed, no_overload};
use super::value::{CelValue as V, List, compare};
use super::{EvalError, value};

pub(super) fn call<'a>(machine: &mut Machine<'_, 'a>, name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    Some(match (name, args) {
        ("size", [value @ (V::String(_) | V::Bytes(_) | V::List(_) | V::Map(_))]) => {
            Ok(V::Int(i64::try_from(value.size()).unwrap_or(i64::MAX)))
        }
        ("isSorted", [V::List(list)]) => sorted(list),
        ("sum", [V::List(list)]) => sum(machine, list),
        ("min" | "max", [V::List(list)]) => extreme(list, name == "max"),
        ("indexOf" | "lastIndexOf", [V::List(list), item]) => find(machine, list, item, name == "lastIndexOf"),
        ("slice", [V::List(list), V::Int(from), V::Int(to)]) => slice(machine, list, *from, *to),
        ("flatten", [V::List(list)]) => flatten(machine, list),
        ("distinct", [V::List(list)]) => distinct(machine, list),
        ("reverse", [V::List(list)]) => copied(machine, list).map(|mut items| {
            items.reverse();
            V::list(items)
        }),
        ("sort", [V::List(list)]) => sort(machine, list),
        ("first", [V::List(list)]) => Ok(V::Optional(list.get(0).map(Into::into))),
        ("last", [V::List(list)]) => Ok(V::Optional(
            list.len()
                .checked_sub(1)
                .and_then(|last| list.get(last))
                .map(Into::into),
        )),
        ("lists.range", [V::Int(count)]) => range(machine, *count),
        ("optional.unwrap" | "unwrapOpt", [V::List(list)]) => copied(machine, list).map(|items| {
            let present = items.into_iter().filter_map(|item| match item {
                V::Optional(Some(value)) => Some((*value).clone()),
                _ => None,
            });
            V::list(present.collect())
        }),
        ("sets.contains", [V::List(list), V::List(sub)]) => contains(machine, list, sub).map(V::Bool),
        ("sets.equivalent", [V::List(left), V::List(right)]) => contains(machine, left, right)
            .and_then(|one| Ok(one && contains(machine, right, left)?))
            .map(V::Bool),
        ("sets.intersects", [V::List(left), V::List(right)]) => intersects(machine, left, right).map(V::Bool),
        _ => return None,
    })
}

fn copied<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>) -> Result<Vec<V<'a>>, EvalError> {
    machine.work(list.len())?;
    Ok(list.iter().collect())
}

fn sorted<'a>(list: &List<'a>) -> Eval<'a> {
    let mut before: Option<V<'a>> = None;
    for item in list.iter() {
        if let Some(before) = &before {
            match compare(before, &item) {
                Some(order) if order.is_gt() => return Ok(V::Bool(false)),
                Some(_) => {}
                None => return no_overload(),
            }
        }
        before = Some(item);
    }
    Ok(V::Bool(true))
}

fn sum<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>) -> Eval<'a> {
    let mut total: Option<V<'a>> = None;
    for item in list.iter() {
        total = Some(match total {
            None => item,
            Some(total) => super::functions::call(machine, "_+_", &[total, item])?,
        });
    }
    Ok(total.unwrap_or(V::Int(0)))
}

fn extreme<'a>(list: &List<'a>, greatest: bool) -> Eval<'a> {
    let mut best: Option<V<'a>> = None;
    for item in list.iter() {
        let better = match &best {
            None => true,
            Some(best) => match compare(&item, best) {
                Some(order) => order.is_ne() && order.is_gt() == greatest,
                None => return no_overload(),
            },
        };
        if better {
            best = Some(item);
        }
    }
    match best {
        Some(best) => Ok(best),
        None => failed(format!("{} called on empty list", if greatest { "max" } else { "min" })),
    }
}

fn find<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>, wanted: &V<'a>, backwards: bool) -> Eval<'a> {
    let mut found = -1;
    for (index, item) in list.iter().enumerate() {
        if machine.equal(&item, wanted)? {
            found = i64::try_from(index).unwrap_or(i64::MAX);
            if !backwards {
                break;
            }
        }
    }
    Ok(V::Int(found))
}

fn slice<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>, from: i64, to: i64) -> Eval<'a> {
    match (usize::try_from(from), usize::try_from(to)) {
        (Ok(from), Ok(to)) if from <= to && to <= list.len() => {
            machine.work(to - from)?;
            Ok(V::list((from..to).filter_map(|index| list.get(index)).collect()))
        }
        _ => failed(format!("cannot slice({from}, {to}), list is length {}", list.len())),
    }
}

fn flatten<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>) -> Eval<'a> {
    let mut all = Vec::new();
    for item in list.iter() {
        match item {
            V::List(inner) => {
                machine.work(inner.len())?;
                all.extend(inner.iter());
            }
            other => all.push(other),
        }
    }
    machine.charge(all.len() as u64)?;
    Ok(V::list(all))
}

fn distinct<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>) -> Eval<'a> {
    let mut known = std::collections::HashSet::new();
    let mut all: Vec<V<'a>> = Vec::new();
    for item in list.iter() {
        let mut fresh = true;
        if let Some(key) = item.key() {
            fresh = known.insert(key);
        } else {
            for own in &all {
                machine.charge(1)?;
                if machine.equal(own, &item)? {
                    fresh = false;
                    break;
                }
            }
        }
        if fresh {
            all.push(item);
        }
    }
    Ok(V::list(all))
}

fn sort<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>) -> Eval<'a> {
    let mut items = copied(machine, list)?;
    machine.work(items.len().saturating_mul(16))?;
    let fits = items.windows(2).all(|pair| compare(&pair[0], &pair[1]).is_some());
    if !fits {
        return no_overload();
    }
    items.sort_by(|left, right| value::compare(left, right).unwrap_or(std::cmp::Ordering::Equal));
    Ok(V::list(items))
}

fn range<'a>(machine: &mut Machine<'_, 'a>, count: i64) -> Eval<'a> {
    let length = usize::try_from(count).unwrap_or(0);
    machine.charge(length as u64)?;
    machine.work(length)?;
    Ok(V::list((0..count).map(V::Int).collect()))
}

fn contains<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>, sub: &List<'a>) -> Result<bool, EvalError> {
    for item in sub.iter() {
        let mut found = false;
        for own in list.iter() {
            if machine.equal(&own, &item)? {
                found = true;
                break;
            }
        }
        if !found {
            return Ok(false);
        }
    }
    Ok(true)
}

fn intersects<'a>(machine: &mut Machine<'_, 'a>, left: &List<'a>, right: &List<'a>) -> Result<bool, EvalError> {
    for item in right.iter() {
        for own in left.iter() {
            if machine.equal(&own, &item)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
