//! Strings and regular expressions. Places in strings are counted in characters, as CEL does.

use super::EvalError;
use super::eval::{Eval, Machine, failed, no_overload};
use super::value::{CelValue as V, List};

pub(super) fn call<'a>(machine: &mut Machine<'_, 'a>, name: &str, args: &[V<'a>]) -> Option<Eval<'a>> {
    if let ("join", [V::List(list), rest @ ..]) = (name, args) {
        let separator = rest.first().and_then(V::as_str).unwrap_or_default();
        return Some(join(machine, list, separator));
    }
    let [V::String(text), rest @ ..] = args else {
        return None;
    };
    let text = text.as_str();
    Some(match (name, rest) {
        ("contains", [V::String(part)]) => Ok(V::Bool(text.contains(part.as_str()))),
        ("startsWith", [V::String(part)]) => Ok(V::Bool(text.starts_with(part.as_str()))),
        ("endsWith", [V::String(part)]) => Ok(V::Bool(text.ends_with(part.as_str()))),
        ("matches", [V::String(pattern)]) => matches(machine, text, pattern.as_str()),
        ("find", [V::String(pattern)]) => find(machine, text, pattern.as_str()),
        ("findAll", [V::String(pattern)]) => find_all(machine, text, pattern.as_str(), -1),
        ("findAll", [V::String(pattern), V::Int(limit)]) => find_all(machine, text, pattern.as_str(), *limit),
        ("charAt", [V::Int(at)]) => char_at(text, *at),
        ("indexOf", [V::String(part)]) => index_of(machine, text, part.as_str(), 0),
        ("indexOf", [V::String(part), V::Int(from)]) => index_of(machine, text, part.as_str(), *from),
        ("lastIndexOf", [V::String(part)]) => last_index_of(machine, text, part.as_str(), None),
        ("lastIndexOf", [V::String(part), V::Int(to)]) => last_index_of(machine, text, part.as_str(), Some(*to)),
        ("lowerAscii", []) => Ok(V::text(text.to_ascii_lowercase())),
        ("upperAscii", []) => Ok(V::text(text.to_ascii_uppercase())),
        ("trim", []) => Ok(V::text(text.trim())),
        ("replace", [V::String(old), V::String(new)]) => replace(machine, text, old.as_str(), new.as_str(), -1),
        ("replace", [V::String(old), V::String(new), V::Int(count)]) => {
            replace(machine, text, old.as_str(), new.as_str(), *count)
        }
        ("split", [V::String(separator)]) => split(machine, text, separator.as_str(), -1),
        ("split", [V::String(separator), V::Int(limit)]) => split(machine, text, separator.as_str(), *limit),
        ("substring", [V::Int(from)]) => substring(text, *from, None),
        ("substring", [V::Int(from), V::Int(to)]) => substring(text, *from, Some(*to)),
        ("strings.quote", []) => Ok(V::text(quote(text))),
        ("format", [V::List(values)]) => format(machine, text, values),
        _ => return None,
    })
}

fn matches<'a>(machine: &mut Machine<'_, 'a>, text: &str, pattern: &str) -> Eval<'a> {
    let pattern = machine.pattern(pattern)?;
    machine.work(text.len().saturating_mul(pattern.weight))?;
    Ok(V::Bool(pattern.regex.is_match(text)))
}

fn find<'a>(machine: &mut Machine<'_, 'a>, text: &str, pattern: &str) -> Eval<'a> {
    let pattern = machine.pattern(pattern)?;
    machine.work(text.len().saturating_mul(pattern.weight))?;
    Ok(V::text(pattern.regex.find(text).map_or("", |found| found.as_str())))
}

fn find_all<'a>(machine: &mut Machine<'_, 'a>, text: &str, pattern: &str, limit: i64) -> Eval<'a> {
    let pattern = machine.pattern(pattern)?;
    machine.work(text.len().saturating_mul(pattern.weight))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for part in pattern.regex.find_iter(text).take(limit) {
        // Looking for the next one may go through the rest of the text again.
        machine.work((text.len() - part.start()) / 16 + 1)?;
        found.push(V::text(part.as_str()));
    }
    Ok(V::list(found))
}

fn char_at<'a>(text: &str, at: i64) -> Eval<'a> {
    let size = text.chars().count();
    match usize::try_from(at) {
        Ok(at) if at < size => Ok(V::text(text.chars().nth(at).map(String::from).unwrap_or_default())),
        Ok(at) if at == size => Ok(V::text("")),
        _ => failed(format!("index out of range: {at}")),
    }
}

