//! Regular expressions: linear in time, and no larger than their budget allows.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::validate;

/// Memory of a pattern that is cheap to run.
const SMALL: usize = 64 << 10;

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
    // Counts are the only way to many states in few characters.
    let counted = text.contains('{');
    let small = !counted || RegexBuilder::new(text).size_limit(SMALL).build().is_ok();
    let weight = if small { 1 } else { 64 };
    Ok(Arc::new(Pattern { regex, weight }))
}
