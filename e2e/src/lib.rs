//! What the end-to-end tests and benchmarks share: processes of the real binary, real kubectl, waiting for states.
//!
//! Start with [`federation::Federation`]. Never here: assertions about a scenario; those stand in `tests/it/`.

pub mod assets;
pub mod differential;
pub mod federation;
pub mod kubectl;
pub mod look;
pub mod measure;
pub mod process;
pub mod tools;
pub mod wait;
