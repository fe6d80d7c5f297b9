//! `flotilla explain KIND/NAME`: where a workload is, why there, why not elsewhere, and what it waits for.
//!
//! Reads what the hub stores (template, binding, Works, clusters, the scheduler's `Explanation`) and prints what
//! `controllers::explain` and `scheduler::explain` make of it. It changes nothing.

pub(crate) mod find;
pub(crate) mod print;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use controllers::explain::{Evidence, Progress, policy, progress};
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use scheduler::explain::{CLUSTER_KIND, Explanation, GROUP, KIND, VERSION};
use serde::Serialize;
use serde_json::Value;

use crate::args::{ExplainArgs, Form};
use crate::lifecycle;

/// Everything that is said about one workload; the answer of `-o json` and `-o yaml`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    workload: String,
    namespace: String,
    generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    progress: Progress,
    clusters: Vec<Standing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

/// What a cluster has of the workload.
#[derive(Debug, Serialize)]
struct Standing {
    name: String,
    replicas: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<i64>,
    health: String,
}

/// Prints the explanation.
pub(crate) async fn run(args: ExplainArgs) -> Result<()> {
    let (hub_client, default_namespace) = connect(args.kubeconfig.as_ref(), args.context.as_deref()).await?;
    let hub_namespace = args.namespace.clone().unwrap_or(default_namespace);
    let report = report(&hub_client, &hub_namespace, &args.workload).await?;
    if let Some(cluster) = &args.cluster
        && args.output.is_none()
    {
        return lifecycle::print(&print::cluster(&report, cluster)?);
    }
    match args.output {
        Some(Form::Json) => lifecycle::print(&serde_json::to_string_pretty(&report)?),
        Some(Form::Yaml) => lifecycle::print(serde_saphyr::to_string(&report)?.trim_end()),
        None => lifecycle::print(&print::whole(&report)),
    }
}

/// A client of the hub, and the namespace that its kubeconfig names.
pub(crate) async fn connect(kubeconfig: Option<&PathBuf>, context: Option<&str>) -> Result<(Client, String)> {
    let read = match kubeconfig {
        Some(file) => Kubeconfig::read_from(file).with_context(|| format!("cannot read {}", file.display()))?,
        None => Kubeconfig::read().context("no kubeconfig: name the hub's with --kubeconfig or KUBECONFIG")?,
    };
    let options = KubeConfigOptions {
        context: context.map(ToOwned::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(read, &options).await?;
    let namespace = config.default_namespace.clone();
    Ok((Client::try_from(config)?, namespace))
}

async fn report(hub_client: &Client, hub_namespace: &str, workload: &str) -> Result<Report> {
    let Some((kind, name)) = workload
        .split_once('/')
        .filter(|(kind, name)| !kind.is_empty() && !name.is_empty())
    else {
        bail!("{workload:?} is not KIND/NAME, for example deployment/hello");
    };
    let resource = find::resource(hub_client, kind).await?;
    let hub_namespace = if resource.namespaced { hub_namespace } else { "" };
    let template = get(hub_client, &resource.api, hub_namespace, name)
        .await?
        .with_context(|| format!("there is no {} {name:?}{}", resource.singular, place(hub_namespace)))?;
    let binding_kind = if resource.namespaced {
        "ResourceBinding"
    } else {
        "ClusterResourceBinding"
    };
    let binding_name = controllers::names::binding_name(&resource.api.kind, name);
    let bindings = api_resource("work.karmada.io", "v1alpha2", binding_kind);
    let binding = get(hub_client, &bindings, hub_namespace, &binding_name).await?;
    let works = match &binding {
        Some(binding) => works(hub_client, binding, resource.namespaced).await?,
        None => Some(Vec::new()),
    };
    let clusters = api_resource("cluster.karmada.io", "v1alpha1", "Cluster");
    let clusters = known(list(hub_client, "", &clusters, &ListParams::default()).await)?;
    let policies = self::policies(hub_client, hub_namespace, "PropagationPolicy").await?;
    let overrides = self::policies(hub_client, hub_namespace, "OverridePolicy").await?;
    let explanation_kind = if resource.namespaced { KIND } else { CLUSTER_KIND };
    let explanations = api_resource(GROUP, VERSION, explanation_kind);
    let explanation = match get(hub_client, &explanations, hub_namespace, &binding_name).await? {
        Some(stored) => Some(serde_json::from_value(stored).context("the hub's explanation cannot be read")?),
        None => None,
    };
    let progress = progress(&Evidence {
        template: &template,
        binding: binding.as_ref(),
        works: works.as_deref(),
        clusters: clusters.as_deref().unwrap_or_default(),
        policies: &policies,
        overrides: &overrides,
    });
    Ok(Report {
        workload: format!("{}/{name}", resource.singular),
        namespace: hub_namespace.to_owned(),
        generation: template["metadata"]["generation"].as_i64().unwrap_or_default(),
        policy: policy(&template),
        progress,
        clusters: binding.as_ref().map(standings).unwrap_or_default(),
        explanation,
    })
}

fn place(hub_namespace: &str) -> String {
    if hub_namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {hub_namespace:?}")
    }
}

/// A kind as requests name it.
pub(crate) fn api_resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn get(hub_client: &Client, resource: &ApiResource, hub_namespace: &str, name: &str) -> Result<Option<Value>> {
    let api: Api<DynamicObject> = if hub_namespace.is_empty() {
        Api::all_with(hub_client.clone(), resource)
    } else {
        Api::namespaced_with(hub_client.clone(), hub_namespace, resource)
    };
    let found = api
        .get_opt(name)
        .await
        .with_context(|| format!("cannot read {} {name:?}", resource.plural))?;
    found
        .map(|object| serde_json::to_value(object).map_err(Into::into))
        .transpose()
}

/// Policies of a kind in a namespace and of its cluster-wide like, as far as the user may read them.
async fn policies(hub_client: &Client, hub_namespace: &str, kind: &str) -> Result<Vec<Value>> {
    let wide = format!("Cluster{kind}");
    let mut found = Vec::new();
    for (kind, place) in [(kind, hub_namespace), (&wide, "")] {
        // What lives in no namespace is taken by cluster-wide policies only.
        if kind == wide || !hub_namespace.is_empty() {
            let kind = api_resource("policy.karmada.io", "v1alpha1", kind);
            let all = list(hub_client, place, &kind, &ListParams::default()).await;
            found.extend(known(all)?.unwrap_or_default());
        }
    }
    Ok(found)
}

/// `None` for what the user may not read: the rest is told all the same.
fn known(found: Result<Vec<Value>>) -> Result<Option<Vec<Value>>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) => match error.downcast_ref::<kube::Error>() {
            Some(kube::Error::Api(status)) if status.code == 403 => Ok(None),
            _ => Err(error),
        },
    }
}

