//! What a process has used: time of its processors, whatever else the machine does meanwhile, and memory.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Linux reports processor time of others in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Of this process, all threads together.
pub fn processor_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(tv_sec).unwrap_or_default(),
        u32::try_from(tv_nsec).unwrap_or_default(),
    )
}

/// Times the parts of something.
pub struct Laps {
    last: Duration,
    laps: Vec<Duration>,
}

impl Laps {
    pub fn start() -> Self {
        let mut laps = Self {
            last: Duration::ZERO,
            laps: Vec::with_capacity(8),
        };
        laps.last = processor_time();
        laps
    }

    pub fn lap(&mut self) {
        let now = processor_time();
        self.laps.push(now - self.last);
        self.last = now;
    }

    pub fn all<const N: usize>(self) -> anyhow::Result<[Duration; N]> {
        self.laps.try_into().ok().context("a part was not timed")
    }
}

/// The most memory that a process has held at a time, MB.
pub fn peak_memory(process: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {path}; this benchmark needs Linux"))?;
    let kilobytes: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("no VmHWM in {path}"))?;
    Ok(kilobytes / 1024.0)
}

/// Processor time of a process, or of all that this one has started and that have ended.
pub fn processor_time_of(process: &str, children: bool) -> anyhow::Result<f64> {
    let path = format!("/proc/{process}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the name in brackets and may hold blanks; utime and stime are fields 14 and 15, those of
    // children follow.
    let (_, fields) = stat
        .rsplit_once(')')
        .with_context(|| format!("unexpected format of {path}"))?;
    let ticks: f64 = fields
        .split_ascii_whitespace()
        .skip(if children { 13 } else { 11 })
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks / TICKS_PER_SECOND)
}
