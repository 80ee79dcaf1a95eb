//! What is said of a frame (pure).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How dear a note is when there is no room for all: what stands first is dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Picture,
    Reading,
    Health,
    Alarm,
}

/// A note as it waits for the Notecard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The notefile, such as `thermal.qo`.
    pub file: String,
    pub class: Class,
    /// All of the body but `t`, which is settled when the note is handed over.
    pub body: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<u8>>,
    /// To be sent at once, and not with the next scheduled sync.
    pub urgent: bool,
    /// Which start of the agent made it; with `seq` (and `part` in the body, for pictures) it is the note's identity.
    pub boot: u32,
    pub seq: u32,
    pub moment: Moment,
}

/// When something was captured, as far as anybody knew then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Of the agent, in that boot.
    pub uptime: Duration,
    /// None while neither the machine's nor the Notecard's clock was to be trusted.
    pub at: Option<DateTime<Utc>>,
}
