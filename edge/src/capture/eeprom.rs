//! The first good dump of a camera's EEPROM, kept and compared at each start.
//!
//! A glitch on the bus can be taken for a write, and a camera whose EEPROM was written to says wrong temperatures or none.
//! The dump of its first day is as good as ever: it is kept in a file of its own per camera, with a checksum, and used
//! instead of what has changed since. Reading the bus is the driver's part; nothing here ever writes to a camera.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::calibration::{Calibration, DeviceId, Refused, WORDS, Words};
use crate::file;

/// Dumps that agree in at least this share of their words are of one camera: two cameras agree in a few of a hundred.
const ONE_CAMERA: f64 = 0.5;

/// A folder of dumps.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
}

/// What comparing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A camera that was never seen before; its dump is kept from now on.
    FirstSeen,
    /// As ever.
    Same,
    /// The camera's EEPROM is damaged: so many of its words differ, and the kept ones are used.
    Restored { differences: usize },
    /// The camera is sound, but its dump could not be kept, so that no damage will be noticed.
    NotKept { why: String },
}

/// A camera's calibration, and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    pub calibration: Calibration,
    /// SHA-256 of the words that are used, in hex.
    pub sha256: String,
    pub outcome: Outcome,
}

/// The EEPROM is of no use, and there is nothing that could replace it.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("the camera's EEPROM is damaged ({why}), and {kept}")]
pub struct Damaged {
    pub why: Refused,
    kept: Lacking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
enum Lacking {
    #[error("no earlier dump of it is kept; the camera must be replaced")]
    None,
    #[error(
        "which of the {0} kept dumps is its own cannot be told; leave only that one in the folder"
    )]
    Ambiguous(usize),
}

/// A dump as it stands in its file.
#[derive(Debug, Serialize, Deserialize)]
struct Dump {
    camera: String,
    /// Of the words as bytes, the high one first.
    sha256: String,
    /// The words from 0x2400, four hex digits each.
    words: String,
}

impl Kept {
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Whether these words are what is kept of their camera; then reading them once is enough.
    pub fn knows(&self, words: &Words) -> bool {
        let found = self.load(DeviceId::of(words));
        found.is_ok_and(|kept| kept.as_deref() == Some(words))
    }

    /// Which calibration to use for a camera whose EEPROM was read as these words, again and again.
    pub fn settle(&self, words: &Words) -> Result<Settled, Damaged> {
        let parsed = Calibration::parse(words);
        let kept = self.dumps();
        if let Some(own) = own(words, parsed.is_ok(), &kept) {
            // What is kept was sound when it was.
            if let Ok(calibration) = Calibration::parse(own) {
                let pairs = words.iter().zip(own.iter());
                let differences = pairs.filter(|(one, other)| one != other).count();
                return Ok(Settled {
                    calibration,
                    sha256: checksum(own),
                    outcome: match differences {
                        0 => Outcome::Same,
                        differences => Outcome::Restored { differences },
                    },
                });
            }
        }
        let calibration = parsed.map_err(|why| Damaged {
            why,
            kept: match kept.len() {
                0 | 1 => Lacking::None,
                many => Lacking::Ambiguous(many),
            },
        })?;
        let outcome = match self.keep(words) {
            Ok(()) => Outcome::FirstSeen,
            Err(error) => Outcome::NotKept {
                why: format!("{error:#}"),
            },
        };
        Ok(Settled {
            calibration,
            sha256: checksum(words),
            outcome,
        })
    }

    /// All that are whole; what is not is passed over, and written anew when its camera is seen.
    fn dumps(&self) -> Vec<Words> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        let named = |path: &PathBuf| {
            let name = path.file_stem().and_then(|name| name.to_str());
            let is_dump = name.is_some_and(|name| name.starts_with("camera-"));
            is_dump
                && path
                    .extension()
                    .is_some_and(|extension| extension == "json")
        };
        let mut dumps = Vec::new();
        for path in paths.iter().filter(|path| named(path)) {
            match read(path) {
                Ok(words) => dumps.push(*words),
                Err(error) => tracing::warn!(
                    eeprom.file = %path.display(),
                    error = format!("{error:#}"),
                    "a kept dump of a camera's EEPROM is damaged"
                ),
            }
        }
        dumps
    }

    fn load(&self, device: DeviceId) -> anyhow::Result<Option<Box<Words>>> {
        let path = self.path(device);
        if path.try_exists()? {
            read(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    fn path(&self, device: DeviceId) -> PathBuf {
        self.folder.join(format!("camera-{device}.json"))
    }

    /// Whole or not at all, also when power is cut meanwhile.
    fn keep(&self, words: &Words) -> anyhow::Result<()> {
        let device = DeviceId::of(words);
        let dump = Dump {
            camera: device.to_string(),
            sha256: checksum(words),
            words: hex(&bytes(words)),
        };
        let mut text = serde_json::to_vec_pretty(&dump)?;
        text.push(b'\n');
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot write to {}", self.folder.display()))?;
        file::replace(&self.path(device), &text)
    }
}

/// The kept dump of the camera that these words come from.
fn own<'a>(words: &Words, is_sound: bool, kept: &'a [Words]) -> Option<&'a Words> {
    let device = DeviceId::of(words);
    if let Some(own) = kept.iter().find(|dump| DeviceId::of(dump) == device) {
        return Some(own);
    }
    let agreement = |dump: &Words| {
        let pairs = words.iter().zip(dump.iter());
        pairs.filter(|(one, other)| one == other).count() as f64 / WORDS as f64
    };
    let alike = kept.iter().find(|dump| agreement(dump) >= ONE_CAMERA);
    let is_lost = device.0.iter().any(|word| [0, 0xffff].contains(word));
    match (alike, kept) {
        // Its device id is among what was damaged.
        (Some(dump), _) => Some(dump),
        // Too little is left of it to compare, but no other camera was ever here.
        (None, [only]) if !is_sound && is_lost => Some(only),
        _ => None,
    }
}

fn read(path: &Path) -> anyhow::Result<Box<Words>> {
    let text = fs::read(path)?;
    let dump: Dump = serde_json::from_slice(&text)?;
    ensure!(
        dump.words.len() == 4 * WORDS && dump.words.is_ascii(),
        "it does not hold {WORDS} words"
    );
    let mut words = Box::new([0; WORDS]);
    for (at, word) in words.iter_mut().enumerate() {
        *word = u16::from_str_radix(&dump.words[4 * at..4 * at + 4], 16)?;
    }
    ensure!(
        checksum(&words) == dump.sha256,
        "its words do not have its checksum"
    );
    Ok(words)
}

fn checksum(words: &Words) -> String {
    hex(&Sha256::digest(bytes(words)))
}

fn bytes(words: &Words) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('?');
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}
