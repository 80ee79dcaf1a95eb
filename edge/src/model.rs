//! What a scene normally looks like, learned from its own frames.
//!
//! A frame is explained as *mean + constant offset + up to 12 modes*; what they cannot explain is the residual, which is
//! judged against the noise each pixel is known to have. Beside it stands the envelope: how much hotter a place is than
//! it ever was. The larger of the two, measured by its threshold, is the anomaly. `fit` learns all of it from frames,
//! `onnx` writes it as a graph that does the same calculation, and `gate` reads any ONNX file with suspicion.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Gradients and the three smoothing scales.
pub mod smooth;

/// The mean frame and the modes around it.
pub mod basis;

/// What the modes cannot explain, after allowing for a small movement of the camera.
pub mod residual;

/// Thresholds from held-out scores.
pub mod threshold;

/// The split of what is normal into labels.
pub mod labels;

/// Learning, with its cross-validation and trimming.
pub mod fit;

/// How much hotter a spot must be, at each place, to be seen.
pub mod detectable;

/// What is written beside the numbers into the file.
pub mod metadata;

/// The calculation as an ONNX graph, and ONNX files in general.
pub mod onnx;

/// Judges an ONNX file before any runtime sees it.
pub mod gate;

/// From a recording to a model file and its report.
pub mod training;

/// What the training has to say for itself: as text, JSON and a page.
pub mod report;

/// The score that says that something is not normal; never a label of normal frames.
pub const ANOMALY: &str = "anomaly";

/// How often a pixel's neighbourhood is smoothed: not at all, by 0.8 and by 1.6 pixels.
pub const SCALES: usize = 3;
/// The model that ships: a simulated boiler, for demonstration. `edge/models/README.md` says how it was made.
pub const DEMONSTRATION: &[u8] = include_bytes!("../models/demonstration.onnx");

/// The most modes that a scene is given.
pub const MOST_MODES: usize = 12;

/// A fitted scene. The numbers are those of the graph: f32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Modes beside the constant one.
    pub k: usize,
    /// The mean frame (768).
    pub mean: Vec<f32>,
    /// 768 rows of k + 1: the constant mode, then the others by falling weight.
    pub basis: Vec<f32>,
    /// Noise of each pixel's residual, deg C (768).
    pub sigma: Vec<f32>,
    /// Variance of the smoothed residual by scale, deg C squared, the floor included (768 each).
    pub variance: [Vec<f32>; SCALES],
    /// The hottest that each place was, smoothed by 0.8 pixels, deg C (768).
    pub hottest: Vec<f32>,
    /// The same above the frame's background (768).
    pub hottest_rise: Vec<f32>,
    pub residual_threshold: Threshold,
    pub envelope_threshold: Threshold,
    pub labels: Labels,
}

/// A limit as the held-out frames gave it, and as it is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    pub raw: f64,
    /// `raw`, kept between a physical floor and a cap.
    pub clamped: f64,
}

/// Softmax(modes x weights + bias).
#[derive(Debug, Clone, PartialEq)]
pub struct Labels {
    /// Coldest first; `anomaly` is not among them.
    pub names: Vec<String>,
    /// k rows, one column a label.
    pub weights: Vec<f32>,
    pub bias: Vec<f32>,
}

/// What a frame is, by the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Assessment {
    /// `anomaly`, then the labels in their order; they sum to 1.
    pub scores: Vec<f32>,
    /// Score by threshold: 1 is the limit, at which `anomaly` is 0.7.
    pub ratio: f32,
    /// The pixel with the highest ratio.
    pub index: usize,
    /// Unexplained temperature, deg C: the largest within two pixels of `index`, or the envelope's if that decided.
    pub delta_t: f32,
    /// How far the camera seems to have moved, pixels: rows, columns. Biased towards 0.
    pub shift: [f32; 2],
}

/// One of the frames that were left out or taken in by somebody's decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Named {
    /// Name of its file within the recording.
    pub file: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<DateTime<Utc>>,
}
