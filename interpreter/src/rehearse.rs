//! One question asked for a person who writes a rule: from objects in files to an answer that can be read.

use serde_json::{Value, json};

use crate::{ClusterStatus, InterpretError, Interpreter, Operation};

/// What a question is about.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// The object as the hub has it.
    pub desired: Option<Value>,
    /// The object as a member has it.
    pub observed: Option<Value>,
    /// What clusters report, as a binding's `status.aggregatedStatus` has it.
    pub statuses: Vec<Value>,
    /// The replicas that are wanted.
    pub replicas: Option<i64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RehearsalError {
    /// The question needs more than was given.
    #[error("{0} needs {1}")]
    Missing(Operation, &'static str),
    /// The rule failed.
    #[error(transparent)]
    Failed(#[from] InterpretError),
}

impl Interpreter {
    /// Asks one question.
    pub fn rehearse(&self, operation: Operation, given: &Rehearsal) -> Result<Value, RehearsalError> {
        let missing = |what| RehearsalError::Missing(operation, what);
        let desired = || given.desired.as_ref().ok_or(missing("a desired object"));
        let observed = || given.observed.as_ref().ok_or(missing("an observed object"));
        let either = || given.desired.as_ref().or(given.observed.as_ref());
        let either = || either().ok_or(missing("a desired or an observed object"));
        Ok(match operation {
            Operation::InterpretReplica => match self.replicas(either()?)? {
                None => Value::Null,
                Some(replicas) => {
                    let mut answer = json!({"replica": replicas.count});
                    if let Some(requirements) = replicas.requirements {
                        answer["requires"] = requirements;
                    }
                    answer
                }
            },
            Operation::InterpretComponent => json!({"components": self.components(either()?)?}),
            Operation::ReviseReplica => {
                let mut object = desired()?.clone();
                let replicas = given.replicas.ok_or(missing("the desired replicas"))?;
                self.revise_replicas(&mut object, replicas)?;
                object
            }
            Operation::Retain => self.retain(desired()?.clone(), observed()?)?,
            Operation::AggregateStatus => {
                let mut object = desired()?.clone();
                let items: Vec<ClusterStatus> = given.statuses.iter().map(ClusterStatus::from_value).collect();
                if let Some(status) = self.aggregate_status(&object, &items)? {
                    object["status"] = status;
                }
                object
            }
            Operation::InterpretStatus => json!({"status": self.reflect_status(observed()?)?}),
            Operation::InterpretHealth => json!({"health": self.interpret_health(observed()?)?.as_str()}),
            Operation::InterpretDependency => json!({"dependencies": self.dependencies(either()?)?}),
        })
    }
}

impl ClusterStatus {
    /// As a binding has it.
    fn from_value(item: &Value) -> Self {
        let text = |field: &str| item[field].as_str().unwrap_or_default().to_owned();
        Self {
            cluster: text("clusterName"),
            status: item.get("status").filter(|status| !status.is_null()).cloned(),
            applied: item["applied"] == true,
            applied_message: text("appliedMessage"),
            health: text("health"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i64) -> Value {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "d", "generation": 1},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "c", "envFrom": [
                {"configMapRef": {"name": "settings"}}]}]}}},
            "status": {"replicas": replicas, "observedGeneration": 1},
        })
    }

    #[track_caller]
    fn check(operation: Operation, given: &Rehearsal, path: &str, expected: &Value) {
        let answer = Interpreter::default().rehearse(operation, given).unwrap();
        assert_eq!(answer.pointer(path), Some(expected), "{operation}: {answer}");
    }

    #[test]
    fn every_operation_can_be_rehearsed() {
        let given = Rehearsal {
            desired: Some(deployment(3)),
            observed: Some(deployment(2)),
            statuses: vec![
                json!({"clusterName": "eu", "status": {"replicas": 2}}),
                json!({"clusterName": "us", "status": {"replicas": 5}}),
            ],
            replicas: Some(7),
        };
        check(Operation::InterpretReplica, &given, "/replica", &json!(3));
        check(Operation::InterpretComponent, &given, "/components", &Value::Null);
        check(Operation::ReviseReplica, &given, "/spec/replicas", &json!(7));
        check(Operation::Retain, &given, "/spec/replicas", &json!(3));
        check(Operation::AggregateStatus, &given, "/status/replicas", &json!(7));
        check(Operation::InterpretStatus, &given, "/status/replicas", &json!(2));
        check(Operation::InterpretHealth, &given, "/health", &json!("Unhealthy"));
        check(
            Operation::InterpretDependency,
            &given,
            "/dependencies/0/name",
            &json!("settings"),
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        for operation in Operation::ALL {
            let error = Interpreter::default().rehearse(operation, &Rehearsal::default());
            let text = error.unwrap_err().to_string();
            assert!(text.starts_with(&format!("{operation} needs ")), "{text}");
        }
    }
}
