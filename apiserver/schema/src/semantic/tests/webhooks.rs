//! Webhook configurations.

use serde_json::{Value, json};

use super::check;

const VALIDATING: (&str, &str, &str) = ("admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration");
const MUTATING: (&str, &str, &str) = ("admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration");

fn webhook(change: impl FnOnce(&mut Value)) -> Value {
    let mut webhook = json!({
        "name": "hook.example.com",
        "clientConfig": {"url": "https://example.com/hook"},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    });
    change(&mut webhook);
    webhook
}

fn configuration(webhooks: &[Value]) -> Value {
    json!({"metadata": {"name": "c"}, "webhooks": webhooks})
}

/// What is wrong with one webhook; paths without `webhooks[0].`.
fn one(change: impl FnOnce(&mut Value), expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|text| format!("webhooks[0].{text}")).collect();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    let configuration = configuration(&[webhook(change)]);
    check(VALIDATING, configuration.clone(), &expected);
    check(MUTATING, configuration, &expected);
}

#[test]
fn webhooks_have_full_names_once() {
    one(|_| {}, &[]);
    one(|hook| hook["name"] = json!(""), &["name: Required value"]);
    one(
        |hook| hook["name"] = json!("a.b"),
        &["name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots"],
    );
    let twice = configuration(&[webhook(|_| {}), webhook(|_| {})]);
    check(
        VALIDATING,
        twice,
        &["webhooks[1].name: Duplicate value: \"hook.example.com\""],
    );
}

#[test]
fn webhooks_say_what_they_can_do() {
    one(
        |hook| hook["sideEffects"] = Value::Null,
        &["sideEffects: Required value: must specify one of None, NoneOnDryRun"],
    );
    one(
        |hook| hook["sideEffects"] = json!("Some"),
        &["sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\""],
    );
    for seconds in [0, 31] {
        let text =
            format!("timeoutSeconds: Invalid value: {seconds}: the timeout value must be between 1 and 30 seconds");
        one(|hook| hook["timeoutSeconds"] = json!(seconds), &[&text]);
    }
    one(
        |hook| hook["admissionReviewVersions"] = json!([]),
        &["admissionReviewVersions: Required value: must specify one of v1, v1beta1"],
    );
    one(
        |hook| hook["admissionReviewVersions"] = json!(["v2", "v2"]),
        &[
            "admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
            "admissionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1",
        ],
    );
    one(
        |hook| hook["failurePolicy"] = json!("Maybe"),
        &["failurePolicy: Unsupported value: \"Maybe\": supported values: \"Fail\", \"Ignore\""],
    );
    check(
        MUTATING,
        configuration(&[webhook(|hook| hook["reinvocationPolicy"] = json!("Often"))]),
        &["webhooks[0].reinvocationPolicy: Unsupported value: \"Often\": supported values: \"IfNeeded\", \"Never\""],
    );
}

#[test]
fn rules_name_what_there_is_without_overlap() {
    let rule = |field: &str, value: Value, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|text| format!("rules[0].{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        one(|hook| hook["rules"][0][field] = value, &expected);
    };
    rule("operations", json!([]), &["operations: Required value"]);
    rule(
        "operations",
        json!(["*", "CREATE"]),
        &["operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify other operations"],
    );
    rule(
        "operations",
        json!(["PATCH"]),
        &[
            "operations[0]: Unsupported value: \"PATCH\": supported values: \"*\", \"CONNECT\", \"CREATE\", \"DELETE\", \"UPDATE\"",
        ],
    );
    rule("apiGroups", json!([]), &["apiGroups: Required value"]);
    rule(
        "apiGroups",
        json!(["a", "*"]),
        &["apiGroups: Invalid value: [\"a\",\"*\"]: if '*' is present, must not specify other API groups"],
    );
    rule("apiVersions", json!([""]), &["apiVersions[0]: Required value"]);
    rule("resources", json!([]), &["resources: Required value"]);
    rule("resources", json!(["*", "pods/log", "*/status"]), &[]);
    rule(
        "resources",
        json!(["*", "pods"]),
        &[
            "resources: Invalid value: [\"*\",\"pods\"]: if '*' is present, must not specify other resources without subresources",
        ],
    );
    rule(
        "resources",
        json!(["*/*", "pods"]),
        &["resources: Invalid value: [\"*/*\",\"pods\"]: if '*/*' is present, must not specify other resources"],
    );
    rule(
        "resources",
        json!(["pods/*", "pods/log"]),
        &["resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify pods/log"],
    );
    rule(
        "resources",
        json!(["*/status", "pods/status"]),
        &["resources[1]: Invalid value: \"pods/status\": if '*/status' is present, must not specify pods/status"],
    );
    rule(
        "scope",
        json!("Galaxy"),
        &["scope: Unsupported value: \"Galaxy\": supported values: \"*\", \"Cluster\", \"Namespaced\""],
    );
}

