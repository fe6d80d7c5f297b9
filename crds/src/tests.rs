//! The vocabulary of §0: names that are derived, keys, finalizers, taints. Other tools look for exactly these.

use proptest::prelude::*;

use crate::{annotations, finalizers, labels, names, namespaces, taints};

#[test]
fn section_0_2_namespaces() {
    assert_eq!(namespaces::execution("member1"), "karmada-es-member1");
    assert_eq!(namespaces::cluster_of("karmada-es-member1"), Some("member1"));
    for (namespace, reserved) in [
        ("karmada-system", true),
        ("karmada-cluster", true),
        ("karmada-es-member1", true),
        ("karmada-es-", true),
        ("karmada-es", false),
        ("karmada", false),
        ("karmada-system-2", false),
        ("kube-system", false),
        ("default", false),
    ] {
        assert_eq!(namespaces::is_reserved(namespace), reserved, "{namespace}");
    }
    for namespace in ["karmada-es-", "karmada-esx", "default", ""] {
        assert_eq!(namespaces::cluster_of(namespace), None, "{namespace}");
    }
}

#[test]
fn section_0_2_names_of_bindings() {
    for (kind, name, expected) in [
        ("Deployment", "nginx", "nginx-deployment"),
        ("ClusterRole", "system:node-proxier", "system.node-proxier-clusterrole"),
        ("ClusterRole", "a:b:c", "a.b.c-clusterrole"),
        // Some kinds have names with capitals.
        ("ClusterRole", "Admin", "admin-clusterrole"),
        (
            "CustomResourceDefinition",
            "a.example.com",
            "a.example.com-customresourcedefinition",
        ),
    ] {
        assert_eq!(names::binding(kind, name), expected);
    }
}

#[test]
fn section_0_2_names_of_works() {
    for (kind, namespace, name, expected) in [
        ("Deployment", "default", "nginx", "nginx-687f7fb96f"),
        // Namespace, name, kind: in this order, all in lower case.
        ("Deployment", "Default", "NGINX", "nginx-687f7fb96f"),
        ("ClusterRole", "", "system:a", "system.a-"),
        ("Namespace", "", "team", "team-"),
    ] {
        let made = names::work(kind, name, namespace);
        assert!(made.starts_with(expected), "{made} {expected}");
    }
    let hash = |text: &str| names::safe_encode(&names::fnv32a(text.as_bytes()).to_string());
    assert_eq!(hash("default-nginx-deployment"), "687f7fb96f");
    assert_eq!(
        names::work("Namespace", "team", ""),
        format!("team-{}", hash("team-namespace"))
    );
    assert_eq!(
        names::work("ClusterRole", "system:a", ""),
        format!("system.a-{}", hash("system:a-clusterrole"))
    );
    // What differs in kind or namespace only has another hash, and what runs together where words meet has the same one.
    assert_ne!(names::work("Service", "a", "x"), names::work("Ingress", "a", "x"));
    assert_ne!(names::work("Service", "a", "x"), names::work("Service", "a", "y"));
    assert_ne!(
        names::work("ClusterRole", "system:a", ""),
        names::work("ClusterRole", "system.a", "")
    );
}

#[test]
fn section_0_2_hashes() {
    // Known values of 32-bit FNV-1a.
    for (text, hash) in [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
        assert_eq!(names::fnv32a(text.as_bytes()), hash, "{text}");
    }
    // Each character by its code, modulo the 27 of the alphabet: '0' is 48, the twenty-second.
    assert_eq!(names::safe_encode("0123456789"), "456789bcdf");
    assert_eq!(names::safe_encode(""), "");
    assert_eq!(names::agent_user("member1"), "system:karmada:agent:member1");
    assert_eq!(names::AGENT_GROUP, "system:karmada:agents");
}

#[test]
fn section_0_3_labels() {
    for (key, expected) in [
        (labels::POLICY_ID, "propagationpolicy.karmada.io/permanent-id"),
        (
            labels::CLUSTER_POLICY_ID,
            "clusterpropagationpolicy.karmada.io/permanent-id",
        ),
        (labels::BINDING_ID, "resourcebinding.karmada.io/permanent-id"),
        (
            labels::CLUSTER_BINDING_ID,
            "clusterresourcebinding.karmada.io/permanent-id",
        ),
        (labels::WORK_ID, "work.karmada.io/permanent-id"),
        (labels::SERVICE_ID, "multiclusterservice.karmada.io/permanent-id"),
        (labels::MANAGED, "karmada.io/managed"),
        (labels::SYSTEM, "karmada.io/system"),
        (
            labels::SKIP_AUTO_PROPAGATION,
            "namespace.karmada.io/skip-auto-propagation",
        ),
        (
            labels::DELETION_PROTECTED,
            "resourcetemplate.karmada.io/deletion-protected",
        ),
        (labels::RETAIN_REPLICAS, "resourcetemplate.karmada.io/retain-replicas"),
        (labels::CLAIMED_BY, "resourcetemplate.karmada.io/claimed-by"),
        (labels::BINDING_MANAGED_BY, "binding.karmada.io/managed-by"),
        (labels::QUOTA_NAMESPACE, "federatedresourcequota.karmada.io/namespace"),
        (labels::QUOTA_NAME, "federatedresourcequota.karmada.io/name"),
    ] {
        assert_eq!(key, expected);
    }
    let of = |reference: &str| {
        let hash = names::safe_encode(&names::fnv32a(reference.as_bytes()).to_string());
        format!("resourcebinding.karmada.io/depended-by-{hash}")
    };
    assert_eq!(
        labels::depended_by("default", "web-deployment"),
        of("default/web-deployment")
    );
    assert_eq!(labels::depended_by("", "web-clusterrole"), of("web-clusterrole"));
}

