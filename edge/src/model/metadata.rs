//! What a model file says of itself, beside its numbers.
//!
//! Each field is one entry of the file's `metadata_props`, so that it can be read in any ONNX viewer: text as it is,
//! everything else as JSON. `golden` is what lets a loader find out that the numbers were damaged, or that a runtime
//! calculates something else.

use std::collections::BTreeMap;

use anyhow::anyhow;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Named, Threshold};

/// The version of this shape; a loader refuses newer ones.
pub const FORMAT: u32 = 1;

/// Fields that are text, and stand as it is; everything else is JSON.
const TEXTS: [&str; 6] = [
    "graph_sha256",
    "camera",
    "first_frame",
    "last_frame",
    "orientation",
    "software",
];

/// SHA-256 of the graph with all its numbers, so that damage to any of them is found.
pub const DIGEST: &str = "thermal_watch.graph_sha256";

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
    /// As entries of an ONNX file; what is not known has none.
    pub fn to_entries(&self) -> Vec<(String, String)> {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else {
            return Vec::new();
        };
        fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| {
                let text = match value {
                    Value::String(text) => text,
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
        let mut fields = serde_json::Map::new();
        for (key, text) in entries {
            let Some(key) = key.strip_prefix(PREFIX) else {
                continue;
            };
            let value = if TEXTS.contains(&key) {
                Value::String(text.clone())
            } else {
                match serde_json::from_str(text) {
                    Ok(value) => value,
                    Err(error) => {
                        return Some(Err(anyhow!("its metadata is damaged: `{key}`: {error}")));
                    }
                }
            };
            fields.insert(key.to_owned(), value);
        }
        Some(
            serde_json::from_value(Value::Object(fields))
                .map_err(|error| anyhow!("its metadata is damaged: {error}")),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(camera: Option<&str>, first_frame: Option<DateTime<Utc>>) -> Metadata {
        let threshold = Threshold {
            raw: 6.125,
            clamped: 7.0,
        };
        Metadata {
            format: FORMAT,
            labels: vec!["anomaly".into(), "kühl".into(), "heiß".into()],
            threshold_residual: threshold,
            threshold_envelope: threshold,
            k: 3,
            frames: 30,
            first_frame,
            last_frame: first_frame,
            dropped: vec![Named {
                file: "a \"b\".csv".into(),
                captured_at: first_frame,
            }],
            adopted: Vec::new(),
            camera: camera.map(str::to_owned),
            orientation: "as it is".into(),
            labelled: true,
            simulated: false,
            software: "1".into(),
            golden: Golden {
                frame: vec![21.37, -0.1],
                scores: vec![0.1, 0.2, 0.7],
            },
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let day = DateTime::from_timestamp(1_767_225_600, 0);
        for (camera, first_frame) in [
            (None, None),
            (Some("null"), day),
            (Some("12"), None),
            (Some("Kessel \u{1f525}"), day),
            (Some(""), day),
        ] {
            let metadata = metadata(camera, first_frame);
            let entries = metadata.to_entries().into_iter().collect();
            let read = Metadata::from_entries(&entries).expect("it is ours");
            assert_eq!(read.expect("it is whole"), metadata);
        }
    }

    #[test]
    fn damage_is_named() {
        let mut entries: BTreeMap<_, _> = metadata(None, None).to_entries().into_iter().collect();
        entries.insert(format!("{PREFIX}labels"), "[".into());
        let error = Metadata::from_entries(&entries)
            .expect("it is ours")
            .expect_err("it is damaged");
        assert!(error.to_string().contains("`labels`"), "{error}");
        assert!(Metadata::from_entries(&BTreeMap::new()).is_none());
    }
}
