//! The table of requests and answers, held against the hub, and against a real kube-apiserver where its binaries are at hand.

use std::path::Path;
use std::process::Command;

use e2e::assets::RealMember;
use e2e::differential;
use e2e::process::{Process, flotilla, root};

fn check(kubeconfig: &Path, hub: bool) {
    let only = std::env::var("DIFFERENTIAL_ONLY").unwrap_or_default();
    let release = std::env::var("DIFFERENTIAL_RELEASE").unwrap_or_else(|_| e2e::assets::RELEASE.to_owned());
    let fixtures = differential::read_all(&root().join("e2e/fixtures/differential")).unwrap();
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
    check(&directory.path().join("hub/admin.kubeconfig"), true);
}

#[test]
fn a_real_server_answers_as_the_table_says() {
    // Another server may be named instead of starting one.
    if let Some(kubeconfig) = std::env::var_os("DIFFERENTIAL_KUBECONFIG") {
        check(Path::new(&kubeconfig), false);
    } else if std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        let directory = tempfile::tempdir().unwrap();
        let _member = RealMember::start("real", directory.path()).unwrap();
        check(&directory.path().join("real.kubeconfig"), false);
    }
}
