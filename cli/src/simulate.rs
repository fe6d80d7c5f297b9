//! `flotilla simulate`: member clusters inside this process, each with a port and a kubeconfig.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use apiserver::pki::{Pki, write_private};
use runtime::clock::{SystemClock, SystemRandom};
use simulator::{Member, MemberParts, NodeShape};

use crate::args::SimulateArgs;
use crate::data_dir::DataDir;
use crate::kubeconfig::is_cluster_name;
use crate::lifecycle;

/// Runs members until told to stop.
pub(crate) async fn run(args: SimulateArgs) -> Result<()> {
    let stop = lifecycle::stop_token(args.until_stdin_closes)?;
    for quantity in [&args.node_cpu, &args.node_memory] {
        crds::quantity::milli(quantity).with_context(|| format!("{quantity:?} is not a quantity such as 8 or 32Gi"))?;
    }
    let directory = DataDir::open(&args.data_dir)?;
    let shape = NodeShape {
        cpu: args.node_cpu,
        memory: args.node_memory,
        pods: args.node_pods,
    };
    let mut members = Vec::new();
    for (index, name) in args.members.iter().enumerate() {
        if !is_cluster_name(name) || args.members[..index].contains(name) {
            bail!(
                "--members: {name:?} is named twice or is not a cluster name: lower case letters, digits and '-', at most 48"
            );
        }
        let pki = Pki::load_or_create(&directory.path().join(name).join("pki"), &[], &SystemClock)?;
        let listener = directory.listen(name, SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let parts = MemberParts {
            name: name.clone(),
            listener,
            pki,
            nodes: args.nodes,
            shape: shape.clone(),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
        };
        let member = Member::start(parts, stop.clone())
            .await
            .with_context(|| format!("member {name}"))?;
        let kubeconfig = directory.path().join(format!("{name}.kubeconfig"));
        write_private(&kubeconfig, &member.kubeconfig)?;
        lifecycle::print(&format!(
            "member ready: {name} https://{} kubeconfig: {}",
            member.address,
            kubeconfig.display()
        ))?;
        members.push(member);
    }
    for member in members {
        member.finish().await;
    }
    Ok(())
}
