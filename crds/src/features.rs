//! Feature gates, under Karmada's names and with its defaults (§9.1), as `--feature-gates` sets them.
//!
//! Start with [`Features::parse`]. A gate that nothing reads yet is accepted all the same: flags of an installation carry over.

use std::fmt;

/// What a gate is for. The names are Karmada's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are Karmada's own")]
pub enum Gate {
    Failover,
    GracefulEviction,
    PropagateDeps,
    CustomizedClusterResourceModeling,
    PropagationPolicyPreemption,
    MultiClusterService,
    ResourceQuotaEstimate,
    StatefulFailoverInjection,
    PriorityBasedScheduling,
    FederatedQuotaEnforcement,
    MultiplePodTemplatesScheduling,
    ControllerPriorityQueue,
    WorkloadAffinity,
    SchedulingOvercommitProtection,
    LoggingAlphaOptions,
    LoggingBetaOptions,
    ContextualLogging,
}

/// How far a gate has come; `AllAlpha` and `AllBeta` set all gates of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Alpha,
    Beta,
}

/// Gate, name, default, stage: in the order of [`Gate`], whose values index this table.
const GATES: [(Gate, &str, bool, Stage); 17] = [
    (Gate::Failover, "Failover", false, Stage::Beta),
    (Gate::GracefulEviction, "GracefulEviction", true, Stage::Beta),
    (Gate::PropagateDeps, "PropagateDeps", true, Stage::Beta),
    (
        Gate::CustomizedClusterResourceModeling,
        "CustomizedClusterResourceModeling",
        true,
        Stage::Beta,
    ),
    (
        Gate::PropagationPolicyPreemption,
        "PropagationPolicyPreemption",
        false,
        Stage::Alpha,
    ),
    (Gate::MultiClusterService, "MultiClusterService", false, Stage::Alpha),
    (
        Gate::ResourceQuotaEstimate,
        "ResourceQuotaEstimate",
        false,
        Stage::Alpha,
    ),
    (
        Gate::StatefulFailoverInjection,
        "StatefulFailoverInjection",
        false,
        Stage::Alpha,
    ),
    (
        Gate::PriorityBasedScheduling,
        "PriorityBasedScheduling",
        true,
        Stage::Beta,
    ),
    (
        Gate::FederatedQuotaEnforcement,
        "FederatedQuotaEnforcement",
        false,
        Stage::Alpha,
    ),
    (
        Gate::MultiplePodTemplatesScheduling,
        "MultiplePodTemplatesScheduling",
        false,
        Stage::Alpha,
    ),
    (
        Gate::ControllerPriorityQueue,
        "ControllerPriorityQueue",
        true,
        Stage::Beta,
    ),
    (Gate::WorkloadAffinity, "WorkloadAffinity", false, Stage::Alpha),
    (
        Gate::SchedulingOvercommitProtection,
        "SchedulingOvercommitProtection",
        false,
        Stage::Alpha,
    ),
    (Gate::LoggingAlphaOptions, "LoggingAlphaOptions", false, Stage::Alpha),
    (Gate::LoggingBetaOptions, "LoggingBetaOptions", true, Stage::Beta),
    (Gate::ContextualLogging, "ContextualLogging", true, Stage::Beta),
];

/// Gates that nothing reads, and why.
const IDLE: [(Gate, &str); 6] = [
    (Gate::Failover, "taints of clusters evict nothing yet"),
    (Gate::MultiClusterService, "nothing acts on multi-cluster services yet"),
    (Gate::ControllerPriorityQueue, "every queue knows priorities"),
    (Gate::LoggingAlphaOptions, "--log says what is logged"),
    (Gate::LoggingBetaOptions, "--log says what is logged"),
    (Gate::ContextualLogging, "every log line has its context"),
];

/// Why a gate of this name has no effect here; `None` for those that have one.
pub fn idle(name: &str) -> Option<&'static str> {
    let (gate, ..) = GATES.iter().find(|(_, known, _, _)| *known == name)?;
    IDLE.iter().find(|(idle, _)| idle == gate).map(|(_, why)| *why)
}

/// Which gates are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features(u32);

impl Default for Features {
    fn default() -> Self {
        let mut features = Self(0);
        for (gate, _, on, _) in GATES {
            features.set(gate, on);
        }
        features
    }
}

/// Why a list of gates cannot be read; the texts are those of Kubernetes' components.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeatureError {
    /// An entry without `=`.
    #[error("missing bool value for {0}")]
    MissingValue(String),
    /// The value is not a boolean.
    #[error("invalid value of {name}={value}, err: strconv.ParseBool: parsing \"{value}\": invalid syntax")]
    NotABool {
        /// The gate.
        name: String,
        /// What stands where a boolean should.
        value: String,
    },
    /// No gate has this name.
    #[error("unrecognized feature gate: {0}")]
    Unknown(String),
}

