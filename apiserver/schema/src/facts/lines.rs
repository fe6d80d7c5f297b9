//! What all tables share: lines without comments, and words of the form `key=value`.

use crate::model::GroupVersionKind;

/// A line of a table: whether it is indented, and the text.
pub(super) fn lines(text: &'static str) -> impl Iterator<Item = (bool, &'static str)> {
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.strip_prefix("  ").map_or((false, line), |rest| (true, rest)))
}

/// Splits `key=value`; a bare word has an empty value.
pub(super) fn pair(word: &'static str) -> (&'static str, &'static str) {
    word.split_once('=').unwrap_or((word, ""))
}

/// A comma list.
pub(super) fn list(text: &'static str) -> Vec<&'static str> {
    text.split(',').filter(|item| !item.is_empty()).collect()
}

/// `GROUP/VERSION/KIND`, `VERSION/KIND` for core, or `*` for a kind that exists in every version.
pub(super) fn gvk(text: &str, star_kind: &str) -> GroupVersionKind {
    let make = |group: &str, version: &str, kind: &str| GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
    };
    let mut parts = text.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(group), Some(version), Some(kind)) => make(group, version, kind),
        (Some(version), Some(kind), None) => make("", version, kind),
        _ => make("*", "*", star_kind),
    }
}

/// Splits `a.b[c.d/e].f` into its keys.
pub(super) fn path(text: &'static str) -> Vec<&'static str> {
    let mut keys = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some((key, tail)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            keys.push(key);
            rest = tail.strip_prefix('.').unwrap_or(tail);
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        keys.push(&rest[..end]);
        rest = &rest[end..];
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    keys
}

/// Splits off `if COND` at the end of a rule.
pub(super) fn condition(text: &'static str) -> (&'static str, Option<&'static str>) {
    text.split_once(" if ")
        .map_or((text, None), |(rule, condition)| (rule, Some(condition)))
}
