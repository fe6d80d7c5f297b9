//! Turns operations and schemas of v3 into those of v2, leaving out what v2 cannot say.
//!
//! Never here: how a document is written.

use serde_json::{Map, Value, json};

/// What a schema of v2 may say as it stands in v3. Defaults are left out, as kube-apiserver does for custom resources.
const KEPT: [&str; 18] = [
    "description",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "required",
    "title",
    "uniqueItems",
];

/// A path with its operations.
pub(super) fn path_item(item: &Value) -> Value {
    let members = item.as_object().into_iter().flatten();
    members
        .map(|(name, value)| {
            let turned = if name == "parameters" {
                parameters(value).into()
            } else {
                operation(value)
            };
            (name.clone(), turned)
        })
        .collect::<Map<String, Value>>()
        .into()
}

fn operation(operation: &Value) -> Value {
    let mut turned = Map::new();
    for (name, value) in operation.as_object().into_iter().flatten() {
        if name.starts_with("x-") || matches!(name.as_str(), "tags" | "operationId") {
            turned.insert(name.clone(), value.clone());
        }
    }
    let mut parameters = parameters(&operation["parameters"]);
    let mut consumes = json!(["*/*"]);
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        consumes = content.keys().cloned().collect();
        let mut body = json!({"name": "body", "in": "body"});
        if operation["requestBody"]["required"] == true {
            body["required"] = Value::Bool(true);
        }
        body["schema"] = content
            .values()
            .next()
            .map(|media| schema(&media["schema"]))
            .unwrap_or_default();
        parameters.insert(0, body);
    }
    turned.insert("consumes".to_owned(), consumes);
    turned.insert("produces".to_owned(), json!(["application/json"]));
    turned.insert("schemes".to_owned(), json!(["https"]));
    if !parameters.is_empty() {
        turned.insert("parameters".to_owned(), parameters.into());
    }
    let responses = operation["responses"].as_object().into_iter().flatten();
    let responses: Map<String, Value> = responses
        .map(|(code, response)| (code.clone(), self::response(response)))
        .collect();
    turned.insert("responses".to_owned(), responses.into());
    turned.into()
}

fn response(response: &Value) -> Value {
    let mut turned = json!({"description": response["description"]});
    if let Some(body) = response.pointer("/content/application~1json/schema") {
        turned["schema"] = schema(body);
    }
    turned
}

/// Parameters outside the body, whose schemas v2 writes inline.
fn parameters(parameters: &Value) -> Vec<Value> {
    let turn = |parameter: &Value| {
        let mut turned = Map::new();
        for (name, value) in parameter.as_object().into_iter().flatten() {
            match value {
                Value::Object(schema) => turned.extend(schema.clone()),
                plain => _ = turned.insert(name.clone(), plain.clone()),
            }
        }
        turned.into()
    };
    parameters.as_array().into_iter().flatten().map(turn).collect()
}

/// A schema: references lead to `definitions`, alternatives and `nullable` are dropped with what they make untrue.
pub(super) fn schema(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else {
        return json!({});
    };
    let mut turned: Map<String, Value> = members
        .iter()
        .filter(|(name, _)| name.starts_with("x-") || KEPT.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let alone = schema["allOf"].as_array().filter(|all| all.len() == 1);
    let reference = schema["$ref"]
        .as_str()
        .or_else(|| alone.and_then(|all| all[0]["$ref"].as_str()));
    if let Some(reference) = reference {
        let name = reference.rsplit('/').next().unwrap_or_default();
        turned.insert("$ref".to_owned(), format!("#/definitions/{name}").into());
        return turned.into();
    }
    if schema["nullable"] == true || schema["x-kubernetes-int-or-string"] == true {
        return turned.into();
    }
    if let Some(kind) = schema["type"].as_str() {
        turned.insert("type".to_owned(), kind.into());
    } else if let Some(choices) = schema["oneOf"].as_array()
        && choices.iter().any(|choice| choice["type"] == "string")
    {
        // Quantities and int-or-string: v2 has always called them strings.
        turned.insert("type".to_owned(), "string".into());
    }
    match &schema["additionalProperties"] {
        Value::Null => {}
        Value::Bool(any) => _ = turned.insert("additionalProperties".to_owned(), (*any).into()),
        values => _ = turned.insert("additionalProperties".to_owned(), self::schema(values)),
    }
    // Clients would refuse the fields that are preserved though nobody declared them.
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return turned.into();
    }
    if schema["items"].is_object() {
        turned.insert("items".to_owned(), self::schema(&schema["items"]));
    }
    if let Some(properties) = schema["properties"].as_object() {
        let properties: Map<String, Value> = properties
            .iter()
            .map(|(name, property)| (name.clone(), self::schema(property)))
            .collect();
        turned.insert("properties".to_owned(), properties.into());
    }
    turned.into()
}
