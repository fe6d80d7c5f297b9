//! Label and field selectors: what is understood is written and understood the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::selector::{FieldSelector, LabelSelector};

fuzz_target!(|text: &str| {
    if let Ok(selector) = LabelSelector::parse(text) {
        let written = selector.to_string();
        // One empty value is written like none, in Kubernetes too.
        if !written.contains("()") {
            assert_eq!(LabelSelector::parse(&written), Ok(selector));
        }
    }
    let _ = FieldSelector::parse(text, &["metadata.name", "spec.nodeName"]);
});
