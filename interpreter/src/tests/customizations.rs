//! Scripts of users: which one answers, what they may answer, and what changes with them.

use super::*;

/// A customization of a kind with one script.
fn customization(name: &str, field: &str, script: &str) -> Value {
    json!({"metadata": {"name": name}, "spec": {
        "target": {"apiVersion": "apps/v1", "kind": "Deployment"},
        "customizations": {field: {"luaScript": script}}}})
}

#[test]
fn section_4_1_customizations_come_first_and_operation_by_operation() {
    let interpreter = Interpreter::default();
    let health = "function InterpretHealth(o) return o.spec.replicas == 9 end";
    interpreter.customize(&[customization("a", "healthInterpretation", health)]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Unhealthy));
    assert_eq!(
        interpreter.replicas(&deployment()).unwrap().unwrap().count,
        2,
        "others are not asked"
    );
    interpreter.customize(&[]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Healthy));
    // Of several, the first by name answers.
    interpreter.customize(&[
        customization("c", "healthInterpretation", health),
        customization(
            "b",
            "healthInterpretation",
            "function InterpretHealth() return true end",
        ),
    ]);
    assert_eq!(interpreter.interpret_health(&deployment()), Ok(Health::Healthy));
}

#[test]
fn a_script_that_cannot_be_read_says_so_with_its_line() {
    let interpreter = Interpreter::default();
    interpreter.customize(&[
        customization(
            "b",
            "healthInterpretation",
            "function InterpretHealth() return true end",
        ),
        customization("a", "healthInterpretation", "\nfunction ("),
    ]);
    let told = interpreter.interpret_health(&deployment()).unwrap_err().to_string();
    let expected = "ResourceInterpreterCustomization a: InterpretHealth: script:2: ";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(
        interpreter.replicas(&deployment()).unwrap().unwrap().count,
        2,
        "other questions have answers"
    );
}

#[test]
fn only_kinds_that_mean_something_else_have_changed() {
    let interpreter = Interpreter::default();
    let script = "function InterpretHealth() return true end";
    let mut other = customization("z", "healthInterpretation", script);
    other["spec"]["target"]["apiVersion"] = json!("example.com/v1");
    let one = customization("a", "healthInterpretation", script);
    let check = |all: &[Value], expected: &[&str]| {
        let changed = interpreter.customize(all);
        let changed: Vec<String> = changed
            .iter()
            .map(|target| format!("{} {}", target.api_version, target.kind))
            .collect();
        assert_eq!(changed, expected);
    };
    check(
        &[one.clone(), other.clone()],
        &["apps/v1 Deployment", "example.com/v1 Deployment"],
    );
    let version = interpreter.version(&deployment());
    assert_ne!(version, 0);
    check(&[other.clone(), one.clone()], &[]);
    assert_eq!(interpreter.version(&deployment()), version);
    check(
        &[one, customization("b", "retention", script), other.clone()],
        &["apps/v1 Deployment"],
    );
    assert_ne!(interpreter.version(&deployment()), version);
    check(&[other], &["apps/v1 Deployment"]);
    assert_eq!(interpreter.version(&deployment()), 0);
    check(&[], &["example.com/v1 Deployment"]);
}

#[test]
fn section_4_5_every_operation_has_a_script() {
    let interpreter = Interpreter::default();
    let dependencies =
        "function GetDependencies(o) return {{apiVersion='v1', kind='Secret', name=NAME, namespace='d'}} end";
    let one = |name: &str| format!("NAME = '{name}' {dependencies}");
    interpreter.customize(&[
        customization("a", "replicaResource", "function GetReplicas(o) return o.spec.replicas + 1, {resourceRequest={cpu='1'}} end"),
        customization("a", "componentResource", "function GetComponents(o) return {{name='x', replicas=1}} end"),
        customization("a", "replicaRevision", "function ReviseReplica(o, n) o.spec.replicas = n * 2 return o end"),
        customization("a", "retention", "function Retain(d, o) d.spec.replicas = o.spec.replicas return d end"),
        customization("a", "statusReflection", "function ReflectStatus(o) return {seen = o.status.replicas} end"),
        customization("a", "statusAggregation", "function AggregateStatus(d, items) d.status = {clusters = #items, first = items[1].clusterName} return d end"),
        customization("b", "dependencyInterpretation", &one("b")),
        customization("a", "dependencyInterpretation", &one("a")),
    ]);
    let mut object = deployment();
    let replicas = interpreter.replicas(&object).unwrap().unwrap();
    assert_eq!(
        (replicas.count, replicas.requirements),
        (3, Some(json!({"resourceRequest": {"cpu": "1"}})))
    );
    assert_eq!(
        interpreter.components(&object),
        Ok(Some(vec![json!({"name": "x", "replicas": 1})]))
    );
    assert_eq!(interpreter.reflect_status(&object), Ok(Some(json!({"seen": 2}))));
    let status = interpreter.aggregate_status(&object, &[item("eu", json!({}))]);
    assert_eq!(status, Ok(Some(json!({"clusters": 1, "first": "eu"}))));
    let names: Vec<Value> = interpreter
        .dependencies(&object)
        .unwrap()
        .iter()
        .map(|found| found["name"].clone())
        .collect();
    assert_eq!(names, ["a", "b"]);
    let mut observed = object.clone();
    observed["spec"]["replicas"] = json!(7);
    assert_eq!(interpreter.retain(object.clone(), &observed), Ok(observed.clone()));
    interpreter.revise_replicas(&mut object, 4).unwrap();
    assert_eq!(object["spec"]["replicas"], 8);
    assert_eq!(object["status"]["conditions"], json!([]), "an empty list stays one");
}

#[test]
fn section_4_5_wrong_shapes_are_told() {
    let interpreter = Interpreter::default();
    let ask = |field: &str, script: &str| {
        interpreter.customize(&[customization("a", field, script)]);
        let object = deployment();
        let told = match field {
            "replicaResource" => interpreter.replicas(&object).err(),
            "healthInterpretation" => interpreter.interpret_health(&object).err(),
            "statusReflection" => interpreter.reflect_status(&object).err(),
            _ => interpreter.retain(object.clone(), &object).err(),
        };
        told.map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(
        ask("replicaResource", "function GetReplicas() return 'x' end"),
        "ResourceInterpreterCustomization a: InterpretReplica: expect the returned requires type is number but got string"
    );
    assert_eq!(
        ask("healthInterpretation", "function InterpretHealth() end"),
        "ResourceInterpreterCustomization a: InterpretHealth: expect the returned requires type is boolean but got nil"
    );
    assert!(ask("statusReflection", "function ReflectStatus() return 1 end").contains("is table but got number"));
    assert!(ask("retention", "x = 1").contains("not found function Retain"));
    assert!(ask("retention", "function Retain(d) d.kind = 'Secret' return d end").contains("another kind or name"));
}
