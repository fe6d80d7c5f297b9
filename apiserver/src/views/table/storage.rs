//! Tables of volumes, configuration and what limits their use.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::text::{self, age, list, map, or_none, string};
use super::{AGE, Column, NAME, Printer, column, integer, wide};

/// The printer of a kind of this family.
pub(super) fn printer(group: &str, kind: &str) -> Option<Printer> {
    Some(match (group, kind) {
        ("", "ConfigMap") => Printer {
            columns: const { &[NAME, integer("Data"), AGE] },
            cells: config_map,
        },
        ("", "Secret") => Printer {
            columns: const { &[NAME, column("Type"), integer("Data"), AGE] },
            cells: secret,
        },
        ("", "PersistentVolume") => Printer {
            columns: VOLUME,
            cells: persistent_volume,
        },
        ("", "PersistentVolumeClaim") => Printer {
            columns: CLAIM,
            cells: persistent_volume_claim,
        },
        ("storage.k8s.io", "StorageClass") => Printer {
            columns: const {
                &[
                    NAME,
                    column("Provisioner"),
                    column("ReclaimPolicy"),
                    column("VolumeBindingMode"),
                    Column {
                        name: "AllowVolumeExpansion",
                        kind: "boolean",
                        priority: 0,
                    },
                    AGE,
                ]
            },
            cells: storage_class,
        },
        ("", "ResourceQuota") => Printer {
            columns: const { &[NAME, column("Request"), column("Limit"), AGE] },
            cells: resource_quota,
        },
        _ => return None,
    })
}

const VOLUME: &[Column] = &[
    NAME,
    column("Capacity"),
    column("Access Modes"),
    column("Reclaim Policy"),
    column("Status"),
    column("Claim"),
    column("StorageClass"),
    column("VolumeAttributesClass"),
    column("Reason"),
    AGE,
    wide("VolumeMode"),
];

const CLAIM: &[Column] = &[
    NAME,
    column("Status"),
    column("Volume"),
    column("Capacity"),
    column("Access Modes"),
    column("StorageClass"),
    column("VolumeAttributesClass"),
    AGE,
    wide("VolumeMode"),
];

fn size(object: &Value, path: &str) -> usize {
    map(object, path).map_or(0, serde_json::Map::len)
}

fn config_map(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(size(object, "/data") + size(object, "/binaryData")),
        age(object, now),
    ]
}

fn secret(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        text::name(object),
        json!(string(object, "/type")),
        json!(size(object, "/data")),
        age(object, now),
    ]
}

/// `RWO,ROX,RWX,RWOP` in this order, each once.
fn access_modes(object: &Value, path: &str) -> Value {
    const SHORT: [(&str, &str); 4] = [
        ("ReadWriteOnce", "RWO"),
        ("ReadOnlyMany", "ROX"),
        ("ReadWriteMany", "RWX"),
        ("ReadWriteOncePod", "RWOP"),
    ];
    let modes = list(object, path);
    let short: Vec<&str> = SHORT
        .iter()
        .filter(|(long, _)| modes.iter().any(|mode| mode == long))
        .map(|(_, short)| *short)
        .collect();
    json!(short.join(","))
}

fn storage_class_of(object: &Value) -> &str {
    match string(object, "/metadata/annotations/volume.beta.kubernetes.io~1storage-class") {
        "" => string(object, "/spec/storageClassName"),
        annotated => annotated,
    }
}

fn phase(object: &Value) -> &str {
    if string(object, "/metadata/deletionTimestamp").is_empty() {
        string(object, "/status/phase")
    } else {
        "Terminating"
    }
}

fn persistent_volume(object: &Value, now: Timestamp) -> Vec<Value> {
    let claim = match string(object, "/spec/claimRef/name") {
        "" => String::new(),
        name => format!("{}/{name}", string(object, "/spec/claimRef/namespace")),
    };
    vec![
        text::name(object),
        json!(text::scalar(object, "/spec/capacity/storage").unwrap_or_default()),
        access_modes(object, "/spec/accessModes"),
        json!(string(object, "/spec/persistentVolumeReclaimPolicy")),
        json!(phase(object)),
        json!(claim),
        json!(storage_class_of(object)),
        text::or(string(object, "/spec/volumeAttributesClassName"), "<unset>"),
        json!(string(object, "/status/reason")),
        age(object, now),
        text::or(string(object, "/spec/volumeMode"), "<unset>"),
    ]
}

fn persistent_volume_claim(object: &Value, now: Timestamp) -> Vec<Value> {
    let volume = string(object, "/spec/volumeName");
    // Capacity and modes are those of the volume: nothing to show before there is one.
    let (capacity, modes) = if volume.is_empty() {
        (json!(""), json!(""))
    } else {
        let capacity = text::scalar(object, "/status/capacity/storage").unwrap_or_default();
        (json!(capacity), access_modes(object, "/status/accessModes"))
    };
    vec![
        text::name(object),
        json!(phase(object)),
        json!(volume),
        capacity,
        modes,
        json!(storage_class_of(object)),
        text::or(string(object, "/spec/volumeAttributesClassName"), "<unset>"),
        age(object, now),
        text::or(string(object, "/spec/volumeMode"), "<unset>"),
    ]
}

fn storage_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let default = string(
        object,
        "/metadata/annotations/storageclass.kubernetes.io~1is-default-class",
    ) == "true";
    let mark = if default { " (default)" } else { "" };
    vec![
        json!(format!("{}{mark}", string(object, "/metadata/name"))),
        json!(string(object, "/provisioner")),
        text::or(string(object, "/reclaimPolicy"), "Delete"),
        text::or(string(object, "/volumeBindingMode"), "Immediate"),
        json!(object.pointer("/allowVolumeExpansion") == Some(&Value::Bool(true))),
        age(object, now),
    ]
}

fn resource_quota(object: &Value, now: Timestamp) -> Vec<Value> {
    let used = |key: &str| {
        map(object, "/status/used")
            .and_then(|used| used.get(key))
            .and_then(Value::as_str)
            .unwrap_or("0")
            .to_owned()
    };
    let mut requests = Vec::new();
    let mut limits = Vec::new();
    for (key, hard) in map(object, "/status/hard").into_iter().flatten() {
        let column = if key.starts_with("limits") {
            &mut limits
        } else {
            &mut requests
        };
        column.push(format!("{key}: {}/{}", used(key), hard.as_str().unwrap_or_default()));
    }
    vec![
        text::name(object),
        or_none(&requests.join(", ")),
        json!(limits.join(", ")),
        age(object, now),
    ]
}
