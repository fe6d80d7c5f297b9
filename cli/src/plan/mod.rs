//! `flotilla plan -f FILE`: what objects would do to placements and members if they were applied or deleted.
//!
//! Reads the objects, asks the hub by a `PlacementPreview`, prints its answer. Who decides is the hub; nothing is changed.

mod print;
pub(crate) mod read;

use anyhow::{Context, Result, bail};
use controllers::preview::answer::Outlook;
use kube::Client;
use kube::api::{Api, DynamicObject, PostParams};
use scheduler::explain::{GROUP, VERSION};
use serde_json::{Value, json};

use crate::args::{Form, PlanArgs};
use crate::explain::{api_resource, connect, find};
use crate::lifecycle;

/// The kind that is asked by.
const KIND: &str = "PlacementPreview";

/// Something would change, and the caller wants to know by the exit code.
#[derive(Debug, thiserror::Error)]
#[error("something would change")]
pub(crate) struct Differs;

/// Asks and prints.
pub(crate) async fn run(args: PlanArgs) -> Result<()> {
    let mut objects = Vec::new();
    for file in &args.filename {
        objects.extend(read::objects(file, args.recursive)?);
    }
    for file in &args.add_cluster {
        let clusters = read::objects(file, args.recursive)?;
        if let Some(other) = clusters.iter().find(|object| object["kind"] != "Cluster") {
            bail!(
                "{file}: expected a Cluster, found {}",
                other["kind"].as_str().unwrap_or("no kind")
            );
        }
        objects.extend(clusters);
    }
    let (hub_client, default_namespace) = connect(args.kubeconfig.as_ref(), args.context.as_deref()).await?;
    let hub_namespace = args.namespace.clone().unwrap_or(default_namespace);
    let mut gone: Vec<Value> = args
        .remove_cluster
        .iter()
        .map(|name| json!({"apiVersion": "cluster.karmada.io/v1alpha1", "kind": "Cluster", "name": name}))
        .collect();
    for target in &args.remove {
        gone.push(reference(&hub_client, target).await?);
    }
    if objects.is_empty() && gone.is_empty() {
        bail!("nothing to plan: name files with -f, or what would be gone with --remove-cluster or --remove");
    }
    let mut spec = json!({"fieldManager": args.field_manager});
    if !objects.is_empty() {
        spec["objects"] = objects.into();
    }
    if !gone.is_empty() {
        spec["remove"] = gone.into();
    }
    let answer = ask(&hub_client, &hub_namespace, spec).await?;
    let outlook: Outlook =
        serde_json::from_value(answer["status"].clone()).context("the hub's answer cannot be read")?;
    match args.output {
        Some(Form::Json) => lifecycle::print(&serde_json::to_string_pretty(&answer)?)?,
        Some(Form::Yaml) => lifecycle::print(serde_saphyr::to_string(&answer)?.trim_end())?,
        None => lifecycle::print(&print::whole(&outlook, !args.no_diff))?,
    }
    if args.exit_code && 0 < outlook.changed {
        return Err(Differs.into());
    }
    Ok(())
}

/// Asks the hub; what it refuses is told in its own words.
async fn ask(hub_client: &Client, hub_namespace: &str, spec: Value) -> Result<Value> {
    let kind = api_resource(GROUP, VERSION, KIND);
    let api: Api<DynamicObject> = Api::namespaced_with(hub_client.clone(), hub_namespace, &kind);
    let mut question = DynamicObject::new("plan", &kind);
    question.data = json!({"spec": spec});
    match api.create(&PostParams::default(), &question).await {
        Ok(answer) => Ok(serde_json::to_value(answer)?),
        Err(kube::Error::Api(status)) => bail!("{}", status.message),
        Err(error) => Err(error).context("cannot ask the hub"),
    }
}

/// What KIND/NAME or KIND/NAMESPACE/NAME means to the hub.
async fn reference(hub_client: &Client, target: &str) -> Result<Value> {
    let mut parts = target.split('/');
    let (Some(kind), Some(second), third, None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        bail!("{target:?} is not KIND/NAME or KIND/NAMESPACE/NAME, for example deployment/hello");
    };
    let (own, name) = third.map_or(("", second), |name| (second, name));
    if kind.is_empty() || name.is_empty() {
        bail!("{target:?} is not KIND/NAME or KIND/NAMESPACE/NAME, for example deployment/hello");
    }
    let resource = find::resource(hub_client, kind).await?;
    let mut reference = json!({"apiVersion": resource.api.api_version, "kind": resource.api.kind, "name": name});
    if resource.namespaced && !own.is_empty() {
        reference["namespace"] = own.into();
    }
    Ok(reference)
}
