//! JSON bodies: what is read is written and can be read back. Floats may differ in their last bit.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::decode_json;

fuzz_target!(|body: &[u8]| {
    if let Ok(read) = decode_json(body) {
        let written = read.value.to_string();
        let again = decode_json(written.as_bytes()).map(|again| again.value);
        assert!(again.is_ok_and(|again| written.contains(['.', 'e']) || again == read.value));
    }
});
