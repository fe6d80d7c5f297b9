//! What types and fields mean, for `kubectl explain`: the texts that `k8s-openapi` carries for the built-in types.
//!
//! The schemas themselves come from the facts; only descriptions are taken from here.

use k8s_openapi::api;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

macro_rules! describe {
    ($generator:ident, $($kind:ty),+ $(,)?) => {{
        $(let _ = $generator.subschema_for::<$kind>();)+
    }};
}

/// Adds descriptions to the schemas of these group-versions and the types that they refer to.
pub(super) fn add(versions: &[(&str, &str)], schemas: &mut Map<String, Value>) {
    let mut generator = SchemaGenerator::default();
    for (group, version) in versions {
        kinds_of(group, version, &mut generator);
    }
    let _ = generator.subschema_for::<meta::ObjectMeta>();
    let _ = generator.subschema_for::<meta::ListMeta>();
    let _ = generator.subschema_for::<meta::DeleteOptions>();
    let _ = generator.subschema_for::<meta::Status>();
    // Bodies of subresources of several groups.
    let _ = generator.subschema_for::<api::authentication::v1::TokenRequest>();
    let _ = generator.subschema_for::<api::autoscaling::v1::Scale>();
    let _ = generator.subschema_for::<api::policy::v1::Eviction>();
    for (name, described) in generator.take_definitions(false) {
        if let Some(schema) = schemas.get_mut(&name) {
            take_over(schema, &described);
        }
    }
    for (name, schema) in schemas {
        let name = name.rsplit('.').next().unwrap_or_default();
        if let Some(kind) = name
            .strip_suffix("List")
            .filter(|_| schema["properties"]["items"].is_object())
        {
            take_over(schema, &list_of(kind));
        }
    }
}

/// The texts of a list, which have no type of their own.
fn list_of(kind: &str) -> Value {
    json!({"description": format!("{kind}List is a list of {kind}."), "properties": {
        "apiVersion": {"description": "Group and version of this representation."},
        "kind": {"description": "What this object is, in CamelCase."},
        "items": {"description": format!("Each {kind} of the list.")},
        "metadata": {"description": "Standard list metadata."},
    }})
}

/// Copies the description of a type and of each of its fields.
fn take_over(schema: &mut Value, described: &Value) {
    if let Some(text) = described["description"].as_str() {
        describe(schema, text);
    }
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        if let Some(text) = described["properties"][name]["description"].as_str() {
            describe(property, text);
        }
    }
}

fn describe(schema: &mut Value, text: &str) {
    // A reference stands alone; what is said beside it goes around it.
    if schema.get("$ref").is_some() {
        *schema = json!({"allOf": [schema.take()]});
    }
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), Value::from(text));
    }
}

