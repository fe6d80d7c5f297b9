//! Bodies read and written by another implementation: the message types of the `k8s-pb` crate, generated from the
//! `.proto` files. It drops fields it does not know, so a wrong number or wire type shows as a value that is gone.

use std::collections::BTreeSet;

use k8s_pb::api::admissionregistration::v1 as admissionregistration_v1;
use k8s_pb::api::apps::v1 as apps_v1;
use k8s_pb::api::authentication::v1 as authentication_v1;
use k8s_pb::api::authorization::v1 as authorization_v1;
use k8s_pb::api::autoscaling::{v1 as autoscaling_v1, v2 as autoscaling_v2};
use k8s_pb::api::batch::v1 as batch_v1;
use k8s_pb::api::certificates::v1 as certificates_v1;
use k8s_pb::api::coordination::v1 as coordination_v1;
use k8s_pb::api::core::v1 as core_v1;
use k8s_pb::api::discovery::v1 as discovery_v1;
use k8s_pb::api::events::v1 as events_v1;
use k8s_pb::api::flowcontrol::v1 as flowcontrol_v1;
use k8s_pb::api::networking::v1 as networking_v1;
use k8s_pb::api::node::v1 as node_v1;
use k8s_pb::api::policy::v1 as policy_v1;
use k8s_pb::api::rbac::v1 as rbac_v1;
use k8s_pb::api::resource::v1 as resource_v1;
use k8s_pb::api::scheduling::v1 as scheduling_v1;
use k8s_pb::api::storage::v1 as storage_v1;
use k8s_pb::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions_v1;
use k8s_pb::apimachinery::pkg::apis::meta::v1 as meta_v1;
use k8s_pb::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration_v1;
use prost::Message;
use serde_json::Value;

use super::{any_value, pairs, struct_of, without_empty};
use crate::facts;
use crate::model::{Shape, TypeRef};
use crate::protobuf::{decode, encode, open};

/// Reads a message and writes it again.
fn again<M: Message + Default>(body: &[u8]) -> Vec<u8> {
    M::decode(body).map(|message| message.encode_to_vec()).unwrap()
}

