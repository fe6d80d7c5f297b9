//! Schemas of custom resources, and an object of theirs (the second line).
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::{decode_json, normalize, prune};
use schema::defaults::apply_defaults;
use schema::model::{Shape, TypeRef};
use schema::structural::{check_definition, from_crd_schema};
use schema::validate::validate;
use serde_json::json;

fuzz_target!(|body: &[u8]| {
    let end = body.iter().position(|byte| *byte == b'\n').unwrap_or(body.len());
    let Ok(read) = decode_json(&body[..end]) else { return };
    let _ = check_definition(&json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": read.value.clone()}}]}}));
    let Ok((types, root)) = from_crd_schema(&read.value) else {
        return;
    };
    let shape = Shape::Struct(root);
    let place = TypeRef {
        types: &types,
        shape: &shape,
    };
    let rest = body.get(end + 1..).unwrap_or_default();
    if let Ok(mut object) = decode_json(rest).map(|read| read.value) {
        prune(place, &mut object);
        if normalize(place, &mut object).is_ok() {
            apply_defaults(place, &mut object, jiff::Timestamp::UNIX_EPOCH);
            let _ = validate(place, &object);
        }
    }
});
