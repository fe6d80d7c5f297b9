//! JSON bodies: what is read is written and can be read back the same. Floats may differ in their last bits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::decode_json;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    if let Ok(read) = decode_json(body) {
        let written = read.value.to_string();
        let again = decode_json(written.as_bytes()).map(|again| again.value);
        assert!(again.is_ok_and(|again| same(&again, &read.value)));
    }
});

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= one.abs() * 1e-14
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
        }
        (one, other) => one == other,
    }
}