#[test]
fn a_webhook_is_at_one_place() {
    let client = |client: Value, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|text| format!("clientConfig{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        one(|hook| hook["clientConfig"] = client, &expected);
    };
    let url = |url: &str, expected: &[&str]| client(json!({"url": url}), expected);
    let neither = [": Required value: exactly one of url or service is required"];
    client(json!({}), &neither);
    client(
        json!({"url": "https://a", "service": {"namespace": "n", "name": "s"}}),
        &neither,
    );
    url("https://[::1]:8443/a/b", &[]);
    url(
        "http://a",
        &[".url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"],
    );
    url(
        "https:///a",
        &[".url: Invalid value: \"\": host must be specified; desired format: https://host[/path]"],
    );
    url(
        "https://u@a?b=c#d",
        &[
            ".url: Invalid value: \"u\": user information is not permitted in the URL",
            ".url: Invalid value: \"d\": fragments are not permitted in the URL",
            ".url: Invalid value: \"b=c\": query parameters are not permitted in the URL",
        ],
    );
    url(
        "://example.com",
        &[
            ".url: Required value: url must be a valid URL: parse \"://example.com\": missing protocol scheme; desired format: https://host[/path]",
        ],
    );
    url(
        "https://a:b/",
        &[
            ".url: Required value: url must be a valid URL: parse \"https://a:b/\": invalid port \":b\" after host; desired format: https://host[/path]",
        ],
    );
    let service = |more: Value, expected: &[&str]| {
        let mut service = json!({"namespace": "n", "name": "s"});
        for (field, value) in more.as_object().unwrap() {
            service[field] = value.clone();
        }
        let expected: Vec<String> = expected.iter().map(|text| format!(".service.{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        client(json!({"service": service}), &expected);
    };
    service(json!({"path": "/a/b/"}), &[]);
    service(json!({"name": ""}), &["name: Required value: service name is required"]);
    service(
        json!({"namespace": ""}),
        &["namespace: Required value: service namespace is required"],
    );
    service(
        json!({"port": 70000}),
        &["port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive"],
    );
    service(
        json!({"path": "a"}),
        &["path: Invalid value: \"a\": must start with a '/'"],
    );
    service(
        json!({"path": "//"}),
        &["path: Invalid value: \"//\": segment[0] may not be empty"],
    );
    service(
        json!({"path": "/a//b"}),
        &["path: Invalid value: \"/a//b\": segment[1] may not be empty"],
    );
}

#[test]
fn conditions_have_names_and_expressions() {
    let conditions = |list: Value, expected: &[&str]| {
        let expected: Vec<String> = expected.iter().map(|text| format!("matchConditions{text}")).collect();
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        one(|hook| hook["matchConditions"] = list, &expected);
    };
    let condition = |name: &str| json!({"name": name, "expression": "true"});
    conditions(json!([condition("a"), condition("a.b/c")]), &[]);
    conditions(
        json!([{"name": "", "expression": ""}]),
        &["[0].name: Required value", "[0].expression: Required value"],
    );
    conditions(
        json!([condition("a"), condition("a")]),
        &["[1].name: Duplicate value: \"a\""],
    );
    let expression = |text: &str, expected: &[&str]| {
        conditions(json!([{"name": "a", "expression": text}]), expected);
    };
    expression(
        "request.operation == 'CREATE' && object.metadata.name.startsWith('a')",
        &[],
    );
    expression("6", &["[0].expression: Invalid value: \"6\": must evaluate to bool"]);
    expression(
        "object.spec",
        &["[0].expression: Invalid value: \"object.spec\": must evaluate to bool"],
    );
    expression(
        "request.nothing == 1",
        &[
            "[0].expression: Invalid value: \"request.nothing == 1\": compilation failed: ERROR: <input>:1:8: undefined field \
           'nothing'\n | request.nothing == 1\n | .......^",
        ],
    );
    let many: Vec<Value> = (0..65).map(|index| condition(&format!("c{index}"))).collect();
    conditions(json!(many), &[": Too many: 65: must have at most 64 items"]);
}
