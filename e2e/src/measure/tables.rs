//! Tables of what a hub has done for so many workloads, out of its `/metrics`: how long each stage took and what was asked and written.

use std::fmt::Write;

use super::exposition::Exposition;

/// The lag of every stage.
pub fn stages(done: &Exposition) -> String {
    const LAG: &str = "flotilla_stage_lag_seconds";
    let mut text = format!("  {:<16}{:>10}{:>12}{:>12}\n", "stage", "times", "p50", "p99");
    let rows = done.rows(&format!("{LAG}_count"), |labels| labels.get("stage").cloned());
    let order = ["detect", "bind", "place", "render", "apply", "reflect", "aggregate"];
    let place = |stage: &str| order.iter().position(|own| *own == stage).unwrap_or(order.len());
    let mut rows: Vec<_> = rows.into_iter().filter(|(_, count)| 0.0 < *count).collect();
    rows.sort_by_key(|(stage, _)| place(stage));
    for (stage, count) in rows {
        let at = |percent| {
            let time = done.percentile(LAG, ("stage", &stage), percent);
            time.map_or_else(
                || "> 16 s".to_owned(),
                |time| format!("{:.1} ms", time.as_secs_f64() * 1e3),
            )
        };
        // Writing into a String cannot fail.
        let _ = writeln!(text, "  {stage:<16}{count:>10.0}{:>12}{:>12}", at(50.0), at(99.0));
    }
    text
}

/// Requests, writes, events and transactions for each of so many workloads.
pub fn work(done: &Exposition, workloads: f64) -> String {
    let mut text = String::new();
    let mut table = |title: &str, rows: Vec<(String, f64)>| {
        let sum: f64 = rows.iter().map(|(_, count)| count).sum();
        let _ = writeln!(text, "  {:<64}{:>10.2}", title, sum / workloads);
        for (row, count) in rows.into_iter().filter(|(_, count)| 0.005 < count / workloads) {
            let _ = writeln!(text, "    {row:<62}{:>10.2}", count / workloads);
        }
    };
    let text_of = |labels: &std::collections::BTreeMap<String, String>, names: &[&str]| {
        let parts = names
            .iter()
            .filter_map(|name| labels.get(*name))
            .filter(|part| !part.is_empty());
        parts.map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    table(
        "HTTP requests",
        done.rows("apiserver_request_total", |labels| {
            let code = labels.get("code").filter(|code| !code.starts_with('2'));
            let code = code.map(|code| format!(" -> {code}")).unwrap_or_default();
            Some(format!("{}{code}", text_of(labels, &["verb", "resource"])))
        }),
    );
    table(
        "writes of the hub's own loops",
        done.rows("flotilla_local_requests_total", |labels| {
            Some(text_of(labels, &["verb", "resource", "manager"]))
        }),
    );
    table(
        "rounds of the hub's loops",
        done.rows("controller_runtime_reconcile_total", |labels| {
            Some(text_of(labels, &["controller", "result"]))
        }),
    );
    table(
        "objects written",
        done.rows("flotilla_storage_changes_total", |labels| {
            Some(text_of(labels, &["operation", "resource"]))
        }),
    );
    table(
        "events sent to watchers over HTTP",
        done.rows("apiserver_watch_events_total", |labels| {
            Some(text_of(labels, &["resource"]))
        }),
    );
    let storage = [
        ("commits asked for", "commits_total"),
        ("of them lost to a faster writer", "commits_lost_total"),
        ("writes that changed nothing", "unchanged_total"),
        ("transactions of the database", "transactions_total"),
        ("ms in transactions", "transaction_seconds_total"),
    ];
    for (title, name) in storage {
        let mut each = done.sum(&format!("flotilla_storage_{name}")) / workloads;
        if name == "transaction_seconds_total" {
            each *= 1e3;
        }
        let _ = writeln!(text, "  {title:<64}{each:>10.2}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_say_what_each_workload_cost() {
        let done = Exposition::parse(
            "apiserver_request_total{verb=\"PATCH\",group=\"apps\",resource=\"deployments\",code=\"409\"} 4\n\
             apiserver_request_total{verb=\"GET\",group=\"\",resource=\"pods\",code=\"200\"} 0\n\
             flotilla_storage_transaction_seconds_total 0.008\n\
             controller_runtime_reconcile_total{controller=\"place\",result=\"success\"} 6\n\
             flotilla_stage_lag_seconds_count{stage=\"place\"} 1\n\
             flotilla_stage_lag_seconds_bucket{stage=\"place\",le=\"0.001\"} 1\n",
        )
        .unwrap();
        let text = work(&done, 2.0);
        for (row, value) in [
            ("HTTP requests", "2.00"),
            ("PATCH deployments -> 409", "2.00"),
            ("place success", "3.00"),
            ("ms in transactions", "4.00"),
        ] {
            let found = text.lines().find(|line| line.trim_start().starts_with(row)).unwrap();
            assert!(found.ends_with(&format!(" {value}")), "{found}");
        }
        assert!(!text.contains("GET pods"), "{text}");
        assert!(stages(&done).contains("1.0 ms"), "{}", stages(&done));
    }
}
