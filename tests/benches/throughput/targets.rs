//! What the service promises of its speed, and whether this run bears it out.
//!
//! A target is what must hold, an aim what we work towards. Both compare medians, and ratios rather than absolute
//! figures wherever the machine has a say. What was not measured says so.

use std::fmt;

use serde::Serialize;

use crate::report::{Figures, median_of};
use crate::rounds::{Measure, Measured};

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtLeast(f64),
    Below(f64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    AimReached,
    Reached,
    NotReached,
    /// Accepted events were lost or left behind, so no speed counts.
    Broken,
    NotMeasured,
}

#[derive(Debug, Serialize)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) measured: Option<f64>,
    pub(crate) wanted: Option<Bound>,
    pub(crate) aim: Option<Bound>,
    pub(crate) verdict: Verdict,
}

pub(crate) fn targets(measured: &Measured) -> Vec<Target> {
    use Bound::{AtLeast, Below};
    let main = Measure::Ingest { connections: 64 };
    let wide = Measure::Ingest { connections: 256 };
    let row = |what, measure, pick: fn(&Figures) -> Option<f64>, wanted, aim| {
        let figures = median_of(measured, measure);
        let broken = figures.as_ref().is_some_and(|figures| figures.broken);
        let value = figures.as_ref().and_then(pick);
        Target::new(what, value, broken, wanted, aim)
    };
    vec![
        row(
            "ingest / floor, 64 connections",
            main,
            |f| f.ratio,
            Some(AtLeast(0.22)),
            Some(AtLeast(0.28)),
        ),
        row(
            "ingest / floor, 256 connections",
            wide,
            |f| f.ratio,
            Some(AtLeast(0.26)),
            Some(AtLeast(0.33)),
        ),
        row(
            "slow disk: ingest / one INSERT",
            Measure::SlowIngest,
            |f| f.ratio,
            Some(AtLeast(4.0)),
            None,
        ),
        row(
            "the whole way / floor",
            Measure::Whole,
            |f| f.ratio,
            Some(AtLeast(0.06)),
            Some(AtLeast(0.1)),
        ),
        row(
            "p99 ms at 2,000 arrivals/s",
            Measure::Open { rate: 2_000 },
            |f| f.p99_ms,
            Some(Below(10.0)),
            None,
        ),
        row(
            "p99 ms at 5,000 arrivals/s",
            Measure::Open { rate: 5_000 },
            |f| f.p99_ms,
            None,
            Some(Below(10.0)),
        ),
        row(
            "CPU s per 10,000 stored",
            main,
            |f| f.cpu_per_10k,
            Some(Below(0.5)),
            None,
        ),
        memory(measured),
    ]
}

/// The highest peak of the service in any measurement.
fn memory(measured: &Measured) -> Target {
    let peaks = measured.samples.iter().filter_map(|(measure, _)| {
        let of_service = !matches!(
            measure,
            Measure::Floor { .. } | Measure::OneInsert { .. } | Measure::SlowOneInsert
        );
        median_of(measured, *measure)?.rss_mb.filter(|_| of_service)
    });
    let peak = peaks.reduce(f64::max);
    Target::new(
        "peak RSS MB of the service",
        peak,
        false,
        Some(Bound::Below(60.0)),
        None,
    )
}

impl Target {
    fn new(
        what: &'static str,
        measured: Option<f64>,
        broken: bool,
        wanted: Option<Bound>,
        aim: Option<Bound>,
    ) -> Self {
        let holds =
            |bound: Option<Bound>| bound.zip(measured).map(|(bound, value)| bound.holds(value));
        let verdict = match (measured, holds(wanted), holds(aim)) {
            (None, ..) => Verdict::NotMeasured,
            _ if broken => Verdict::Broken,
            (_, Some(false), _) | (_, None, Some(false)) => Verdict::NotReached,
            (_, _, Some(true)) => Verdict::AimReached,
            _ => Verdict::Reached,
        };
        Self {
            what,
            measured,
            wanted,
            aim,
            verdict,
        }
    }
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::Below(bound) => value < bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(formatter, ">= {bound}"),
            Self::Below(bound) => write!(formatter, "< {bound}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::AimReached => "reached, aim too",
            Self::Reached => "reached",
            Self::NotReached => "NOT reached",
            Self::Broken => "NOT reached: events lost or left behind",
            Self::NotMeasured => "not measured",
        })
    }
}
