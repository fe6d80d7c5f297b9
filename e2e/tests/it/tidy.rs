//! Facts about the tree that no compiler tells: who depends on whom, that modules say what they are for, that files stay
//! readable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What each crate may depend on (ARCHITECTURE.md, "Code map"). `*` is every crate.
const MAY_DEPEND: &[(&str, &[&str])] = &[
    ("crds", &[]),
    ("schema", &[]),
    ("storage", &["schema"]),
    ("runtime", &["schema"]),
    ("apiserver", &["runtime", "schema", "storage", "crds"]),
    ("interpreter", &["crds"]),
    ("scheduler", &["crds"]),
    (
        "controllers",
        &["runtime", "schema", "crds", "interpreter", "scheduler"],
    ),
    ("agent", &["runtime", "schema", "crds", "interpreter"]),
    ("simulator", &["apiserver", "runtime", "schema", "storage", "crds"]),
    ("flotilla", &["*"]),
    ("e2e", &["*"]),
];

/// Crates that decide and do nothing else.
const PURE: &[&str] = &["scheduler", "interpreter", "schema", "crds"];
/// What a pure crate must not reach, however far down.
const IMPURE: &[&str] = &["kube-client", "tokio", "sqlx", "hyper"];

/// Lines that no Rust file may pass.
const LONGEST_FILE: usize = 900;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// What cargo knows of all packages for this platform: those of others need not be on a machine that only builds for itself.
fn metadata() -> Value {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("-vV").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    let platform = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", platform])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Package id → name and the ids of its normal and build dependencies.
fn graph(metadata: &Value) -> BTreeMap<String, (String, Vec<String>)> {
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    nodes
        .iter()
        .map(|node| {
            let id = node["id"].as_str().unwrap();
            let normal = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|kind| kind["kind"] != "dev")
            });
            let ids = normal
                .map(|dependency| dependency["pkg"].as_str().unwrap().to_owned())
                .collect();
            (id.to_owned(), (names[id].to_owned(), ids))
        })
        .collect()
}

#[test]
fn crates_depend_only_where_the_table_allows() {
    let metadata = metadata();
    let graph = graph(&metadata);
    let table: BTreeMap<&str, &[&str]> = MAY_DEPEND.iter().copied().collect();
    let members: BTreeSet<&str> = metadata["workspace_members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap())
        .collect();
    let mut wrong = Vec::new();
    for member in &members {
        let (name, dependencies) = &graph[*member];
        let Some(allowed) = table.get(name.as_str()) else {
            wrong.push(format!("{name} is not in the table"));
            continue;
        };
        for dependency in dependencies
            .iter()
            .filter(|dependency| members.contains(dependency.as_str()))
        {
            let dependency = graph[dependency].0.as_str();
            if !allowed.contains(&"*") && !allowed.contains(&dependency) {
                wrong.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the table of ARCHITECTURE.md: {wrong:#?}");
}

#[test]
fn pure_crates_reach_no_io() {
    let metadata = metadata();
    let graph = graph(&metadata);
    let mut wrong = Vec::new();
    for (id, (name, _)) in &graph {
        if !PURE.contains(&name.as_str()) || !id.contains(&*root().to_string_lossy()) {
            continue;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![id.clone()];
        while let Some(next) = open.pop() {
            if seen.insert(next.clone()) {
                open.extend(graph[&next].1.iter().cloned());
            }
        }
        let reached = seen
            .iter()
            .map(|id| graph[id].0.as_str())
            .filter(|name| IMPURE.contains(name));
        wrong.extend(reached.map(|reached| format!("{name} reaches {reached}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn rust_files() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                walk(&path, found);
            } else if name.ends_with(".rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    assert!(
        50 < found.len(),
        "found only {} Rust files under {}",
        found.len(),
        root().display()
    );
    found
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<PathBuf> = rust_files()
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "these do not open with a module doc: {silent:#?}");
}

#[test]
fn files_stay_readable() {
    let long: Vec<(PathBuf, usize)> = rust_files()
        .into_iter()
        .map(|path| {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            (path, lines)
        })
        .filter(|(_, lines)| LONGEST_FILE < *lines)
        .collect();
    assert!(long.is_empty(), "split these by responsibility: {long:#?}");
}

#[test]
fn the_architecture_stays_short() {
    let lines = std::fs::read_to_string(root().join("ARCHITECTURE.md"))
        .unwrap()
        .lines()
        .count();
    assert!(
        lines <= 250,
        "ARCHITECTURE.md has {lines} lines; it holds stable facts only"
    );
}

#[test]
fn section_9_1_every_gate_is_read_or_said_to_be_idle() {
    let features = std::fs::read_to_string(root().join("crds/src/features.rs")).unwrap();
    let page = std::fs::read_to_string(root().join("docs/reference/flags.md")).unwrap();
    let between = |start: &str, end: &str| {
        let rest = &features[features.find(start).unwrap() + start.len()..];
        rest[..rest.find(end).unwrap()].to_owned()
    };
    let gates = between("pub enum Gate {", "}");
    let idle = between("const IDLE", "];");
    let sources: Vec<String> = rust_files()
        .iter()
        .filter(|path| !path.ends_with("crds/src/features.rs") && !path.ends_with("tidy.rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for gate in gates.split([',', '\n']).map(str::trim).filter(|gate| !gate.is_empty()) {
        let (name, is_idle) = (format!("Gate::{gate}"), idle.contains(&format!("Gate::{gate},")));
        let read = sources.iter().any(|source| source.contains(&name));
        assert_ne!(read, is_idle, "{gate}: read {read}, idle {is_idle}");
        assert!(page.contains(gate), "{gate} is not in docs/reference/flags.md");
    }
}
