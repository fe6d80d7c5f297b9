//! Real kubectl, and other command-line clients that read a kubeconfig.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use serde_json::Value;

use crate::process::root;
use crate::tools;

/// kubectl, or another client, with one kubeconfig.
#[derive(Debug, Clone)]
pub struct Kubectl {
    binary: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
}

/// What a command printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that had to succeed.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(
            self.code == 0,
            "the command failed with {}:\n{}{}",
            self.code,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The standard error of a command that had to fail.
    ///
    /// # Panics
    /// When it succeeded.
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(self.code != 0, "the command succeeded:\n{}", self.stdout);
        self.stderr
    }
}

impl Kubectl {
    /// kubectl for a cluster. `home` holds its discovery cache, so that tests do not share one.
    pub fn new(kubeconfig: &Path, home: &Path) -> Self {
        Self {
            binary: tools::kubectl(),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
        }
    }

    /// The same cluster through another binary: kubectl of another release, or Helm.
    #[must_use]
    pub fn through(&self, binary: PathBuf) -> Self {
        Self { binary, ..self.clone() }
    }

    /// A command that has not been started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.home)
            .stdin(Stdio::null());
        command.current_dir(root());
        command
    }

    /// Runs kubectl to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, args: &[&str]) -> Output {
        finish(self.command(args), None)
    }

    /// Runs kubectl with something on its standard input.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run_with(&self, args: &[&str], input: &str) -> Output {
        finish(self.command(args), Some(input))
    }

    /// The cluster and credentials behind this kubeconfig.
    ///
    /// # Panics
    /// When it cannot be read.
    #[allow(clippy::panic, reason = "tests cannot go on without it")]
    pub fn get_config(&self) -> Credentials {
        let output = self.run(&["config", "view", "--raw", "-o", "json"]).ok();
        match serde_json::from_str(&output) {
            Ok(config) => Credentials { config },
            Err(error) => panic!("kubectl config view: {error}"),
        }
    }

    /// The same as [`Kubectl::get`], without a kubectl; `None` for what only kubectl understands, and after any failure.
    pub fn look(&self, args: &[&str]) -> Option<Value> {
        crate::look::look(&self.kubeconfig, args)
    }

    /// An object or list as JSON; `Null` when there is none. Plain questions are asked without a kubectl ([`crate::look`]).
    ///
    /// # Panics
    /// When kubectl prints something else.
    #[track_caller]
    pub fn get(&self, args: &[&str]) -> Value {
        if let Some(found) = self.look(args) {
            return found;
        }
        let output = self
            .run(&[&["get"], args, &["-o", "json", "--ignore-not-found"]].concat())
            .ok();
        if output.trim().is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&output).unwrap_or_default()
        }
    }
}

/// What a kubeconfig with one cluster and one user holds.
#[derive(Debug, Clone)]
pub struct Credentials {
    config: Value,
}

impl Credentials {
    /// `https://…` of the server.
    pub fn server(&self) -> String {
        self.config["clusters"][0]["cluster"]["server"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Writes the client certificate and key as PEM files into a folder; answers with their paths.
    ///
    /// # Panics
    /// When they cannot be written.
    #[allow(clippy::panic, reason = "tests cannot go on without them")]
    pub fn write_credentials(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let user = &self.config["users"][0]["user"];
        let write = |name: &str, field: &str| {
            let path = folder.join(name);
            let pem = base64::engine::general_purpose::STANDARD.decode(user[field].as_str().unwrap_or_default());
            let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, pem.unwrap_or_default()));
            written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            path
        };
        (
            write("client.crt", "client-certificate-data"),
            write("client.key", "client-key-data"),
        )
    }
}

#[allow(clippy::panic, reason = "tests cannot go on without kubectl")]
fn finish(mut command: Command, input: Option<&str>) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // kubectl may refuse before it has read everything.
        let _refused = stdin.write_all(input.as_bytes());
    }
    let output = child
        .wait_with_output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
