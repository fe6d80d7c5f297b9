//! The explanation as text: a few lines, then tables whose columns fit what is known.

use anyhow::{Result, bail};
use comfy_table::{Table, presets};
use controllers::explain::Stage;
use scheduler::Strategy;
use scheduler::explain::{Chosen, Explanation, Reason, Verdict};

use super::{Report, Standing};

/// Names in one cell; the rest is counted.
const NAMES: usize = 8;

/// All of it.
pub(super) fn whole(report: &Report) -> String {
    let mut parts = vec![head(report)];
    if !report.clusters.is_empty() {
        parts.push(placed(report));
    }
    if let Some(explanation) = &report.explanation {
        let others = [
            ("NOT CHOSEN", &explanation.passed),
            ("NOT POSSIBLE", &explanation.rejected),
        ];
        for (title, reasons) in others {
            if !reasons.is_empty() {
                parts.push(reasons_table(title, reasons));
            }
        }
        if !explanation.candidates.is_empty() {
            parts.push(format!(
                "Possible, had the workload been placed: {}",
                names(explanation.candidates.iter().flat_map(|row| &row.clusters))
            ));
        }
        parts.extend(explanation.tried.iter().map(|tried| {
            format!(
                "Affinity group {:?} was tried before: {}",
                tried.affinity_name, tried.message
            )
        }));
        if !explanation.groups.is_empty() {
            parts.push(groups_table(explanation));
        }
    }
    parts.join("\n\n")
}

fn head(report: &Report) -> String {
    let place = if report.namespace.is_empty() {
        String::new()
    } else {
        format!(" in namespace {}", report.namespace)
    };
    let mut lines = vec![
        format!("{}{place}, generation {}", report.workload, report.generation),
        format!("Policy:    {}", report.policy.as_deref().unwrap_or("none")),
    ];
    if let Some(explanation) = &report.explanation {
        lines.push(format!("Placement: {}", explanation.message));
        let again = if explanation.fresh { ", from the start" } else { "" };
        lines.push(format!("Strategy:  {}{again}", strategy(explanation.strategy)));
        if !explanation.affinity_name.is_empty() {
            lines.push(format!("Affinity:  {}", explanation.affinity_name));
        }
    }
    let stage = match report.progress.stage.next() {
        None => format!("{:?}: nothing is waited for", report.progress.stage),
        Some(next) => format!("{:?}, not yet {next:?}", report.progress.stage),
    };
    lines.push(format!("Stage:     {stage}"));
    lines.extend(report.progress.waits.iter().map(|wait| {
        let place = if wait.cluster.is_empty() { "hub" } else { &wait.cluster };
        format!("  waits for {} in {place}: {}", action(wait.stage), wait.message)
    }));
    lines.join("\n")
}

fn strategy(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Duplicated => "all replicas in every cluster",
        Strategy::StaticWeight => "divided by the weights of the policy",
        Strategy::DynamicWeight => "divided by the room that clusters have",
        Strategy::Aggregated => "divided over as few clusters as have room",
    }
}

/// What has to happen for a stage to be reached.
fn action(stage: Stage) -> &'static str {
    match stage {
        Stage::Accepted => "being stored",
        Stage::Bound => "a policy",
        Stage::Placed => "a place",
        Stage::Rendered => "its Work",
        Stage::Applied => "being applied",
        Stage::Reflected => "a report",
        Stage::Aggregated => "the status",
    }
}

fn placed(report: &Report) -> String {
    let mut table = table(&[
        "CLUSTER",
        "REPLICAS",
        "READY",
        "HEALTH",
        "BEFORE",
        "WEIGHT",
        "EXACT SHARE",
        "ROOM",
        "WHY",
    ]);
    for standing in &report.clusters {
        let row = report
            .explanation
            .as_ref()
            .and_then(|explanation| explanation.of(&standing.name));
        let row = match &row {
            Some(Verdict::Chosen(row)) => Some(*row),
            _ => None,
        };
        table.add_row(cells(standing, row));
    }
    trimmed(&table)
}

