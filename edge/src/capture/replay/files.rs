//! Which files a recording has, and what bytes they hold.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use super::{LARGEST_FILE, MOST_FRAMES};

/// Holds frames that were declared normal, of any label.
const ADOPTED: &str = "adopted";

/// A file that ought to hold frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: PathBuf,
    /// The nearest folder that holds it, below the one that was named.
    pub label: Option<String>,
}

/// All frame files that the paths name or hold, by their names and then by their paths.
///
/// A file that can be reached in two ways is one file.
pub fn files(paths: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut walk = Walk::default();
    for path in paths {
        let metadata =
            fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            walk.folder(path)?;
        } else {
            walk.file(path.clone(), None, &metadata)?;
        }
    }
    if walk.found.is_empty() {
        let paths: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        bail!(
            "no frame files (.csv, .txt or .npy) are in {}",
            paths.join(", ")
        );
    }
    walk.found.sort_by(|a, b| by_name(&a.path, &b.path));
    Ok(walk.found)
}

/// By the last part of the path, then by all of it, byte by byte.
pub(super) fn by_name(a: &Path, b: &Path) -> Ordering {
    let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_owned());
    name(a)
        .cmp(&name(b))
        .then_with(|| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()))
}

/// The bytes of a file of bearable size.
pub(super) fn bytes_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    let metadata = fs::metadata(path).context("cannot be opened")?;
    // To open a pipe that is named like a frame is to wait for its writer.
    ensure!(metadata.is_file(), "is no regular file");
    let file = File::open(path).context("cannot be opened")?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1)
        .read_to_end(&mut bytes)
        .context("cannot be read")?;
    ensure!(
        bytes.len() as u64 <= LARGEST_FILE,
        "is larger than {} MiB; give its frames in several files",
        LARGEST_FILE >> 20
    );
    Ok(bytes)
}

#[derive(Debug, Default)]
struct Walk {
    found: Vec<Found>,
    /// Where a file stands in `found`, by its device and number.
    known: HashMap<(u64, u64), usize>,
    /// Folders that were entered: links may lead back into them.
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn folder(&mut self, root: &Path) -> anyhow::Result<()> {
        let mut waiting = vec![(root.to_owned(), None)];
        while let Some((folder, label)) = waiting.pop() {
            let metadata = fs::metadata(&folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            if !self.entered.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            for path in entries(&folder)? {
                // A link to nothing is nothing.
                let Ok(metadata) = fs::metadata(&path) else {
                    continue;
                };
                if metadata.is_dir() {
                    let label = label_of(&path).or_else(|| label.clone());
                    waiting.push((path, label));
                } else if metadata.is_file() && is_frame_file(&path) {
                    self.file(path, label.clone(), &metadata)?;
                }
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: PathBuf,
        label: Option<String>,
        metadata: &Metadata,
    ) -> anyhow::Result<()> {
        let next = self.found.len();
        let at = *self
            .known
            .entry((metadata.dev(), metadata.ino()))
            .or_insert(next);
        if at < next {
            // Named by itself and within a folder: the folder knows the label.
            let found = &mut self.found[at];
            found.label = found.label.take().or(label);
            return Ok(());
        }
        ensure!(
            next < MOST_FRAMES,
            "there are more than {MOST_FRAMES} files; give fewer"
        );
        self.found.push(Found { path, label });
        Ok(())
    }
}

/// What a folder holds and does not hide, in the same order on every machine.
fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot read the folder {}", folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(context)? {
        let entry = entry.with_context(context)?;
        if !entry.file_name().as_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    // Taken from the end by those who walk.
    paths.sort_unstable_by(|a, b| b.cmp(a));
    Ok(paths)
}

fn label_of(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_string_lossy();
    (name != ADOPTED).then(|| name.into_owned())
}

fn is_frame_file(path: &Path) -> bool {
    let Some(extension) = path.extension() else {
        return false;
    };
    ["csv", "txt", "npy"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}
