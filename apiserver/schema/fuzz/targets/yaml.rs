//! YAML bodies: whatever they say, the value is JSON of a bounded size.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::{decode_json, decode_yaml};

fuzz_target!(|body: &[u8]| {
    if let Ok(read) = decode_yaml(body) {
        let written = read.value.to_string();
        assert!(decode_json(written.as_bytes()).is_ok());
    }
});