fn kinds_of(group: &str, version: &str, generator: &mut SchemaGenerator) {
    match (group, version) {
        ("", "v1") => core(generator),
        ("admissionregistration.k8s.io", "v1") => admission_registration(generator),
        ("apiextensions.k8s.io", "v1") => describe!(generator, apiextensions::CustomResourceDefinition),
        ("apiregistration.k8s.io", "v1") => describe!(generator, apiregistration::APIService),
        ("apps", "v1") => describe!(
            generator,
            api::apps::v1::ControllerRevision,
            api::apps::v1::DaemonSet,
            api::apps::v1::Deployment,
            api::apps::v1::ReplicaSet,
            api::apps::v1::StatefulSet,
        ),
        ("authentication.k8s.io", "v1") => describe!(
            generator,
            api::authentication::v1::SelfSubjectReview,
            api::authentication::v1::TokenReview,
        ),
        ("authorization.k8s.io", "v1") => describe!(
            generator,
            api::authorization::v1::LocalSubjectAccessReview,
            api::authorization::v1::SelfSubjectAccessReview,
            api::authorization::v1::SelfSubjectRulesReview,
            api::authorization::v1::SubjectAccessReview,
        ),
        ("autoscaling", "v1") => describe!(generator, api::autoscaling::v1::HorizontalPodAutoscaler),
        ("autoscaling", "v2") => describe!(generator, api::autoscaling::v2::HorizontalPodAutoscaler),
        ("events.k8s.io", "v1") => describe!(generator, api::events::v1::Event),
        ("batch", "v1") => describe!(generator, api::batch::v1::CronJob, api::batch::v1::Job),
        ("certificates.k8s.io", "v1") => describe!(generator, api::certificates::v1::CertificateSigningRequest),
        ("coordination.k8s.io", "v1") => describe!(generator, api::coordination::v1::Lease),
        ("discovery.k8s.io", "v1") => describe!(generator, api::discovery::v1::EndpointSlice),
        ("flowcontrol.apiserver.k8s.io", "v1") => describe!(
            generator,
            api::flowcontrol::v1::FlowSchema,
            api::flowcontrol::v1::PriorityLevelConfiguration,
        ),
        ("networking.k8s.io", "v1") => networking(generator),
        ("node.k8s.io", "v1") => describe!(generator, api::node::v1::RuntimeClass),
        ("policy", "v1") => describe!(generator, api::policy::v1::PodDisruptionBudget),
        ("rbac.authorization.k8s.io", "v1") => describe!(
            generator,
            api::rbac::v1::ClusterRole,
            api::rbac::v1::ClusterRoleBinding,
            api::rbac::v1::Role,
            api::rbac::v1::RoleBinding,
        ),
        ("resource.k8s.io", "v1") => describe!(
            generator,
            api::resource::v1::DeviceClass,
            api::resource::v1::ResourceClaim,
            api::resource::v1::ResourceClaimTemplate,
            api::resource::v1::ResourceSlice,
        ),
        ("scheduling.k8s.io", "v1") => describe!(generator, api::scheduling::v1::PriorityClass),
        ("storage.k8s.io", "v1") => storage(generator),
        _ => {}
    }
}

fn core(generator: &mut SchemaGenerator) {
    describe!(
        generator,
        api::core::v1::ComponentStatus,
        api::core::v1::ConfigMap,
        api::core::v1::Endpoints,
        api::core::v1::Event,
        api::core::v1::LimitRange,
        api::core::v1::Namespace,
        api::core::v1::Node,
        api::core::v1::PersistentVolume,
        api::core::v1::PersistentVolumeClaim,
        api::core::v1::Pod,
        api::core::v1::PodTemplate,
        api::core::v1::ReplicationController,
        api::core::v1::ResourceQuota,
        api::core::v1::Secret,
        api::core::v1::Service,
        api::core::v1::ServiceAccount,
    );
    let _ = generator.subschema_for::<api::core::v1::Binding>();
}

fn admission_registration(generator: &mut SchemaGenerator) {
    describe!(
        generator,
        api::admissionregistration::v1::MutatingAdmissionPolicy,
        api::admissionregistration::v1::MutatingAdmissionPolicyBinding,
        api::admissionregistration::v1::MutatingWebhookConfiguration,
        api::admissionregistration::v1::ValidatingAdmissionPolicy,
        api::admissionregistration::v1::ValidatingAdmissionPolicyBinding,
        api::admissionregistration::v1::ValidatingWebhookConfiguration,
    );
}

fn networking(generator: &mut SchemaGenerator) {
    describe!(
        generator,
        api::networking::v1::Ingress,
        api::networking::v1::IngressClass,
        api::networking::v1::IPAddress,
        api::networking::v1::NetworkPolicy,
        api::networking::v1::ServiceCIDR,
    );
}

fn storage(generator: &mut SchemaGenerator) {
    describe!(
        generator,
        api::storage::v1::CSIDriver,
        api::storage::v1::CSINode,
        api::storage::v1::CSIStorageCapacity,
        api::storage::v1::StorageClass,
        api::storage::v1::VolumeAttachment,
        api::storage::v1::VolumeAttributesClass,
    );
}