type Peer = (&'static str, fn(&[u8]) -> Vec<u8>);

macro_rules! peers {
    ($($package:literal $module:ident { $($kind:ident)* })*) => {
        &[$($((concat!($package, ".", stringify!($kind)), again::<$module::$kind> as fn(&[u8]) -> Vec<u8>)),*),*]
    };
}

/// Every type that travels as a body, by its name in the model.
const PEERS: &[Peer] = peers! {
    "admissionregistration.v1" admissionregistration_v1 {
        MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration
    }
    "apiextensions.v1" apiextensions_v1 { CustomResourceDefinition }
    "apiregistration.v1" apiregistration_v1 { APIService }
    "apps.v1" apps_v1 { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
    "authentication.v1" authentication_v1 { SelfSubjectReview TokenRequest TokenReview }
    "authorization.v1" authorization_v1 {
        LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview SubjectAccessReview
    }
    "autoscaling.v1" autoscaling_v1 { HorizontalPodAutoscaler Scale }
    "autoscaling.v2" autoscaling_v2 { HorizontalPodAutoscaler }
    "batch.v1" batch_v1 { CronJob Job }
    "certificates.v1" certificates_v1 { CertificateSigningRequest }
    "coordination.v1" coordination_v1 { Lease }
    "core.v1" core_v1 {
        Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod
        PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
    }
    "discovery.v1" discovery_v1 { EndpointSlice }
    "events.v1" events_v1 { Event }
    "flowcontrol.v1" flowcontrol_v1 { FlowSchema PriorityLevelConfiguration }
    "meta.v1" meta_v1 { CreateOptions DeleteOptions PatchOptions Status UpdateOptions }
    "networking.v1" networking_v1 { IPAddress Ingress IngressClass NetworkPolicy ServiceCIDR }
    "node.v1" node_v1 { RuntimeClass }
    "policy.v1" policy_v1 { Eviction PodDisruptionBudget }
    "rbac.v1" rbac_v1 { ClusterRole ClusterRoleBinding Role RoleBinding }
    "resource.v1" resource_v1 { DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice }
    "scheduling.v1" scheduling_v1 { PriorityClass }
    "storage.v1" storage_v1 {
        CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass
    }
};

/// Kinds that are newer than the crate's release.
const NEWER: &[&str] = &[
    "admissionregistration.v1.MutatingAdmissionPolicy",
    "admissionregistration.v1.MutatingAdmissionPolicyBinding",
];

/// Fields that are newer than the crate's release, by the struct that has them.
const NEWER_FIELDS: &[(&str, &str)] = &[
    ("core.v1.PodSpec", "schedulingGroup"),
    ("core.v1.PodStatus", "nodeAllocatableResourceClaimStatuses"),
    ("core.v1.ResourceHealth", "message"),
    ("core.v1.VolumeMountStatus", "volumeStatus"),
    ("meta.v1.ListMeta", "shardInfo"),
    ("resource.v1.Device", "nodeAllocatableResourceMappings"),
    ("resource.v1.DeviceAttribute", "bools"),
    ("resource.v1.DeviceAttribute", "ints"),
    ("resource.v1.DeviceAttribute", "strings"),
    ("resource.v1.DeviceAttribute", "versions"),
    ("storage.v1.CSIDriverSpec", "preventPodSchedulingIfMissing"),
];

/// Without what the crate cannot know yet.
fn without_newer(place: TypeRef<'_>, value: &mut Value) {
    let Some(place) = place.formed(value) else { return };
    match value {
        Value::Object(fields) => {
            if let Some(def) = place.as_struct() {
                let is_newer = |key: &String| {
                    NEWER_FIELDS
                        .iter()
                        .any(|(owner, field)| *owner == def.name && field == key)
                };
                fields.retain(|key, _| !is_newer(key));
            }
            for (key, child) in fields.iter_mut() {
                if let Some(place) = place.child(key) {
                    without_newer(place, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(place) = place.element() {
                for item in items {
                    without_newer(place, item);
                }
            }
        }
        _ => {}
    }
}

fn check(name: &str, value: &Value, again: fn(&[u8]) -> Vec<u8>) {
    let types = facts::builtin_types();
    let id = types.find(name).unwrap();
    let shape = Shape::Struct(id);
    let mut expected = value.clone();
    if let Some(object) = expected.as_object_mut().filter(|_| types.get(id).typemeta) {
        // They stand in the envelope.
        object.remove("apiVersion");
        object.remove("kind");
    }
    without_newer(TypeRef { types, shape: &shape }, &mut expected);
    let body = encode(types, id, value).unwrap();
    let mut read = decode(types, id, &again(&body)).unwrap();
    without_empty(&mut expected);
    without_empty(&mut read);
    assert_eq!(read, expected, "{name}");
}

#[test]
fn every_kind_has_a_peer() {
    let known: BTreeSet<&str> = PEERS
        .iter()
        .map(|(name, _)| *name)
        .chain(NEWER.iter().copied())
        .collect();
    let types = facts::builtin_types();
    let is_stable = |version: &str| !version.contains("alpha") && !version.contains("beta");
    let mut listed = 0;
    for resource in facts::resources().iter().filter(|resource| is_stable(resource.version)) {
        let kinds = std::iter::once(&resource.kind).chain(resource.subresources.iter().map(|sub| &sub.kind));
        for kind in kinds {
            let name = &types.get(facts::kind(kind).unwrap()).name;
            // What only carries query parameters is never a body.
            let is_body = !name.ends_with("ProxyOptions") && !name.contains("core.v1.Pod") || name == "core.v1.Pod";
            assert!(!is_body || known.contains(name.as_str()), "{name}");
        }
        listed += usize::from(resource.verbs.contains(&"list"));
    }
    assert_eq!(listed, 61);
}

#[test]
fn reference_objects_survive_another_implementation() {
    let types = facts::builtin_types();
    for (name, body, value) in pairs() {
        let id = struct_of(name, &value);
        let type_name = types.get(id).name.as_str();
        let Some((_, again)) = PEERS.iter().find(|(peer, _)| *peer == type_name) else {
            continue;
        };
        check(type_name, &value, *again);
        // And what it writes of the reference body is read.
        let (.., message) = open(&body).unwrap();
        decode(types, id, &again(message)).unwrap();
    }
}

#[test]
fn any_object_survives_another_implementation() {
    let types = facts::builtin_types();
    for (name, again) in PEERS {
        let shape = Shape::Struct(types.find(name).unwrap());
        let place = TypeRef { types, shape: &shape };
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).unwrap()
        };
        for _ in 0..24 {
            let mut value = any_value(types, &shape, &mut draw, 6);
            crate::decode::normalize(place, &mut value).unwrap();
            check(name, &value, *again);
        }
    }
}
