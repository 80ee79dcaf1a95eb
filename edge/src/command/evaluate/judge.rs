//! Who judges a frame: the model file on a runtime, as the agent does it, or the same calculation in Rust.

use anyhow::{Context as _, Result};

use crate::classify::{Classifier, Runtime, Verdict};
use crate::frame::{Frame, Place};
use crate::model::fit::Fit;
use crate::model::metadata::{FORMAT, Golden, Metadata};
use crate::model::{Model, onnx, residual};

/// Which of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Direct,
    Graph(Runtime),
}

#[derive(Debug)]
pub enum Judge {
    Direct(Box<Model>),
    Graph(Box<Classifier>),
}

/// What the table counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Judged {
    Scored {
        anomaly: f64,
        /// Score by threshold.
        ratio: f64,
        place: Place,
        /// The most likely of cold, warm and hot.
        label: usize,
        /// Pixels.
        shift: [f32; 2],
    },
    /// Too many broken pixels to say anything.
    SensorFault,
}

impl Judge {
    /// Of a model that was just fitted, on simulated frames of this camera.
    pub fn new(way: &Way, fit: &Fit, camera: &str, golden: &Frame) -> Result<Self> {
        let runtime = match way {
            Way::Direct => return Ok(Self::Direct(Box::new(fit.model.clone()))),
            Way::Graph(runtime) => runtime,
        };
        let bytes = onnx::write(&fit.model, &metadata(fit, camera, golden));
        let classifier =
            Classifier::load(&bytes, runtime).context("the model that was just fitted")?;
        Ok(Self::Graph(Box::new(classifier)))
    }

    pub fn judge(&mut self, frame: &Frame) -> Result<Judged> {
        match self {
            Self::Direct(model) => Ok(direct(model, frame)),
            Self::Graph(classifier) => match classifier.classify(frame, &[])? {
                Verdict::SensorFault { .. } => Ok(Judged::SensorFault),
                Verdict::Classified(found) => {
                    let scores: Vec<f32> = found.scores.iter().map(|(_, score)| *score).collect();
                    Ok(Judged::Scored {
                        anomaly: f64::from(scores[0]),
                        ratio: found.ratio.map_or(0.0, f64::from),
                        place: found.place.context("a scene's model says where")?,
                        label: largest(&scores[1..]),
                        shift: found.shift.unwrap_or_default(),
                    })
                }
            },
        }
    }
}

fn direct(model: &Model, frame: &Frame) -> Judged {
    let repaired = frame.repaired(&[]);
    if repaired.is_sensor_fault() {
        return Judged::SensorFault;
    }
    let found = residual::assess(model, &repaired.pixels);
    Judged::Scored {
        anomaly: f64::from(found.scores[0]),
        ratio: f64::from(found.ratio),
        place: Place::of(found.index),
        label: largest(&found.scores[1..]),
        shift: found.shift,
    }
}

fn largest(scores: &[f32]) -> usize {
    (0..scores.len())
        .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
        .unwrap_or(0)
}

fn metadata(fit: &Fit, camera: &str, golden: &Frame) -> Metadata {
    let pixels = golden.repaired(&[]).pixels;
    let labels = std::iter::once("anomaly".to_owned()).chain(fit.model.labels.names.clone());
    Metadata {
        format: FORMAT,
        labels: labels.collect(),
        threshold_residual: fit.model.residual_threshold,
        threshold_envelope: fit.model.envelope_threshold,
        k: fit.model.k,
        frames: fit.used.len(),
        first_frame: None,
        last_frame: None,
        dropped: Vec::new(),
        adopted: Vec::new(),
        camera: Some(camera.to_owned()),
        orientation: "rows from the top, columns from the left".to_owned(),
        labelled: true,
        simulated: true,
        software: format!("edge {}", env!("CARGO_PKG_VERSION")),
        golden: Golden {
            scores: residual::assess(&fit.model, &pixels).scores,
            frame: pixels.to_vec(),
        },
    }
}
