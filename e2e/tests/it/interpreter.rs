//! A custom kind that scripts of a user explain: its replicas divided, its status reflected and added up, its health judged, and
//! what becomes of scripts that fail.

use e2e::federation::{Federation, MEMBERS, Options};
use e2e::wait::until;
use serde_json::Value;

use crate::scene::{Scene, has_condition};

const DEFINITION: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.things.example.io}
spec:
  group: things.example.io
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget}
  versions:
    - name: v1
      served: true
      storage: true
      subresources: {status: {}}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer}, settings: {type: string}}}
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
";

const WIDGET: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: colours}
---
apiVersion: things.example.io/v1
kind: Widget
metadata: {name: gear}
spec: {size: 6, settings: colours}
---
apiVersion: policy.karmada.io/v1alpha1
kind: PropagationPolicy
metadata: {name: widgets}
spec:
  propagateDeps: true
  resourceSelectors: [{apiVersion: things.example.io/v1, kind: Widget}]
  placement:
    clusterAffinity: {clusterNames: [eu, us]}
    replicaScheduling:
      replicaSchedulingType: Divided
      replicaDivisionPreference: Weighted
      weightPreference:
        staticWeightList:
          - {targetCluster: {clusterNames: [eu]}, weight: 2}
          - {targetCluster: {clusterNames: [us]}, weight: 1}
";

const REPLICAS: &str = "function GetReplicas(o) return o.spec.size, nil end";
const HEALTH: &str = "function InterpretHealth(o) return o.status ~= nil and o.status.phase == 'Up' end";

