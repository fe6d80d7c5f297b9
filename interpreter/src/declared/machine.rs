//! What a virtual machine asks of a node: the requests of the pod that `KubeVirt` runs it in.
//!
//! Never here: what its disks need.

use serde_json::{Map, Value, json};

use crate::requests::{self, Amounts};

const MIB: i128 = 1 << 20;
/// Virtual processors for each one that is asked of a node, where nothing else is said (`cpuAllocationRatio` of `KubeVirt`).
const CPU_RATIO: i128 = 10;
/// What the processes around the machine take: the formula of `OpenShift` Virtualization, "Memory overhead".
const PROCESSES: i128 = 218 * MIB;
const EACH_CPU: i128 = 8 * MIB;
const GRAPHICS: i128 = 16 * MIB;
const DEVICES: i128 = 1024 * MIB;

/// `replicaRequirements` of a machine, by the `spec` of its instance.
pub(super) fn requirements(spec: &Value) -> Option<Value> {
    let domain = &spec["domain"];
    let mut asked = requests::amounts(&domain["resources"]["limits"]);
    asked.extend(requests::amounts(&domain["resources"]["requests"]));
    let cpus = processors(&domain["cpu"]);
    if let Some(cpus) = cpus {
        let own = domain["cpu"]["dedicatedCpuPlacement"] == true;
        let share = cpus.saturating_mul(1000) / if own { 1 } else { CPU_RATIO };
        asked.entry("cpu".to_owned()).or_insert(share);
    }
    let guest = requests::amounts(&json!({"memory": domain["memory"]["guest"]}));
    for (name, amount) in guest {
        asked.entry(name).or_insert(amount);
    }
    let devices = ["gpus", "hostDevices"].map(|list| domain["devices"][list].as_array());
    let devices: Vec<&str> = devices
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|device| device["deviceName"].as_str())
        .collect();
    for device in &devices {
        let known = asked.entry((*device).to_owned()).or_default();
        *known = known.saturating_add(1000);
    }
    if domain["resources"]["overcommitGuestOverhead"] != true {
        add_overhead(&mut asked, cpus.unwrap_or(1), domain, !devices.is_empty());
    }
    // What places pods places machines.
    let mut pod = Map::new();
    for field in ["affinity", "nodeSelector", "tolerations", "priorityClassName"] {
        pod.insert(field.to_owned(), spec[field].clone());
    }
    pod.insert(
        "containers".to_owned(),
        json!([{"resources": {"requests": requests::render(&asked)}}]),
    );
    requests::requirements(&json!({"spec": pod}))
}

/// Virtual processors: sockets by cores by threads, one of each where one is said.
fn processors(cpu: &Value) -> Option<i128> {
    let told = ["sockets", "cores", "threads"].map(|field| cpu[field].as_i64().filter(|count| 0 < *count));
    if told.iter().all(Option::is_none) {
        return None;
    }
    let counts = told.into_iter().map(|count| i128::from(count.unwrap_or(1)));
    Some(counts.fold(1, i128::saturating_mul))
}

/// Memory that the machine does not see.
fn add_overhead(asked: &mut Amounts, cpus: i128, domain: &Value, devices: bool) {
    let Some(memory) = asked.get_mut("memory") else { return };
    let graphics = domain["devices"]["autoattachGraphicsDevice"] != false;
    let fixed = PROCESSES
        + cpus.saturating_mul(EACH_CPU)
        + if graphics { GRAPHICS } else { 0 }
        + if devices { DEVICES } else { 0 };
    // Page tables take two thousandths.
    let tables = *memory / 500;
    *memory = memory.saturating_add(tables).saturating_add(fixed.saturating_mul(1000));
}
