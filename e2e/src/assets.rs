//! Members that are real control planes: etcd, kube-apiserver and kube-controller-manager from `KUBEBUILDER_ASSETS`, with
//! the simulator's nodes in place of kubelets and scheduler.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use crate::process::Process;

/// What etcd promises of an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk, as in production.
    Kept,
    /// Nothing: a test throws it away anyway.
    Lost,
}

/// One real control plane. It ends when it is dropped.
#[derive(Debug)]
pub struct RealMember {
    stop: CancellationToken,
    _nodes: std::thread::JoinHandle<()>,
    _controller_manager: Process,
    apiserver: Process,
    etcd: Process,
}

impl Drop for RealMember {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn etcd(assets: &Path, directory: &Path, durability: Durability, port: u16, peer_port: u16) -> Command {
    let (client_url, peer_url) = (
        format!("http://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{peer_port}"),
    );
    let mut etcd = Command::new(assets.join("etcd"));
    etcd.arg("--data-dir")
        .arg(directory.join(format!("etcd-{port}")))
        .args((durability == Durability::Lost).then_some("--unsafe-no-fsync"))
        .args([
            "--listen-client-urls",
            &client_url,
            "--advertise-client-urls",
            &client_url,
            "--listen-peer-urls",
            &peer_url,
            "--initial-advertise-peer-urls",
            &peer_url,
            "--initial-cluster",
            &format!("default={peer_url}"),
        ]);
    etcd
}

/// Starts a server on a free port and waits until it listens. Between finding a free port and using it somebody else may take it:
/// the server then ends, and is started on another.
fn start_listening(log: &Path, command: impl Fn(u16, u16) -> Command) -> Result<(Process, u16)> {
    let mut process = None;
    let mut port = 0;
    crate::wait::until(&format!("a server that listens, see {}", log.display()), || {
        let running = process
            .as_mut()
            .is_some_and(|process: &mut Process| !process.has_ended());
        if !running {
            let start = || -> Result<(Process, u16)> {
                let (port, second) = (free_port()?, free_port()?);
                Ok((Process::spawn(command(port, second), log)?, port))
            };
            let (started, chosen) = start().map_err(|error| error.to_string())?;
            process = Some(started);
            port = chosen;
        }
        std::net::TcpStream::connect(("127.0.0.1", port))
            .map(drop)
            .map_err(|error| error.to_string())
    });
    Ok((process.context("a server that listens was started")?, port))
}

/// The release of the binaries, which do not know it themselves.
pub const RELEASE: &str = "1.20";

/// A bearer token of a server that lives as long as a test and listens on loopback only.
const TOKEN: &str = "end-to-end-tests";

impl RealMember {
    /// Starts a control plane for a test; leaves `FOLDER/<name>.kubeconfig`.
    pub fn start(name: &str, folder: &Path) -> Result<Self> {
        Self::start_with(name, folder, Durability::Lost)
    }

    /// The processes that serve its API: etcd and kube-apiserver.
    pub fn server_ids(&self) -> [u32; 2] {
        [self.etcd.id(), self.apiserver.id()]
    }

    /// As [`RealMember::start`], with a choice of what etcd promises.
    pub fn start_with(name: &str, folder: &Path, durability: Durability) -> Result<Self> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from).context(
            "E2E_MEMBERS=assets needs KUBEBUILDER_ASSETS: a folder that holds etcd, kube-apiserver and kube-controller-manager",
        )?;
        let directory = folder.join(name);
        std::fs::create_dir_all(&directory)?;
        let log = |part: &str| folder.join(format!("{name}-{part}.log"));
        let (etcd, etcd_port) = start_listening(&log("etcd"), |port, second| {
            etcd(&assets, &directory, durability, port, second)
        })?;

