//! What the demo does through the API: applies the tutorial's manifests, waits for states, reads the placement.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use serde_json::Value;

use super::until;

/// The manifests that the demo applies: the files that the tutorial shows.
const MANIFESTS: [&str; 2] = [
    include_str!("../../../examples/tutorial/hello.yaml"),
    include_str!("../../../examples/tutorial/policy.yaml"),
];

const NAMESPACE: &str = "default";

/// A client for a kubeconfig file.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<Client> {
    let read = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn api(hub_client: &Client, api_version: &str, kind: &str) -> Api<DynamicObject> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if kind == "Cluster" {
        Api::all_with(hub_client.clone(), &resource)
    } else {
        Api::namespaced_with(hub_client.clone(), NAMESPACE, &resource)
    }
}

/// Waits until every member's Cluster is Ready.
pub(crate) async fn members_ready(hub_client: &Client, members: &[String], patience: Duration) -> Result<()> {
    let clusters = api(hub_client, "cluster.karmada.io/v1alpha1", "Cluster");
    until("members", patience, || async {
        let found = clusters
            .list(&ListParams::default())
            .await
            .context("cannot list clusters")?;
        let ready = |name: &String| {
            found
                .items
                .iter()
                .any(|cluster| cluster.metadata.name.as_ref() == Some(name) && is_ready(&cluster.data))
        };
        let missing: Vec<&str> = members.iter().filter(|name| !ready(name)).map(String::as_str).collect();
        Ok(if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("not Ready: {}", missing.join(", ")))
        })
    })
    .await
}

fn is_ready(cluster: &Value) -> bool {
    let conditions = cluster["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Applies the tutorial's manifests; the policy names the demo's own members, one part each.
pub(crate) async fn apply_tutorial(hub_client: &Client, members: &[String]) -> Result<()> {
    for file in MANIFESTS {
        for document in file.split("\n---\n") {
            let mut object = schema::decode::decode_yaml(document.as_bytes())
                .context("a manifest of the tutorial")?
                .value;
            if object["kind"] == "PropagationPolicy" {
                object["spec"]["placement"] = placement(members);
            }
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            // As kubectl apply: a user who changed the replicas meanwhile keeps them unless the manifest says otherwise.
            api(hub_client, &api_version, &kind)
                .patch(
                    &name,
                    &PatchParams::apply("flotilla-demo").force(),
                    &Patch::Apply(&object),
                )
                .await
                .with_context(|| format!("cannot apply {kind} {name}"))?;
        }
    }
    Ok(())
}

fn placement(members: &[String]) -> Value {
    let weights: Vec<Value> = members
        .iter()
        .map(|member| serde_json::json!({"targetCluster": {"clusterNames": [member]}, "weight": 1}))
        .collect();
    serde_json::json!({
        "clusterAffinity": {"clusterNames": members},
        "replicaScheduling": {
            "replicaSchedulingType": "Divided",
            "replicaDivisionPreference": "Weighted",
            "weightPreference": {"staticWeightList": weights},
        },
    })
}

/// Waits until every Deployment that a policy claimed has all its replicas ready; answers with the placement as a table.
pub(crate) async fn placed(hub_client: &Client, patience: Duration) -> Result<String> {
    let deployments = api(hub_client, "apps/v1", "Deployment");
    let bindings = api(hub_client, "work.karmada.io/v1alpha2", "ResourceBinding");
    until("workloads", patience, || async {
        let workloads = deployments
            .list(&ListParams::default())
            .await
            .context("cannot list deployments")?;
        let found = bindings
            .list(&ListParams::default())
            .await
            .context("cannot list resourcebindings")?;
        let bound: BTreeMap<&str, &Value> = found
            .items
            .iter()
            .filter(|binding| binding.data["spec"]["resource"]["kind"] == "Deployment")
            .filter_map(|binding| Some((binding.data["spec"]["resource"]["name"].as_str()?, &binding.data)))
            .collect();
        if bound.is_empty() {
            return Ok(Err("no policy has claimed a Deployment yet".to_owned()));
        }
        for workload in &workloads.items {
            let name = workload.metadata.name.as_deref().unwrap_or_default();
            if bound.contains_key(name)
                && let Err(reason) = settled(name, workload)
            {
                return Ok(Err(reason));
            }
        }
        Ok(table(&bound))
    })
    .await
}

fn settled(name: &str, workload: &DynamicObject) -> Result<(), String> {
    let wanted = workload.data["spec"]["replicas"].as_i64().unwrap_or(1);
    let ready = workload.data["status"]["readyReplicas"].as_i64().unwrap_or_default();
    let observed = workload.data["status"]["observedGeneration"].as_i64();
    if ready == wanted && observed == workload.metadata.generation {
        Ok(())
    } else {
        Err(format!("deployment {name} has {ready} of {wanted} replicas ready"))
    }
}

/// Workload, cluster, replicas, ready. The sums were checked by the caller; members may report a moment later.
fn table(bound: &BTreeMap<&str, &Value>) -> Result<String, String> {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_header(["WORKLOAD", "CLUSTER", "REPLICAS", "READY"]);
    for (name, binding) in bound {
        for target in binding["spec"]["clusters"].as_array().into_iter().flatten() {
            let cluster = target["name"].as_str().unwrap_or_default();
            let replicas = target["replicas"].as_i64().unwrap_or_default();
            let statuses = binding["status"]["aggregatedStatus"].as_array();
            let ready = statuses
                .into_iter()
                .flatten()
                .find(|status| status["clusterName"] == cluster)
                .and_then(|status| status["status"]["readyReplicas"].as_i64())
                .unwrap_or_default();
            if ready < replicas {
                return Err(format!(
                    "deployment {name} has {ready} of {replicas} replicas ready in {cluster}"
                ));
            }
            table.add_row([
                format!("deployment/{name}"),
                cluster.to_owned(),
                replicas.to_string(),
                ready.to_string(),
            ]);
        }
    }
    // Columns begin and end where their text does: blanks at the edges are noise in a pipe.
    Ok(table.to_string().lines().map(str::trim).collect::<Vec<_>>().join("\n"))
}
