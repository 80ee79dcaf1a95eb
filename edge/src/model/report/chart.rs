//! Held-out scores over time, as the paths of an SVG that stretches with the page.
//!
//! The drawing is 1000 wide and 100 high and is stretched to whatever room there is; its dots are lines without a length,
//! whose round ends keep their shape. Numbers on the axes are text of the page, so that they stay legible on a phone.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::Plots;
use super::figure::{Tick, percent};
use crate::picture::round::real;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;
/// Scores higher than this are drawn at the top: 3 or 30 times the threshold is the same news.
const HIGHEST: f64 = 3.0;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

pub(super) struct Chart {
    pub residual: String,
    pub envelope: String,
    pub dropped: String,
    /// From the top, in the drawing's units.
    pub threshold: String,
    pub scores: Vec<Tick>,
    pub times: Vec<Tick>,
    /// What the axis of times counts.
    pub axis: &'static str,
    /// Points that are drawn at the top although they are higher.
    pub beyond: usize,
}

/// None if there is nothing to draw.
pub(super) fn chart(plots: &Plots<'_>) -> Option<Chart> {
    let points = &plots.held_out;
    let dropped = &plots.dropped;
    let times: Option<Vec<f64>> = points
        .iter()
        .map(|point| point.captured_at)
        .chain(dropped.iter().map(|frame| frame.captured_at))
        .map(|at| at.map(seconds))
        .collect();
    let is_time = times.is_some();
    let numbers = points.iter().map(|point| point.number);
    let numbers = numbers.chain(dropped.iter().map(|frame| frame.number));
    let across = times.unwrap_or_else(|| numbers.map(|number| real(number) + 1.0).collect());
    let first = across.iter().copied().reduce(f64::min)?;
    let last = across.iter().copied().reduce(f64::max)?;
    let length = (last - first).max(1.0);
    let scores = points
        .iter()
        .flat_map(|point| [point.residual, point.envelope]);
    let scores = scores.chain(dropped.iter().map(|frame| frame.ratio));
    let highest = scores.clone().fold(0.0, f64::max);
    let top = (highest * 1.08).clamp(1.25, HIGHEST);
    let mut draw = Dots { top, first, length };
    let (used, left_out) = across.split_at(points.len());
    Some(Chart {
        residual: draw.path(used, points.iter().map(|point| point.residual)),
        envelope: draw.path(used, points.iter().map(|point| point.envelope)),
        dropped: draw.path(left_out, dropped.iter().map(|frame| frame.ratio)),
        threshold: format!("{:.2}", HEIGHT * (1.0 - 1.0 / top)),
        scores: score_ticks(top),
        times: if is_time {
            time_ticks(first, last)
        } else {
            number_ticks(first, last)
        },
        axis: if is_time {
            "capture time (UTC)"
        } else {
            "frame number"
        },
        beyond: scores.filter(|score| *score > top).count(),
    })
}

struct Dots {
    top: f64,
    first: f64,
    length: f64,
}

impl Dots {
    fn path(&mut self, across: &[f64], scores: impl Iterator<Item = f64>) -> String {
        let mut path = String::new();
        for (at, score) in across.iter().zip(scores) {
            let x = WIDTH * (at - self.first) / self.length;
            // An envelope score is below zero while a place is colder than it ever was.
            let score = if score.is_nan() { 0.0 } else { score };
            let y = HEIGHT * (1.0 - score.clamp(0.0, self.top) / self.top);
            let written = write!(path, "M{x:.1} {y:.1}h0");
            debug_assert!(written.is_ok(), "a String takes everything");
        }
        path
    }
}

fn score_ticks(top: f64) -> Vec<Tick> {
    let step = if top > 1.6 { 1.0 } else { 0.5 };
    let at = (0..7).map(|index| f64::from(index) * step);
    at.filter(|score| *score <= top)
        .map(|score| Tick {
            at: percent(score / top),
            text: format!("{score}"),
        })
        .collect()
}

/// At midnights, or at full hours of a short recording.
fn time_ticks(first: f64, last: f64) -> Vec<Tick> {
    const STEPS: [i64; 12] = [
        HOUR / 4,
        HOUR,
        3 * HOUR,
        6 * HOUR,
        12 * HOUR,
        DAY,
        2 * DAY,
        4 * DAY,
        7 * DAY,
        14 * DAY,
        30 * DAY,
        90 * DAY,
    ];
    let (from, to) = (whole_seconds(first), whole_seconds(last));
    let step = STEPS
        .into_iter()
        .find(|&step| (to - from) / step <= if step < DAY { 4 } else { 7 })
        .unwrap_or(((to - from) / (7 * DAY) + 1) * DAY);
    let format = if step < DAY { "%-d %b %H:%M" } else { "%-d %b" };
    let mut ticks = Vec::new();
    let mut at = from.div_euclid(step) * step;
    while at <= to {
        if at >= from
            && let Some(time) = DateTime::from_timestamp(at, 0)
        {
            ticks.push(Tick {
                at: percent(real_seconds(at - from) / (last - first).max(1.0)),
                text: time.format(format).to_string(),
            });
        }
        at += step;
    }
    ticks
}

fn number_ticks(first: f64, last: f64) -> Vec<Tick> {
    let limits = crate::picture::Limits {
        low: crate::picture::round::narrow(first),
        high: crate::picture::round::narrow(last.max(first + 1.0)),
    };
    let (ticks, decimals) = crate::picture::legend::ticks(limits, 5);
    ticks
        .into_iter()
        .map(|number| Tick {
            at: percent((number - first) / (last - first).max(1.0)),
            text: format!("{number:.decimals$}"),
        })
        .collect()
}

fn seconds(at: DateTime<Utc>) -> f64 {
    real_seconds(at.timestamp())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "seconds of any calendar are far below 2^52"
)]
fn real_seconds(seconds: i64) -> f64 {
    seconds as f64
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "came from whole seconds just before"
)]
fn whole_seconds(seconds: f64) -> i64 {
    seconds as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_round() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            let at = |text: &str| seconds(text.parse().expect("a time"));
            let ticks = time_ticks(at(from), at(to));
            let texts: Vec<_> = ticks.iter().map(|tick| tick.text.as_str()).collect();
            assert_eq!(texts, expected);
        };
        check(
            "2026-01-10T22:00:00Z",
            "2026-01-13T23:00:00Z",
            &["11 Jan", "12 Jan", "13 Jan"],
        );
        check(
            "2026-01-10T08:10:00Z",
            "2026-01-10T10:00:00Z",
            &["10 Jan 09:00", "10 Jan 10:00"],
        );
        check("2026-01-10T08:10:00Z", "2026-01-10T08:10:00Z", &[]);
    }
}
