//! Field sets and lists of owners, and an apply on an object that has them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::apply::{ApplyInput, FieldSet, ManagedFields, Writer, apply};
use schema::decode::decode_json;
use schema::facts::builtin_types;
use schema::model::{Shape, TypeRef};
use serde_json::json;

fuzz_target!(|body: &[u8]| {
    let Ok(read) = decode_json(body) else { return };
    let _ = FieldSet::from_json(&read.value);
    let _ = ManagedFields::parse_strictly(read.value.clone());
    let types = builtin_types();
    let Some(pod) = types.find("core.v1.Pod") else { return };
    let shape = Shape::Struct(pod);
    let live = json!({"metadata": {"name": "p", "managedFields": read.value.clone()}, "spec": {"containers": [{"name": "c"}]}});
    for force in [false, true] {
        let writer = Writer {
            manager: "m",
            api_version: "v1",
            subresource: "",
            now: jiff::Timestamp::UNIX_EPOCH,
            strip: None,
        };
        let _ = apply(ApplyInput {
            types: TypeRef { types, shape: &shape },
            live: Some(&live),
            config: read.value.clone(),
            writer,
            force,
        });
    }
});
