//! The questions by name, and which layer answers them (§4.1).

use std::fmt;

use serde_json::Value;

use crate::customize::{Custom, Rules};
use crate::{Interpreter, declared, rules};

/// A question about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Karmada's own")]
pub enum Operation {
    InterpretReplica,
    InterpretComponent,
    ReviseReplica,
    Retain,
    AggregateStatus,
    InterpretStatus,
    InterpretHealth,
    InterpretDependency,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::InterpretReplica,
        Self::InterpretComponent,
        Self::ReviseReplica,
        Self::Retain,
        Self::AggregateStatus,
        Self::InterpretStatus,
        Self::InterpretHealth,
        Self::InterpretDependency,
    ];

    /// As configurations and customizations have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InterpretReplica => "InterpretReplica",
            Self::InterpretComponent => "InterpretComponent",
            Self::ReviseReplica => "ReviseReplica",
            Self::Retain => "Retain",
            Self::AggregateStatus => "AggregateStatus",
            Self::InterpretStatus => "InterpretStatus",
            Self::InterpretHealth => "InterpretHealth",
            Self::InterpretDependency => "InterpretDependency",
        }
    }

    /// The operation of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name)
    }

    /// What the function of a script answers; other functions speak for themselves.
    pub(crate) fn of_function(function: &'static str) -> &'static str {
        let operation = Self::ALL.into_iter().find(|operation| operation.function() == function);
        operation.map_or(function, Self::as_str)
    }

    /// The function of a script that answers.
    pub fn function(self) -> &'static str {
        match self {
            Self::InterpretReplica => "GetReplicas",
            Self::InterpretComponent => "GetComponents",
            Self::InterpretStatus => "ReflectStatus",
            Self::InterpretDependency => "GetDependencies",
            same => same.as_str(),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Who answers a question about a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// Scripts of users, by the names of their customizations; several only for dependencies.
    Customizations(Vec<String>),
    /// A rule that ships as data, in this file of `interpreter/rules`.
    Data(&'static str),
    /// A rule that is built in.
    BuiltIn,
    /// The common conventions of generations and conditions.
    Conventions,
    /// The whole status travels.
    Whole,
    /// It counts as healthy wherever it is.
    Healthy,
    /// Nobody: the kind has no such thing.
    Nobody,
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customizations(names) => write!(formatter, "ResourceInterpreterCustomization {}", names.join(", ")),
            Self::Data(file) => write!(formatter, "rules that ship ({file})"),
            Self::BuiltIn => formatter.write_str("built in"),
            Self::Conventions => formatter.write_str("common conventions of status"),
            Self::Whole => formatter.write_str("the whole status"),
            Self::Healthy => formatter.write_str("always healthy"),
            Self::Nobody => formatter.write_str("-"),
        }
    }
}

impl Interpreter {
    /// Whether a script of a user answers this question about an object: then nobody else is asked.
    pub fn customizes(&self, object: &Value, operation: Operation) -> bool {
        let customized = self.customizations();
        customized
            .of(object)
            .is_some_and(|rules| !scripts(rules, operation).is_empty())
    }

    /// Who answers this question about an object's kind. Webhooks are not known here: they come after customizations.
    pub fn layer(&self, object: &Value, operation: Operation) -> Layer {
        let customized = self.customizations();
        let scripts = customized
            .of(object)
            .map(|rules| scripts(rules, operation))
            .unwrap_or_default();
        if !scripts.is_empty() {
            return Layer::Customizations(scripts.into_iter().map(|script| script.name().to_owned()).collect());
        }
        let data = declared::of(object);
        let native = rules::of(object).filter(|_| data.is_none());
        if let Some(rule) = data.filter(|rule| rule.answers(operation)) {
            return Layer::Data(rule.file());
        }
        if native.is_some_and(|rule| rule.answers(operation)) {
            return Layer::BuiltIn;
        }
        match operation {
            Operation::InterpretStatus => Layer::Whole,
            Operation::InterpretHealth if native.is_some() => Layer::Healthy,
            Operation::InterpretHealth => Layer::Conventions,
            _ => Layer::Nobody,
        }
    }
}

fn scripts(rules: &Rules, operation: Operation) -> Vec<&Custom> {
    let one = match operation {
        Operation::InterpretReplica => &rules.replicas,
        Operation::InterpretComponent => &rules.components,
        Operation::ReviseReplica => &rules.revise,
        Operation::Retain => &rules.retain,
        Operation::AggregateStatus => &rules.aggregate,
        Operation::InterpretStatus => &rules.reflect,
        Operation::InterpretHealth => &rules.health,
        Operation::InterpretDependency => return rules.dependencies.iter().collect(),
    };
    one.iter().collect()
}
