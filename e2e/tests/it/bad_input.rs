//! Bad input: a clear answer with the right code, and nothing changed.

use std::process::Command;

use e2e::federation::Federation;
use e2e::process::flotilla;
use serde_json::Value;

const POLICY: &str = r"
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: wrong, namespace: default}
spec:
  resourceSelectors:
  - {apiVersion: apps/v1, kind: Deployment, name: hello}
  placement:
    replicaScheduling:
      replicaSchedulingType: Divided
      replicaDivisionPreference: Weighted
      weightPreference:
        staticWeightList:
        - {targetCluster: {clusterNames: [eu]}, weight: 1}
";

/// Applies a manifest that must be refused with every one of these texts.
#[track_caller]
fn refused(federation: &Federation, manifest: &str, texts: &[&str]) {
    let error = federation.hub().run_with(&["create", "-f", "-"], manifest).failed();
    for text in texts {
        assert!(error.contains(text), "{text:?} is not in: {error}");
    }
}

/// What curl gets: HTTP code and body.
fn curl(federation: &Federation, credentials: bool, args: &[&str], path: &str) -> (u16, Value) {
    let kubeconfig = federation.hub().get_config();
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--insecure",
        "--max-time",
        "60",
        "--write-out",
        "\n%{http_code}",
    ]);
    if credentials {
        let (cert, key) = kubeconfig.write_credentials(&federation.path("curl"));
        command.arg("--cert").arg(cert).arg("--key").arg(key);
    }
    let output = command
        .args(args)
        .arg(format!("{}{path}", kubeconfig.server()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, code) = text.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[test]
fn bad_input_gets_a_clear_answer_and_changes_nothing() {
    let federation = Federation::start().unwrap();
    let hub = federation.hub();

    let unknown_field = POLICY.replace("  placement:\n", "  placements: {}\n  placement:\n");
    refused(&federation, &unknown_field, &["unknown field \"spec.placements\""]);
    let negative = POLICY.replace("weight: 1", "weight: -1");
    refused(
        &federation,
        &negative,
        &[
            "spec.placement.replicaScheduling.weightPreference.staticWeightList[0].weight",
            "greater than or equal to 1",
        ],
    );
    let empty = POLICY
        .replace("  - {apiVersion: apps/v1, kind: Deployment, name: hello}\n", "")
        .replace("resourceSelectors:", "resourceSelectors: []");
    refused(&federation, &empty, &["spec.resourceSelectors", "at least 1 items"]);
    assert_eq!(
        hub.get(&["propagationpolicies"])["items"]
            .as_array()
            .map_or(0, Vec::len),
        0
    );

    // Past kubectl, which checks by itself.
    let post = |body: &str| {
        curl(
            &federation,
            true,
            &[
                "--request",
                "POST",
                "--header",
                "Content-Type: application/json",
                "--data-binary",
                body,
            ],
            "/api/v1/namespaces/default/configmaps",
        )
    };
    for body in ["[]", "3", "\"x\"", "null", "{", ""] {
        let (code, status) = post(body);
        assert_eq!(
            (code, &status["reason"]),
            (400, &Value::from("BadRequest")),
            "{body}: {status}"
        );
    }
    let large = federation.path("large.json");
    let filling = "x".repeat(4 << 20);
    std::fs::write(
        &large,
        format!(r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"large"}},"data":{{"a":"{filling}"}}}}"#),
    )
    .unwrap();
    let (code, status) = post(&format!("@{}", large.display()));
    assert_eq!(
        (code, &status["reason"]),
        (413, &Value::from("RequestEntityTooLarge")),
        "{status}"
    );
    assert_eq!(hub.get(&["configmaps"])["items"].as_array().map_or(0, Vec::len), 0);
}

#[test]
fn strangers_are_refused() {
    let federation = Federation::start().unwrap();
    let (code, status) = curl(&federation, false, &[], "/api/v1/namespaces/default/pods");
    assert_eq!(code, 403);
    assert_eq!(
        status["message"],
        "pods is forbidden: User \"system:anonymous\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let (code, status) = curl(
        &federation,
        false,
        &["--header", "Authorization: Bearer nonsense"],
        "/api/v1/pods",
    );
    assert_eq!((code, &status["reason"]), (401, &Value::from("Unauthorized")));
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(curl(&federation, false, &[], path).0, 200, "{path}");
    }

    let agent = federation.as_agent("eu");
    agent.run(&["get", "works", "-n", "karmada-es-eu"]).ok();
    for args in [
        &["get", "works", "-n", "karmada-es-ap"][..],
        &["get", "works", "-A"],
        &["get", "secrets", "-n", "karmada-es-eu"],
        &["get", "deployments"],
        &["delete", "cluster", "ap"],
        &["get", "cluster", "ap"],
        &["create", "configmap", "x", "-n", "karmada-es-eu"],
        &["patch", "work", "x", "-n", "karmada-es-ap", "--type=merge", "-p", "{}"],
    ] {
        let error = agent.run(args).failed();
        assert!(
            error.contains("Forbidden") || error.contains("forbidden"),
            "{args:?}: {error}"
        );
    }
}

#[test]
fn a_directory_and_a_port_have_one_user() {
    let federation = Federation::start().unwrap();
    let start = |data_dir: &std::path::Path, listen: &str| {
        let output = Command::new(flotilla())
            .args(["hub", "--listen", listen, "--data-dir"])
            .arg(data_dir)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (code, error) = start(&federation.hub_dir(), "127.0.0.1:0");
    assert_eq!(code, Some(1));
    assert!(error.contains("in use by another process"), "{error}");

    let address = federation
        .hub()
        .get_config()
        .server()
        .trim_start_matches("https://")
        .to_owned();
    let (code, error) = start(&federation.path("second"), &address);
    assert_eq!(code, Some(1));
    assert!(error.contains("cannot listen on"), "{error}");

    let foreign = federation.path("foreign");
    std::fs::create_dir_all(&foreign).unwrap();
    std::fs::write(foreign.join("notes.txt"), "mine").unwrap();
    let (code, error) = start(&foreign, "127.0.0.1:0");
    assert_eq!(code, Some(1));
    assert!(error.contains("not a data directory"), "{error}");
    assert_eq!(foreign.read_dir().unwrap().count(), 1);
    federation.hub().run(&["get", "clusters"]).ok();
}
