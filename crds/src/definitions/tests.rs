//! Definitions are what an API server takes, are in step with the files for people, and say what the specification says.

mod appendix;
mod kinds;

use expect_test::expect_file;

use super::*;

#[test]
fn the_files_for_people_are_in_step() {
    for definition in definitions() {
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
        let text = serde_saphyr::to_string(&definition).unwrap();
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read, definition, "{plural}");
        let note = "# Made from crds/fields; UPDATE_EXPECT=1 cargo test -p crds writes it anew.\n";
        expect_file![format!("../../yaml/{plural}.yaml")].assert_eq(&format!("{note}{text}"));
    }
}

/// What an API server demands of a structural schema (Kubernetes, "Specifying a structural schema").
#[track_caller]
fn check_structural(schema: &Value, path: &str) {
    let int_or_string = schema["x-kubernetes-int-or-string"] == true;
    let free = int_or_string || schema["x-kubernetes-preserve-unknown-fields"] == true;
    assert!(schema["type"].is_string() != int_or_string || free, "{path} has a type");
    assert!(
        schema["properties"].is_null() || schema["additionalProperties"].is_null(),
        "{path}: a struct or a map"
    );
    let kind = schema["type"].as_str().unwrap_or_default();
    assert_eq!(kind == "array", schema["items"].is_object(), "{path}: a list has items");
    assert!(
        kind == "object" || schema["properties"].is_null(),
        "{path}: only objects have properties"
    );
    if kind == "object" && !path.ends_with(".metadata") {
        let told = [
            "properties",
            "additionalProperties",
            "x-kubernetes-preserve-unknown-fields",
        ];
        assert!(
            told.iter().any(|part| !schema[*part].is_null()),
            "{path}: all fields of it would be pruned"
        );
    }
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(
            schema["properties"].get(required.as_str().unwrap()).is_some(),
            "{path}: {required} exists"
        );
    }
    if let (Some(values), false) = (schema["enum"].as_array(), schema["default"].is_null()) {
        assert!(
            values.contains(&schema["default"]),
            "{path}: the default is one of the values"
        );
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        check_structural(property, &format!("{path}.{name}"));
    }
    for inner in ["items", "additionalProperties"] {
        if schema[inner].is_object() {
            check_structural(&schema[inner], &format!("{path}[]"));
        }
    }
}

#[test]
fn every_schema_is_structural() {
    for definition in definitions() {
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        for version in definition["spec"]["versions"].as_array().unwrap() {
            check_structural(&version["schema"]["openAPIV3Schema"], kind);
        }
    }
}
