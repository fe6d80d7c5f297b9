//! `flotilla kubeconfig --agent NAME`: credentials for an agent, made with the hub's own keys.
//!
//! Whoever can read the hub's data directory is its administrator; this only spares them openssl.

use std::path::Path;

use anyhow::{Context, Result, bail};
use apiserver::pki::{Pki, kubeconfig};
use runtime::clock::SystemClock;

use crate::args::KubeconfigArgs;
use crate::{data_dir, lifecycle};

/// Prints the kubeconfig.
pub(crate) fn run(args: &KubeconfigArgs) -> Result<()> {
    let directory = args.data_dir.clone().map_or_else(|| data_dir::default_path(""), Ok)?;
    lifecycle::print(for_agent(&directory, &args.agent)?.trim_end())
}

/// The kubeconfig of an agent of the hub that lives in a directory.
pub(crate) fn for_agent(hub_directory: &Path, cluster: &str) -> Result<String> {
    if !is_cluster_name(cluster) {
        bail!("{cluster:?} is not a cluster name: lower case letters, digits and '-', at most 48");
    }
    let keys = hub_directory.join("pki");
    if !keys.join("ca.crt").exists() {
        bail!(
            "{} holds no keys of a hub: start the hub once, or name its directory with --data-dir",
            hub_directory.display()
        );
    }
    let admin = hub_directory.join("admin.kubeconfig");
    let text = std::fs::read_to_string(&admin).with_context(|| format!("cannot read {}", admin.display()))?;
    let server = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("server:"))
        .map(|url| url.trim().trim_matches('"').to_owned())
        .with_context(|| format!("{} names no server", admin.display()))?;
    let clock = SystemClock;
    let pki = Pki::load_or_create(&keys, &[], &clock)?;
    let (certificate, key) = pki.issue_agent(cluster, &clock)?;
    Ok(kubeconfig(&server, &pki.ca_pem, &certificate, &key, cluster))
}

/// Cluster names are DNS-1123 labels of at most 48 characters (Karmada semantics §1.5).
pub(crate) fn is_cluster_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 48
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}
