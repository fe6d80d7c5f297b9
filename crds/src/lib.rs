//! The federation's API: names, labels, reasons and quantities, as Karmada writes them on the wire.
//!
//! Start with [`names`] for how objects are called, [`definitions`] for their schemas, [`validate`] for what they may say, [`convert`] for their versions. Never here: I/O, clocks, decisions.

pub mod annotations;
pub mod convert;
mod definitions;
pub mod features;
mod fields;
pub mod finalizers;
pub mod labels;
pub mod manifest;
pub mod names;
pub mod namespaces;
pub mod placement;
pub mod quantity;
pub mod quota;
pub mod reasons;
pub mod taints;
#[cfg(test)]
mod tests;
pub mod validate;

pub use definitions::definitions;
