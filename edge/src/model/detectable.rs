//! Placeholder: detectable temperature differences.

use super::Model;
use crate::frame::Pixels;

/// For a spot of one radius: the temperature difference at which it reaches the threshold, by its place.
#[derive(Debug, Clone)]
pub struct Detectable {
    /// Pixels.
    pub radius: usize,
    /// deg C (768).
    pub delta_t: Vec<f32>,
}

/// For spots of 1, 2 and 3 pixels; `frames` are the (repaired) frames the model was fitted on.
pub fn detectable(_model: &Model, _frames: &[&Pixels]) -> Vec<Detectable> {
    todo!()
}
