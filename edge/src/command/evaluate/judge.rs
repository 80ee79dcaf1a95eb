//! Who judges a frame: the model file on a runtime, as the agent does it, or the same calculation in Rust.

use anyhow::{Context as _, Result};

use crate::classify::{Classifier, Runtime, Verdict};
use crate::frame::{Frame, Place};
use crate::model::training::Training;
use crate::model::{Model, residual};

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
    pub fn new(way: &Way, training: &Training) -> Result<Self> {
        let runtime = match way {
            Way::Direct => return Ok(Self::Direct(Box::new(training.model.clone()))),
            Way::Graph(runtime) => runtime,
        };
        let classifier =
            Classifier::load(&training.onnx, runtime).context("the model that was just fitted")?;
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
