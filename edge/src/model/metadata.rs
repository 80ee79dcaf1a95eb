//! What a model file says of itself, beside its numbers.
//!
//! Each field is one entry of the file's `metadata_props`, so that it can be read in any ONNX viewer: text as it is,
//! everything else as JSON. `golden` is what lets a loader find out that the numbers were damaged, or that a runtime
//! calculates something else.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Named, Threshold};

/// The version of this shape; a loader refuses newer ones.
pub const FORMAT: u32 = 1;

/// Set apart from what other programs write into their models.
const PREFIX: &str = "thermal_watch.";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub format: u32,
    /// Names of the scores, in their order; the first is `anomaly`.
    pub labels: Vec<String>,
    pub threshold_residual: Threshold,
    /// deg C.
    pub threshold_envelope: Threshold,
    pub k: usize,
    /// How many frames it was fitted on.
    pub frames: usize,
    pub first_frame: Option<DateTime<Utc>>,
    pub last_frame: Option<DateTime<Utc>>,
    pub dropped: Vec<Named>,
    pub adopted: Vec<AdoptedFrame>,
    pub camera: Option<String>,
    /// How the camera stands: rows from the top, columns from the left, nothing turned or mirrored.
    pub orientation: String,
    /// Whether labels were given by somebody, or made from the heat.
    pub labelled: bool,
    /// Trained on simulated frames: for demonstration, never to watch anything.
    pub simulated: bool,
    /// The program and its version.
    pub software: String,
    pub golden: Golden,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptedFrame {
    #[serde(flatten)]
    pub frame: Named,
    pub adopted_at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// A frame, and what the model must say to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// deg C to two places (768).
    pub frame: Vec<f32>,
    pub scores: Vec<f32>,
}

impl Metadata {
    /// As entries of an ONNX file.
    pub fn to_entries(&self) -> Vec<(String, String)> {
        let serde_json::Value::Object(fields) =
            serde_json::to_value(self).unwrap_or(serde_json::Value::Null)
        else {
            return Vec::new();
        };
        fields
            .into_iter()
            .map(|(key, value)| {
                let text = match value {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                (format!("{PREFIX}{key}"), text)
            })
            .collect()
    }

    /// From the entries of an ONNX file; None if it is not one of ours.
    pub fn from_entries(entries: &BTreeMap<String, String>) -> Option<anyhow::Result<Self>> {
        if !entries.contains_key(&format!("{PREFIX}format")) {
            return None;
        }
        let fields = entries
            .iter()
            .filter_map(|(key, text)| {
                let key = key.strip_prefix(PREFIX)?;
                let plain = matches!(key, "camera" | "orientation" | "software") && text != "null";
                let value = if plain {
                    serde_json::Value::String(text.clone())
                } else {
                    serde_json::from_str(text).unwrap_or(serde_json::Value::Null)
                };
                Some((key.to_owned(), value))
            })
            .collect();
        Some(
            serde_json::from_value(serde_json::Value::Object(fields))
                .map_err(|error| anyhow::anyhow!("its metadata is damaged: {error}")),
        )
    }
}
