//! Tells the program which commit it is built from: release builds ask git, packagers without a repository set `FLOTILLA_GIT_COMMIT`
//! and `FLOTILLA_BUILD_DATE`. Development builds are not asked to be built anew after each commit and say nothing.

use std::process::Command;

/// What `/version` of an unstamped Kubernetes says.
const NO_DATE: &str = "1970-01-01T00:00:00Z";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["FLOTILLA_GIT_COMMIT", "FLOTILLA_BUILD_DATE"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let told = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut commit = told("FLOTILLA_GIT_COMMIT");
    let mut date = told("FLOTILLA_BUILD_DATE");
    let mut state = commit.as_ref().map(|_| "clean");
    let release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if commit.is_none() && release {
        commit = git(&["rev-parse", "HEAD"]);
        if commit.is_some() {
            watch();
            let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
            state = Some(if changed.is_none() { "clean" } else { "dirty" });
            date = date.or_else(|| git(&["log", "-1", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd"]));
        }
    }
    println!("cargo:rustc-env=FLOTILLA_GIT_COMMIT={}", commit.unwrap_or_default());
    println!("cargo:rustc-env=FLOTILLA_GIT_TREE_STATE={}", state.unwrap_or_default());
    println!(
        "cargo:rustc-env=FLOTILLA_BUILD_DATE={}",
        date.unwrap_or_else(|| NO_DATE.to_owned())
    );
}

/// Builds anew when another commit is checked out or a source has changed.
fn watch() {
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", path]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for folder in [
        "agent",
        "apiserver",
        "cli",
        "controllers",
        "crds",
        "interpreter",
        "scheduler",
        "e2e/simulator",
    ] {
        println!("cargo:rerun-if-changed=../{folder}");
    }
    println!("cargo:rerun-if-changed=../Cargo.lock");
}

/// What git answers, unless that is nothing.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").env("TZ", "UTC").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
