//! `flotilla demo --once`: what a newcomer runs first.

use std::process::Command;

use e2e::kubectl::Kubectl;
use e2e::process::{Process, flotilla};
use e2e::wait::until;

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

/// The ids of a process's own children.
fn children(id: u32) -> Vec<(u32, String)> {
    let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let command = |child: &str| {
        std::fs::read_to_string(format!("/proc/{child}/cmdline"))
            .unwrap_or_default()
            .replace('\0', " ")
    };
    list.split_whitespace()
        .map(|child| (child.parse().unwrap(), command(child)))
        .collect()
}

#[test]
fn killing_a_part_of_the_demo_leaves_the_others() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("demo");
    let mut command = Command::new(flotilla());
    command.args(["demo", "--empty", "--data-dir"]).arg(&directory);
    let log = scratch.path().join("demo.log");
    let (demo, _) = Process::start(command, &log, "demo ready: ", 1).unwrap();
    let parts = children(demo.id());
    assert_eq!(parts.len(), 5, "hub, members and three agents: {parts:?}");
    let (hub, _) = parts.iter().find(|(_, command)| command.contains(" hub ")).unwrap();
    assert!(
        Command::new("kill")
            .args(["-9", &hub.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let again = until("the demo says how to start the hub again", || {
        let text = demo.log_text();
        let line = text.lines().find(|line| line.trim_start().starts_with("flotilla hub "));
        line.map(|line| line.trim().to_owned()).ok_or(text)
    });

    let mut command = Command::new(flotilla());
    command.args(again.split_whitespace().skip(1));
    let (_hub, _) = Process::start(command, &scratch.path().join("hub.log"), "hub ready: ", 1).unwrap();
    let kubectl = Kubectl::new(&directory.join("hub.kubeconfig"), scratch.path());
    until("every member Ready again", || {
        let table = kubectl.run(&["get", "clusters", "--no-headers"]);
        let ready = table
            .stdout
            .lines()
            .filter(|line| line.split_whitespace().nth(3) == Some("True"))
            .count();
        if ready == 3 {
            Ok(())
        } else {
            Err(format!("{}{}", table.stdout, table.stderr))
        }
    });
    assert_eq!(children(demo.id()).len(), 4, "{:?}", children(demo.id()));
}
