//! What is served.

use super::Registry;
use super::custom::version_rank;

#[test]
fn built_in_kinds_are_served_once_each() {
    let registry = Registry::builtin();
    let deployments = registry.resource("apps", "v1", "deployments").unwrap();
    assert_eq!(deployments.storage.to_string(), "deployments.apps");
    assert!(deployments.strategic && deployments.is_storage_version());
    assert!(deployments.subresource("scale").is_some());
    let events = registry.resource("events.k8s.io", "v1", "events").unwrap();
    assert_eq!(events.storage, registry.resource("", "v1", "events").unwrap().storage);
    assert!(events.converts() && !events.is_storage_version());
    assert!(
        events
            .selectable_fields
            .contains(&("regarding.name".to_owned(), "involvedObject.name".to_owned()))
    );
    let scalers = |version: &str| {
        registry
            .resource("autoscaling", version, "horizontalpodautoscalers")
            .unwrap()
    };
    assert!(scalers("v1").converts() && scalers("v2").is_storage_version());
    assert!(
        registry
            .resource("apiextensions.k8s.io", "v1", "customresourcedefinitions")
            .is_some()
    );
    assert!(
        registry
            .resource("", "v1", "pods")
            .unwrap()
            .subresource("log")
            .is_none()
    );
    for def in &registry.resources {
        assert!(
            std::sync::Arc::ptr_eq(registry.kind(def.gvk()).unwrap(), def),
            "{def:?}"
        );
    }
}

#[test]
fn versions_are_ordered_as_kubernetes_orders_them() {
    let mut names = ["v1alpha1", "foo", "v2", "v1beta2", "v10", "v1beta10", "v1", "v1alpha3"];
    names.sort_by_key(|name| version_rank(name));
    assert_eq!(
        names,
        ["v10", "v2", "v1", "v1beta10", "v1beta2", "v1alpha3", "v1alpha1", "foo"]
    );
}