/// The byte where a character begins.
fn byte_of(text: &str, index: i64) -> Result<usize, EvalError> {
    let wanted = usize::try_from(index).unwrap_or(usize::MAX);
    let mut count = 0;
    for (byte, _) in text.char_indices() {
        if count == wanted {
            return Ok(byte);
        }
        count += 1;
    }
    if count == wanted {
        Ok(text.len())
    } else {
        failed(format!("index out of range: {index}"))
    }
}

fn place<'a>(text: &str, byte: Option<usize>) -> V<'a> {
    V::Int(byte.map_or(-1, |byte| {
        i64::try_from(text[..byte].chars().count()).unwrap_or(i64::MAX)
    }))
}

fn index_of<'a>(machine: &mut Machine<'_, 'a>, text: &str, part: &str, from: i64) -> Eval<'a> {
    machine.work(text.len() / 16)?;
    let from = byte_of(text, from)?;
    Ok(place(text, text[from..].find(part).map(|byte| byte + from)))
}

fn last_index_of<'a>(machine: &mut Machine<'_, 'a>, text: &str, part: &str, to: Option<i64>) -> Eval<'a> {
    machine.work(text.len() / 16)?;
    let end = match to {
        None => text.len(),
        Some(to) => {
            let start = byte_of(text, to)?;
            let end = start + part.len();
            let mut end = end.min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            end
        }
    };
    Ok(place(text, text[..end].rfind(part)))
}

fn substring<'a>(text: &str, from: i64, to: Option<i64>) -> Eval<'a> {
    let start = byte_of(text, from)?;
    let end = match to {
        Some(to) => byte_of(text, to)?,
        None => text.len(),
    };
    match text.get(start..end) {
        Some(part) => Ok(V::text(part)),
        None => failed(format!(
            "invalid substring range. start: {from}, end: {}",
            to.unwrap_or_default()
        )),
    }
}

fn replace<'a>(machine: &mut Machine<'_, 'a>, text: &str, old: &str, new: &str, count: i64) -> Eval<'a> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let found = text.matches(old).count().min(count);
    machine.work(text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(V::text(text.replacen(old, new, count)))
}

fn split<'a>(machine: &mut Machine<'_, 'a>, text: &str, separator: &str, limit: i64) -> Eval<'a> {
    machine.work(text.len())?;
    let limit = match usize::try_from(limit) {
        Ok(0) => return Ok(V::list(Vec::new())),
        Ok(limit) => limit,
        Err(_) => usize::MAX,
    };
    if separator.is_empty() {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if parts.len() + 1 == limit {
                parts.push(V::text(rest));
                break;
            }
            parts.push(V::text(c.to_string()));
            rest = &rest[c.len_utf8()..];
        }
        return Ok(V::list(parts));
    }
    Ok(V::list(text.splitn(limit, separator).map(V::text).collect()))
}

fn join<'a>(machine: &mut Machine<'_, 'a>, list: &List<'a>, separator: &str) -> Eval<'a> {
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        let V::String(item) = item else { return no_overload() };
        machine.work(item.as_str().len() + separator.len() + 1)?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(item.as_str());
    }
    machine.charge((joined.chars().count() as u64).div_ceil(5))?;
    Ok(V::text(joined))
}

fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `string(value)`, where there is one.
pub(super) fn shown(value: &V<'_>) -> Option<String> {
    Some(match value {
        V::String(text) => text.as_str().to_owned(),
        V::Bool(value) => value.to_string(),
        V::Int(value) => value.to_string(),
        V::Uint(value) => value.to_string(),
        V::Double(value) => value.to_string(),
        V::Timestamp(time) => time.to_string(),
        V::Duration(nanos) => super::time::format_duration(*nanos),
        V::Ip(ip) => ip.to_string(),
        V::Cidr(ip, bits) => format!("{ip}/{bits}"),
        _ => return None,
    })
}

/// `'%s %d'.format([...])`.
fn format<'a>(machine: &mut Machine<'_, 'a>, pattern: &str, values: &List<'a>) -> Eval<'a> {
    let mut out = String::new();
    let mut next = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.peek() == Some(&'%') {
            chars.next();
            out.push('%');
            continue;
        }
        let mut precision = None;
        if chars.peek() == Some(&'.') {
            chars.next();
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            precision = digits.parse::<usize>().ok().filter(|digits| *digits <= 100);
            if precision.is_none() {
                return failed("could not parse formatting clause: error while parsing precision");
            }
        }
        let Some(clause) = chars.next() else {
            return failed("could not parse formatting clause: unexpected end of string");
        };
        let Some(value) = values.get(next) else {
            return failed(format!("index {next} out of range"));
        };
        next += 1;
        let before = out.len();
        clause_of(machine, clause, precision, &value, &mut out)?;
        machine.work(out.len() - before)?;
    }
    Ok(V::text(out))
}

