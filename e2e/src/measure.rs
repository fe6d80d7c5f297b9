//! What a benchmark reads of a process and of many measured times. Linux only, as the figures are.

pub mod drive;
pub mod exposition;
pub mod follow;
pub mod tables;

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

/// Resident memory of a process in bytes.
pub fn resident(id: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .context("no VmRSS")?;
    let kilobytes: u64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes << 10)
}

/// User and system time of a process in seconds.
pub fn cpu_seconds(id: u32) -> Result<f64> {
    static TICKS: OnceLock<Option<f64>> = OnceLock::new();
    let ticks = TICKS.get_or_init(|| {
        let told = Command::new("getconf").arg("CLK_TCK").output().ok()?;
        String::from_utf8_lossy(&told.stdout).trim().parse().ok()
    });
    let ticks = ticks.context("getconf CLK_TCK")?;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The second field may hold spaces; everything after its closing parenthesis is plain.
    let rest = stat.rsplit_once(')').context("stat")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let time = |index: usize| -> Result<f64> { Ok(fields.get(index).context("stat")?.parse()?) };
    Ok((time(11)? + time(12)?) / ticks)
}

/// The time that so many percent of the measured ones do not pass. `times` must be sorted; zero when empty.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let rank = (times.len() * percent).div_ceil(100).max(1);
    times.get(rank - 1).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_ranks() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        for (percent, expected) in [(0, 1), (1, 2), (50, 100), (99, 198), (100, 200)] {
            assert_eq!(
                percentile(&times, percent),
                Duration::from_millis(expected),
                "{percent}"
            );
        }
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn this_process_can_be_measured() {
        let id = std::process::id();
        assert!(0 < resident(id).unwrap());
        assert!(0.0 <= cpu_seconds(id).unwrap());
    }
}
