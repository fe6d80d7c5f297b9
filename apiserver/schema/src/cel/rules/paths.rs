//! `fieldPath` of a rule: fields and keys from the place of the rule, as `.spec.names['a.b']`.

use serde_json::Value;

/// The path as messages show it, or `None` when it leads to no field of the schema.
pub(super) fn normalize(path: &str, schema: &Value) -> Option<String> {
    let mut rest = path;
    let mut at = schema;
    let mut shown = String::new();
    while !rest.is_empty() {
        let (name, tail) = if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[', ']']).unwrap_or(tail.len());
            (tail[..end].to_owned(), &tail[end..])
        } else {
            quoted(rest.strip_prefix("['")?)?
        };
        let properties = at.get("properties").filter(|properties| properties.is_object());
        if let Some(properties) = properties {
            at = properties.get(&name)?;
            if !shown.is_empty() {
                shown.push('.');
            }
            shown.push_str(&name);
        } else {
            at = at.get("additionalProperties").filter(|inner| inner.is_object())?;
            shown.push('[');
            shown.push_str(&name);
            shown.push(']');
        }
        rest = tail;
    }
    Some(shown)
}

/// A name in single quotes up to `']`, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\'' => return Some((name, text[index + 1..].strip_prefix(']')?)),
            '\\' => name.push(match chars.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                c @ ('\'' | '\\') => c,
                _ => return None,
            }),
            c => name.push(c),
        }
    }
    None
}
