//! What people do about access with kubectl: bind, ask, reconcile, put roles together, act as others.

use e2e::federation::Federation;
use e2e::tools;
use e2e::wait::until;

const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: readers-MINOR}
rules:
- {apiGroups: [''], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers, namespace: NAMESPACE}
subjects: [{kind: User, name: bob, apiGroup: rbac.authorization.k8s.io}]
roleRef: {kind: ClusterRole, name: readers-MINOR, apiGroup: rbac.authorization.k8s.io}
";

fn access(federation: &Federation, minor: &str) {
    let hub = federation.hub().through(tools::find("kubectl", Some(minor)));
    let namespace = format!("access-{minor}");
    let namespace = namespace.as_str();
    let run = |args: &[&str]| hub.run(&[args, &["-n", namespace]].concat());
    hub.run(&["create", "namespace", namespace]).ok();

    let told = run(&["get", "secrets", "--as", "eve"]).failed();
    let refused = format!(
        r#"Error from server (Forbidden): secrets is forbidden: User "eve" cannot list resource "secrets" in API group "" in the namespace "{namespace}""#
    );
    assert_eq!(told.trim_end(), refused);
    run(&["create", "rolebinding", "editors", "--clusterrole=edit", "--user=eve"]).ok();
    run(&["get", "secrets", "--as", "eve"]).ok();
    run(&["auth", "can-i", "create", "propagationpolicies", "--as", "eve"]).ok();
    run(&[
        "auth",
        "can-i",
        "get",
        "deployments",
        "--subresource=scale",
        "--as",
        "eve",
    ])
    .ok();
    for refused in [
        ["create", "roles", "--as=eve"],
        ["get", "works", "--as=eve"],
        ["create", "deployments", "--as=bob"],
        ["get", "/metrics", "--as=eve"],
    ] {
        run(&[&["auth", "can-i"][..], &refused].concat()).failed();
    }
    hub.run(&["auth", "can-i", "create", "deployments", "-n", "default", "--as=eve"])
        .failed();
    let list = run(&["auth", "can-i", "--list", "--as", "eve"]).ok();
    assert!(
        list.contains("propagationpolicies.policy.karmada.io") && list.contains("deployments.apps/scale"),
        "{list}"
    );
    assert!(
        !list.contains("works.work.karmada.io") && !list.contains("*.*"),
        "{list}"
    );

    let file = ROLE.replace("MINOR", minor).replace("NAMESPACE", namespace);
    hub.run_with(&["auth", "reconcile", "-f", "-"], &file).ok();
    run(&["auth", "can-i", "get", "pods", "--as", "bob"]).ok();
    let more = file.replace("verbs: [get]", "verbs: [list]");
    hub.run_with(&["auth", "reconcile", "-f", "-"], &more).ok();
    run(&["auth", "can-i", "get", "pods", "--as", "bob"]).ok();
    run(&["auth", "can-i", "list", "pods", "--as", "bob"]).ok();

    let aggregated = format!("all-{minor}");
    let label = format!("of={aggregated}");
    hub.run(&[
        "create",
        "clusterrole",
        &aggregated,
        &format!("--aggregation-rule={label}"),
    ])
    .ok();
    let part = format!("readers-{minor}");
    hub.run(&["label", "clusterrole", &part, &label]).ok();
    until("a role put together of another", || {
        let verbs = hub.run(&["get", "clusterrole", &aggregated, "-o", "jsonpath={.rules[*].verbs[*]}"]);
        if verbs.stdout == "get list" {
            Ok(())
        } else {
            Err(format!("{verbs:?}"))
        }
    });

    // Who may make roles and act as bob, and no more.
    let resources = "--resource=roles.rbac.authorization.k8s.io";
    run(&["create", "role", "makers", "--verb=create,get", resources]).ok();
    run(&["create", "rolebinding", "makers", "--role=makers", "--user=eve"]).ok();
    let told = run(&["create", "role", "more", "--verb=get", "--resource=nodes", "--as=eve"]).failed();
    assert!(
        told.contains("is attempting to grant RBAC permissions not currently held:")
            && told.contains(r#"{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}"#),
        "{told}"
    );
    run(&["create", "role", "same", "--verb=get", "--resource=pods", "--as=eve"]).ok();
    run(&["delete", "rolebinding", "editors"]).ok();
    run(&["get", "secrets", "--as", "eve"]).failed();
    hub.run(&["delete", "namespace", namespace, "--timeout=90s"]).ok();
}

#[test]
fn roles_with_kubectl() {
    let federation = Federation::start().unwrap();
    for minor in ["27", "37"] {
        access(&federation, minor);
    }
}
