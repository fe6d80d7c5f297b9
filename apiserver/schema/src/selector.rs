//! Label and field selectors: parsing with Kubernetes' validation and texts, and matching.
//!
//! A selector is parsed once per request or per loaded object and then only matched, so the parsed form owns its strings and
//! matching allocates nothing. Start with [`LabelSelector::parse`] and [`FieldSelector::parse`].
//!
//! Never here: which labels a kind allows (that is the resource's data), and reading objects from a store.

mod field;
mod label;
mod names;
#[cfg(test)]
mod tests;

pub use field::{FieldRequirement, FieldSelector, field_part, field_value};
pub use label::{LabelSelector, Operator, Requirement};
pub use names::{label_key_errors, label_value_errors};
