//! How the scheduler is set up: which plugins run, and what else an administrator may choose.
//!
//! Start with [`Options`]. It travels with the [`Snapshot`](crate::Snapshot), so that whoever asks what would be gets the answer that
//! would be given.

use std::str::FromStr;

/// A filter, or the one score. The names are Karmada's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Karmada's own")]
pub enum Plugin {
    ApiEnablement,
    TaintToleration,
    ClusterAffinity,
    SpreadConstraint,
    ClusterLocality,
    ClusterEviction,
    WorkloadAffinity,
    WorkloadAntiAffinity,
}

impl Plugin {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::ApiEnablement,
        Self::TaintToleration,
        Self::ClusterAffinity,
        Self::SpreadConstraint,
        Self::ClusterLocality,
        Self::ClusterEviction,
        Self::WorkloadAffinity,
        Self::WorkloadAntiAffinity,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiEnablement => "APIEnablement",
            Self::TaintToleration => "TaintToleration",
            Self::ClusterAffinity => "ClusterAffinity",
            Self::SpreadConstraint => "SpreadConstraint",
            Self::ClusterLocality => "ClusterLocality",
            Self::ClusterEviction => "ClusterEviction",
            Self::WorkloadAffinity => "WorkloadAffinity",
            Self::WorkloadAntiAffinity => "WorkloadAntiAffinity",
        }
    }
}

/// Which plugins run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plugins(u8);

impl Default for Plugins {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

/// Why a list of plugins cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown plugin {0:?}: expected `*` or names, each with a `-` in front to turn it off, of {names}", names = names())]
pub struct UnknownPlugin(String);

fn names() -> String {
    Plugin::ALL.map(Plugin::name).join(", ")
}

impl Plugins {
    /// Whether a plugin runs.
    pub fn on(self, plugin: Plugin) -> bool {
        self.0 & (1 << plugin as u8) != 0
    }
}

/// `*,-ClusterLocality`: `*` are all that are not named, a name turns one on, a name after `-` turns it off; the first mention counts.
impl FromStr for Plugins {
    type Err = UnknownPlugin;

    fn from_str(text: &str) -> Result<Self, UnknownPlugin> {
        let words = || text.split(',').map(str::trim).filter(|word| !word.is_empty());
        for word in words() {
            let name = word.strip_prefix('-').unwrap_or(word);
            if word != "*" && Plugin::ALL.iter().all(|plugin| plugin.name() != name) {
                return Err(UnknownPlugin(word.to_owned()));
            }
        }
        let rest = words().any(|word| word == "*");
        let mut plugins = Self(0);
        for plugin in Plugin::ALL {
            let said = words().find(|word| word.strip_prefix('-').unwrap_or(word) == plugin.name());
            if said.map_or(rest, |word| !word.starts_with('-')) {
                plugins.0 |= 1 << plugin as u8;
            }
        }
        Ok(plugins)
    }
}

/// What an administrator chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Which plugins run.
    pub plugins: Plugins,
    /// Clusters that were selected and got no replicas get the workload all the same, with none.
    pub empty_workloads: bool,
    /// Quotas of members bound how much room they have.
    pub quotas: bool,
    /// Resource models say nothing of the room of clusters.
    pub no_models: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[Plugin]) {
        let plugins: Plugins = text.parse().unwrap();
        let on: Vec<Plugin> = Plugin::ALL.into_iter().filter(|plugin| plugins.on(*plugin)).collect();
        assert_eq!(on, expected, "{text:?}");
    }

    #[test]
    fn section_3_3_lists_of_plugins() {
        check("*", &Plugin::ALL);
        check("", &[]);
        check(
            "ClusterAffinity, APIEnablement",
            &[Plugin::ApiEnablement, Plugin::ClusterAffinity],
        );
        check("*,-ClusterLocality", &[&Plugin::ALL[..4], &Plugin::ALL[5..]].concat());
        check("-ClusterLocality,*", &[&Plugin::ALL[..4], &Plugin::ALL[5..]].concat());
        check("-ClusterLocality", &[]);
        check("ClusterEviction,-ClusterEviction", &[Plugin::ClusterEviction]);
        let wrong = "*,-Foo".parse::<Plugins>().unwrap_err().to_string();
        assert!(
            wrong.starts_with("unknown plugin \"-Foo\"") && wrong.contains("APIEnablement"),
            "{wrong}"
        );
        assert_eq!(Plugins::default(), "*".parse().unwrap());
    }
}
