//! Recordings: files of frames in folders, read in the order in which they were captured.
//!
//! A folder is walked with its sub-folders, whose names are labels (`cold/`, `warm/`, `hot/`); `adopted/` holds what was
//! once declared normal, and is no label. In folders only `.csv`, `.txt` and `.npy` count, and nothing hidden; a file
//! that is named must be one of frames. Times and labels are taken from what files say, never from how they are called:
//! `20260222T004500Z.csv` is a name like any other.
//!
//! Nothing here trusts a file: sizes are bounded, links that lead in circles end, and whatever is no frame is told with
//! its line.

mod files;
mod sidecar;
mod store;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::frame::csv::{self, Marks};
use crate::frame::{Frame, npy};

pub use files::{Found, files};
pub use store::{store, written_csv, written_npy};

/// A larger file is no recording of such a camera: 16,000 frames as text fit into it.
pub const LARGEST_FILE: u64 = 64 << 20;
/// Two years of a frame every five minutes; they fill 600 MB of memory.
pub const MOST_FRAMES: usize = 200_000;
/// So many bad files are named, the rest is counted.
const MOST_NAMED: usize = 20;

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

/// What one file holds: its good frames in their order, and its faults.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    pub frames: Vec<Recorded>,
    pub bad: Vec<BadFile>,
}

/// Reads files and folders (with their sub-folders, whose names are labels).
pub fn read(paths: &[PathBuf], on_bad: OnBad) -> anyhow::Result<Recording> {
    read_noting(paths, on_bad, &mut |_, _| ())
}

/// `read` that tells after each file how many of how many are read.
pub fn read_noting(
    paths: &[PathBuf],
    on_bad: OnBad,
    note: &mut dyn FnMut(usize, usize),
) -> anyhow::Result<Recording> {
    let found = files(paths)?;
    let mut recording = Recording::default();
    for (index, file) in found.iter().enumerate() {
        let mut contents = file.read();
        recording.frames.append(&mut contents.frames);
        recording.skipped.append(&mut contents.bad);
        ensure!(
            recording.frames.len() <= MOST_FRAMES,
            "there are more than {MOST_FRAMES} frames; give fewer files"
        );
        note(index + 1, found.len());
    }
    if on_bad == OnBad::Refuse {
        refuse(&recording.skipped, recording.frames.len())?;
    }
    in_order(&mut recording.frames);
    Ok(recording)
}

/// All frames of one file, or its first fault.
pub fn read_file(path: &Path) -> Result<Vec<Recorded>, BadFile> {
    let found = Found {
        path: path.to_owned(),
        label: None,
    };
    found.read().strict()
}

/// All frames of what was read from somewhere, such as standard input; `name` stands for its path.
pub fn read_bytes(name: &str, bytes: &[u8]) -> Result<Vec<Recorded>, BadFile> {
    understand(Path::new(name), bytes, None).strict()
}

/// Writes one frame as a CSV file that `read` gives back; the file must not exist.
///
/// It is there whole or not at all, whatever happens meanwhile.
pub fn write(path: &Path, recorded: &Recorded) -> anyhow::Result<()> {
    let text = written_csv(recorded);
    store(&[(path.to_owned(), text.into_bytes())])
}

/// Stands in for a camera: hands out the frames of a recording one by one, in the order of their capture.
#[derive(Debug)]
pub struct Replay {
    frames: std::vec::IntoIter<Recorded>,
}

impl Replay {
    pub fn new(recording: Recording) -> Self {
        Self {
            frames: recording.frames.into_iter(),
        }
    }
}

impl Iterator for Replay {
    type Item = Recorded;

    fn next(&mut self) -> Option<Recorded> {
        self.frames.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.frames.size_hint()
    }
}

impl Found {
    /// Reads what the file holds. A fault costs as little as it must: one row of a table, one frame of several.
    pub fn read(&self) -> Contents {
        let mut contents = match files::bytes_of(&self.path) {
            Ok(bytes) => understand(&self.path, &bytes, Some(&self.path)),
            Err(error) => Contents::bad(BadFile::whole(&self.path, &error)),
        };
        for recorded in &mut contents.frames {
            // A file moved to another folder gets another label, whatever it says itself.
            if self.label.is_some() {
                recorded.label.clone_from(&self.label);
            }
        }
        contents
    }
}

impl Contents {
    fn bad(bad: BadFile) -> Self {
        Self {
            frames: Vec::new(),
            bad: vec![bad],
        }
    }

    fn strict(self) -> Result<Vec<Recorded>, BadFile> {
        match self.bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => Ok(self.frames),
        }
    }
}

impl BadFile {
    fn whole(path: &Path, error: &anyhow::Error) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            reason: format!("{error:#}"),
        }
    }
}