#[test]
fn section_0_4_annotations() {
    for (key, expected) in [
        (annotations::POLICY_NAMESPACE, "propagationpolicy.karmada.io/namespace"),
        (annotations::POLICY_NAME, "propagationpolicy.karmada.io/name"),
        (
            annotations::CLUSTER_POLICY_NAME,
            "clusterpropagationpolicy.karmada.io/name",
        ),
        (annotations::BINDING_NAMESPACE, "resourcebinding.karmada.io/namespace"),
        (annotations::BINDING_NAME, "resourcebinding.karmada.io/name"),
        (
            annotations::CLUSTER_BINDING_NAME,
            "clusterresourcebinding.karmada.io/name",
        ),
        (annotations::DEPENDENCIES, "resourcebinding.karmada.io/dependencies"),
        (annotations::WORK_NAMESPACE, "work.karmada.io/namespace"),
        (annotations::WORK_NAME, "work.karmada.io/name"),
        (annotations::CONFLICT_RESOLUTION, "work.karmada.io/conflict-resolution"),
        (
            annotations::TEMPLATE_GENERATION,
            "resourcetemplate.karmada.io/generation",
        ),
        (annotations::TEMPLATE_UID, "resourcetemplate.karmada.io/uid"),
        (
            annotations::MANAGED_LABELS,
            "resourcetemplate.karmada.io/managed-labels",
        ),
        (
            annotations::MANAGED_ANNOTATIONS,
            "resourcetemplate.karmada.io/managed-annotations",
        ),
        (annotations::APPLIED_PLACEMENT, "policy.karmada.io/applied-placement"),
        (annotations::APPLIED_OVERRIDES, "policy.karmada.io/applied-overrides"),
        (
            annotations::APPLIED_CLUSTER_OVERRIDES,
            "policy.karmada.io/applied-cluster-overrides",
        ),
    ] {
        assert_eq!(key, expected);
    }
}

#[test]
fn section_0_5_finalizers() {
    for (key, expected) in [
        (finalizers::CLUSTER_CONTROLLER, "karmada.io/cluster-controller"),
        (finalizers::EXECUTION_CONTROLLER, "karmada.io/execution-controller"),
        (finalizers::BINDING_CONTROLLER, "karmada.io/binding-controller"),
        (
            finalizers::CLUSTER_BINDING_CONTROLLER,
            "karmada.io/cluster-resource-binding-controller",
        ),
        (
            finalizers::DEPENDENCIES_DISTRIBUTOR,
            "karmada.io/binding-dependencies-distributor",
        ),
        (
            finalizers::POLICY_CONTROLLER,
            "karmada.io/propagation-policy-controller",
        ),
        (
            finalizers::CLUSTER_POLICY_CONTROLLER,
            "karmada.io/cluster-propagation-policy-controller",
        ),
    ] {
        assert_eq!(key, expected);
    }
}

#[test]
fn section_0_6_taints() {
    assert_eq!(taints::UNSCHEDULABLE, "cluster.karmada.io/unschedulable");
    assert_eq!(taints::NOT_READY, "cluster.karmada.io/not-ready");
    assert_eq!(taints::UNREACHABLE, "cluster.karmada.io/unreachable");
}

proptest! {
    /// What is derived from any name is a name again: lower case, no colon, one bounded piece longer; a label key has its bounds.
    #[test]
    fn section_0_2_derived_names_are_names(
        name in "[A-Za-z0-9]([-A-Za-z0-9.:]{0,40}[A-Za-z0-9])?", namespace in "([a-z]([-a-z0-9]{0,61}[a-z0-9])?)?", kind in "[A-Z][A-Za-z]{0,62}",
    ) {
        let work = names::work(&kind, &name, &namespace);
        let binding = names::binding(&kind, &name);
        for made in [&work, &binding] {
            prop_assert!(made.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c)), "{}", made);
        }
        // The decimal digits of 32 bits.
        prop_assert!(work.len() <= name.len() + 11);
        prop_assert_eq!(binding.len(), name.len() + 1 + kind.len());
        let key = labels::depended_by(&namespace, &binding);
        prop_assert!(key.split_once('/').is_some_and(|(_, name)| name.len() <= 63));
    }
}
