//! What was built. A development build does not say from which commit: it would have to be built anew after each one.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The commit, or nothing.
pub(crate) const COMMIT: &str = env!("FLOTILLA_GIT_COMMIT");
/// `clean`, `dirty`, or nothing when no commit is named.
pub(crate) const TREE_STATE: &str = env!("FLOTILLA_GIT_TREE_STATE");
/// The time of the commit, so that the same source gives the same program; 1970 when no commit is named.
pub(crate) const DATE: &str = env!("FLOTILLA_BUILD_DATE");

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    git_version: &'static str,
    git_commit: &'static str,
    git_tree_state: &'static str,
    build_date: &'static str,
    compiler: &'static str,
    platform: String,
}

/// Shows `karmada_build_info`.
pub(super) fn register(registry: &mut Registry) {
    let family: Family<Labels, Gauge> = Family::default();
    let labels = Labels {
        git_version: concat!("v", env!("CARGO_PKG_VERSION")),
        git_commit: COMMIT,
        git_tree_state: TREE_STATE,
        build_date: DATE,
        compiler: "rustc",
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
    };
    family.get_or_create(&labels).set(1);
    registry.register("karmada_build_info", "What was built; the value is always 1", family);
}

/// One line for people: the version, and the commit when it is known.
pub(crate) fn line() -> String {
    let version = concat!("flotilla ", env!("CARGO_PKG_VERSION"));
    if COMMIT.is_empty() {
        return version.to_owned();
    }
    let dirty = if TREE_STATE == "clean" { "" } else { ", with changes" };
    let short = COMMIT.get(..12).unwrap_or(COMMIT);
    format!("{version} ({short}{dirty}, {DATE})")
}
