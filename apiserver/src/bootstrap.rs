//! What a server must have before it serves: system namespaces, the `kubernetes` Service with its endpoints, roles, and on
//! a hub the federation's
//! CRDs, which are restored when they are missing or changed.
//!
//! Everything goes through the ordinary write path, so that it looks as if a client had made it.

mod endpoints;

use std::sync::Arc;

use base64::Engine;
use bytes::Bytes;
use schema::entry::{GroupResource, Key};
use schema::model::GroupVersionKind;
use schema::status::{Reason, Status};
use serde_json::{Value, json};

use crate::api::{Api, OpenError, Profile};
use crate::auth::rbac;
use crate::housekeeping::identity::{accounts, bootstrap as joining};
use crate::registry::{ResourceDef, SubresourceDef, custom};
use crate::request::{ApiRequest, Query, Target, User, Verb};
use crate::verbs::call::Payload;

/// The kind that is built in although it is described like a custom one: it has a proxy.
const CLUSTERS: (&str, &str) = ("cluster.karmada.io", "clusters");
/// Kinds that are described like custom ones and stored nowhere: they are asked and answered, or carried out.
const QUESTIONS: [(&str, &str); 3] = [
    ("placement.flotilla.dev", "placementpreviews"),
    ("work.flotilla.dev", "retentions"),
    ("work.flotilla.dev", "workreports"),
];
/// Annotation of an object whose owner does not want it put back.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";
const SYSTEM_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const HUB_NAMESPACES: [&str; 2] = ["karmada-cluster", "karmada-system"];

/// The user that the server is to itself.
pub fn system_user() -> User {
    User {
        name: "system:apiserver".to_owned(),
        groups: vec!["system:masters".to_owned()],
        ..User::default()
    }
}

/// The CRDs that the server owns. Making them takes a good part of a start: they are made once.
pub(crate) fn definitions(profile: Profile) -> Vec<Value> {
    match profile {
        Profile::Hub => crds::definitions(),
        Profile::Kubernetes => Vec::new(),
    }
}

/// Resources that no stored CRD stands for.
pub(crate) fn fixed_resources(definitions: &[Value]) -> Vec<Arc<ResourceDef>> {
    let fixed = definitions.iter().filter(|definition| is_fixed(definition));
    let versions = fixed.flat_map(|definition| custom::resources(definition).unwrap_or_default());
    versions
        .map(|mut def| {
            if def.group != CLUSTERS.0 {
                def.verbs = vec!["create".to_owned()];
                return Arc::new(def);
            }
            def.subresources.push(SubresourceDef {
                name: "proxy".to_owned(),
                kind: GroupVersionKind {
                    kind: "ClusterProxyOptions".to_owned(),
                    ..def.gvk().clone()
                },
                verbs: ["create", "delete", "get", "patch", "update"]
                    .map(str::to_owned)
                    .to_vec(),
            });
            Arc::new(def)
        })
        .collect()
}

fn is_fixed(definition: &Value) -> bool {
    let spec = &definition["spec"];
    std::iter::once(&CLUSTERS)
        .chain(&QUESTIONS)
        .any(|(group, plural)| spec["group"] == *group && spec["names"]["plural"] == *plural)
}

/// Stores what must be there, these definitions among it.
pub(crate) async fn ensure(api: &Api, definitions: Vec<Value>) -> Result<(), OpenError> {
    let hub = api.config.profile == Profile::Hub;
    let extra = if hub { HUB_NAMESPACES.as_slice() } else { &[] };
    for name in SYSTEM_NAMESPACES.iter().chain(extra) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        create(api, ("", "v1", "namespaces"), "", object).await?;
    }
    let address = api.addresses.first().to_string();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"component": "apiserver", "provider": "kubernetes"},
        },
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    create(api, ("", "v1", "services"), "default", service).await?;
    endpoints::announce(api).await?;
    rbac::bootstrap::ensure(api).await?;
    if api.config.profile == Profile::Kubernetes {
        // Before anybody makes a pod there.
        for name in SYSTEM_NAMESPACES {
            create(api, ("", "v1", "serviceaccounts"), name, accounts::default_account()).await?;
        }
    }
    if hub {
        announce_server(api).await?;
        for definition in definitions.into_iter().filter(|definition| !is_fixed(definition)) {
            restore(api, definition).await?;
        }
        announce_clusters(api).await?;
    }
    Ok(())
}

