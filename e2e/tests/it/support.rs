//! What several scenarios look at.

use std::collections::BTreeMap;

use e2e::federation::{Federation, MEMBERS};
use e2e::wait::until;

/// The text of a file of the tutorial.
pub(crate) fn tutorial(name: &str) -> String {
    std::fs::read_to_string(e2e::process::root().join("examples/tutorial").join(name)).unwrap()
}

/// Names of the pods of an app in each member, running ones only.
pub(crate) fn pods(federation: &Federation, app: &str) -> BTreeMap<&'static str, Vec<String>> {
    let in_member = |member: &'static str| {
        let list = federation.member(member).get(&[
            "pods",
            "-l",
            &format!("app={app}"),
            "--field-selector=status.phase=Running",
        ]);
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let alive = items
            .iter()
            .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut names: Vec<String> = alive
            .map(|pod| pod["metadata"]["name"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        (member, names)
    };
    MEMBERS.into_iter().map(in_member).collect()
}

/// Waits until each member runs this many pods of an app (in the order eu, ap, us) and answers with their names.
#[track_caller]
pub(crate) fn wait_pods(federation: &Federation, app: &str, wanted: [usize; 3]) -> BTreeMap<&'static str, Vec<String>> {
    until(&format!("pods of {app} {wanted:?} in {MEMBERS:?}"), || {
        let found = pods(federation, app);
        let counts = MEMBERS.map(|member| found[member].len());
        if counts == wanted {
            Ok(found)
        } else {
            Err(format!("{counts:?}{}", federation.logs()))
        }
    })
}

/// Waits until `kubectl get deployment NAME` shows this READY column on the hub.
#[track_caller]
pub(crate) fn wait_ready_column(federation: &Federation, name: &str, wanted: &str) {
    until(&format!("deployment {name} {wanted}"), || {
        let table = federation.hub().run(&["get", "deployment", name, "--no-headers"]);
        let ready = table.stdout.split_whitespace().nth(1).unwrap_or_default();
        if ready == wanted {
            Ok(())
        } else {
            Err(format!("{}{}{}", table.stdout, table.stderr, federation.logs()))
        }
    });
}

/// Waits until a command's standard output holds every one of these texts.
#[track_caller]
pub(crate) fn wait_output(federation: &Federation, args: &[&str], wanted: &[&str]) -> String {
    until(&format!("kubectl {} with {wanted:?}", args.join(" ")), || {
        let output = federation.hub().run(args);
        let missing: Vec<&&str> = wanted.iter().filter(|text| !output.stdout.contains(**text)).collect();
        if output.code == 0 && missing.is_empty() {
            Ok(output.stdout)
        } else {
            Err(format!("missing {missing:?} in\n{}{}", output.stdout, output.stderr))
        }
    })
}

/// Whether every pod of `before` is still among those of `after`, as far as the member kept as many.
pub(crate) fn kept(before: &[String], after: &[String]) -> bool {
    let survivors = before.iter().filter(|name| after.contains(name)).count();
    survivors == before.len().min(after.len())
}