impl Features {
    /// Reads `Name=true,Other=false` on top of the defaults. A named gate beats `AllAlpha` and `AllBeta`, wherever they stand.
    pub fn parse(text: &str) -> Result<Self, FeatureError> {
        let mut features = Self::default();
        let mut named = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let Some((name, value)) = entry.split_once('=') else {
                return Err(FeatureError::MissingValue(entry.to_owned()));
            };
            let (name, value) = (name.trim(), value.trim());
            let on = match value {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "F" | "false" | "FALSE" | "False" => false,
                _ => {
                    let (name, value) = (name.to_owned(), value.to_owned());
                    return Err(FeatureError::NotABool { name, value });
                }
            };
            let stage = match name {
                "AllAlpha" => Stage::Alpha,
                "AllBeta" => Stage::Beta,
                _ => match GATES.iter().find(|(_, known, _, _)| *known == name) {
                    Some((gate, _, _, _)) => {
                        named.push((*gate, on));
                        continue;
                    }
                    None => return Err(FeatureError::Unknown(name.to_owned())),
                },
            };
            for (gate, _, _, _) in GATES.iter().filter(|(_, _, _, known)| *known == stage) {
                features.set(*gate, on);
            }
        }
        for (gate, on) in named {
            features.set(gate, on);
        }
        Ok(features)
    }

    /// Whether a gate is on.
    pub fn on(self, gate: Gate) -> bool {
        self.0 & bit(gate) != 0
    }

    /// Gates that were turned and have no effect, each with the reason.
    pub fn turned_in_vain(self) -> Vec<(&'static str, &'static str)> {
        let turned = GATES.into_iter().filter(|(gate, _, on, _)| self.on(*gate) != *on);
        turned.filter_map(|(_, name, _, _)| Some((name, idle(name)?))).collect()
    }

    /// The same with a gate turned.
    #[must_use]
    pub fn with(mut self, gate: Gate, on: bool) -> Self {
        self.set(gate, on);
        self
    }

    fn set(&mut self, gate: Gate, on: bool) {
        if on {
            self.0 |= bit(gate);
        } else {
            self.0 &= !bit(gate);
        }
    }
}

impl std::str::FromStr for Features {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        Self::parse(text)
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gates = GATES
            .iter()
            .map(|(gate, name, _, _)| format!("{name}={}", self.on(*gate)));
        f.write_str(&gates.collect::<Vec<_>>().join(","))
    }
}

fn bit(gate: Gate) -> u32 {
    1 << gate as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, gate: Gate, expected: bool) {
        assert_eq!(Features::parse(text).unwrap().on(gate), expected, "{text}");
    }

    #[test]
    fn section_9_1_defaults_and_settings() {
        for (gate, name, on, _) in GATES {
            check("", gate, on);
            check(&format!("{name}={}", !on), gate, !on);
        }
        check("AllAlpha=true", Gate::PropagationPolicyPreemption, true);
        check("AllAlpha=true", Gate::Failover, false);
        check("AllBeta=false", Gate::PropagateDeps, false);
        check("PropagateDeps=true,AllBeta=0", Gate::PropagateDeps, true);
        check(" Failover = T , ", Gate::Failover, true);
    }

    #[test]
    fn section_9_1_what_has_no_effect_says_so() {
        let vain = |text: &str| Features::parse(text).unwrap().turned_in_vain();
        assert_eq!(vain(""), []);
        assert_eq!(vain("PropagateDeps=false,Failover=false"), []);
        assert_eq!(
            vain("Failover=true"),
            [("Failover", "taints of clusters evict nothing yet")]
        );
        assert_eq!(vain("GracefulEviction=false"), []);
        assert!(
            vain("AllAlpha=true")
                .iter()
                .any(|(name, _)| *name == "MultiClusterService")
        );
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let error = |text: &str| Features::parse(text).unwrap_err().to_string();
        assert_eq!(error("Failover"), "missing bool value for Failover");
        assert_eq!(error("Nonsense=true"), "unrecognized feature gate: Nonsense");
        assert_eq!(
            error("Failover=yes"),
            "invalid value of Failover=yes, err: strconv.ParseBool: parsing \"yes\": invalid syntax"
        );
    }

    #[test]
    fn what_is_shown_can_be_read() {
        let features = Features::default().with(Gate::Failover, true);
        assert_eq!(Features::parse(&features.to_string()), Ok(features));
    }
}
