//! What flash keeps: notes that wait, what came from Notehub, templates and settings.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Map, Value};

use super::template::Template;

/// What a note costs beside its record.
const OVERHEAD: usize = 32;
/// What the system keeps for itself.
const SYSTEM: usize = 8 * 1024;

/// A note on its way to Notehub, as it will come out there.
#[derive(Debug, Clone, PartialEq)]
pub struct Queued {
    pub file: String,
    /// Empty but for databases.
    pub note_id: String,
    /// Unix s; None while the card's clock was not set.
    pub when: Option<i64>,
    /// After the template's rounding, and without fields that are nothing, unless it was added with `full`.
    pub body: Map<String, Value>,
    pub payload: Option<Vec<u8>>,
    /// On its way, before compression.
    pub bytes: usize,
    /// Its template's size is the record's.
    pub templated: bool,
    /// Of its own, in this card.
    pub number: u64,
    /// In the card's clock: it is in flash from here on.
    pub(super) kept_from: Duration,
}

/// A note from Notehub.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrived {
    pub body: Map<String, Value>,
    pub payload: Option<Vec<u8>>,
    pub time: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct Flash {
    pub queue: Vec<Queued>,
    pub templates: BTreeMap<String, Template>,
    pub arrived: BTreeMap<String, VecDeque<Arrived>>,
    /// By lower-case name.
    pub environment: BTreeMap<String, String>,
    pub defaults: BTreeMap<String, String>,
    /// Of the last change; 1 while no time is known, so that a change is seen.
    pub environment_changed: i64,
    pub hub: Hub,
    pub ever_synced: bool,
    pub numbers: u64,
}

/// What `hub.set` has set.
#[derive(Debug, Default)]
pub(super) struct Hub {
    pub product: String,
    pub mode: Mode,
    /// Minutes.
    pub outbound: u64,
    pub inbound: u64,
    pub sn: String,
    pub sync: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Periodic,
    Continuous,
    Minimum,
    Off,
}

impl Queued {
    /// Of a database that Notehub does not know of.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.file.rsplit_once('.'), Some((_, "dbx")))
    }
}

impl Flash {
    pub fn used(&self) -> usize {
        let notes = self.queue.iter().map(|note| note.bytes + OVERHEAD);
        SYSTEM + notes.sum::<usize>()
    }

    pub fn waiting(&self, file: &str) -> usize {
        self.queue.iter().filter(|note| note.file == file).count()
    }

    pub fn set_variable(&mut self, name: &str, value: &str, time: Option<i64>) {
        let name = name.to_ascii_lowercase();
        if self.environment.get(&name).map(String::as_str) != Some(value) {
            self.environment.insert(name, value.to_owned());
            self.environment_touched(time);
        }
    }

    pub fn environment_touched(&mut self, time: Option<i64>) {
        let next = self.environment_changed + 1;
        self.environment_changed = time.unwrap_or_default().max(next);
    }

    /// Defaults, and over them what Notehub says.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let mut all = self.defaults.clone();
        all.extend(self.environment.clone());
        all
    }
}

/// Whether a note of this size still finds room.
pub(super) fn fits(used: usize, bytes: usize, storage: usize) -> bool {
    used + bytes + OVERHEAD <= storage / 10 * 8
}
