use std::path::Path;

use super::*;

const CUSTOMIZATION: &str = "\
apiVersion: config.karmada.io/v1alpha1
kind: ResourceInterpreterCustomization
metadata:
  name: website
spec:
  target:
    apiVersion: example.io/v1
    kind: Website
  customizations:
    replicaResource:
      luaScript: |
        function GetReplicas(o)
          return o.spec.size, nil
        end
    healthInterpretation:
      luaScript: |
        function InterpretHealth(o)
          return o.status.phase == 'Up'
        end
";

fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
    let file = directory.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn args(file: &Path) -> InterpretArgs {
    InterpretArgs {
        filename: vec![file.display().to_string()],
        recursive: false,
        check: false,
        rules: None,
        operation: None,
        desired_file: None,
        observed_file: None,
        status_file: None,
        desired_replica: None,
        output: None,
    }
}

#[test]
fn scripts_are_checked_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let check = |text: &str, expected: Result<(), &str>| {
        let file = write(directory.path(), "c.yaml", text);
        let outcome = run(&args(&file)).map_err(|error| error.to_string());
        assert_eq!(outcome.as_ref().map_err(String::as_str).copied(), expected, "{text}");
    };
    check(CUSTOMIZATION, Ok(()));
    check(
        &CUSTOMIZATION.replace("function GetReplicas", "function GetReplica"),
        Err("1 of the scripts cannot be used"),
    );
    check(
        &CUSTOMIZATION.replace("return o.", "return = o."),
        Err("2 of the scripts cannot be used"),
    );
    check(
        &format!(
            "{CUSTOMIZATION}---\n{}",
            CUSTOMIZATION.replace("name: website", "name: other")
        ),
        Err("1 of the scripts cannot be used"),
    );
}

#[test]
fn failures_name_the_line_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path(), "c.yaml", CUSTOMIZATION);
    let object = "{apiVersion: example.io/v1, kind: Website, metadata: {name: a}}";
    let object = write(directory.path(), "o.yaml", object);
    let asked = InterpretArgs {
        operation: Some(Operation::InterpretHealth),
        observed_file: Some(object),
        ..args(&file)
    };
    let error = run(&asked).unwrap_err().to_string();
    let expected = format!(
        "{}:18: ResourceInterpreterCustomization website: InterpretHealth: script:2: attempt to index nil",
        file.display()
    );
    assert!(error.starts_with(&expected), "{error}");
}

#[test]
fn wrong_files_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let other = write(
        directory.path(),
        "o.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}",
    );
    let error = run(&args(&other)).unwrap_err().to_string();
    assert!(
        error.ends_with("expected a ResourceInterpreterCustomization, found ConfigMap"),
        "{error}"
    );
    let reports = write(
        directory.path(),
        "s.yaml",
        "- clusterName: eu\n  status: {a: 1}\n- {}\n",
    );
    assert!(statuses(Some(&reports)).is_err());
    let reports = write(directory.path(), "s.yaml", "clusterName: eu\n---\n- clusterName: us\n");
    assert_eq!(statuses(Some(&reports)).unwrap().len(), 2);
}
