//! Figures of the process, by the names that Prometheus's client libraries use.

use std::fmt;

use procfs::process::{LimitValue, Process, Stat};
use prometheus_client::encoding::DescriptorEncoder;

use super::samples::{gauges, seconds};

/// Memory and CPU time of the process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProcessSample {
    pub(super) resident_bytes: u64,
    pub(super) cpu_seconds: f64,
}

/// How the process does; zero where the system doesn't tell.
#[allow(clippy::cast_precision_loss)] // Seconds with two digits.
pub(super) fn sample() -> ProcessSample {
    let stat = Process::myself().and_then(|process| process.stat());
    stat.map_or_else(
        |_| ProcessSample::default(),
        |stat| ProcessSample {
            resident_bytes: stat.rss * procfs::page_size(),
            cpu_seconds: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
        },
    )
}

/// Writes the figures. What the system doesn't tell is left out.
pub(super) fn metrics(encoder: &mut DescriptorEncoder) -> fmt::Result {
    let Ok(process) = Process::myself() else {
        return Ok(());
    };
    if let Ok(stat) = process.stat() {
        used(&stat, encoder)?;
    }
    if let Ok(open) = process.fd_count() {
        let help = "Open file descriptors";
        gauges(encoder, "process_open_fds", help, one(open as u64))?;
    }
    if let Ok(limits) = process.limits() {
        let most = match limits.max_open_files.soft_limit {
            LimitValue::Value(most) => most,
            LimitValue::Unlimited => u64::MAX,
        };
        let help = "File descriptors that may be open";
        gauges(encoder, "process_max_fds", help, one(most))?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // Seconds with two digits.
fn used(stat: &Stat, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let ticks_per_second = procfs::ticks_per_second() as f64;
    let spent = (stat.utime + stat.stime) as f64 / ticks_per_second;
    let help = "CPU time of the process, of the user and of the system";
    seconds(encoder, "process_cpu_seconds", help, one(spent))?;
    let resident = stat.rss * procfs::page_size();
    let help = "Resident memory";
    gauges(
        encoder,
        "process_resident_memory_bytes",
        help,
        one(resident),
    )?;
    let help = "Virtual memory";
    gauges(
        encoder,
        "process_virtual_memory_bytes",
        help,
        one(stat.vsize),
    )?;
    let Ok(booted) = procfs::boot_time_secs() else {
        return Ok(());
    };
    let started = booted as f64 + stat.starttime as f64 / ticks_per_second;
    let help = "When the process started, in seconds since 1970";
    gauges(encoder, "process_start_time_seconds", help, one(started))
}

/// One value without labels.
fn one<V>(value: V) -> Vec<(Vec<(&'static str, String)>, V)> {
    vec![(Vec::new(), value)]
}
