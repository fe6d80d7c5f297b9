//! Regular expressions of schemas, compiled once. The engine is linear in time and bounded in memory.

mod dialect;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use regex::{Regex, RegexBuilder};

/// How many patterns are kept; when full, all are dropped and compiled again as needed.
const KEPT: usize = 2_000;
/// Memory of one compiled pattern.
const SIZE_LIMIT: usize = 2 << 20;

/// Memory of a pattern that is cheap to run.
const SMALL: usize = 64 << 10;

/// Whether a pattern that compiles has few states. Counts are the only way to many in few characters.
pub(crate) fn is_small(pattern: &str) -> bool {
    let small = |text: String| RegexBuilder::new(&text).size_limit(SMALL).build().is_ok();
    !pattern.contains('{') || dialect::translate(pattern).is_ok_and(small)
}

/// The compiled pattern, which is in Go's dialect, or what is wrong with it.
pub(crate) fn compile(pattern: &str) -> Result<Arc<Regex>, String> {
    static CACHE: OnceLock<RwLock<HashMap<String, Arc<Regex>>>> = OnceLock::new();
    let cache = CACHE.get_or_init(RwLock::default);
    if let Some(regex) = cache.read().unwrap_or_else(PoisonError::into_inner).get(pattern) {
        return Ok(Arc::clone(regex));
    }
    let regex = RegexBuilder::new(&dialect::translate(pattern)?)
        .size_limit(SIZE_LIMIT)
        .dfa_size_limit(SIZE_LIMIT)
        .build();
    let regex = Arc::new(regex.map_err(|error| {
        // The last of its lines says what is wrong, the others show where.
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        format!("error parsing regexp: {}", last.trim_start_matches("error: "))
    })?);
    let mut cache = cache.write().unwrap_or_else(PoisonError::into_inner);
    if cache.len() >= KEPT {
        cache.clear();
    }
    cache.insert(pattern.to_owned(), Arc::clone(&regex));
    Ok(regex)
}
