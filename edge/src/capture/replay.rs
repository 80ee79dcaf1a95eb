//! Placeholder: recordings.

use std::path::{Path, PathBuf};

use crate::frame::Frame;

/// A frame of a recording.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub frame: Frame,
    /// The label's folder it lies in, or the `label` column of its row.
    pub label: Option<String>,
    pub source: Source,
    /// When it was adopted as normal, if it was.
    pub adopted: Option<Adopted>,
}

/// Where a frame came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub path: PathBuf,
    /// Which one, from 0, in a file of several.
    pub index: Option<usize>,
}

/// The record that a false alarm was declared normal; `# adopted_at` and `# adopted_because` in the frame's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    pub at: chrono::DateTime<chrono::Utc>,
    pub because: Option<String>,
}

/// A file, or a line of one, that is no frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile {
    pub path: PathBuf,
    /// From 1, where the fault is in a line.
    pub line: Option<usize>,
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBad {
    /// The first bad files are an error that names them all.
    Refuse,
    /// They are listed and left out.
    Skip,
}

#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// By capture time if all have one, else by file name, then by place in the file.
    pub frames: Vec<Recorded>,
    pub skipped: Vec<BadFile>,
}

/// Reads files and folders (with their sub-folders, whose names are labels).
pub fn read(_paths: &[PathBuf], _on_bad: OnBad) -> anyhow::Result<Recording> {
    todo!()
}

/// Writes one frame as a CSV file that `read` gives back; the file must not exist.
pub fn write(_path: &Path, _recorded: &Recorded) -> anyhow::Result<()> {
    todo!()
}