/// Whoever wants to join reads in `cluster-info` where the server is and how to know it. It is put back at every start,
/// unless an annotation says that its owner keeps it.
async fn announce_server(api: &Api) -> Result<(), OpenError> {
    let resource = ("", "v1", "configmaps");
    let (namespace, name) = (joining::PUBLIC, joining::CLUSTER_INFO);
    let text = cluster_info(&api.config.url, &api.pki.ca_pem);
    let key = Key::new(GroupResource::new("", "configmaps"), namespace, name);
    let Some(stored) = api.store.get(&key) else {
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace},
            "data": {"kubeconfig": text},
        });
        return create(api, resource, namespace, object).await;
    };
    let kept = stored
        .meta()
        .annotations
        .get(AUTOUPDATE)
        .is_some_and(|value| value == "false");
    if kept || stored.value()["data"]["kubeconfig"] == text.as_str() {
        return Ok(());
    }
    let mut request = request(resource, namespace, name, Verb::Patch);
    "application/merge-patch+json".clone_into(&mut request.content_type);
    let patch = json!({"data": {"kubeconfig": text}});
    done(name, api.run(&request, Payload::Value(patch)).await.map(drop))
}

/// A kubeconfig without a user.
fn cluster_info(url: &str, ca_pem: &str) -> String {
    let ca = base64::engine::general_purpose::STANDARD.encode(ca_pem);
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {url}\n  name: \"\"\n\
         contexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n"
    )
}

/// Clients that look for the aggregated API of clusters find it, served by this server itself.
async fn announce_clusters(api: &Api) -> Result<(), OpenError> {
    let resource = ("apiregistration.k8s.io", "v1", "apiservices");
    let name = format!("v1alpha1.{}", CLUSTERS.0);
    let object = json!({
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {"group": CLUSTERS.0, "version": "v1alpha1", "groupPriorityMinimum": 2000, "versionPriority": 10},
    });
    create(api, resource, "", object).await?;
    let now = crate::verbs::object::time(api.clock.now());
    let key = Key::new(GroupResource::new(resource.0, resource.2), "", name.as_str());
    let known = api.store.get(&key).map(|entry| entry.value()).unwrap_or_default();
    if !known["status"]["conditions"][0].is_null() {
        return Ok(());
    }
    let condition = json!({
        "type": "Available",
        "status": "True",
        "reason": "Local",
        "message": "Local APIServices are always available",
        "lastTransitionTime": now,
    });
    let mut request = request(resource, "", &name, Verb::Patch);
    "status".clone_into(&mut request.target.subresource);
    "application/merge-patch+json".clone_into(&mut request.content_type);
    let patch = json!({"status": {"conditions": [condition]}});
    done(&name, api.run(&request, Payload::Value(patch)).await.map(drop))
}

/// Creates a definition, or puts its spec back to what this version of the program has.
async fn restore(api: &Api, definition: Value) -> Result<(), OpenError> {
    let resource = ("apiextensions.k8s.io", "v1", "customresourcedefinitions");
    let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let key = Key::new(GroupResource::new(resource.0, resource.2), "", name.as_str());
    if api.store.get(&key).is_none() {
        return create(api, resource, "", definition).await;
    }
    // Where nothing changes, the write path writes nothing.
    let patch = json!([{"op": "replace", "path": "/spec", "value": definition["spec"]}]);
    let mut request = request(resource, "", &name, Verb::Patch);
    "application/json-patch+json".clone_into(&mut request.content_type);
    done(&name, api.run(&request, Payload::Value(patch)).await.map(drop))
}

/// Creates an object unless it is there.
pub(crate) async fn create(
    api: &Api,
    resource: (&str, &str, &str),
    namespace: &str,
    object: Value,
) -> Result<(), OpenError> {
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let key = Key::new(GroupResource::new(resource.0, resource.2), namespace, name.as_str());
    if api.store.get(&key).is_some() {
        return Ok(());
    }
    let request = request(resource, namespace, "", Verb::Create);
    match api.run(&request, Payload::Value(object)).await {
        Err(status) if status.is(&Reason::AlreadyExists) => Ok(()),
        other => done(&name, other.map(drop)),
    }
}

/// Names what could not be stored.
pub(crate) fn done(what: &str, result: Result<(), Status>) -> Result<(), OpenError> {
    result.map_err(|status| OpenError::Bootstrap {
        what: what.to_owned(),
        status: Box::new(status),
    })
}

/// A request of the server to itself.
pub(crate) fn request(
    (group, version, plural): (&str, &str, &str),
    namespace: &str,
    name: &str,
    verb: Verb,
) -> ApiRequest {
    ApiRequest {
        user: system_user(),
        verb,
        target: Target {
            group: group.to_owned(),
            version: version.to_owned(),
            resource: plural.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
        },
        query: Query::default(),
        content_type: "application/json".to_owned(),
        body: Bytes::new(),
        agent: "flotilla".to_owned(),
        liberties: crate::request::Liberties::default(),
    }
}
