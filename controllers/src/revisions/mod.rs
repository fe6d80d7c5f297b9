//! A record of each template that a Deployment on the hub has had: ReplicaSets without pods, as a cluster keeps them.
//!
//! `kubectl rollout history` and `undo` and Helm 3's `--wait` read ReplicaSets and nothing else. They cost a write for each
//! Deployment, so that a hub keeps them only when it is told to (`--deployment-revisions`). Never here: pods, and what members run.

pub mod plan;
pub(crate) mod reconcile;
