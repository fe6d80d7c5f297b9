//! Services: cluster IPs, address families and node ports, as kube-apiserver allocates them.

use schema::status::{FieldError, Status};
use serde_json::{Value, json};

use super::addresses::{Lease, Refusal};
use crate::verbs::call::Call;
use crate::verbs::object::{member, meta_text, set};

/// Carries over what an update does not repeat, before the object is validated.
pub(super) fn prepare_update(old: &Value, object: &mut Value) {
    if wants_address(old) && wants_address(object) {
        for field in ["clusterIP", "clusterIPs"] {
            let empty = match &object["spec"][field] {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(list) => list.is_empty(),
                _ => false,
            };
            if empty {
                set(member(object, "spec"), field, old["spec"].get(field).cloned());
            }
        }
        // Clients that know only the first address change only that.
        let (single, listed) = (&object["spec"]["clusterIP"], &object["spec"]["clusterIPs"]);
        if *single != old["spec"]["clusterIP"] && *listed == old["spec"]["clusterIPs"] {
            let listed = json!([single]);
            set(member(object, "spec"), "clusterIPs", Some(listed));
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if object["spec"][field].is_null() {
                set(member(object, "spec"), field, old["spec"].get(field).cloned());
            }
        }
    }
    if wants_address(old) && !wants_address(object) && old["spec"]["clusterIP"] == object["spec"]["clusterIP"] {
        let spec = member(object, "spec");
        for field in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            spec.remove(field);
        }
    }
    carry_ports(old, object);
}

/// Node ports of the ports that stay; none when the type has none any more.
fn carry_ports(old: &Value, object: &mut Value) {
    let (had, wants) = (wants_ports(old), wants_ports(object));
    let old_ports = old["spec"]["ports"].as_array().cloned().unwrap_or_default();
    let known = |port: &Value| {
        old_ports
            .iter()
            .find(|known| known["port"] == port["port"] && known["protocol"] == port["protocol"])
    };
    if let Some(ports) = object["spec"].get_mut("ports").and_then(Value::as_array_mut) {
        for port in ports {
            let Some(before) = known(port) else { continue };
            let number = before["nodePort"].as_u64().unwrap_or_default();
            let unset = port["nodePort"].as_u64().unwrap_or_default() == 0;
            let Some(port) = port.as_object_mut() else { continue };
            if had && wants && unset && number > 0 {
                port.insert("nodePort".to_owned(), json!(number));
            } else if had && !wants && port.get("nodePort") == before.get("nodePort") {
                port.remove("nodePort");
            }
        }
    }
    if wants_health_port(old) && wants_health_port(object) && object["spec"]["healthCheckNodePort"].is_null() {
        let port = old["spec"].get("healthCheckNodePort").cloned();
        set(member(object, "spec"), "healthCheckNodePort", port);
    } else if wants_health_port(old) && !wants_health_port(object) {
        member(object, "spec").remove("healthCheckNodePort");
    }
}

/// Claims what the Service needs and writes it into the object.
pub(super) fn reserve<'a>(
    call: &Call<'a>,
    mut object: Value,
    old: Option<&Value>,
) -> Result<(Value, Lease<'a>), Status> {
    let mut errors = Vec::new();
    if let Some(old) = old {
        check_immutable(old, &object, &mut errors);
    }
    let mut lease = call.api.addresses.claim(meta_text(&object, "uid"));
    if errors.is_empty() {
        address(&mut object, &mut lease, &mut errors);
        ports(&mut object, &mut lease, &mut errors);
    }
    if errors.is_empty() {
        Ok((object, lease))
    } else {
        Err(Status::invalid("", "Service", meta_text(&object, "name"), &errors))
    }
}

fn check_immutable(old: &Value, object: &Value, errors: &mut Vec<FieldError>) {
    if !wants_address(old) || !wants_address(object) {
        return;
    }
    let (before, now) = (&old["spec"]["clusterIPs"], &object["spec"]["clusterIPs"]);
    if before[0] != now[0] && !before[0].is_null() {
        errors.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            now.clone(),
            "may not change once set",
        ));
    }
}

