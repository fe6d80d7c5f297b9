//! CEL: an expression on the first line, the object it looks at on the second. What it may cost is its bound.
#![no_main]

use std::sync::{Arc, OnceLock};

use libfuzzer_sys::fuzz_target;
use schema::cel::rules::{Validator, check};
use schema::cel::{Budget, CelValue, Decl, DeclKind, Environment, Program};
use schema::decode::decode_json;
use serde_json::{Value, json};

const BUDGET: u64 = 5_000;

fn untyped() -> &'static Environment {
    static KNOWN: OnceLock<Environment> = OnceLock::new();
    KNOWN.get_or_init(|| {
        let any: Arc<Decl> = Decl::new(DeclKind::Dyn);
        Environment::new().with("self", Arc::clone(&any)).with("oldSelf", any)
    })
}

fn schema_with(rule: &str) -> Value {
    json!({"type": "object", "x-kubernetes-validations": [{"rule": rule, "messageExpression": rule, "optionalOldSelf": true}], "properties": {
        "text": {"type": "string", "maxLength": 10}, "number": {"type": "integer"}, "part": {"x-kubernetes-int-or-string": true},
        "list": {"type": "array", "maxItems": 5, "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        "map": {"type": "object", "additionalProperties": {"type": "number"}},
        "time": {"type": "string", "format": "date-time"}, "span": {"type": "string", "format": "duration"}}})
}

fuzz_target!(|body: &[u8]| {
    let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
    let Ok(source) = std::str::from_utf8(&body[..end]) else { return };
    let data = decode_json(body.get(end + 1..).unwrap_or_default()).map_or(Value::Null, |read| read.value);
    if let Ok(program) = Program::compile(source, untyped()) {
        let variables = ["self", "oldSelf"].map(|name| (name, CelValue::from_json(&data, None)));
        let (result, cost) = program.run(variables, Budget { cost: BUDGET });
        // One call may be charged before it is known to be too much.
        assert!(cost <= BUDGET || result.is_err());
    }
    let schema = schema_with(source);
    let _ = check(&schema, "schema");
    if let Some(rules) = Validator::compile(&schema) {
        let _ = rules.validate(&data, Some(&data));
    }
});
