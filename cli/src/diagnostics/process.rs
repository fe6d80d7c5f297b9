//! `process_*`: what the kernel says about this process, read when somebody looks. Linux only; elsewhere there is nothing.

use std::fmt::Error;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Ticks per second in `/proc`, the same on every Linux.
const TICKS: f64 = 100.0;

/// The collector.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut gauge = |name: &str, help: &str, value: Option<f64>| match value {
            Some(value) => {
                let value = ConstGauge::new(value);
                let metric = encoder.encode_descriptor(name, help, None, value.metric_type())?;
                value.encode(metric)
            }
            None => Ok(()),
        };
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
        let started = started(&stat, &read("/proc/stat"));
        gauge(
            "process_resident_memory_bytes",
            "Memory in use",
            bytes(&status, "VmRSS:"),
        )?;
        gauge(
            "process_virtual_memory_bytes",
            "Memory addressed",
            bytes(&status, "VmSize:"),
        )?;
        gauge("process_open_fds", "Open files", open_files())?;
        gauge("process_max_fds", "Files that may be open", max_files())?;
        gauge("process_threads", "Threads", field(&status, "Threads:"))?;
        gauge("process_start_time_seconds", "When the process began", started)?;
        if let Some(seconds) = cpu(&stat) {
            let seconds = ConstCounter::new(seconds);
            let help = "Processor time used, for the process and for the kernel on its behalf";
            let metric = encoder.encode_descriptor("process_cpu_seconds", help, None, seconds.metric_type())?;
            seconds.encode(metric)?;
        }
        Ok(())
    }
}

/// The number behind a name in `/proc/self/status`.
fn field(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn bytes(status: &str, name: &str) -> Option<f64> {
    field(status, name).map(|kib| kib * 1024.0)
}

/// The fields of `/proc/self/stat` behind the name, which may hold anything: the first is the state.
fn after_name(stat: &str) -> Vec<&str> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().collect()
}

fn cpu(stat: &str) -> Option<f64> {
    let fields = after_name(stat);
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn started(stat: &str, system: &str) -> Option<f64> {
    let since_boot: f64 = after_name(stat).get(19)?.parse().ok()?;
    Some(field(system, "btime")? + since_boot / TICKS)
}

fn open_files() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that reads the directory is not counted.
    u32::try_from(count.saturating_sub(1)).ok().map(f64::from)
}

#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
fn max_files() -> Option<f64> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.map(|limit| limit as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "12 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 2000 1 1";

    #[test]
    fn what_the_kernel_says_is_read() {
        assert_eq!(cpu(STAT), Some(2.0));
        assert_eq!(started(STAT, "cpu 1 2\nbtime 1000\n"), Some(1020.0));
        let status = "Name:\tx\nVmSize:\t    20 kB\nVmRSS:\t   10 kB\nThreads:\t4\n";
        assert_eq!(bytes(status, "VmRSS:"), Some(10240.0));
        assert_eq!(field(status, "Threads:"), Some(4.0));
        for wrong in ["", "12 (x", "12 (x) S 1"] {
            assert_eq!((cpu(wrong), started(wrong, wrong)), (None, None), "{wrong}");
        }
    }
}
