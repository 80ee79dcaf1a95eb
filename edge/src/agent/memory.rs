//! What is remembered from one start to the next: an open episode, how long a state has lasted, where the camera looked.

use std::path::{Path, PathBuf};
use std::{fs, io};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::decide::State;
use crate::file;

/// What a start leaves to the next.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Remembered {
    pub state: State,
    /// When the last sign of life and the last regular picture were made, if anybody knew the time.
    pub health_at: Option<DateTime<Utc>>,
    pub picture_at: Option<DateTime<Utc>>,
    /// Some were made at all.
    pub health_made: bool,
    pub picture_made: bool,
    /// The settings that the cloud was last told of.
    pub settings_told: Option<String>,
    /// The damage of the camera's EEPROM was told.
    pub eeprom_told: bool,
}

/// A file in the state folder.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
}

impl Memory {
    pub fn new(folder: &Path) -> Self {
        Self {
            path: folder.join("state.json"),
        }
    }

    /// What was remembered. A file that cannot be read is nothing to stop for: everything in it is learned again.
    pub fn recall(&self) -> Remembered {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Remembered::default(),
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "what was going on cannot be read");
                return Remembered::default();
            }
        };
        serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(%error, file = %self.path.display(), "what was going on is damaged");
            Remembered::default()
        })
    }

    /// Whole or not at all, also when power is cut meanwhile.
    pub fn remember(&self, remembered: &Remembered) -> anyhow::Result<()> {
        let text = serde_json::to_vec(remembered)?;
        file::replace(&self.path, &text)
    }
}
