//! `flotilla interpret`: scripts of customizations tried out before they are applied, and who answers about a kind. It reads
//! files and asks no hub.
//!
//! Never here: what an answer is; `interpreter` knows that.

mod locate;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use comfy_table::{Table, presets};
use interpreter::{Interpreter, Operation, Rehearsal, check_customization};
use serde_json::{Value, json};

use crate::args::{Form, InterpretArgs};
use crate::lifecycle;
use crate::plan::read;

const KIND: &str = "ResourceInterpreterCustomization";

/// A customization and the file that it stands in.
struct Source {
    file: String,
    customization: Value,
}

/// Checks, lists or asks.
pub(crate) fn run(args: &InterpretArgs) -> Result<()> {
    let sources = sources(args)?;
    if let Some(kind) = &args.rules {
        return rules(&sources, kind);
    }
    match args.operation {
        Some(operation) if !args.check => ask(args, &sources, operation),
        _ if sources.is_empty() => {
            bail!("nothing to do: name customizations with -f, a question with --operation, or a kind with --rules")
        }
        _ => check(&sources),
    }
}

fn sources(args: &InterpretArgs) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for name in &args.filename {
        for file in read::files_of(name, args.recursive)? {
            for customization in read::objects(&file, false)? {
                if customization["kind"] != KIND {
                    let kind = customization["kind"].as_str().unwrap_or("no kind");
                    bail!("{file}: expected a {KIND}, found {kind}");
                }
                let file = file.clone();
                sources.push(Source { file, customization });
            }
        }
    }
    Ok(sources)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Says of every script whether it can be used.
fn check(sources: &[Source]) -> Result<()> {
    let mut failed = 0;
    for (index, Source { file, customization }) in sources.iter().enumerate() {
        let (name, api_version, kind) = (
            text(customization, "/metadata/name"),
            text(customization, "/spec/target/apiVersion"),
            text(customization, "/spec/target/kind"),
        );
        lifecycle::print(&format!("{file}: {name} ({api_version} {kind})"))?;
        let checked = check_customization(customization);
        if checked.is_empty() {
            lifecycle::print("  no scripts")?;
        }
        for (operation, outcome) in checked {
            let said = match outcome {
                Ok(()) => "PASS".to_owned(),
                Err(error) => {
                    failed += 1;
                    format!(
                        "ERROR: {}",
                        locate::placed(file, customization, operation, &error.to_string())
                    )
                }
            };
            lifecycle::print(&format!("  {:<20} {said}", operation.as_str()))?;
        }
        for other in &sources[..index] {
            if let Some(operation) = crds::validate::conflict(customization, &other.customization) {
                failed += 1;
                let owner = text(&other.customization, "/metadata/name");
                lifecycle::print(&format!("  {operation:<20} ERROR: {owner} has a script for it, too"))?;
            }
        }
    }
    if failed == 0 {
        return Ok(());
    }
    bail!("{failed} of the scripts cannot be used")
}

/// Says who answers each question about a kind.
fn rules(sources: &[Source], kind: &str) -> Result<()> {
    let (api_version, kind) = kind
        .rsplit_once('/')
        .with_context(|| format!("expected APIVERSION/KIND, such as apps/v1/Deployment, found {kind:?}"))?;
    let object = json!({"apiVersion": api_version, "kind": kind});
    let interpreter = customized(sources);
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["OPERATION", "ANSWERED BY"]);
    for operation in Operation::ALL {
        table.add_row([operation.to_string(), interpreter.layer(&object, operation).to_string()]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    lifecycle::print(&table.trim_fmt())
}

fn customized(sources: &[Source]) -> Interpreter {
    let interpreter = Interpreter::default();
    interpreter.customize(sources.iter().map(|source| &source.customization));
    interpreter
}

/// Asks one question, and prints the answer.
fn ask(args: &InterpretArgs, sources: &[Source], operation: Operation) -> Result<()> {
    let given = Rehearsal {
        desired: object(args.desired_file.as_ref())?,
        observed: object(args.observed_file.as_ref())?,
        statuses: statuses(args.status_file.as_ref())?,
        replicas: args.desired_replica,
    };
    let interpreter = customized(sources);
    let subject = given.desired.as_ref().or(given.observed.as_ref());
    if let Some(subject) = subject {
        eprintln!("{operation}: {}", interpreter.layer(subject, operation));
    }
    let answer = interpreter.rehearse(operation, &given).map_err(|error| {
        let text = error.to_string();
        let named = |source: &&Source| {
            text.contains(&format!(
                "{KIND} {}:",
                self::text(&source.customization, "/metadata/name")
            ))
        };
        match sources.iter().find(named) {
            Some(Source { file, customization }) => {
                anyhow::anyhow!("{}", locate::placed(file, customization, operation, &text))
            }
            None => anyhow::anyhow!("{text}"),
        }
    })?;
    match args.output {
        Some(Form::Json) => lifecycle::print(&serde_json::to_string_pretty(&answer)?),
        Some(Form::Yaml) | None => lifecycle::print(serde_saphyr::to_string(&answer)?.trim_end()),
    }
}

/// The only object of a file.
fn object(file: Option<&PathBuf>) -> Result<Option<Value>> {
    let Some(file) = file else { return Ok(None) };
    let file = file.display().to_string();
    let mut objects = read::objects(&file, false)?;
    match (objects.pop(), objects.is_empty()) {
        (Some(object), true) => Ok(Some(object)),
        _ => bail!("{file}: expected one object"),
    }
}

/// What clusters report: a list, documents with one report each, or a binding with both.
fn statuses(file: Option<&PathBuf>) -> Result<Vec<Value>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let shown = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?;
    let mut found = Vec::new();
    for document in read::split(&text) {
        let decoded = schema::decode::decode_yaml(document.as_bytes());
        let value = decoded.map_err(|problem| anyhow::anyhow!("{shown}: {problem}"))?.value;
        match value {
            Value::Null => {}
            Value::Array(items) => found.extend(items),
            other => match other.pointer("/status/aggregatedStatus").and_then(Value::as_array) {
                Some(items) => found.extend(items.iter().cloned()),
                None => found.push(other),
            },
        }
    }
    if let Some(item) = found.iter().find(|item| item["clusterName"].as_str().is_none()) {
        bail!("{shown}: expected reports with a clusterName, found {item}");
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
