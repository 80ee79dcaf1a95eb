//! Charts as plain SVG, and their numbers as a table (pure).

use std::fmt::Write;

use chrono::{DateTime, Utc};

use crate::web::series::read::Latest;
use crate::web::series::{Line, SeriesAnswer};

/// The drawing is as wide as the page, whatever that is; these are the units inside.
pub const WIDTH: f64 = 1_000.0;
pub const HEIGHT: f64 = 100.0;

#[derive(Debug, Default)]
pub struct Chart {
    /// Class and path of each series.
    pub curves: Vec<(String, String)>,
    /// From left to right, where an incident was.
    pub bands: Vec<(String, String)>,
    /// How far from the top a rule fires.
    pub limits: Vec<String>,
    pub bottom: String,
    pub top: String,
}

impl Chart {
    pub fn draw(answer: &SeriesAnswer, names: &[String], fixed: Option<(f64, f64)>) -> Self {
        let lines: Vec<&Line> = answer
            .series
            .iter()
            .filter(|line| names.contains(&line.name))
            .collect();
        let limits = answer
            .limits
            .iter()
            .filter(|limit| names.contains(&limit.series));
        let limits: Vec<f64> = limits.map(|limit| limit.fire).collect();
        let (bottom, top) = fixed.unwrap_or_else(|| reach(&lines, &limits));
        let y = |value: f64| (1.0 - ((value - bottom) / (top - bottom)).clamp(0.0, 1.0)) * HEIGHT;
        let begin = answer.from.timestamp();
        #[expect(clippy::cast_precision_loss, reason = "seconds of a century are exact")]
        let x = |at: i64| {
            let share = (at - begin) as f64 / (answer.to.timestamp() - begin).max(1) as f64;
            share.clamp(0.0, 1.0) * WIDTH
        };
        let mut chart = Self {
            bottom: short(bottom),
            top: short(top),
            limits: limits.iter().map(|limit| short(y(*limit))).collect(),
            ..Self::default()
        };
        for line in lines.iter().rev() {
            // Of the anomaly score and of what is hottest, the highest counts.
            let peaks = matches!(line.name.as_str(), "anomaly" | "max");
            let values = line.high.as_ref().filter(|_| peaks).unwrap_or(&line.mean);
            let mut path = String::new();
            let mut joined = false;
            for (at, value) in line.at.iter().zip(values) {
                if let Some(value) = value {
                    let _ = write!(
                        path,
                        "{}{} {}",
                        if joined { 'L' } else { 'M' },
                        short(x(*at)),
                        short(y(*value))
                    );
                    if !joined {
                        path.push_str("h0");
                    }
                }
                joined = value.is_some();
            }
            chart.curves.push((class(&line.name).to_owned(), path));
        }
        let end = |at: Option<DateTime<Utc>>| at.map_or(WIDTH, |at| x(at.timestamp()));
        chart.bands = answer
            .incidents
            .iter()
            .map(|band| {
                let left = x(band.opened_at.timestamp());
                // Also what was short is seen.
                (short(left), short((end(band.resolved_at) - left).max(2.0)))
            })
            .collect();
        chart
    }
}

/// The word of the style sheet.
pub fn class(name: &str) -> &str {
    match name {
        "anomaly" | "cold" | "warm" | "hot" | "max" | "mean" => name,
        _ => "other",
    }
}

/// From somewhat below the lowest to somewhat above the highest, with the limits in it.
fn reach(lines: &[&Line], limits: &[f64]) -> (f64, f64) {
    let values = lines.iter().flat_map(|line| {
        let lows = line.low.as_ref().unwrap_or(&line.mean);
        let highs = line.high.as_ref().unwrap_or(&line.mean);
        lows.iter().chain(highs).flatten().copied()
    });
    let (low, high) = values
        .chain(limits.iter().copied())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
    if low > high {
        return (0.0, 1.0);
    }
    let room = ((high - low) / 10.0).max(0.5);
    ((low - room).floor(), (high + room).ceil())
}

fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

/// What a chart shows of one series, in numbers.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub lowest: String,
    pub mean: String,
    pub highest: String,
    pub highest_at: Option<DateTime<Utc>>,
    pub newest: String,
}

pub fn rows(answer: &SeriesAnswer, latest: &[Latest]) -> Vec<Row> {
    let rows = answer.series.iter().map(|line| {
        let told = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| number(&line.name, value))
        };
        let lows = line.low.as_ref().unwrap_or(&line.mean).iter().flatten();
        let highs = line.high.as_ref().unwrap_or(&line.mean);
        let means: Vec<f64> = line.mean.iter().flatten().copied().collect();
        let peak = line
            .at
            .iter()
            .zip(highs)
            .filter_map(|(at, value)| Some((*at, (*value)?)))
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let mean = (!means.is_empty()).then(|| means.iter().sum::<f64>() / means.len() as f64);
        let newest = latest.iter().find(|one| one.series == line.name);
        Row {
            lowest: told(lows.copied().reduce(f64::min)),
            mean: told(mean),
            highest: told(peak.map(|peak| peak.1)),
            highest_at: peak.and_then(|peak| DateTime::from_timestamp(peak.0, 0)),
            newest: told(newest.map(|newest| newest.value)),
            name: line.name.clone(),
        }
    });
    rows.collect()
}

/// As people want it: scores to three places, degrees to one.
fn number(name: &str, value: f64) -> String {
    if crate::web::series::TEMPERATURES.contains(&name) {
        format!("{value:.1} °C")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_has_room_above_and_below_and_limits_are_seen() {
        let line = Line {
            mean: vec![Some(20.0), None, Some(30.0)],
            ..Line::default()
        };
        assert_eq!(reach(&[&line], &[]), (19.0, 31.0));
        assert_eq!(reach(&[&line], &[80.0]), (14.0, 86.0));
        assert_eq!(reach(&[], &[]), (0.0, 1.0));
    }
}