impl std::fmt::Display for BadFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        write!(formatter, ": {}", self.reason)
    }
}

impl std::error::Error for BadFile {}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.path.display())?;
        match self.index {
            Some(index) => write!(formatter, "[{index}]"),
            None => Ok(()),
        }
    }
}

fn understand(path: &Path, bytes: &[u8], beside: Option<&Path>) -> Contents {
    if npy::is_npy(bytes) {
        return array(path, bytes, beside)
            .unwrap_or_else(|error| Contents::bad(BadFile::whole(path, &error)));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => table(path, text),
        Err(error) => Contents::bad(BadFile {
            path: path.to_owned(),
            line: Some(
                bytes[..error.valid_up_to()]
                    .split(|&byte| byte == b'\n')
                    .count(),
            ),
            reason: "is neither text in UTF-8 nor a .npy file".to_owned(),
        }),
    }
}

fn array(path: &Path, bytes: &[u8], beside: Option<&Path>) -> anyhow::Result<Contents> {
    let stack = npy::parse(bytes)?;
    let several = stack.len() > 1;
    let remarks = match beside {
        Some(path) => sidecar::read(path, stack.len())?,
        None => sidecar::nothing(stack.len()),
    };
    let frames = stack.into_iter().zip(remarks).enumerate();
    let frames = frames.map(|(index, (pixels, remarks))| {
        let frame = Frame {
            pixels,
            ambient: remarks.ambient,
            captured_at: remarks.captured_at,
            camera: remarks.camera,
        };
        let marks = Marks {
            label: remarks.label,
            adopted_at: remarks.adopted_at,
            adopted_because: remarks.adopted_because,
        };
        recorded(path, several.then_some(index), frame, marks)
    });
    Ok(Contents {
        frames: frames.collect(),
        bad: Vec::new(),
    })
}

fn table(path: &Path, text: &str) -> Contents {
    let contents = csv::parse_all(text);
    let several = contents.frames.iter().any(|parsed| parsed.number > 0);
    let frames = contents.frames.into_iter().map(|parsed| {
        let index = several.then_some(parsed.number);
        recorded(path, index, parsed.frame, parsed.marks)
    });
    let bad = contents.faults.into_iter().map(|fault| BadFile {
        path: path.to_owned(),
        line: fault.line,
        reason: fault.reason,
    });
    Contents {
        frames: frames.collect(),
        bad: bad.collect(),
    }
}

fn recorded(path: &Path, index: Option<usize>, frame: Frame, marks: Marks) -> Recorded {
    Recorded {
        frame,
        label: marks.label,
        source: Source {
            path: path.to_owned(),
            index,
        },
        adopted: marks.adopted_at.map(|at| Adopted {
            at,
            because: marks.adopted_because,
        }),
    }
}

/// One frame without a time makes the times of all useless as an order.
fn in_order(frames: &mut [Recorded]) {
    if frames.iter().all(|one| one.frame.captured_at.is_some()) {
        frames.sort_by(|a, b| {
            let times = a.frame.captured_at.cmp(&b.frame.captured_at);
            times.then_with(|| by_name(&a.source, &b.source))
        });
    } else {
        frames.sort_by(|a, b| by_name(&a.source, &b.source));
    }
}

/// The last part of a path goes first, so that the frames of all labels are one sequence.
fn by_name(a: &Source, b: &Source) -> Ordering {
    files::by_name(&a.path, &b.path).then_with(|| a.index.cmp(&b.index))
}

fn refuse(bad: &[BadFile], good: usize) -> anyhow::Result<()> {
    if bad.is_empty() {
        return Ok(());
    }
    let mut named: Vec<String> = bad
        .iter()
        .take(MOST_NAMED)
        .map(BadFile::to_string)
        .collect();
    if bad.len() > MOST_NAMED {
        named.push(format!("and {} more", bad.len() - MOST_NAMED));
    }
    bail!(
        "{} bad, beside {good} good frames:\n  {}\n--skip-bad leaves out what is bad",
        match bad.len() {
            1 => "1 file or line is".to_owned(),
            count => format!("{count} files or lines are"),
        },
        named.join("\n  ")
    )
}

/// What was said of a frame, in the words of the files.
fn marks_of(recorded: &Recorded) -> Marks {
    Marks {
        label: recorded.label.clone(),
        adopted_at: recorded.adopted.as_ref().map(|adopted| adopted.at),
        adopted_because: recorded
            .adopted
            .as_ref()
            .and_then(|adopted| adopted.because.clone()),
    }
}

fn folder_of(path: &Path) -> anyhow::Result<&Path> {
    let folder = path.parent().context("a file needs a folder to lie in")?;
    Ok(if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    })
}
