//! Config maps and secrets.

use serde_json::Value;

use super::{Found, map, text};
use crate::leaves;
use crate::validate::data_key_problem;

const MAX_DATA: usize = 1024 * 1024;

fn text_size(object: &Value, key: &str) -> usize {
    map(object, key)
        .map(|(_, value)| value.as_str().map_or(0, str::len))
        .sum()
}

/// What base64 stands for.
fn bytes_size(object: &Value, key: &str) -> usize {
    let size = |text: &str| text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count().min(2);
    map(object, key)
        .map(|(_, value)| value.as_str().filter(|text| !text.is_empty()).map_or(0, size))
        .sum()
}

fn data_keys(found: &mut Found, object: &Value, field: &str) {
    for (key, _) in map(object, field) {
        if let Some(problem) = data_key_problem(key) {
            found.invalid(format!("{field}[{key}]"), key.as_str(), problem);
        }
    }
}

pub(super) fn config_map(found: &mut Found, object: &Value) {
    data_keys(found, object, "data");
    data_keys(found, object, "binaryData");
    for (key, _) in map(object, "data").filter(|(key, _)| object["binaryData"].get(*key).is_some()) {
        found.invalid(
            format!("data[{key}]"),
            key.as_str(),
            "duplicate of key present in binaryData",
        );
    }
    if text_size(object, "data") + bytes_size(object, "binaryData") > MAX_DATA {
        // As Kubernetes prints the path to nothing in particular.
        found.too_long("[]".to_owned(), MAX_DATA);
    }
}

pub(super) fn secret(found: &mut Found, object: &Value) {
    data_keys(found, object, "data");
    if bytes_size(object, "data") > MAX_DATA {
        found.too_long("data".to_owned(), MAX_DATA);
    }
    let data = &object["data"];
    let mut require = |key: &str| {
        if data.get(key).is_none_or(|value| key == "ssh-privatekey" && value == "") {
            found.required(format!("data[{key}]"), "");
        }
    };
    match text(object, "type") {
        "kubernetes.io/dockerconfigjson" => registry_login(found, data, ".dockerconfigjson"),
        "kubernetes.io/dockercfg" => registry_login(found, data, ".dockercfg"),
        "kubernetes.io/tls" => {
            require("tls.crt");
            require("tls.key");
        }
        "kubernetes.io/ssh-auth" => {
            require("ssh-privatekey");
        }
        "kubernetes.io/basic-auth" if data.get("username").is_none() && data.get("password").is_none() => {
            require("username");
            require("password");
        }
        "kubernetes.io/service-account-token" => {
            let annotations = &object["metadata"]["annotations"];
            if text(annotations, "kubernetes.io/service-account.name").is_empty() {
                let path = "metadata.annotations[kubernetes.io/service-account.name]";
                found.required(path.to_owned(), "");
            }
        }
        _ => {}
    }
}

/// Logins of container registries are JSON objects. What is in them stays out of the message.
fn registry_login(found: &mut Found, data: &Value, key: &str) {
    let Some(login) = data.get(key) else {
        found.required(format!("data[{key}]"), "");
        return;
    };
    let bytes = leaves::decode_base64(login.as_str().unwrap_or_default()).unwrap_or_default();
    let wrong = |what: &str| format!("json: cannot unmarshal {what} into Go value of type map[string]interface {{}}");
    let problem = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(Value::Array(_)) => wrong("array"),
        Ok(Value::String(_)) => wrong("string"),
        Ok(Value::Number(_)) => wrong("number"),
        Ok(Value::Bool(_)) => wrong("bool"),
        Err(error) if error.is_eof() => "unexpected end of JSON input".to_owned(),
        Err(_) => match bytes.trim_ascii_start().first() {
            Some(first) if !b"{[\"tfn-0123456789".contains(first) => {
                format!(
                    "invalid character '{}' looking for beginning of value",
                    first.escape_ascii()
                )
            }
            _ => "invalid JSON".to_owned(),
        },
    };
    found.invalid(format!("data[{key}]"), "<secret contents redacted>", problem);
}
