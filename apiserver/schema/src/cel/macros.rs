//! Calls that are more than calls: `has`, the loops over lists and maps, `cel.bind`, `optMap`.
//!
//! They become plain nodes, most of them a [`Fold`], so that checking, estimating and evaluating know nothing of them.

use super::ast::{ACCU, Const, Expr, Fold, Item, Kind};
use super::parse::{Parser, Stop};

/// What a call is: a macro's expansion, or itself.
pub(super) fn expand(
    parser: &mut Parser<'_>,
    at: usize,
    target: Option<Expr>,
    name: String,
    mut args: Vec<Expr>,
) -> Result<Expr, Stop> {
    let Some(target) = target else {
        if name == "has" && args.len() == 1 {
            return has(parser, at, args.remove(0));
        }
        return plain(parser, at, None, name, args);
    };
    if let Some(namespace) = namespace(&target) {
        if namespace == "cel" && name == "bind" && args.len() == 3 {
            return bind(parser, at, args);
        }
        let qualified = format!("{namespace}.{name}");
        if super::library::is_function(&qualified) {
            return plain(parser, at, None, qualified, args);
        }
    }
    match (name.as_str(), args.len()) {
        ("all" | "exists" | "exists_one" | "existsOne" | "filter", 2) | ("map", 2 | 3) => {
            let var = variable(parser, &args[0])?;
            let body = args.split_off(1);
            fold(parser, at, target, &name, (var, None), body)
        }
        ("all" | "exists" | "exists_one" | "existsOne", 3)
        | ("transformList" | "transformMap" | "transformMapEntry", 3 | 4) => {
            let first = variable(parser, &args[0])?;
            let second = variable(parser, &args[1])?;
            if first == second {
                let place = parser.place(args[1].id);
                return Err(parser.stop(place, format!("duplicate variable name: {first}")));
            }
            let body = args.split_off(2);
            fold(parser, at, target, &name, (first, Some(second)), body)
        }
        ("optMap" | "optFlatMap", 2) => optional(parser, at, target, &name, args),
        _ => plain(parser, at, Some(target), name, args),
    }
}

fn plain(
    parser: &mut Parser<'_>,
    at: usize,
    target: Option<Expr>,
    function: String,
    args: Vec<Expr>,
) -> Result<Expr, Stop> {
    let kind = Kind::Call {
        function,
        target: target.map(Box::new),
        args,
    };
    parser.node(at, kind)
}

/// The dotted name that an expression may be instead of a value.
fn namespace(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        Kind::Ident(name) => Some(name),
        _ => None,
    }
}

fn variable(parser: &mut Parser<'_>, expr: &Expr) -> Result<String, Stop> {
    if let Kind::Ident(name) = &expr.kind {
        return Ok(name.clone());
    }
    let place = parser.place(expr.id);
    Err(parser.stop(place, "argument must be a simple name"))
}

fn has(parser: &mut Parser<'_>, at: usize, arg: Expr) -> Result<Expr, Stop> {
    match arg.kind {
        Kind::Select {
            operand,
            field,
            test: false,
        } => parser.node(
            at,
            Kind::Select {
                operand,
                field,
                test: true,
            },
        ),
        _ => Err(parser.stop(at, "invalid argument to has() macro")),
    }
}

fn literal(parser: &mut Parser<'_>, at: usize, value: Const) -> Result<Expr, Stop> {
    parser.node(at, Kind::Const(value))
}

fn ident(parser: &mut Parser<'_>, at: usize, name: &str) -> Result<Expr, Stop> {
    parser.node(at, Kind::Ident(name.to_owned()))
}

/// `cel.bind(name, value, body)`: a loop over nothing whose accumulator is the variable.
fn bind(parser: &mut Parser<'_>, at: usize, mut args: Vec<Expr>) -> Result<Expr, Stop> {
    let name = variable(parser, &args[0])?;
    let (Some(result), Some(init)) = (args.pop(), args.pop()) else {
        return Err(Stop);
    };
    bound(parser, at, &name, init, result)
}

fn bound(parser: &mut Parser<'_>, at: usize, name: &str, init: Expr, result: Expr) -> Result<Expr, Stop> {
    let range = parser.node(at, Kind::List(Vec::new()))?;
    let condition = literal(parser, at, Const::Bool(false))?;
    let step = ident(parser, at, name)?;
    let fold = Fold {
        var: "#unused".to_owned(),
        second: None,
        range,
        accu: name.to_owned(),
        init,
        condition,
        step,
        result,
    };
    parser.node(at, Kind::Fold(Box::new(fold)))
}

