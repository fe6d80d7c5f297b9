//! Objects that nobody would write: whatever they are, every question has an answer and nothing panics.

use proptest::prelude::*;

use super::*;
use crate::prune::prune;

/// JSON whose field names are those that the rules look at, with values of any type.
fn odd() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "",
            "a",
            "None",
            "LoadBalancer",
            "9223372036854775807Ei",
            "99999999999999999999E"
        ])
        .prop_map(Value::from),
    ];
    let field = prop::sample::select(vec![
        "metadata",
        "labels",
        "annotations",
        "name",
        "generation",
        "spec",
        "status",
        "replicas",
        "parallelism",
        "completions",
        "selector",
        "matchLabels",
        "template",
        "jobTemplate",
        "type",
        "data",
        "secrets",
        "imagePullSecrets",
        "volumes",
        "containers",
        "initContainers",
        "volumeMounts",
        "env",
        "envFrom",
        "resources",
        "requests",
        "limits",
        "overhead",
        "cpu",
        "clusterIP",
        "loadBalancer",
        "ingress",
        "tls",
        "conditions",
        "phase",
        "active",
        "volumeClaimTemplates",
        "disruptedPods",
        "projected",
        "sources",
        "configMap",
        "resourcetemplate.karmada.io/retain-replicas",
    ]);
    leaf.prop_recursive(6, 96, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(field.clone().prop_map(str::to_owned), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An odd object that claims a kind that has rules.
fn odd_object() -> impl Strategy<Value = Value> {
    (odd(), odd(), odd(), 0..KINDS.len()).prop_map(|(metadata, spec, mut object, index)| {
        let (api_version, kind) = KINDS[index];
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), json!(api_version));
            fields.insert("kind".to_owned(), json!(kind));
            fields.entry("metadata").or_insert(metadata);
            fields.entry("spec").or_insert(spec);
        }
        object
    })
}

const KINDS: [(&str, &str); 16] = [
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("batch/v1", "CronJob"),
    ("batch/v1", "Job"),
    ("example.com/v1", "Other"),
    ("networking.k8s.io/v1", "Ingress"),
    ("policy/v1", "PodDisruptionBudget"),
    ("v1", "PersistentVolume"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
];

proptest! {
    /// Whatever users and members write, the answers come; and those that change an object settle at once.
    #[test]
    fn no_shape_stops_the_interpreter(object in odd_object(), observed in odd(), other in odd(), count in any::<i64>()) {
        BuiltIn::replicas(&object);
        BuiltIn::reflect_status(&object);
        BuiltIn::interpret_health(&object);
        BuiltIn::dependencies(&object);
        BuiltIn::aggregates(&object);
        let items = [item("a", observed.clone()), item("b", other)];
        if let Some(status) = BuiltIn::aggregate_status(&object, &items) {
            prop_assert!(status.is_object());
        }
        let mut revised = object.clone();
        BuiltIn::revise_replicas(&mut revised, count);
        prop_assert_eq!(revised.is_object(), object.is_object());
        let kept = BuiltIn::retain(object.clone(), &observed);
        prop_assert_eq!(BuiltIn::retain(kept.clone(), &observed), kept);
        let mut pruned = object;
        prune(&mut pruned);
        let once = pruned.clone();
        prune(&mut pruned);
        prop_assert_eq!(pruned, once);
    }
}
