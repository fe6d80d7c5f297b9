//! Holds an API server to a table of requests and the answers that Kubernetes gives.
//!
//! The table is `e2e/fixtures/differential/*.yaml`; its README tells the form. It is written from how Kubernetes behaves and checked against a
//! real kube-apiserver, so that what the hub answers is never the measure of itself. Start with [`run`].
//!
//! Never here: expectations of one scenario, and how a server is started.

mod answer;
mod compare;
mod fixture;
mod variables;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;

pub use answer::Server;
use answer::{Answer, Asked};
use fixture::{Case, Fixture, Step};
pub use fixture::{Minor, read_all};
use variables::Variables;

/// Cases that run at once.
const PARALLEL: usize = 12;
/// How long a step that may take its time is asked again.
const PATIENCE: Duration = Duration::from_secs(40);

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    /// Requests made, without those that were only repeated.
    pub requests: usize,
    /// Steps left out, each with its reason.
    pub left_out: Vec<String>,
    /// Steps answered otherwise than expected.
    pub failures: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for failure in &self.failures {
            writeln!(formatter, "{failure}\n")?;
        }
        for reason in &self.left_out {
            writeln!(formatter, "left out: {reason}")?;
        }
        let (requests, failed) = (self.requests, self.failures.len());
        write!(formatter, "{requests} requests, {failed} answered otherwise")
    }
}

/// Runs every case of the table that a server's release covers. `only` keeps cases whose `file/case` contains it.
pub async fn run(server: &Server, fixtures: &[Fixture], only: &str) -> Report {
    let cases = fixtures.iter().flat_map(|fixture| {
        let cases = fixture.cases.iter();
        cases.map(move |case| (fixture, case))
    });
    let chosen = cases.filter(|(fixture, case)| format!("{}/{}", fixture.name, case.name).contains(only));
    let numbered = chosen.enumerate();
    let runs = numbered.map(|(number, (fixture, case))| run_case(server, fixture, case, number));
    let reports: Vec<Report> = futures::stream::iter(runs).buffer_unordered(PARALLEL).collect().await;
    let mut whole = Report::default();
    for report in reports {
        whole.requests += report.requests;
        whole.left_out.extend(report.left_out);
        whole.failures.extend(report.failures);
    }
    whole.failures.sort();
    whole.left_out.sort();
    whole.left_out.dedup();
    whole
}

async fn run_case(server: &Server, fixture: &Fixture, case: &Case, number: usize) -> Report {
    let mut report = Report::default();
    let mut variables = Variables::new(fixture, number);
    if case.since(fixture) > server.minor {
        return report;
    }
    if let (true, Some(reason)) = (server.hub, &case.hub_differs) {
        report
            .left_out
            .push(format!("{}/{}: {reason}", fixture.name, case.name));
        return report;
    }
    if let Err(error) = server.create_namespace(&variables.namespace()).await {
        let place = format!("{}/{}", fixture.name, case.name);
        report.failures.push(format!("{place}: no namespace: {error:#}"));
        return report;
    }
    for (index, step) in case.steps.iter().enumerate() {
        if step.since.is_some_and(|since| since > server.minor) || step.until.is_some_and(|until| until < server.minor)
        {
            continue;
        }
        if let (true, Some(reason)) = (server.hub, &step.hub_differs) {
            let place = format!("{}/{}, step {}", fixture.name, case.name, index + 1);
            report.left_out.push(format!("{place}: {reason}"));
            continue;
        }
        report.requests += 1;
        if let Err(difference) = run_step(server, fixture, step, &mut variables).await {
            let place = format!("{}/{}, step {}", fixture.name, case.name, index + 1);
            report.failures.push(format!("{place}: {difference:#}"));
            // What follows builds on it.
            break;
        }
    }
    report
}

/// Asks once, or until the answer is the expected one; the last difference is the error.
async fn run_step(server: &Server, fixture: &Fixture, step: &Step, variables: &mut Variables) -> Result<()> {
    let asked = Asked::of(step, fixture, variables).context("a step that cannot be sent")?;
    let attempts = async {
        loop {
            let answer = server.ask(&asked).await.with_context(|| asked.line.clone())?;
            let differences = differences(step, &answer, variables, server.hub);
            if differences.is_empty() {
                return anyhow::Ok(answer);
            }
            let told = differences.join("\n    ");
            let difference = anyhow::anyhow!("{}\n    {told}\n    {}", asked.line, answer.excerpt());
            if !step.retry {
                return Err(difference);
            }
            variables.last_difference = Some(difference);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let Ok(answer) = tokio::time::timeout(PATIENCE, attempts).await else {
        let line = asked.line.clone();
        let late = || anyhow::anyhow!("{line}: no end of the answer within {PATIENCE:?}");
        return Err(variables.last_difference.take().unwrap_or_else(late));
    };
    let answer = answer?;
    for (name, pointer) in &step.keep {
        let value = answer.body.pointer(pointer);
        let value = value.with_context(|| format!("{}: nothing at {pointer} to keep", asked.line))?;
        variables.keep(name, value);
    }
    Ok(())
}

fn differences(step: &Step, answer: &Answer, variables: &Variables, hub: bool) -> Vec<String> {
    let mut found = Vec::new();
    let code = step.hub_code.filter(|_| hub).unwrap_or(step.code);
    if code != answer.code {
        found.push(format!("code: expected {code}, got {}", answer.code));
    }
    if let Some(expected) = &step.answer {
        compare::compare("", &variables.fill(expected), &answer.body, &mut found);
    }
    if let Some(expected) = &step.text {
        let expected = variables.fill_text(expected);
        if !compare::glob(&expected, &answer.text) {
            found.push(format!("text: expected {expected:?}"));
        }
    }
    if let Some(expected) = &step.events {
        compare::compare("events", &variables.fill(expected), &answer.body, &mut found);
    }
    for (name, expected) in &step.gives {
        let got = answer.headers.get(name.as_str()).and_then(|value| value.to_str().ok());
        match got {
            Some(got) if compare::glob(&variables.fill_text(expected), got) => {}
            got => found.push(format!("header {name}: expected {expected:?}, got {got:?}")),
        }
    }
    if let Some(expected) = &step.warnings {
        let expected: Vec<String> = expected.iter().map(|text| variables.fill_text(text)).collect();
        let got = answer.warnings();
        let equal =
            expected.len() == got.len() && expected.iter().zip(&got).all(|(text, got)| compare::glob(text, got));
        if !equal {
            found.push(format!("warnings: expected {expected:?}, got {got:?}"));
        }
    }
    found
}
