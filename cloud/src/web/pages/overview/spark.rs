//! The last 24 hours of a station as a small drawing (pure): the anomaly score strong, the others light behind it.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::fleet::Point;

/// The drawing is 50 half hours wide, as the hour that goes on is one more than a day has.
const HEIGHT: f64 = 20.0;
const STEPS: i32 = 50;

/// When the drawing begins, so that it does not change with each second.
pub fn start(at: DateTime<Utc>) -> DateTime<Utc> {
    let into = at.timestamp().rem_euclid(3_600);
    DateTime::from_timestamp(at.timestamp() - into, 0).unwrap_or(at)
}

#[derive(Debug, Default)]
pub struct Spark {
    /// Class and path, the ones that are drawn first before.
    pub curves: Vec<(String, String)>,
    /// How far from the top the limit is.
    pub limit: Option<String>,
    pub told: String,
}

pub fn draw(
    device: &str,
    scores: &[(String, f64)],
    peaks: &[Point],
    samples: &[Point],
    limit: Option<f64>,
) -> Spark {
    let of = |points: &[Point], name: &str| -> Vec<(i32, f64)> {
        let ours = |point: &&Point| point.device == device && point.series == name;
        points
            .iter()
            .filter(ours)
            // Notes of a clock that is ahead are not drawn beyond the frame.
            .filter(|point| (0..=STEPS).contains(&point.step))
            .map(|point| (point.step, point.value))
            .collect()
    };
    let mut spark = Spark {
        limit: limit.map(|limit| short(height(limit))),
        ..Spark::default()
    };
    for (name, _) in scores.iter().rev() {
        let (points, class) = match name.as_str() {
            "anomaly" => (of(peaks, name), "anomaly"),
            "cold" | "warm" | "hot" => (of(samples, name), name.as_str()),
            _ => (of(samples, name), "other"),
        };
        if !points.is_empty() {
            spark.curves.push((class.to_owned(), path(&points)));
        }
    }
    let highest = of(peaks, "anomaly")
        .into_iter()
        .map(|(_, value)| value)
        .reduce(f64::max);
    spark.told = "The last 24 hours".into();
    if let Some(highest) = highest {
        let _ = write!(spark.told, ": anomaly {highest:.2} at most");
    }
    for (name, value) in scores {
        let _ = write!(spark.told, ", {name} {value:.2} now");
    }
    spark
}

/// Where nothing was heard for more than three hours there is no line; what stands alone is a dot.
fn path(points: &[(i32, f64)]) -> String {
    const LONGEST: i32 = 6;
    let mut path = String::new();
    let mut last: Option<i32> = None;
    for (step, value) in points {
        let joined = last.is_some_and(|last| step - last <= LONGEST);
        let _ = write!(
            path,
            "{}{step} {}",
            if joined { 'L' } else { 'M' },
            short(height(*value))
        );
        if !joined {
            // A line of no length, which round ends make visible.
            path.push_str("h0");
        }
        last = Some(*step);
    }
    path
}

/// From 1 at the top to 0 at the bottom, with room for the width of a line.
fn height(value: f64) -> f64 {
    (1.0 - value.clamp(0.0, 1.0)) * (HEIGHT - 2.0) + 1.0
}

fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0")
        .map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_gaps_and_dots() {
        assert_eq!(
            path(&[(0, 0.0), (1, 1.0), (7, 0.5), (14, 0.5)]),
            "M0 19h0L1 1L7 10M14 10h0"
        );
    }

    #[test]
    fn it_begins_with_an_hour() {
        let at = "2026-03-01T12:59:59.5Z".parse().expect("a time");
        assert_eq!(start(at).to_rfc3339(), "2026-03-01T12:00:00+00:00");
    }
}
