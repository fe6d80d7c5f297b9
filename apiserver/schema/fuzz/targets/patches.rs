//! Patches of every kind, as the second line of the input, on the object of the first.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::decode_json;
use schema::facts::builtin_types;
use schema::model::{Shape, TypeRef};
use schema::patch::Patch;

const TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

fuzz_target!(|body: &[u8]| {
    let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
        return;
    };
    let Ok(current) = decode_json(&body[..end]) else { return };
    let types = builtin_types();
    let Some(pod) = types.find("core.v1.Pod") else { return };
    let shape = Shape::Struct(pod);
    for media_type in TYPES {
        if let Some(Ok(patch)) = Patch::parse(media_type, &body[end + 1..]) {
            let _ = patch.apply(TypeRef { types, shape: &shape }, current.value.clone());
        }
    }
});