        let keys = directory.join("pki");
        std::fs::create_dir_all(&keys)?;
        let signing = keys.join("service-account.key");
        let made = Command::new("openssl")
            .args(["genrsa", "-out"])
            .arg(&signing)
            .arg("2048")
            .output();
        anyhow::ensure!(made.is_ok_and(|made| made.status.success()), "openssl genrsa failed");
        let tokens = keys.join("tokens.csv");
        std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n"))?;
        let (server, secure) = start_listening(&log("apiserver"), |port, _| {
            let mut server = Command::new(assets.join("kube-apiserver"));
            server
                .args([
                    "--etcd-servers",
                    &format!("http://127.0.0.1:{etcd_port}"),
                    "--bind-address",
                    "127.0.0.1",
                ])
                .args(["--secure-port", &port.to_string()])
                .args([
                    "--service-cluster-ip-range",
                    "10.0.0.0/24",
                    "--authorization-mode",
                    "RBAC",
                    "--allow-privileged",
                ])
                .args([
                    "--service-account-issuer",
                    "https://kubernetes.default.svc",
                    "--cert-dir",
                ])
                .arg(keys.join("serving"))
                .arg("--service-account-key-file")
                .arg(&signing)
                .arg("--service-account-signing-key-file")
                .arg(&signing)
                .arg("--token-auth-file")
                .arg(&tokens)
                // Nobody takes the taint of a new node away here when the node is ready.
                .args(["--disable-admission-plugins", "ServiceAccount,TaintNodesByCondition"]);
            server
        })?;
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&kubeconfig, kubeconfig_text(name, secure))?;

        let mut manager = Command::new(assets.join("kube-controller-manager"));
        manager.arg("--kubeconfig").arg(&kubeconfig).args([
            "--controllers=deployment,replicaset,job,statefulset,daemonset,namespace,garbagecollector,endpoint,pvc-protection",
            "--leader-elect=false",
            "--port=0",
            "--secure-port=0",
        ]);
        let healthy = crate::kubectl::Kubectl::new(&kubeconfig, &directory);
        crate::wait::until("the real API server's readiness", || {
            let answer = healthy.run(&["get", "--raw", "/readyz"]);
            let namespaced = healthy.run(&["get", "namespace", "default"]);
            if answer.code == 0 && namespaced.code == 0 {
                Ok(())
            } else {
                Err(format!("{}{}\n{}", answer.stderr, namespaced.stderr, server.log_text()))
            }
        });
        let manager = Process::spawn(manager, &log("manager"))?;
        let stop = CancellationToken::new();
        let nodes = stand_in_for_kubelets(name.to_owned(), kubeconfig, stop.clone());
        Ok(Self {
            stop,
            _nodes: nodes,
            _controller_manager: manager,
            apiserver: server,
            etcd,
        })
    }
}

/// Runs the simulator's nodes against a real API server, on a thread of its own.
fn stand_in_for_kubelets(name: String, kubeconfig: PathBuf, stop: CancellationToken) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let run = async {
            let client = crate::assets::connect(&kubeconfig).await?;
            let member_client = runtime::remote::RemoteHub::connect(client).await?;
            let config = simulator::EngineConfig {
                member: name,
                nodes: 2,
                shape: simulator::NodeShape::default(),
                version: "v1.20.2".to_owned(),
                workloads: false,
            };
            let engine = simulator::Engine::new(Arc::new(member_client), Arc::new(runtime::clock::SystemClock), config);
            engine.run(stop).await?;
            anyhow::Ok(())
        };
        let outcome = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map(|runtime| runtime.block_on(run));
        if let Err(error) | Ok(Err(error)) = outcome.map_err(anyhow::Error::from) {
            eprintln!("the stand-in for kubelets ended: {error:#}");
        }
    })
}

/// A client for a kubeconfig file.
pub async fn connect(kubeconfig: &Path) -> Result<kube::Client> {
    // A second installation finds the first one's provider, which is the same.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
    let config = kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default()).await?;
    Ok(kube::Client::try_from(config)?)
}

/// A port that is free now. Another process may take it before it is used; the start then fails and says so.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

fn kubeconfig_text(name: &str, port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {name}\nclusters:\n- name: {name}\n  cluster:\n    server: https://127.0.0.1:{port}\n    \
         insecure-skip-tls-verify: true\nusers:\n- name: admin\n  user:\n    token: {TOKEN}\ncontexts:\n- name: {name}\n  context:\n    \
         cluster: {name}\n    user: admin\n"
    )
}
