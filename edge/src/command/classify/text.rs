//! Frames and their summary for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{anomaly, printable};
use crate::capture::replay::{Recorded, Source};
use crate::classify::{Classification, Verdict};
use crate::frame::MOST_BAD_PIXELS;

/// A bar as wide as this is a score of 1.
const BAR: usize = 24;
/// So many of the worst frames are listed.
const MOST_LISTED: usize = 10;
/// What counts as an anomaly where nothing else was said: what the thresholds are made for.
const THRESHOLD: f32 = 0.7;

/// What is remembered of a run.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) frames: usize,
    pub(super) skipped: usize,
    faults: usize,
    /// Frames by the label that won.
    winners: BTreeMap<String, usize>,
    /// By falling `anomaly`.
    worst: Vec<Worst>,
    /// What counts as an anomaly, if it was said.
    limit: Option<f32>,
    above: usize,
}

#[derive(Debug)]
struct Worst {
    anomaly: f32,
    line: String,
}

/// A frame's name: its file, and which one it is there.
pub(super) fn name(source: &Source) -> String {
    printable(&source.to_string())
}

pub(super) fn fault(bad_pixels: usize) -> String {
    format!(
        "sensor fault: {bad_pixels} broken pixels, and more than {MOST_BAD_PIXELS} say nothing of a scene"
    )
}

/// Some lines on one frame.
pub(super) fn block(recorded: &Recorded, verdict: &Verdict) -> String {
    let mut text = name(&recorded.source);
    if let Some(at) = recorded.frame.captured_at {
        put(
            &mut text,
            format_args!("   {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        );
    }
    text.push('\n');
    match verdict {
        Verdict::SensorFault { bad_pixels } => {
            put(&mut text, format_args!("  {}\n", fault(*bad_pixels)));
        }
        Verdict::Classified(classification) => {
            let widest = classification
                .scores
                .iter()
                .map(|(label, _)| label.chars().count())
                .max()
                .unwrap_or(0);
            for (label, score) in &classification.scores {
                let label = printable(label);
                let bar = bar(*score);
                put(
                    &mut text,
                    format_args!("  {label:<widest$}  {score:.3}  {bar}\n"),
                );
            }
            if let Some(found) = finding(classification) {
                put(&mut text, format_args!("  {found}\n"));
            }
            if classification.bad_pixels > 0 {
                put(
                    &mut text,
                    format_args!("  mended pixels: {}\n", classification.bad_pixels),
                );
            }
        }
    }
    text
}

impl Summary {
    pub(super) fn new(limit: Option<f32>) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, source: &Source, verdict: &Verdict) {
        self.frames += 1;
        let Verdict::Classified(classification) = verdict else {
            self.faults += 1;
            return;
        };
        let winner = classification
            .scores
            .iter()
            .max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((label, _)) = winner {
            *self.winners.entry(label.clone()).or_default() += 1;
        }
        let Some(anomaly) = anomaly(classification) else {
            return;
        };
        if anomaly > self.limit.unwrap_or(THRESHOLD) {
            self.above += 1;
        }
        let at = self.worst.partition_point(|worst| worst.anomaly >= anomaly);
        if at < MOST_LISTED {
            let found = finding(classification).unwrap_or_default();
            let line = format!("  {anomaly:.3}  {}  {found}\n", name(source));
            self.worst.insert(at, Worst { anomaly, line });
            self.worst.truncate(MOST_LISTED);
        }
    }

    /// Whether any frame is above a limit, or its sensor at fault; never without a limit.
    pub(super) fn beyond(&self) -> bool {
        self.limit.is_some() && self.faults + self.above > 0
    }

    /// Nothing for a single frame, which has said it all.
    pub(super) fn text(&self) -> String {
        if self.frames + self.skipped < 2 {
            return String::new();
        }
        let winners: Vec<_> = self
            .winners
            .iter()
            .map(|(label, count)| format!("{count} {}", printable(label)))
            .collect();
        let mut text = format!("{} frames: {}\n", self.frames, winners.join(", "));
        if self.faults > 0 {
            put(
                &mut text,
                format_args!("{} with a sensor fault\n", self.faults),
            );
        }
        if self.skipped > 0 {
            put(&mut text, format_args!("{} skipped\n", self.skipped));
        }
        if !self.worst.is_empty() {
            let limit = self.limit.unwrap_or(THRESHOLD);
            put(
                &mut text,
                format_args!("{} with an anomaly above {limit}\n", self.above),
            );
            text += "highest anomaly:\n";
            text.extend(self.worst.iter().map(|worst| worst.line.as_str()));
        }
        text
    }
}

/// Where it is least like itself.
fn finding(classification: &Classification) -> Option<String> {
    let place = classification.place?;
    let mut text = format!("row {}, column {}", place.row, place.column);
    if let Some(delta_t) = classification.delta_t {
        put(&mut text, format_args!("   ΔT {delta_t:+.1} °C"));
    }
    if let Some(ratio) = classification.ratio {
        put(&mut text, format_args!("   ratio {ratio:.2}"));
    }
    if let Some([down, right]) = classification.shift {
        put(&mut text, format_args!("   shift {down:+.2}, {right:+.2}"));
    }
    Some(text)
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a text cannot fail.
    let _ = text.write_fmt(arguments);
}

fn bar(score: f32) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a score between 0 and 1"
    )]
    let filled = ((score * BAR as f32).round() as usize).min(BAR);
    "█".repeat(filled) + &"·".repeat(BAR - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> Source {
        Source {
            path: name.into(),
            index: None,
        }
    }

    fn verdict(anomaly: f32) -> Verdict {
        Verdict::Classified(Classification {
            scores: vec![("anomaly".into(), anomaly), ("cold".into(), 1.0 - anomaly)],
            bad_pixels: 0,
            place: None,
            delta_t: None,
            ratio: None,
            shift: None,
        })
    }

    #[test]
    fn the_worst_are_listed_in_order_and_decide() {
        let check = |limit: Option<f32>, above: usize, beyond: bool| {
            let mut summary = Summary::new(limit);
            for at in 0_u8..30 {
                let anomaly = f32::from(at * 7 % 30) / 40.0;
                summary.add(&source(&format!("f{at}")), &verdict(anomaly));
            }
            assert!(summary.worst.is_sorted_by(|a, b| a.anomaly >= b.anomaly));
            assert_eq!(summary.worst.len(), MOST_LISTED);
            assert_eq!(
                (summary.above, summary.beyond()),
                (above, beyond),
                "{limit:?}"
            );
            summary
        };
        let text = check(None, 1, false).text();
        assert!(text.starts_with("30 frames: "), "{text}");
        assert!(text.contains("1 with an anomaly above 0.7\n"), "{text}");
        check(Some(0.5), 9, true);
        let mut summary = check(Some(0.9), 0, false);
        summary.add(&source("x"), &Verdict::SensorFault { bad_pixels: 9 });
        assert!(summary.beyond());
    }

    #[test]
    fn bars_stay_within_their_width() {
        for score in [-1.0, 0.0, 0.5, 1.0, 2.0, f32::NAN] {
            assert_eq!(bar(score).chars().count(), BAR, "{score}");
        }
    }
}
