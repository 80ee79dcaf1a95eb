//! One frame as one line of JSON, for programs. Fields that a model cannot fill are null.

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use crate::capture::replay::Recorded;
use crate::classify::{Classification, Verdict};

#[derive(Debug, Serialize)]
struct Line<'a> {
    file: String,
    scores: Option<Scores<'a>>,
    /// Column.
    x: Option<usize>,
    /// Row.
    y: Option<usize>,
    delta_t: Option<f32>,
    ratio: Option<f32>,
    shift: Option<[f32; 2]>,
    bad_pixels: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// An object in the model's order.
#[derive(Debug)]
struct Scores<'a>(&'a [(String, f32)]);

impl Serialize for Scores<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(label, score)| (label, score)))
    }
}

/// With its end of line.
pub(super) fn json(recorded: &Recorded, verdict: &Verdict) -> anyhow::Result<String> {
    let mut line = Line {
        file: recorded.source.path.display().to_string(),
        scores: None,
        x: None,
        y: None,
        delta_t: None,
        ratio: None,
        shift: None,
        bad_pixels: 0,
        frame: recorded.source.index,
        captured_at: recorded.frame.captured_at,
        fault: None,
    };
    match verdict {
        Verdict::SensorFault { bad_pixels } => {
            line.bad_pixels = *bad_pixels;
            line.fault = Some(super::text::fault(*bad_pixels));
        }
        Verdict::Classified(Classification {
            scores,
            bad_pixels,
            place,
            delta_t,
            ratio,
            shift,
        }) => {
            line.scores = Some(Scores(scores));
            line.bad_pixels = *bad_pixels;
            line.x = place.map(|place| place.column);
            line.y = place.map(|place| place.row);
            line.delta_t = *delta_t;
            line.ratio = *ratio;
            line.shift = *shift;
        }
    }
    Ok(serde_json::to_string(&line)? + "\n")
}
