//! The table of requests and answers, held against the hub, a simulated member, and a real kube-apiserver where its binaries
//! are at hand; where they are not, that test says so.

use std::path::Path;
use std::process::Command;

use e2e::assets::RealMember;
use e2e::differential;
use e2e::process::{Process, flotilla, root};

fn check(kubeconfig: &Path, hub: bool, without: &[&str]) {
    let only = std::env::var("DIFFERENTIAL_ONLY").unwrap_or_default();
    let release = std::env::var("DIFFERENTIAL_RELEASE").unwrap_or_else(|_| e2e::assets::RELEASE.to_owned());
    let mut fixtures = differential::read_all(&root().join("e2e/fixtures/differential")).unwrap();
    fixtures.retain(|fixture| !without.contains(&fixture.name()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let report = runtime.block_on(async {
        let server = differential::Server::connect(kubeconfig, hub, &release).await.unwrap();
        differential::run(&server, &fixtures, &only).await
    });
    assert!(report.failures.is_empty(), "\n{report}");
    eprintln!("{report}");
}

#[test]
fn the_hub_answers_as_kubernetes_does() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(flotilla());
    command
        .args(["hub", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory.path().join("hub"));
    let log = directory.path().join("hub.log");
    let (_hub, _) = Process::start(command, &log, "hub ready: ", 1).unwrap();
    check(&directory.path().join("hub/admin.kubeconfig"), true, &[]);
}

/// The profile of plain clusters. Rows that list all `ConfigMap`s do not know its `kube-root-ca.crt`, and its controllers act on what
/// others own of a status or of Pods.
#[test]
fn a_simulated_member_answers_as_kubernetes_does() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(flotilla());
    command
        .args(["simulate", "--members", "plain", "--data-dir"])
        .arg(directory.path().join("members"));
    let log = directory.path().join("members.log");
    let (_members, lines) = Process::start(command, &log, "member ready: ", 1).unwrap();
    let (_, kubeconfig) = lines[0].split_once("kubeconfig: ").unwrap();
    check(
        Path::new(kubeconfig.trim()),
        true,
        &["apply", "kinds", "lists", "subresources", "tables", "watches"],
    );
}

#[test]
fn a_real_server_answers_as_the_table_says() {
    // Another server may be named instead of starting one.
    if let Some(kubeconfig) = std::env::var_os("DIFFERENTIAL_KUBECONFIG") {
        check(Path::new(&kubeconfig), false, &[]);
    } else if std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        let directory = tempfile::tempdir().unwrap();
        let _member = RealMember::start("real", directory.path()).unwrap();
        check(&directory.path().join("real.kubeconfig"), false, &[]);
    } else {
        eprintln!("NOT RUN: no real kube-apiserver; set KUBEBUILDER_ASSETS to a folder with its binaries and etcd's");
    }
}
