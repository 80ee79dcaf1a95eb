//! Placeholder: learning.

use super::Model;
use crate::frame::Pixels;

/// Fewer frames than this teach nothing.
pub const FEWEST_FRAMES: usize = 30;

/// A frame to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// Repaired.
    pub pixels: &'a Pixels,
    /// Which of the label names; None if it has none (an adopted frame, say).
    pub label: Option<usize>,
    /// Somebody said that it is normal: it is never trimmed.
    pub adopted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Largest |z|, by a fit that did not see this frame.
    pub residual: f64,
    /// Largest excess over the record of the other frames, deg C.
    pub envelope: f64,
}

/// A fitted scene and how it came about. Indices are into the examples.
#[derive(Debug, Clone)]
pub struct Fit {
    pub model: Model,
    /// Which examples the model was fitted on, ascending.
    pub used: Vec<usize>,
    /// Which were left out as absurd, worst first, with their held-out residual score.
    pub dropped: Vec<(usize, f64)>,
    /// One for each of `used`.
    pub held_out: Vec<HeldOut>,
    /// The label of each of `used`: as given, or as the heat decided.
    pub labels: Vec<usize>,
    /// Share of held-out labelled frames that got their own label; None without labels.
    pub label_accuracy: Option<f64>,
}

/// Learns a scene. With `label_names` None, the labels are cold, warm and hot by heat.
///
/// Examples are in the order of their capture: neighbours in time are held out together.
pub fn train(
    _examples: &[Example<'_>],
    _label_names: Option<&[String]>,
    _progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Fit> {
    todo!()
}
