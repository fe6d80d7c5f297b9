//! `/version`: the level of Kubernetes whose API is served, with our own version behind it.

use serde_json::{Value, json};

use crate::api::Build;

/// Major and minor version of the API.
const LEVEL: (&str, &str) = ("1", "36");

/// The version by its full name. Helm and others read it as a semantic version: what follows `+` does not count as a
/// pre-release.
pub const GIT_VERSION: &str = concat!("v1.36.0+flotilla.", env!("CARGO_PKG_VERSION"));

/// The body of `/version`.
pub(super) fn version(build: Build) -> Value {
    let (major, minor) = LEVEL;
    json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "minCompatibilityMajor": major,
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": build.commit,
        "gitTreeState": build.tree_state,
        "buildDate": build.date,
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
}

/// Architecture as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