/// `target.optMap(name, body)`. The target stands in the tree once, so that chains of them do not double it.
fn optional(parser: &mut Parser<'_>, at: usize, target: Expr, name: &str, mut args: Vec<Expr>) -> Result<Expr, Stop> {
    const TARGET: &str = "@target";
    let var = variable(parser, &args[0])?;
    let Some(body) = args.pop() else { return Err(Stop) };
    let subject = ident(parser, at, TARGET)?;
    let test = plain(parser, at, Some(subject), "hasValue".to_owned(), Vec::new())?;
    let subject = ident(parser, at, TARGET)?;
    let value = plain(parser, at, Some(subject), "value".to_owned(), Vec::new())?;
    let mut mapped = bound(parser, at, &var, value, body)?;
    if name == "optMap" {
        mapped = parser.call(at, "optional.of", vec![mapped])?;
    }
    let none = parser.call(at, "optional.none", Vec::new())?;
    let choice = parser.call(at, "_?_:_", vec![test, mapped, none])?;
    bound(parser, at, TARGET, target, choice)
}

fn fold(
    parser: &mut Parser<'_>,
    at: usize,
    range: Expr,
    name: &str,
    (var, second): (String, Option<String>),
    mut body: Vec<Expr>,
) -> Result<Expr, Stop> {
    let last = body.pop();
    let filter = body.pop();
    let Some(last) = last else { return Err(Stop) };
    let accu = |parser: &mut Parser<'_>| ident(parser, at, ACCU);
    let (init, condition, step, result);
    match name {
        "all" | "exists" => {
            let all = name == "all";
            init = literal(parser, at, Const::Bool(all))?;
            let mut going = accu(parser)?;
            if !all {
                going = parser.call(at, "!_", vec![going])?;
            }
            condition = parser.call(at, "@not_strictly_false", vec![going])?;
            let so_far = accu(parser)?;
            step = parser.call(at, if all { "_&&_" } else { "_||_" }, vec![so_far, last])?;
            result = accu(parser)?;
        }
        "exists_one" | "existsOne" => {
            init = literal(parser, at, Const::Int(0))?;
            condition = literal(parser, at, Const::Bool(true))?;
            let so_far = accu(parser)?;
            let one = literal(parser, at, Const::Int(1))?;
            let more = parser.call(at, "_+_", vec![so_far, one])?;
            let same = accu(parser)?;
            step = parser.call(at, "_?_:_", vec![last, more, same])?;
            let count = accu(parser)?;
            let one = literal(parser, at, Const::Int(1))?;
            result = parser.call(at, "_==_", vec![count, one])?;
        }
        "transformMap" | "transformMapEntry" => {
            init = parser.node(at, Kind::Map(Vec::new()))?;
            condition = literal(parser, at, Const::Bool(true))?;
            let so_far = accu(parser)?;
            let mut args = vec![so_far];
            if name == "transformMap" {
                args.push(ident(parser, at, &var)?);
            }
            args.push(last);
            let more = parser.call(at, "cel.@mapInsert", args)?;
            step = filtered(parser, at, filter, more)?;
            result = accu(parser)?;
        }
        // `map`, `filter`, `transformList`
        _ => {
            init = parser.node(at, Kind::List(Vec::new()))?;
            condition = literal(parser, at, Const::Bool(true))?;
            let (value, filter) = if name == "filter" {
                (ident(parser, at, &var)?, Some(last))
            } else {
                (last, filter)
            };
            let so_far = accu(parser)?;
            let item = Item { value, optional: false };
            let item = parser.node(at, Kind::List(vec![item]))?;
            let more = parser.call(at, "_+_", vec![so_far, item])?;
            step = filtered(parser, at, filter, more)?;
            result = accu(parser)?;
        }
    }
    let fold = Fold {
        var,
        second,
        range,
        accu: ACCU.to_owned(),
        init,
        condition,
        step,
        result,
    };
    parser.node(at, Kind::Fold(Box::new(fold)))
}

fn filtered(parser: &mut Parser<'_>, at: usize, filter: Option<Expr>, step: Expr) -> Result<Expr, Stop> {
    let Some(filter) = filter else { return Ok(step) };
    let same = ident(parser, at, ACCU)?;
    parser.call(at, "_?_:_", vec![filter, step, same])
}
