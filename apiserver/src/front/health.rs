//! `/livez`, `/readyz`, `/healthz` with their single checks.
//!
//! Parts of the process add what must hold before the server counts as ready through [`Readiness::register`].

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use super::query;

/// A condition with a name.
type Check = Arc<dyn Fn() -> bool + Send + Sync>;

/// What must hold for the server to be ready.
#[derive(Default)]
pub struct Readiness {
    checks: RwLock<Vec<(String, Check)>>,
    stopping: AtomicBool,
}

impl Readiness {
    /// Adds a check; one of the same name is replaced.
    pub fn register(&self, name: &str, check: impl Fn() -> bool + Send + Sync + 'static) {
        let mut checks = self.checks.write().unwrap_or_else(PoisonError::into_inner);
        checks.retain(|(own, _)| own != name);
        checks.push((name.to_owned(), Arc::new(check)));
    }

    /// From now on the server is not ready, so that load balancers look elsewhere.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether everything holds.
    pub fn is_ready(&self) -> bool {
        self.results("readyz").iter().all(|(_, holds)| *holds)
    }

    /// Each check of a path with its outcome.
    fn results(&self, root: &str) -> Vec<(String, bool)> {
        let mut results = vec![("ping".to_owned(), true)];
        if root != "livez" {
            let checks = self.checks.read().unwrap_or_else(PoisonError::into_inner).clone();
            results.extend(checks.into_iter().map(|(name, check)| (name, check())));
        }
        if root == "readyz" {
            results.push(("shutdown".to_owned(), !self.stopping.load(Ordering::Acquire)));
        }
        results
    }
}

/// Answers a health path with code and text; `None` when there is no such check.
pub(super) fn serve(readiness: &Readiness, path: &str, raw_query: &str) -> Option<(u16, String)> {
    let (root, single) = match path.trim_matches('/').split_once('/') {
        Some((root, single)) => (root, Some(single)),
        None => (path.trim_matches('/'), None),
    };
    if !matches!(root, "livez" | "readyz" | "healthz") {
        return None;
    }
    let mut results = readiness.results(root);
    if let Some(single) = single {
        let (name, holds) = results.into_iter().find(|(name, _)| name == single)?;
        let text = if holds {
            "ok".to_owned()
        } else {
            format!("internal server error: {name} failed: reason withheld\n")
        };
        return Some((if holds { 200 } else { 500 }, text));
    }
    let mut verbose = false;
    let mut excluded = Vec::new();
    for (key, value) in query::pairs(raw_query) {
        match key.as_str() {
            "verbose" => verbose = true,
            "exclude" => excluded.push(value),
            _ => {}
        }
    }
    // Writing into a String cannot fail.
    let mut text = String::new();
    for (name, holds) in &mut results {
        if let Some(index) = excluded.iter().position(|own| own == name) {
            excluded.swap_remove(index);
            *holds = true;
            let _ = writeln!(text, "[+]{name} excluded: ok");
        } else if *holds {
            let _ = writeln!(text, "[+]{name} ok");
        } else {
            let _ = writeln!(text, "[-]{name} failed: reason withheld");
        }
    }
    if !excluded.is_empty() {
        excluded.sort();
        let list: Vec<String> = excluded.iter().map(|name| format!("{name:?}")).collect();
        let _ = writeln!(
            text,
            "warn: some health checks cannot be excluded: no matches for {}",
            list.join(",")
        );
    }
    if results.iter().any(|(_, holds)| !holds) {
        return Some((500, format!("{text}{root} check failed\n")));
    }
    Some((
        200,
        if verbose {
            format!("{text}{root} check passed\n")
        } else {
            "ok".to_owned()
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_can_be_seen_one_by_one_and_left_out() {
        let readiness = Readiness::default();
        let check = |url: &str, code: u16, text: &str| {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            assert_eq!(serve(&readiness, path, query), Some((code, text.to_owned())), "{url}");
        };
        check("/livez", 200, "ok");
        check("/readyz/", 200, "ok");
        readiness.register("cache", || false);
        check("/livez?verbose", 200, "[+]ping ok\nlivez check passed\n");
        check(
            "/readyz",
            500,
            "[+]ping ok\n[-]cache failed: reason withheld\n[+]shutdown ok\nreadyz check failed\n",
        );
        check("/readyz?exclude=cache", 200, "ok");
        check(
            "/healthz?verbose&exclude=cache&exclude=no",
            200,
            "[+]ping ok\n[+]cache excluded: ok\nwarn: some health checks cannot be excluded: no matches for \"no\"\nhealthz check passed\n",
        );
        check("/readyz/ping", 200, "ok");
        check(
            "/readyz/cache",
            500,
            "internal server error: cache failed: reason withheld\n",
        );
        assert_eq!(serve(&readiness, "/readyz/other", ""), None);
        readiness.register("cache", || true);
        assert!(readiness.is_ready());
        readiness.stop();
        assert!(!readiness.is_ready());
        check("/livez", 200, "ok");
    }
}
