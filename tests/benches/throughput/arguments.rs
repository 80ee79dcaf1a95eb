//! The command line: what a person may ask for, and the hidden roles the benchmark starts itself in.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Measure the service beside its limits on this machine: medians of several rounds, with ratios and targets.
#[derive(Debug, Parser)]
#[command(name = "throughput", max_term_width = 100)]
pub(crate) struct Arguments {
    /// One short round: a look, not a measurement
    #[arg(long)]
    quick: bool,

    /// Measure only these parts, by comma; the floor comes along where a ratio needs it
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART")]
    only: Vec<Part>,

    /// Rounds; the figures are medians over them [default: 3, with --quick 1]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    runs: Option<u32>,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    pub(crate) json: bool,

    /// Given by `cargo bench` to every benchmark
    #[arg(long, hide = true)]
    bench: bool,

    #[arg(long, hide = true)]
    pub(crate) role: Option<Role>,

    #[arg(long, hide = true)]
    input: Option<String>,

    #[arg(last = true, hide = true)]
    pub(crate) rest: Vec<OsString>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// HTTP alone: parse the JSON, answer 204, store nothing
    Floor,
    /// Multi-row inserts by UNNEST, 500 rows a commit
    Limit,
    /// Durable ingest at 1, 64 and 256 connections, with and without processing; one INSERT per request
    Ingest,
    /// Open arrivals at 2,000 and 5,000 a second
    Open,
    /// The whole way: stored, processed, forwarded to a local receiver
    Whole,
    /// 2 ms added to every disk sync: the service and one INSERT per request
    Slow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Floor,
    OneInsert,
    Cloud,
    Receiver,
    Limit,
    Load,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::OneInsert => "one-insert",
            Self::Cloud => "cloud",
            Self::Receiver => "receiver",
            Self::Limit => "limit",
            Self::Load => "load",
        }
    }
}

/// How long and how often to measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Plan {
    pub(crate) runs: u32,
    /// Length of one measurement under load.
    pub(crate) window: Duration,
    /// Events of one measurement of the whole way.
    pub(crate) whole_events: u64,
}

impl Arguments {
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub(crate) fn plan(&self) -> Plan {
        let (runs, window, whole_events) = if self.quick {
            (1, Duration::from_secs(1), 4_000)
        } else {
            (3, Duration::from_secs(4), 30_000)
        };
        Plan {
            runs: self.runs.unwrap_or(runs),
            window,
            whole_events,
        }
    }

    /// What the starting process wants this role to do.
    pub(crate) fn input<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let input = self.input.as_deref().context("this role needs --input")?;
        serde_json::from_str(input).context("--input is not what this role expects")
    }
}
