//! Which actions the conditions of a cluster call for. Pure.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use crate::conditions;

/// A `Remedy` as far as it decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Remedy {
    spec: Spec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    cluster_affinity: Option<Affinity>,
    decision_matches: Vec<Decision>,
    actions: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    cluster_names: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Decision {
    cluster_condition_match: Option<Match>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Match {
    condition_type: String,
    operator: String,
    condition_status: String,
}

impl Remedy {
    fn targets(&self, cluster: &str) -> bool {
        let affinity = self.spec.cluster_affinity.as_ref();
        affinity.is_none_or(|affinity| affinity.cluster_names.iter().any(|name| name == cluster))
    }

    fn triggers(&self, cluster: &Value) -> bool {
        let matches = &self.spec.decision_matches;
        matches.is_empty()
            || matches.iter().any(|decision| {
                let wanted = decision.cluster_condition_match.as_ref();
                wanted.is_some_and(|wanted| wanted.holds(cluster))
            })
    }
}

impl Match {
    fn holds(&self, cluster: &Value) -> bool {
        let Some(condition) = conditions::find(cluster, &self.condition_type) else {
            return false;
        };
        let equal = condition["status"] == self.condition_status.as_str();
        match self.operator.as_str() {
            "Equal" => equal,
            "NotEqual" => !equal,
            _ => false,
        }
    }
}

/// The actions of all remedies that apply to a cluster, sorted, each once.
pub fn actions(name: &str, cluster: &Value, remedies: &[Remedy]) -> Vec<String> {
    let applying = remedies
        .iter()
        .filter(|remedy| remedy.targets(name) && remedy.triggers(cluster));
    let actions: BTreeSet<&String> = applying.flat_map(|remedy| &remedy.spec.actions).collect();
    actions.into_iter().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(remedies: Value, expected: &[&str]) {
        let remedies: Vec<Remedy> = serde_json::from_value(remedies.clone()).unwrap();
        let cluster = json!({"status": {"conditions": [{"type": "Dns", "status": "False"}]}});
        assert_eq!(actions("eu", &cluster, &remedies), expected, "{remedies:?}");
    }

    #[test]
    fn section_3_14_actions_by_condition() {
        let when = |kind: &str, operator: &str, status: &str| json!({"clusterConditionMatch": {"conditionType": kind, "operator": operator, "conditionStatus": status}});
        let remedy = |names: Option<&[&str]>, matches: Vec<Value>, actions: &[&str]| {
            let mut spec = json!({"decisionMatches": matches, "actions": actions});
            if let Some(names) = names {
                spec["clusterAffinity"] = json!({"clusterNames": names});
            }
            json!({"spec": spec})
        };
        let control: &[&str] = &["TrafficControl"];
        check(json!([]), &[]);
        check(json!([remedy(None, vec![], control)]), control);
        check(json!([remedy(Some(&["eu"]), vec![], control)]), control);
        check(json!([remedy(Some(&["us"]), vec![], control)]), &[]);
        check(json!([remedy(Some(&[]), vec![], control)]), &[]);
        check(
            json!([remedy(None, vec![when("Dns", "Equal", "False")], control)]),
            control,
        );
        check(
            json!([remedy(None, vec![when("Dns", "NotEqual", "True")], control)]),
            control,
        );
        check(
            json!([remedy(None, vec![when("Dns", "NotEqual", "False")], control)]),
            &[],
        );
        check(
            json!([remedy(None, vec![when("Other", "NotEqual", "True")], control)]),
            &[],
        );
        // Any match is enough; actions are put together.
        let either = vec![when("Dns", "Equal", "True"), when("Dns", "Equal", "False")];
        let two = json!([remedy(None, either, &["b", "a"]), remedy(None, vec![], &["a", "c"])]);
        check(two, &["a", "b", "c"]);
    }
}
