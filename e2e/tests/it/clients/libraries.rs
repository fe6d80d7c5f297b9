//! Programs: the Python client and a kube-rs controller.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use e2e::federation::Federation;
use e2e::process::root;
use e2e::{tools, wait};
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::Action;
use kube::runtime::{Controller, watcher};
use kube::{Api, ResourceExt};

#[test]
fn the_python_client_does_its_usual_work() {
    let federation = Federation::start().unwrap();
    let output = Command::new("python3")
        .arg(root().join("e2e/clients/story.py"))
        .env("PYTHONPATH", tools::find("python-client", None))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("KUBECONFIG", federation.hub_kubeconfig())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().last(), Some("done"));
}

/// Copies the value of each ConfigMap `source-*` into one `copy-*` that it owns.
async fn copy(source: Arc<ConfigMap>, hub_client: Arc<kube::Client>) -> Result<Action, kube::Error> {
    let Some(number) = source.name_any().strip_prefix("source-").map(str::to_owned) else {
        return Ok(Action::await_change());
    };
    let maps: Api<ConfigMap> = Api::default_namespaced((*hub_client).clone());
    let mut copied = ConfigMap {
        data: source.data.clone(),
        ..ConfigMap::default()
    };
    copied.metadata.name = Some(format!("copy-{number}"));
    copied.metadata.owner_references = kube::Resource::controller_owner_ref(&*source, &()).map(|owner| vec![owner]);
    maps.patch(
        &copied.name_any(),
        &PatchParams::apply("copier").force(),
        &Patch::Apply(&copied),
    )
    .await?;
    Ok(Action::await_change())
}

async fn run(kubeconfig: Kubeconfig, streaming: bool) {
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    let hub_client = kube::Client::try_from(config).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(hub_client.clone());
    let config = if streaming {
        watcher::Config::default().streaming_lists()
    } else {
        watcher::Config::default()
    };
    Controller::new(maps.clone(), config.clone())
        .owns(maps, config)
        .run(
            copy,
            |_, _, _| Action::requeue(Duration::from_secs(1)),
            Arc::new(hub_client),
        )
        .for_each(|_| async {})
        .await;
}

fn a_controller_keeps_its_copies(streaming: bool) {
    let _provider = rustls::crypto::ring::default_provider().install_default();
    let mut federation = Federation::start().unwrap();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let kubeconfig = Kubeconfig::read_from(federation.hub_kubeconfig()).unwrap();
    let hub = federation.hub();
    hub.run(&["create", "configmap", "source-1", "--from-literal=a=one"])
        .ok();
    let controller = tokio.spawn(run(kubeconfig, streaming));
    let value = |federation: &Federation, name: &str, wanted: &str| {
        wait::until(&format!("{name} {wanted:?}"), || {
            let map = federation.hub().get(&["configmap", name]);
            if map["data"]["a"].as_str().unwrap_or_default() == wanted {
                Ok(())
            } else {
                Err(map.to_string())
            }
        });
    };
    value(&federation, "copy-1", "one");
    hub.run(&["create", "configmap", "source-2", "--from-literal=a=two"])
        .ok();
    value(&federation, "copy-2", "two");
    hub.run(&["delete", "configmap", "copy-2"]).ok();
    value(&federation, "copy-2", "two");

    federation.kill_hub().unwrap();
    federation.start_hub().unwrap();
    let hub = federation.hub();
    hub.run(&["patch", "configmap", "source-1", "-p", r#"{"data":{"a":"later"}}"#])
        .ok();
    value(&federation, "copy-1", "later");
    hub.run(&["delete", "configmap", "source-1"]).ok();
    value(&federation, "copy-1", "");
    assert!(!controller.is_finished(), "the controller ended by itself");
    controller.abort();
}

#[test]
fn a_kube_rs_controller_carries_on_over_a_killed_hub() {
    a_controller_keeps_its_copies(false);
}

#[test]
fn a_kube_rs_controller_with_streaming_lists_does_too() {
    a_controller_keeps_its_copies(true);
}
