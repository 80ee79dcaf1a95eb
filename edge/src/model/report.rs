//! What the training has to say for itself: as text, JSON and a page.
//!
//! The report is made so that somebody can decide whether to trust the model: what it was taught, what it will not see,
//! how often it may cry wolf, and what is doubtful. It promises nothing beyond that; every figure says what it rests on.
//! The page is one file without a script or anything from elsewhere, for it is mailed, printed and kept.

/// Held-out scores over time.
mod chart;
/// Pictures of the page, each with its legend.
mod figure;
/// The page.
mod page;
/// What the page shows beside the figures of the report.
mod plots;
/// For a terminal.
mod text;
/// Words that text and page share.
mod words;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Named, Threshold, metadata::AdoptedFrame};

pub use plots::{DroppedFrame, HeldOutPoint, Mode, Plots};

/// What `train` prints, and with `--json` its exact shape.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Frames the model was fitted on.
    pub frames: usize,
    /// Frames the recording held.
    pub frames_read: usize,
    pub first_frame: Option<DateTime<Utc>>,
    pub last_frame: Option<DateTime<Utc>>,
    pub span_hours: Option<f64>,
    pub dropped: Vec<Dropped>,
    pub adopted: Vec<AdoptedFrame>,
    pub bad_pixels: BadPixels,
    pub k: usize,
    pub threshold_residual: Threshold,
    /// deg C.
    pub threshold_envelope: Threshold,
    pub held_out: HeldOutSummary,
    pub detectable: Vec<DetectableSummary>,
    pub labelled: bool,
    pub labels: Vec<LabelSummary>,
    /// Share of held-out frames that got their own label; null without labels.
    pub label_accuracy: Option<f64>,
    /// The hottest pixel of all training frames: what was present in training is learned as normal.
    pub hottest: Hottest,
    pub camera: Option<String>,
    pub simulated: bool,
    pub software: String,
    /// Whole sentences: what is doubtful, and what to do.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Dropped {
    #[serde(flatten)]
    pub frame: Named,
    /// Held-out residual score, in multiples of the noise.
    pub score: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct BadPixels {
    /// Frames in which pixels were mended.
    pub frames: usize,
    /// Pixels mended in all.
    pub pixels: usize,
    /// Frames with so many that they were left out.
    pub sensor_faults: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct HeldOutSummary {
    /// Held-out frames beyond a threshold.
    pub over_threshold: usize,
    /// Frames beyond the thresholds in 30 days at one frame every 5 minutes, from the fitted tails, if the coming weeks look like these.
    pub expected_per_30_days: f64,
    /// Median and largest ratio of score to threshold.
    pub median_ratio: f64,
    pub largest_ratio: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct DetectableSummary {
    /// Pixels.
    pub radius: usize,
    /// deg C: half of the places see a spot of this difference, 95 in 100 see the second.
    pub median: f32,
    pub p95: f32,
}

#[derive(Debug, Clone, Serialize)]
pub struct LabelSummary {
    pub label: String,
    pub frames: usize,
}

#[derive(Debug, Clone, Serialize)]
pub struct Hottest {
    pub celsius: f32,
    pub row: usize,
    pub column: usize,
    #[serde(flatten)]
    pub frame: Named,
}

/// What a person reads after `edge train`; fewer than 45 lines.
pub fn text(report: &Report) -> String {
    text::text(report)
}

/// One self-contained page.
pub fn html(report: &Report, plots: &Plots<'_>) -> anyhow::Result<String> {
    page::html(report, plots)
}
