//! The questions by name, and which layer answers them (§4.1).

use std::fmt;

use serde_json::Value;

use crate::Interpreter;

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

impl Interpreter {
    /// Whether a script of a user answers this question about an object: then nobody else is asked.
    pub fn customizes(&self, object: &Value, operation: Operation) -> bool {
        let customized = self.customizations();
        customized.of(object).is_some_and(|rules| match operation {
            Operation::InterpretReplica => rules.replicas.is_some(),
            Operation::InterpretComponent => rules.components.is_some(),
            Operation::ReviseReplica => rules.revise.is_some(),
            Operation::Retain => rules.retain.is_some(),
            Operation::AggregateStatus => rules.aggregate.is_some(),
            Operation::InterpretStatus => rules.reflect.is_some(),
            Operation::InterpretHealth => rules.health.is_some(),
            Operation::InterpretDependency => !rules.dependencies.is_empty(),
        })
    }
}
