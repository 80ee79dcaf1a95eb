//! What a person reads: medians over the rounds in a table, the targets below it; or all of it as JSON.

use std::collections::BTreeSet;
use std::fmt::{self, Write};

use anyhow::Context;
use serde::Serialize;
use serde_json::json;

use crate::rounds::{Measure, Measured, Sample};
use crate::targets::targets;

const WIDTH: usize = 34;

const LEGEND: &str = "\
Ratios are to the floor of the same round and the same connections (64 where there are none); on the slow disk to
one INSERT per request. CPU is that of the server measured, Postgres and load excluded; `load` is the load
generator's. Ingest is the service with its defaults and no destination: it goes on processing what it stored into
measurements while it takes in more, so that work is in these figures; `ingest alone` holds that work back, as if
another replica did it. Peak RSS includes the code of the benchmark.";

/// Medians of one measurement over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) rate: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) ratio: Option<f64>,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) max_ms: Option<f64>,
    pub(crate) cpu_per_10k: Option<f64>,
    pub(crate) load_cpu_per_10k: Option<f64>,
    pub(crate) rss_mb: Option<f64>,
    /// Of all rounds together.
    pub(crate) errors: u64,
    pub(crate) broken: bool,
}

pub(crate) fn median_of(measured: &Measured, measure: Measure) -> Option<Figures> {
    let (_, samples) = measured.samples.iter().find(|(kept, _)| *kept == measure)?;
    let over = |pick: fn(&Sample) -> Option<f64>| median(samples.iter().filter_map(pick));
    Some(Figures {
        rate: over(|s| Some(s.rate))?,
        lowest: samples.iter().map(|s| s.rate).reduce(f64::min)?,
        highest: samples.iter().map(|s| s.rate).reduce(f64::max)?,
        ratio: over(|s| s.ratio),
        p50_ms: over(|s| s.p50_ms),
        p99_ms: over(|s| s.p99_ms),
        max_ms: over(|s| s.max_ms),
        cpu_per_10k: over(|s| s.cpu_per_10k),
        load_cpu_per_10k: over(|s| s.load_cpu_per_10k),
        rss_mb: over(|s| s.rss_mb),
        errors: samples.iter().map(|s| s.errors).sum(),
        broken: samples.iter().any(|s| s.broken),
    })
}

pub(crate) fn json(measured: &Measured) -> anyhow::Result<String> {
    let measures: Vec<_> = measured
        .samples
        .iter()
        .map(|(measure, samples)| {
            json!({
                "name": measure.to_string(),
                "measure": measure,
                "median": median_of(measured, *measure),
                "rounds": samples,
            })
        })
        .collect();
    serde_json::to_string_pretty(&json!({
        "machine": measured.machine,
        "runs": measured.plan.runs,
        "window_seconds": measured.plan.window.as_secs_f64(),
        "whole_events": measured.plan.whole_events,
        "measures": measures,
        "targets": targets(measured),
        "skipped": measured.skipped,
    }))
    .context("cannot write the result as JSON")
}

pub(crate) fn text(measured: &Measured) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = table(measured, &mut out);
    let _ = goals(measured, &mut out);
    out
}

fn table(measured: &Measured, out: &mut String) -> fmt::Result {
    let plan = measured.plan;
    writeln!(out, "{}", measured.machine)?;
    writeln!(
        out,
        "medians of {}, {} s each, the whole way {} events; events of about 1 KB\n",
        plan.runs,
        plan.window.as_secs(),
        plan.whole_events
    )?;
    writeln!(
        out,
        "{:WIDTH$}{:>9}{:>19}{:>7}{:>8}{:>8}{:>8}{:>9}{:>7}{:>8}{:>8}",
        "",
        "events/s",
        "lowest..highest",
        "ratio",
        "p50 ms",
        "p99 ms",
        "max ms",
        "CPU/10k",
        "load",
        "RSS MB",
        "errors"
    )?;
    for (measure, _) in &measured.samples {
        let Some(figures) = median_of(measured, *measure) else {
            continue;
        };
        writeln!(
            out,
            "{:WIDTH$}{:>9.0}{:>19}{:>7}{:>8}{:>8}{:>8}{:>9}{:>7}{:>8}{:>8}",
            measure.to_string(),
            figures.rate,
            format!("{:.0}..{:.0}", figures.lowest, figures.highest),
            number(figures.ratio, 3),
            number(figures.p50_ms, 2),
            number(figures.p99_ms, 2),
            number(figures.max_ms, 1),
            number(figures.cpu_per_10k, 2),
            number(figures.load_cpu_per_10k, 2),
            number(figures.rss_mb, 1),
            figures.errors,
        )?;
    }
    writeln!(out, "\n{LEGEND}")?;
    for (measure, samples) in &measured.samples {
        let notes: BTreeSet<&String> = samples.iter().flat_map(|sample| &sample.notes).collect();
        for note in notes {
            writeln!(out, "- {measure}: {note}")?;
        }
    }
    Ok(())
}

fn goals(measured: &Measured, out: &mut String) -> fmt::Result {
    writeln!(
        out,
        "\n{:WIDTH$}{:>9}{:>10}{:>10}",
        "target", "measured", "wanted", "aim"
    )?;
    for target in targets(measured) {
        let bound = |bound: Option<_>| bound.map_or_else(String::new, |bound| format!("{bound}"));
        writeln!(
            out,
            "{:WIDTH$}{:>9}{:>10}{:>10}  {}",
            target.what,
            number(target.measured, 3),
            bound(target.wanted),
            bound(target.aim),
            target.verdict
        )?;
    }
    for why in &measured.skipped {
        writeln!(out, "- skipped, {why}")?;
    }
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        return values.get(middle).copied();
    }
    let pair = values.get(middle.checked_sub(1)?..=middle)?;
    Some(pair.iter().sum::<f64>() / 2.0)
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.places$}"))
}

impl fmt::Display for Measure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: &u32| if *count == 1 { "" } else { "s" };
        match self {
            Self::Floor { connections: c } => {
                write!(formatter, "floor, {c} connection{}", plural(c))
            }
            Self::Limit { clients: c } => {
                write!(formatter, "insert limit, {c} client{}", plural(c))
            }
            Self::Ingest { connections: c } => {
                write!(formatter, "ingest, {c} connection{}", plural(c))
            }
            Self::Receive { connections: c } => {
                write!(formatter, "ingest alone, {c} connection{}", plural(c))
            }
            Self::OneInsert { connections: c } => {
                write!(formatter, "one INSERT, {c} connection{}", plural(c))
            }
            Self::Open { rate } => write!(formatter, "open arrivals, {rate}/s"),
            Self::Whole => formatter.write_str("the whole way, 64 connections"),
            Self::SlowIngest => formatter.write_str("slow disk: ingest, 64"),
            Self::SlowOneInsert => formatter.write_str("slow disk: one INSERT, 64"),
        }
    }
}
