//! Where the tools are that the tests drive. The script `e2e/tools/find` knows; this asks it once for each tool.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use crate::process::root;

/// kubectl as `make test` found it, or as the project's own script finds it.
///
/// # Panics
/// When there is none and none can be installed.
pub fn kubectl() -> PathBuf {
    std::env::var_os("KUBECTL").map_or_else(|| find("kubectl", None), PathBuf::from)
}

/// A tool (`kubectl`, `helm`, `python-client`) as the script finds or installs it; `minor` is the Kubernetes minor version whose tools it came with.
///
/// # Panics
/// When there is none and none can be installed.
#[allow(clippy::panic, reason = "tests cannot go on without their tools")]
pub fn find(tool: &str, minor: Option<&str>) -> PathBuf {
    static FOUND: Mutex<BTreeMap<(String, Option<String>), PathBuf>> = Mutex::new(BTreeMap::new());
    let key = (tool.to_owned(), minor.map(str::to_owned));
    // Held while the script runs: two tests never install one tool at once.
    let mut found = FOUND.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = found.get(&key) {
        return path.clone();
    }
    let output = Command::new(root().join("e2e/tools/find"))
        .arg(tool)
        .args(minor)
        .output();
    match output {
        Ok(output) if output.status.success() => {
            let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
            found.insert(key, path.clone());
            path
        }
        other => panic!("e2e/tools/find {tool} {minor:?}: {other:?}"),
    }
}
