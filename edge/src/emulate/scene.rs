//! Placeholder: the simulated scene.

use chrono::{DateTime, Utc};

use crate::frame::Frame;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    Boiler,
    Panel,
}

/// A boiler room or an electrical panel, drawn from a seed.
#[derive(Debug)]
pub struct Scene;

impl Scene {
    pub fn new(_kind: Kind, _seed: u64) -> Self {
        todo!()
    }

    /// `frames` normal frames with their labels (`cold`, `warm`, `hot`), spread evenly over `days` from `start`.
    ///
    /// `stream` chooses one of many possible courses of those days.
    pub fn recording(
        &self,
        _days: f64,
        _frames: usize,
        _stream: u64,
        _start: DateTime<Utc>,
    ) -> Vec<(Frame, &'static str)> {
        todo!()
    }
}