fn clause_of<'a>(
    machine: &mut Machine<'_, 'a>,
    clause: char,
    precision: Option<usize>,
    value: &V<'a>,
    out: &mut String,
) -> Result<(), EvalError> {
    use std::fmt::Write as _;
    let digits = precision.unwrap_or(6);
    let written = match (clause, value) {
        ('s', value) => return plain(machine, value, out),
        ('d', V::Int(value)) => write!(out, "{value}"),
        ('d', V::Uint(value)) => write!(out, "{value}"),
        ('d', V::Double(value)) => write!(out, "{value}"),
        ('f', V::Int(value)) => write!(out, "{value}.{:0<digits$}", ""),
        ('f', V::Uint(value)) => write!(out, "{value}.{:0<digits$}", ""),
        ('f', V::Double(value)) => write!(out, "{value:.digits$}"),
        ('e', V::Double(value)) => {
            let text = format!("{value:.digits$e}");
            let (number, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            write!(out, "{number}e{sign}{exponent:0>2}")
        }
        ('b', V::Int(value)) if *value < 0 => write!(out, "-{:b}", value.unsigned_abs()),
        ('b', V::Int(value)) => write!(out, "{value:b}"),
        ('b', V::Uint(value)) => write!(out, "{value:b}"),
        ('b', V::Bool(value)) => write!(out, "{}", u8::from(*value)),
        ('o', V::Int(value)) if *value < 0 => write!(out, "-{:o}", value.unsigned_abs()),
        ('o', V::Int(value)) => write!(out, "{value:o}"),
        ('o', V::Uint(value)) => write!(out, "{value:o}"),
        ('x', V::Int(value)) if *value < 0 => write!(out, "-{:x}", value.unsigned_abs()),
        ('x', V::Int(value)) => write!(out, "{value:x}"),
        ('x', V::Uint(value)) => write!(out, "{value:x}"),
        ('x', V::String(text)) => text.as_str().bytes().try_for_each(|byte| write!(out, "{byte:02x}")),
        ('x', V::Bytes(bytes)) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02x}")),
        ('X', V::Int(value)) if *value < 0 => write!(out, "-{:X}", value.unsigned_abs()),
        ('X', V::Int(value)) => write!(out, "{value:X}"),
        ('X', V::Uint(value)) => write!(out, "{value:X}"),
        ('X', V::String(text)) => text.as_str().bytes().try_for_each(|byte| write!(out, "{byte:02X}")),
        ('X', V::Bytes(bytes)) => bytes.iter().try_for_each(|byte| write!(out, "{byte:02X}")),
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', other) => {
            return failed(format!(
                "error during formatting: clause %{clause} does not take a value of type {}",
                other.type_name()
            ));
        }
        _ => {
            return failed(format!(
                "could not parse formatting clause: unrecognized formatting clause \"{clause}\""
            ));
        }
    };
    written.or_else(|_| failed("error during formatting"))
}

/// How `%s` shows a value, lists and maps with all they hold.
fn plain<'a>(machine: &mut Machine<'_, 'a>, value: &V<'a>, out: &mut String) -> Result<(), EvalError> {
    machine.work(1)?;
    match value {
        V::Null => out.push_str("null"),
        V::Type(name) => out.push_str(name),
        V::Bytes(bytes) => out.push_str(&String::from_utf8_lossy(bytes)),
        V::List(list) => {
            out.push('[');
            for (index, item) in list.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                plain(machine, &item, out)?;
            }
            out.push(']');
        }
        V::Map(map) => {
            let mut parts = Vec::new();
            for (key, item) in map.entries() {
                let mut part = String::new();
                plain(machine, &key, &mut part)?;
                part.push_str(": ");
                plain(machine, &item, &mut part)?;
                parts.push(part);
            }
            parts.sort();
            out.push('{');
            out.push_str(&parts.join(", "));
            out.push('}');
        }
        other => match shown(other) {
            Some(text) => out.push_str(&text),
            None => return failed(format!("error during formatting: no string for {}", other.type_name())),
        },
    }
    machine.work(out.len() / 64)
}
