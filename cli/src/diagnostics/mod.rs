//! What operators look at from outside: metrics of the process itself, what was built, and for processes that serve nothing else a small
//! server for `/metrics`, `/livez` and `/readyz`.

pub(crate) mod build;
mod process;
pub(crate) mod server;

use prometheus_client::registry::Registry;

/// Adds what every process of this binary shows.
pub(crate) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(process::Process));
    build::register(registry);
}