fn cells(standing: &Standing, row: Option<&Chosen>) -> [String; 9] {
    let known = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".to_owned());
    [
        standing.name.clone(),
        standing.replicas.to_string(),
        known(standing.ready.map(|ready| ready.to_string())),
        standing.health.clone(),
        known(row.map(|row| row.previous.to_string())),
        known(row.filter(|row| row.weight != 0).map(|row| row.weight.to_string())),
        known(row.map(|row| row.quota.clone())),
        known(row.and_then(|row| row.room).map(|room| room.to_string())),
        known(row.map(why)),
    ]
}

/// Why a chosen cluster has what it has, beyond its numbers.
fn why(row: &Chosen) -> String {
    let mut why: Vec<String> = row
        .scores
        .iter()
        .map(|(plugin, score)| format!("{plugin} {score}"))
        .collect();
    if row.tie {
        why.push("won a tie".to_owned());
    }
    if row.overflow != 0 {
        why.push(format!("overflow group {}", row.overflow));
    }
    why.join(", ")
}

/// Clusters by what is said of them.
pub(crate) fn reasons_table(title: &str, reasons: &[Reason]) -> String {
    let mut table = table(&[title, "COUNT", "BY", "BECAUSE", "REMEDY"]);
    for reason in reasons {
        table.add_row([
            names(&reason.clusters),
            reason.count.to_string(),
            reason.plugin.clone(),
            reason.message.clone(),
            reason.remedy.clone(),
        ]);
    }
    trimmed(&table)
}

fn groups_table(explanation: &Explanation) -> String {
    let mut table = table(&["GROUP", "BY", "CLUSTERS", "SCORE", "CHOSEN"]);
    for group in &explanation.groups {
        table.add_row([
            group.value.clone(),
            group.by.clone(),
            group.clusters.to_string(),
            group.score.to_string(),
            if group.chosen { "yes" } else { "no" }.to_owned(),
        ]);
    }
    trimmed(&table)
}

fn names<'a>(clusters: impl IntoIterator<Item = &'a String>) -> String {
    let clusters: Vec<&str> = clusters.into_iter().map(String::as_str).collect();
    let shown = clusters[..clusters.len().min(NAMES)].join(" ");
    match clusters.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// One cluster.
pub(super) fn cluster(report: &Report, name: &str) -> Result<String> {
    let Some(explanation) = &report.explanation else {
        bail!("{} has not been placed: {}", report.workload, head(report));
    };
    let text = match explanation.of(name) {
        None => bail!("the decision for {} did not see a cluster {name:?}", report.workload),
        Some(Verdict::Chosen(row)) => {
            let standing = report.clusters.iter().find(|standing| standing.name == name);
            let ready = standing.and_then(|standing| standing.ready).unwrap_or_default();
            let mut lines = vec![format!(
                "{} is in {name}: {} replica(s), {ready} ready, {} before.",
                report.workload, row.replicas, row.previous
            )];
            if row.weight != 0 {
                let exact = if row.quota.is_empty() { "-" } else { &row.quota };
                lines.push(format!("Weight {}, exact share {exact}.", row.weight));
            }
            if let Some(room) = row.room {
                lines.push(format!("There is room for {room} replica(s)."));
            }
            let why = why(row);
            if !why.is_empty() {
                lines.push(format!("Also: {why}."));
            }
            let waits = report.progress.waits.iter().filter(|wait| wait.cluster == name);
            lines.extend(waits.map(|wait| format!("Waits for {}: {}", action(wait.stage), wait.message)));
            lines.join("\n")
        }
        Some(Verdict::Candidate(_)) => format!(
            "{} could be in {name}, but was not placed at all: {}",
            report.workload, explanation.message
        ),
        Some(Verdict::Passed(reason) | Verdict::Rejected(reason)) => format!(
            "{} is not in {name}: {} ({}).\nTo change it: {}.",
            report.workload, reason.message, reason.plugin, reason.remedy
        ),
    };
    Ok(text)
}

/// A table without lines.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// Columns begin and end where their text does: blanks at the edges are noise in a pipe.
pub(crate) fn trimmed(table: &Table) -> String {
    table.to_string().lines().map(str::trim).collect::<Vec<_>>().join("\n")
}
