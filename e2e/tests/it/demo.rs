//! `flotilla demo --once`: what a newcomer runs first.

use std::process::Command;

use e2e::process::flotilla;

fn once(data_dir: &std::path::Path) -> Vec<Vec<String>> {
    let output = Command::new(flotilla())
        .args(["demo", "--once", "--data-dir"])
        .arg(data_dir)
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = stdout
        .lines()
        .map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4).collect()
}

#[test]
fn the_demo_prints_the_placement_and_carries_on_in_its_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("demo");
    let expected = [
        ["WORKLOAD", "CLUSTER", "REPLICAS", "READY"],
        ["deployment/hello", "ap", "1", "1"],
        ["deployment/hello", "eu", "1", "1"],
        ["deployment/hello", "us", "1", "1"],
    ];
    assert_eq!(once(&directory), expected);
    assert_eq!(once(&directory), expected, "the second run did not carry on");
}

#[test]
fn wrong_names_are_refused() {
    let output = Command::new(flotilla())
        .args(["demo", "--once", "--members", "EU"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a cluster name"));
    let output = Command::new(flotilla()).args(["hub", "--nonsense"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