async fn list(
    hub_client: &Client,
    hub_namespace: &str,
    resource: &ApiResource,
    params: &ListParams,
) -> Result<Vec<Value>> {
    let api: Api<DynamicObject> = if hub_namespace.is_empty() {
        Api::all_with(hub_client.clone(), resource)
    } else {
        Api::namespaced_with(hub_client.clone(), hub_namespace, resource)
    };
    let found = api
        .list(params)
        .await
        .with_context(|| format!("cannot list {}", resource.plural))?;
    let values = found.items.into_iter().map(serde_json::to_value);
    Ok(values.collect::<Result<_, _>>()?)
}

/// The Works of a binding, found by the id that both carry; `None` when the user may not read any.
async fn works(hub_client: &Client, binding: &Value, namespaced: bool) -> Result<Option<Vec<Value>>> {
    let label = if namespaced {
        controllers::names::BINDING_ID
    } else {
        controllers::names::CLUSTER_BINDING_ID
    };
    let Some(id) = binding["metadata"]["labels"][label].as_str() else {
        return Ok(Some(Vec::new()));
    };
    let params = ListParams::default().labels(&format!("{label}={id}"));
    let kind = api_resource("work.karmada.io", "v1alpha1", "Work");
    known(list(hub_client, "", &kind, &params).await)
}

fn standings(binding: &Value) -> Vec<Standing> {
    let items = binding["status"]["aggregatedStatus"].as_array();
    let targets = binding["spec"]["clusters"].as_array().into_iter().flatten();
    let standing = |target: &Value| {
        let name = target["name"].as_str()?;
        let item = items.into_iter().flatten().find(|item| item["clusterName"] == name);
        Some(Standing {
            name: name.to_owned(),
            replicas: target["replicas"].as_i64().unwrap_or_default(),
            ready: item.and_then(|item| item["status"]["readyReplicas"].as_i64()),
            health: item
                .and_then(|item| item["health"].as_str())
                .unwrap_or("Unknown")
                .to_owned(),
        })
    };
    targets.filter_map(standing).collect()
}
