//! Placeholder: running a model.

use std::path::PathBuf;

use crate::frame::{Frame, Place};
use crate::model::gate::Checked;

/// What runs the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runtime {
    /// The one that is built in: rten.
    Embedded,
    /// ONNX Runtime, from this library.
    Library(PathBuf),
}

/// A loaded model that has given its golden answer.
#[derive(Debug)]
pub struct Classifier;

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Classified(Classification),
    /// So many pixels are broken that nothing can be said of the scene.
    SensorFault {
        bad_pixels: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Classification {
    /// By label, in the model's order; they sum to 1.
    pub scores: Vec<(String, f32)>,
    /// Pixels that were mended beforehand.
    pub bad_pixels: usize,
    /// Where it is least like itself. None for models that do not say.
    pub place: Option<Place>,
    /// deg C there that the scene's normal behaviour does not explain.
    pub delta_t: Option<f32>,
    /// Score by threshold: from 1 on, `anomaly` is 0.7 and more.
    pub ratio: Option<f32>,
    /// Pixels that the camera seems to have moved: rows, columns.
    pub shift: Option<[f32; 2]>,
}

impl Classifier {
    /// Checks the bytes, loads them, and lets them answer the golden frame.
    pub fn load(_bytes: &[u8], _runtime: &Runtime) -> anyhow::Result<Self> {
        todo!()
    }

    /// `known_bad` are pixels that the camera's EEPROM lists.
    pub fn classify(&mut self, _frame: &Frame, _known_bad: &[usize]) -> anyhow::Result<Verdict> {
        todo!()
    }

    pub fn checked(&self) -> &Checked {
        todo!()
    }

    /// Name and version of what runs it, for people.
    pub fn runtime(&self) -> &str {
        todo!()
    }
}