/// The customization, with these scripts for replicas and health.
fn customization(replicas: &str, health: &str) -> String {
    format!(
        "
apiVersion: config.karmada.io/v1alpha1
kind: ResourceInterpreterCustomization
metadata: {{name: widgets}}
spec:
  target: {{apiVersion: things.example.io/v1, kind: Widget}}
  customizations:
    replicaResource: {{luaScript: \"{replicas}\"}}
    healthInterpretation: {{luaScript: \"{health}\"}}
    replicaRevision:
      luaScript: |
        function ReviseReplica(o, size)
          o.spec.size = size
          return o
        end
    statusReflection:
      luaScript: |
        function ReflectStatus(o)
          if o.status == nil then return nil end
          return {{ready = o.status.ready}}
        end
    statusAggregation:
      luaScript: |
        function AggregateStatus(o, items)
          local ready = 0
          for _, item in ipairs(items) do
            if item.status ~= nil then ready = ready + (item.status.ready or 0) end
          end
          o.status = {{ready = ready}}
          return o
        end
    dependencyInterpretation:
      luaScript: |
        function GetDependencies(o)
          return {{{{apiVersion = 'v1', kind = 'ConfigMap', namespace = o.metadata.namespace, name = o.spec.settings}}}}
        end
"
    )
}

/// What the binding says of a cluster.
fn item<'a>(binding: &'a Value, cluster: &str) -> &'a Value {
    let items = binding["status"]["aggregatedStatus"].as_array();
    let found = items.into_iter().flatten().find(|item| item["clusterName"] == cluster);
    found.unwrap_or(&Value::Null)
}

/// Writes a status in a member, as the controller of the kind does there.
fn report(scene: &Scene<'_>, member: &str, ready: u32, phase: &str) {
    let patch = format!("{{\"status\": {{\"ready\": {ready}, \"phase\": \"{phase}\", \"noise\": true}}}}");
    let args = [
        "patch",
        "widget",
        "gear",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch,
    ];
    scene.member(member, &args).ok();
}

#[test]
fn a_kind_is_what_scripts_say() {
    let federation = Federation::start_with(Options {
        agent_args: vec!["--cluster-status-update-frequency=1".to_owned()],
        ..Options::default()
    })
    .unwrap();
    if federation.has_real_members() {
        eprintln!(
            "NOT RUN: custom resources end the real kube-apiserver of {}",
            e2e::assets::RELEASE
        );
        return;
    }
    let scene = Scene::new(&federation, "widgets");
    federation.hub().run_with(&["apply", "-f", "-"], DEFINITION).ok();
    for member in MEMBERS {
        federation
            .member(member)
            .run_with(&["apply", "-f", "-"], DEFINITION)
            .ok();
    }
    let established = ["wait", "crd/widgets.things.example.io", "--for=condition=Established"];
    federation.hub().run(&established).ok();
    // What is divided before a member has told that it serves the kind goes to the others, and stays there.
    for member in MEMBERS {
        until(&format!("{member} serves the kind"), || {
            let cluster = federation.hub().get(&["cluster", member]);
            let told = cluster["status"]["apiEnablements"].to_string();
            if told.contains("things.example.io/v1") {
                Ok(())
            } else {
                Err(told)
            }
        });
    }
    scene.apply(&customization(REPLICAS, HEALTH));
    scene.apply(WIDGET);

    // The scripts divide.
    scene.until_placed("gear-widget", "eu:4 us:2");
    for (member, size) in [("eu", 4), ("us", 2)] {
        scene.until_in(member, &["widget", "gear"], "its share", |widget| {
            widget["spec"]["size"] == size
        });
    }
    scene.until_only_in(&["configmap", "colours"], &["eu", "us"]);

    // What a controller in a member would say comes back, as far as the scripts let it.
    report(&scene, "eu", 4, "Up");
    report(&scene, "us", 1, "Down");
    scene.until(&["widget", "gear"], "five are ready", |widget| {
        widget["status"] == serde_json::json!({"ready": 5})
    });
    scene.until(&["resourcebinding", "gear-widget"], "health by script", |binding| {
        let of = |cluster: &str| {
            (
                item(binding, cluster)["health"].clone(),
                item(binding, cluster)["status"].clone(),
            )
        };
        of("eu") == ("Healthy".into(), serde_json::json!({"ready": 4}))
            && of("us") == ("Unhealthy".into(), serde_json::json!({"ready": 1}))
    });

    scripts_that_fail(&scene);

    // One that is no Lua is refused.
    let refused = federation
        .hub()
        .run_with(&["apply", "-f", "-"], &customization("function GetReplicas(", HEALTH));
    assert_ne!(refused.code, 0, "{}", refused.stdout);
    assert!(refused.stderr.contains("Lua script error"), "{}", refused.stderr);

    // It leaves as any other.
    scene.hub(&["delete", "widget", "gear"]);
    until("the widget is gone from the members", || {
        let left = ["eu", "us"].map(|member| scene.get_in(member, &["widget", "gear"]));
        if left.iter().all(Value::is_null) {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    });
}

fn scripts_that_fail(scene: &Scene<'_>) {
    // A script that never ends is stopped and named; the last answer stands, and everything else goes on.
    scene.apply(&customization("function GetReplicas(o) while true do end end", HEALTH));
    scene.until(&["resourcebinding", "gear-widget"], "the failure is named", |binding| {
        let text = binding["status"].to_string();
        has_condition(binding, "ReplicasInterpreted", "False")
            && [
                "customization widgets",
                "InterpretReplica",
                "script:1",
                "too many steps",
            ]
            .iter()
            .all(|part| text.to_lowercase().contains(&part.to_lowercase()))
    });
    // So is one that answers with something else than was asked for, and one that fails by itself.
    for (answer, told) in [
        ("return 'six'", "requires type is number but got string"),
        ("error('not today')", "not today"),
    ] {
        let replicas = format!("function GetReplicas(o) {answer} end");
        scene.apply(&customization(&replicas, HEALTH));
        scene.until(&["resourcebinding", "gear-widget"], told, |binding| {
            has_condition(binding, "ReplicasInterpreted", "False") && binding["status"].to_string().contains(told)
        });
    }
    report(scene, "us", 2, "Up");
    scene.until(&["widget", "gear"], "six are ready", |widget| {
        widget["status"]["ready"] == 6
    });
    // One that fails in members leaves the health unknown.
    scene.apply(&customization(
        REPLICAS,
        "function InterpretHealth(o) return string.rep('x', 1e9) end",
    ));
    scene.until(
        &["resourcebinding", "gear-widget"],
        "nobody knows the health",
        |binding| has_condition(binding, "ReplicasInterpreted", "True") && item(binding, "eu")["health"] == "Unknown",
    );
    scene.apply(&customization(REPLICAS, HEALTH));
    scene.until(&["resourcebinding", "gear-widget"], "all are healthy", |binding| {
        ["eu", "us"]
            .iter()
            .all(|cluster| item(binding, cluster)["health"] == "Healthy")
    });
}
