//! Member clusters inside one process: the API server with an in-memory store, workload controllers, nodes with capacity.
//!
//! Start with [`Member`]; [`Engine`] is its loop, whose nodes can also stand in for kubelets beside a real control plane.
//!
//! Never here: anything of the federation. A member does not know that it is one.

mod engine;
mod kubelet;
mod member;
mod workloads;

pub use engine::{Engine, EngineConfig};
pub use kubelet::NodeShape;
pub use member::{Member, MemberError, MemberParts};
