//! The commands of kubectl that ask the server for something of their own, at the oldest and the newest release at hand.
//!
//! [`super::kubectl`] tells a working day; here each command is tried once and what it says is held to what it says on Kubernetes.

mod changes;
mod identity;
mod reads;

use e2e::federation::{Federation, Options};
use e2e::kubectl::{Kubectl, Output};
use e2e::tools;
use serde_json::Value;

/// kubectl of one release, in a namespace and a folder of its own.
struct Client<'a> {
    federation: &'a Federation,
    kubectl: Kubectl,
    minor: &'static str,
    namespace: String,
}

impl Client<'_> {
    fn run(&self, args: &[&str]) -> Output {
        self.kubectl.run(&[&["-n", self.namespace.as_str()], args].concat())
    }

    fn run_with(&self, args: &[&str], input: &str) -> Output {
        self.kubectl
            .run_with(&[&["-n", self.namespace.as_str()], args].concat(), input)
    }

    /// What a command prints, which must succeed and contain these texts.
    #[track_caller]
    fn tells(&self, args: &[&str], texts: &[&str]) -> String {
        let told = self.run(args).ok();
        for text in texts {
            assert!(told.contains(text), "{args:?} lacks {text:?}:\n{told}");
        }
        told
    }

    fn object(&self, args: &[&str]) -> Value {
        self.kubectl.get(&[args, &["-n", &self.namespace]].concat())
    }

    /// Writes a file into the folder of this release.
    fn file(&self, name: &str, text: &str) -> String {
        let folder = self.federation.path(&format!("files-{}", self.minor));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The server, and a command with no credentials but those that are given.
    fn as_somebody(&self, credentials: &[&str], args: &[&str]) -> Output {
        let server = self.kubectl.get_config().server();
        let authority = self.federation.hub_dir().join("pki/ca.crt");
        let server = format!("--server={server}");
        let authority = format!("--certificate-authority={}", authority.display());
        let place = ["--kubeconfig=/dev/null", &server, &authority];
        self.kubectl.run(&[args, credentials, &place].concat())
    }
}

#[test]
fn every_command_at_the_oldest_and_the_newest_release() {
    let options = Options {
        hub_args: vec!["--deployment-revisions".to_owned()],
        ..Options::default()
    };
    let federation = Federation::start_with(options).unwrap();
    for minor in ["27", "37"] {
        let client = Client {
            federation: &federation,
            kubectl: federation.hub().through(tools::find("kubectl", Some(minor))),
            minor,
            namespace: format!("commands-{minor}"),
        };
        client.kubectl.run(&["create", "namespace", &client.namespace]).ok();
        for part in [
            identity::tokens,
            identity::certificates,
            changes::makers,
            changes::rollouts,
            changes::patches,
            changes::applies,
            changes::nodes,
            reads::cluster,
            reads::objects,
            reads::proxy,
            changes::ends,
        ] {
            part(&client);
        }
        client
            .kubectl
            .run(&["delete", "namespace", &client.namespace, "--timeout=90s"])
            .ok();
    }
}
