//! The report for a terminal: what was learned, what is doubtful, and what will be seen, in plain words.

use super::Report;
use super::words::{
    bad_pixels, clamp_words, counted, degrees, expected_words, harmless, named, percent, span, time,
};

const WIDTH: usize = 96;
/// Where what is said begins; names stand before it.
const INDENT: usize = 20;
/// More than this many dropped frames are counted, not listed.
const LISTED: usize = 5;

pub(super) fn text(report: &Report) -> String {
    let mut lines = Lines::default();
    if report.simulated {
        lines.sentence(
            "",
            "Simulated frames: for demonstration only, never to watch anything.",
        );
    }
    for warning in &report.warnings {
        lines.sentence("! ", &harmless(warning));
    }
    frames(&mut lines, report);
    model(&mut lines, report);
    detectable(&mut lines, report);
    labels(&mut lines, report);
    lines.0.join("\n").trim_start().to_owned() + "\n"
}

fn frames(lines: &mut Lines, report: &Report) {
    lines.heading("Frames");
    if let Some(camera) = &report.camera {
        lines.item("camera", &harmless(camera));
    }
    lines.item(
        "used",
        &format!("{} of {} read", report.frames, report.frames_read),
    );
    lines.item("span", &span(report));
    if report.dropped.is_empty() {
        lines.item("dropped", "none");
    } else {
        let count = counted(report.dropped.len(), "frame");
        let why = format!("{count} unlike all others, left out of the training:");
        lines.item("dropped", &why);
        for dropped in report.dropped.iter().take(LISTED) {
            let score = format!("{}  (score {:.1})", named(&dropped.frame), dropped.score);
            lines.item("", &score);
        }
        if report.dropped.len() > LISTED {
            lines.item("", &format!("and {} more", report.dropped.len() - LISTED));
        }
    }
    if let Some(last) = report.adopted.iter().map(|frame| frame.adopted_at).max() {
        let count = counted(report.adopted.len(), "frame");
        let adopted = format!(
            "{count} declared normal by somebody, last on {}",
            time(last)
        );
        lines.item("adopted", &adopted);
    }
    lines.item("bad pixels", &bad_pixels(report));
    let hottest = &report.hottest;
    lines.item(
        "hottest",
        &format!(
            "{:.1} °C at row {}, column {} (from 0), now normal: {}",
            hottest.celsius,
            hottest.row,
            hottest.column,
            named(&hottest.frame)
        ),
    );
}

fn model(lines: &mut Lines, report: &Report) {
    lines.heading("Model");
    lines.item(
        "modes",
        &match report.k {
            1 => "1 way in which the scene normally changes".to_owned(),
            k => format!("{k} ways in which the scene normally changes"),
        },
    );
    let (residual, envelope) = (&report.threshold_residual, &report.threshold_envelope);
    lines.item(
        "unexplained",
        &format!(
            "threshold {:.2} times the noise: {}",
            residual.clamped,
            clamp_words(residual)
        ),
    );
    lines.item(
        "hotter than ever",
        &format!(
            "threshold {:.2} °C: {}",
            envelope.clamped,
            clamp_words(envelope)
        ),
    );
    let held_out = &report.held_out;
    lines.heading("Each frame, judged by a fit that had not seen it or its neighbours in time");
    lines.item(
        "over threshold",
        &format!(
            "{} of {} (largest score {:.2} of its threshold, median {:.2})",
            held_out.over_threshold, report.frames, held_out.largest_ratio, held_out.median_ratio
        ),
    );
    lines.item("false alarms", &expected_words(held_out));
}

fn detectable(lines: &mut Lines, report: &Report) {
    if report.detectable.is_empty() {
        return;
    }
    lines.heading("How much hotter than it should be a spot must be, to be seen");
    let row = |radius: &str, half: &str, most: &str| format!("  {radius:<16}{half:>20}{most:>22}");
    lines.line(row(
        "radius of spot",
        "in half the places",
        "in 95 of 100 places",
    ));
    for summary in &report.detectable {
        let radius = counted(summary.radius, "pixel");
        lines.line(row(
            &radius,
            &degrees(summary.median),
            &degrees(summary.p95),
        ));
    }
}

fn labels(lines: &mut Lines, report: &Report) {
    lines.heading("Labels");
    let balance: Vec<_> = report
        .labels
        .iter()
        .map(|label| format!("{} {}", harmless(&label.label), label.frames))
        .collect();
    let origin = if report.labelled {
        "as given by the recording"
    } else {
        "made from the heat: they mean low, middle and high"
    };
    lines.item("frames", &format!("{} ({origin})", balance.join(", ")));
    if let Some(accuracy) = report.label_accuracy {
        let accuracy = format!(
            "{} of held-out frames got their own label",
            percent(accuracy)
        );
        lines.item("accuracy", &accuracy);
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn heading(&mut self, text: &str) {
        self.line(String::new());
        self.line(text.to_owned());
    }

    fn line(&mut self, line: String) {
        self.0.push(line);
    }

    fn item(&mut self, name: &str, text: &str) {
        self.wrapped(&format!("  {name:<width$}", width = INDENT - 2), text);
    }

    fn sentence(&mut self, before: &str, text: &str) {
        self.wrapped(before, text);
    }

    /// Later lines begin where the first one's text does. Words longer than a line stay whole, for they are file names.
    fn wrapped(&mut self, before: &str, text: &str) {
        let indent = before.chars().count();
        let mut line = before.to_owned();
        let mut used = indent;
        for word in text.split(' ') {
            let length = word.chars().count();
            if used > indent && used + 1 + length > WIDTH {
                self.line(std::mem::replace(&mut line, " ".repeat(indent)));
                used = indent;
            } else if used > indent {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        self.line(line);
    }
}