fn address(object: &mut Value, lease: &mut Lease<'_>, errors: &mut Vec<FieldError>) {
    if !wants_address(object) {
        return;
    }
    // A client that sets only one of the two means both.
    let spec = &object["spec"];
    let mut single = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let listed = spec["clusterIPs"][0].as_str().unwrap_or_default();
    if single.is_empty() {
        listed.clone_into(&mut single);
    }
    if !listed.is_empty() && listed != single {
        let text = "first value must match `clusterIP` when both are specified";
        errors.push(FieldError::invalid("spec.clusterIPs", spec["clusterIPs"].clone(), text));
        return;
    }
    let headless = single == "None";
    if single.is_empty() {
        match lease.any_address() {
            Ok(address) => single = address.to_string(),
            Err(refusal) => errors.push(refused("spec.clusterIPs", &Value::Null, "a serviceIP", &refusal)),
        }
    } else if !headless && let Err(refusal) = lease.address(&single) {
        errors.push(refused(
            "spec.clusterIPs",
            &json!([single]),
            &format!("IP {single}"),
            &refusal,
        ));
    }
    let bare = headless
        && object["spec"]["selector"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty);
    let spec = member(object, "spec");
    spec.insert("clusterIP".to_owned(), json!(single));
    spec.insert("clusterIPs".to_owned(), json!([single]));
    // A headless Service without a selector can have endpoints of any family.
    let (families, policy) = if bare {
        (json!(["IPv4", "IPv6"]), "RequireDualStack")
    } else {
        (json!(["IPv4"]), "SingleStack")
    };
    if spec.get("ipFamilyPolicy").is_none_or(Value::is_null) {
        spec.insert("ipFamilyPolicy".to_owned(), json!(policy));
        spec.insert("ipFamilies".to_owned(), families);
    } else if spec
        .get("ipFamilies")
        .is_none_or(|list| list.as_array().is_none_or(Vec::is_empty))
    {
        spec.insert("ipFamilies".to_owned(), json!(["IPv4"]));
    }
}

fn ports(object: &mut Value, lease: &mut Lease<'_>, errors: &mut Vec<FieldError>) {
    let health = wants_health_port(object);
    let wants = wants_ports(object);
    if wants && let Some(ports) = object["spec"].get_mut("ports").and_then(Value::as_array_mut) {
        for (index, port) in ports.iter_mut().enumerate() {
            let asked = port["nodePort"].as_u64().unwrap_or_default();
            let path = format!("spec.ports[{index}].nodePort");
            match claim_port(lease, asked) {
                Ok(number) => {
                    if let Some(port) = port.as_object_mut() {
                        port.insert("nodePort".to_owned(), json!(number));
                    }
                }
                Err(refusal) => errors.push(FieldError::invalid(path, json!(asked), refusal.to_string())),
            }
        }
    }
    if health {
        let asked = object["spec"]["healthCheckNodePort"].as_u64().unwrap_or_default();
        match claim_port(lease, asked) {
            Ok(number) => drop(member(object, "spec").insert("healthCheckNodePort".to_owned(), json!(number))),
            Err(refusal) => {
                errors.push(FieldError::invalid(
                    "spec.healthCheckNodePort",
                    json!(asked),
                    refusal.to_string(),
                ));
            }
        }
    }
}

fn claim_port(lease: &mut Lease<'_>, asked: u64) -> Result<u16, Refusal> {
    if asked == 0 {
        return lease.any_port();
    }
    let port = u16::try_from(asked).map_err(|_| Refusal::PortOutOfRange)?;
    lease.port(port).map(|()| port)
}

fn refused(path: &str, value: &Value, what: &str, refusal: &Refusal) -> FieldError {
    FieldError::invalid(path, value.clone(), format!("failed to allocate {what}: {refusal}"))
}

fn kind(service: &Value) -> &str {
    service["spec"]["type"]
        .as_str()
        .filter(|kind| !kind.is_empty())
        .unwrap_or("ClusterIP")
}

fn wants_address(service: &Value) -> bool {
    matches!(kind(service), "ClusterIP" | "NodePort" | "LoadBalancer")
}

fn wants_ports(service: &Value) -> bool {
    match kind(service) {
        "NodePort" => true,
        "LoadBalancer" => service["spec"]["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    }
}

fn wants_health_port(service: &Value) -> bool {
    kind(service) == "LoadBalancer" && service["spec"]["externalTrafficPolicy"] == "Local"
}
