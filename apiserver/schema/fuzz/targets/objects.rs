//! Objects of built-in kinds, through everything that is done to a body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::{decode_yaml, normalize, unknown_fields};
use schema::defaults::apply_defaults;
use schema::facts;
use schema::model::{GroupVersionKind, Shape, TypeRef};
use schema::validate::{validate, validate_metadata};

fuzz_target!(|body: &[u8]| {
    let Ok(mut object) = decode_yaml(body).map(|read| read.value) else {
        return;
    };
    let text = |key: &str| object[key].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
    };
    let Some(id) = facts::kind(&gvk) else { return };
    let shape = Shape::Struct(id);
    let place = TypeRef {
        types: facts::builtin_types(),
        shape: &shape,
    };
    let _ = unknown_fields(place, &object);
    if normalize(place, &mut object).is_ok() {
        let canonical = object.clone();
        assert!(normalize(place, &mut object).is_ok());
        assert_eq!(object, canonical);
        apply_defaults(place, &mut object, jiff::Timestamp::UNIX_EPOCH);
        let _ = validate_metadata(&gvk, &object);
        let _ = validate(place, &object);
    }
});
