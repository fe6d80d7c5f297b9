//! Regular expressions: linear in time, and no larger than their budget allows.

use std::sync::Arc;

use regex::Regex;

use crate::validate;

/// A compiled pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    pub(super) regex: Arc<Regex>,
    /// How many units of work a byte of text takes: a short pattern with large counts has many states.
    pub(super) weight: usize,
}

/// Compiles a pattern, or says what is wrong with it.
pub(super) fn compile(text: &str) -> Result<Arc<Pattern>, String> {
    let regex = validate::compile(text)?;
    let weight = if validate::is_small(text) { 1 } else { 64 };
    Ok(Arc::new(Pattern { regex, weight }))
}
