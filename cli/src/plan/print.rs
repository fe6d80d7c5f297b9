//! The answer as text: what would become of the objects, then each workload that would change, then a line that sums it up.

use std::fmt::Write;

use controllers::preview::answer::{Fate, Manifest, Match, Outlook, Workload};
use crds::placement::TargetCluster;

use crate::explain::print::{reasons_table, table, trimmed};

/// All of it.
pub(super) fn whole(outlook: &Outlook, diffs: bool) -> String {
    let mut parts = Vec::new();
    if !outlook.objects.is_empty() {
        parts.push(objects(outlook));
    }
    parts.extend(outlook.notes.iter().map(|note| format!("Note: {note}.")));
    parts.extend(outlook.workloads.iter().map(|own| workload(own, diffs)));
    parts.push(sum(outlook));
    parts.join("\n\n")
}

fn objects(outlook: &Outlook) -> String {
    let mut table = table(&["OBJECT", "NAMESPACE", "NAME", "WOULD BE"]);
    for object in &outlook.objects {
        let fate = match object.change {
            Fate::Created => "created",
            Fate::Changed => "changed",
            Fate::Unchanged => "unchanged",
            Fate::Removed => "deleted",
        };
        let namespace = if object.namespace.is_empty() {
            "-"
        } else {
            &object.namespace
        };
        table.add_row([&object.kind, namespace, &object.name, fate]);
    }
    trimmed(&table)
}

fn workload(workload: &Workload, diffs: bool) -> String {
    let place = if workload.namespace.is_empty() {
        String::new()
    } else {
        format!("{}/", workload.namespace)
    };
    let mut lines = vec![format!("{} {place}{}", workload.kind, workload.name)];
    let none = |text: &str| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            text.to_owned()
        }
    };
    let mut policy = format!("  Policy:  {}", none(&workload.policy_after));
    if workload.policy_before != workload.policy_after {
        let _ = write!(policy, " (now: {})", none(&workload.policy_before));
    }
    lines.push(policy);
    match workload.matched {
        Some(Match::Matched) => lines.push("  Match:   newly matched".to_owned()),
        Some(Match::Unmatched) => lines.push("  Match:   no longer matched".to_owned()),
        Some(Match::Taken) => lines.push("  Match:   taken over".to_owned()),
        None => {}
    }
    lines.push(format!("  Now:     {}", shares(&workload.before)));
    lines.push(format!("  Then:    {}", shares(&workload.after)));
    if !workload.moves.is_empty() {
        let moves: Vec<String> = workload
            .moves
            .iter()
            .map(|step| match (step.from.as_str(), step.to.as_str()) {
                ("", to) => format!("{} new in {to}", step.replicas),
                (from, "") => format!("{} less in {from}", step.replicas),
                (from, to) => format!("{} from {from} to {to}", step.replicas),
            })
            .collect();
        lines.push(format!("  Moves:   {}", moves.join(", ")));
    }
    if !workload.evicted.is_empty() {
        lines.push(format!("  Leaves:  {}", workload.evicted.join(", ")));
    }
    if !workload.message.is_empty() {
        lines.push(format!("  Says:    {}", workload.message));
    }
    for manifest in &workload.manifests {
        lines.push(effect(manifest));
    }
    let mut parts = vec![lines.join("\n")];
    if !workload.rejected.is_empty() {
        parts.push(reasons_table("NOT POSSIBLE", &workload.rejected));
    }
    if !workload.passed.is_empty() {
        parts.push(reasons_table("NOT CHOSEN", &workload.passed));
    }
    if diffs {
        let told = workload.manifests.iter().filter(|manifest| !manifest.diff.is_empty());
        parts.extend(told.map(|manifest| manifest.diff.trim_end().to_owned()));
    }
    parts.join("\n\n")
}

fn effect(manifest: &Manifest) -> String {
    use controllers::preview::answer::Effect;
    let what = match manifest.change {
        Effect::Created => "is created",
        Effect::Changed => "changes",
        Effect::Removed => "is deleted",
        Effect::Left => "stays, and is no longer looked after",
        Effect::Stopped => "stays as it is",
    };
    let why = if manifest.message.is_empty() {
        String::new()
    } else {
        format!(": {}", manifest.message)
    };
    format!("  In {}: the object {what}{why}", manifest.cluster)
}

fn shares(targets: &[TargetCluster]) -> String {
    if targets.is_empty() {
        return "nowhere".to_owned();
    }
    let share = |target: &TargetCluster| {
        if target.components.is_empty() && target.replicas == 0 {
            return target.name.clone();
        }
        let components: i32 = target.components.iter().map(|component| component.replicas).sum();
        format!("{}:{}", target.name, target.replicas + components)
    };
    targets.iter().map(share).collect::<Vec<_>>().join(" ")
}

fn sum(outlook: &Outlook) -> String {
    if outlook.changed == 0 {
        return "No workload would change.".to_owned();
    }
    let mut text = format!(
        "Plan: {} workload(s) would change, {} replica(s) would move. {} binding(s) were looked at.",
        outlook.changed, outlook.moved, outlook.bindings
    );
    for (count, why) in [
        (outlook.hidden, "are not shown, for you may not read them"),
        (outlook.left_out, "are left out for the size of the answer"),
    ] {
        if count != 0 {
            let _ = write!(text, " {count} of the workloads {why}.");
        }
    }
    if outlook.diffs_left_out != 0 {
        let _ = write!(
            text,
            " {} difference(s) are left out for their size.",
            outlook.diffs_left_out
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_and_something() {
        let nothing = json!({"objects": [{"apiVersion": "v1", "kind": "ConfigMap", "namespace": "n", "name": "c", "change": "Unchanged"}]});
        let nothing: Outlook = serde_json::from_value(nothing).unwrap();
        assert_eq!(
            whole(&nothing, true),
            "OBJECT     NAMESPACE  NAME  WOULD BE\nConfigMap  n          c     unchanged\n\nNo workload would change."
        );
        let something = json!({
            "bindings": 3, "changed": 2, "hidden": 1, "moved": 2,
            "workloads": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "n", "name": "hello", "match": "Taken",
                "policyBefore": "PropagationPolicy n/a", "policyAfter": "PropagationPolicy n/b", "evicted": ["ap"],
                "before": [{"name": "ap", "replicas": 2}], "after": [{"name": "eu", "replicas": 2}, {"name": "us", "replicas": 1}],
                "moves": [{"from": "ap", "to": "eu", "replicas": 2}, {"to": "us", "replicas": 1}],
                "manifests": [{"cluster": "ap", "change": "Removed", "diff": "-a\n"}, {"cluster": "eu", "change": "Stopped", "message": "m"}],
            }],
        });
        let something: Outlook = serde_json::from_value(something).unwrap();
        let head = "Deployment n/hello\n  Policy:  PropagationPolicy n/b (now: PropagationPolicy n/a)\n  Match:   taken over\n  \
                    Now:     ap:2\n  Then:    eu:2 us:1\n  Moves:   2 from ap to eu, 1 new in us\n  Leaves:  ap\n  \
                    In ap: the object is deleted\n  In eu: the object stays as it is: m\n\n";
        let tail = "Plan: 2 workload(s) would change, 2 replica(s) would move. 3 binding(s) were looked at. \
                    1 of the workloads are not shown, for you may not read them.";
        assert_eq!(whole(&something, true), format!("{head}-a\n\n{tail}"));
        assert_eq!(whole(&something, false), format!("{head}{tail}"));
    }
}
