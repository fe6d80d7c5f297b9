use super::*;

fn deployment() -> Map<String, Value> {
    components(
        facts::builtin_types(),
        &["apps.v1.Deployment", "meta.v1.DeleteOptions"],
        &[("", "v1"), ("apps", "v1")],
    )
}

fn check(value: &Value, schemas: &Map<String, Value>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get("$ref") {
                let name = target.strip_prefix("#/components/schemas/").unwrap();
                assert!(schemas.contains_key(name), "{name}");
                assert_eq!(object.len(), 1);
            }
            object.values().for_each(|value| check(value, schemas));
        }
        Value::Array(items) => items.iter().for_each(|value| check(value, schemas)),
        _ => {}
    }
}

#[test]
fn every_reference_is_there() {
    let all: Vec<&str> = facts::builtin_types()
        .iter()
        .filter(|(_, def)| !def.no_api && !def.name.contains('#'))
        .map(|(_, def)| def.name.as_str())
        .collect();
    let schemas = components(facts::builtin_types(), &all, &[("", "v1")]);
    assert_eq!(schemas.len(), 771);
    schemas.values().for_each(|value| check(value, &schemas));
}

#[test]
fn a_deployment_is_described_with_all_it_needs() {
    let schemas = deployment();
    let root = &schemas["io.k8s.api.apps.v1.Deployment"];
    assert_eq!(
        root["x-kubernetes-group-version-kind"],
        json!([{"group": "apps", "kind": "Deployment", "version": "v1"}])
    );
    assert_eq!(
        root["properties"]["spec"],
        json!({"allOf": [{"$ref": "#/components/schemas/io.k8s.api.apps.v1.DeploymentSpec"}], "default": {}})
    );
    assert_eq!(root["properties"]["kind"], json!({"type": "string"}));
    let spec = &schemas["io.k8s.api.apps.v1.DeploymentSpec"];
    assert_eq!(spec["required"], json!(["selector", "template"]));
    assert_eq!(
        spec["properties"]["replicas"],
        json!({"type": "integer", "format": "int32"})
    );
    assert_eq!(
        spec["properties"]["strategy"]["x-kubernetes-patch-strategy"],
        "retainKeys"
    );
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(
        containers,
        &json!({"type": "array", "items": {"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "x-kubernetes-patch-merge-key": "name",
            "x-kubernetes-patch-strategy": "merge"})
    );
    assert_eq!(
        schemas["io.k8s.api.core.v1.Container"]["properties"]["name"],
        json!({"type": "string", "default": ""})
    );
    assert_eq!(
        schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["nodeSelector"]["x-kubernetes-map-type"],
        "atomic"
    );
    assert_eq!(
        schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"],
        json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
    );
    assert!(schemas["io.k8s.api.core.v1.Volume"]["properties"]["configMap"].is_object());
    let options = &schemas["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    assert_eq!(options["x-kubernetes-group-version-kind"].as_array().unwrap().len(), 2);
}
