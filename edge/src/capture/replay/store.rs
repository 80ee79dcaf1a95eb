//! Writes files of frames: whole or not at all, and never over another.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with, syncfs};
use rustix::io::Errno;

use super::{Recorded, folder_of, marks_of, sidecar};
use crate::frame::csv;
use crate::frame::npy;

/// What a CSV file of the frame holds. It names the label even within the label's folder, for it may be read alone.
pub fn written_csv(recorded: &Recorded) -> String {
    csv::format(&recorded.frame, &marks_of(recorded))
}

/// What an array file of the frame holds, and the JSON file beside it if anything is known.
pub fn written_npy(recorded: &Recorded) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    let array = npy::format(&[&recorded.frame])?;
    let marks = marks_of(recorded);
    Ok((array, sidecar::format(&recorded.frame, &marks)))
}

/// Makes files of these bytes that nobody sees before they are complete; none of them must exist.
///
/// They are made safe together, because on a memory card that takes longer than all the writing.
pub fn store(files: &[(PathBuf, Vec<u8>)]) -> anyhow::Result<()> {
    let mut parts = Vec::with_capacity(files.len());
    let stored = fill_all(files, &mut parts).and_then(|()| settle_all(files, &parts));
    if stored.is_err() {
        for part in &parts {
            // Those that were settled before are no parts any more.
            let _ = fs::remove_file(part);
        }
    }
    stored
}

fn fill_all(files: &[(PathBuf, Vec<u8>)], parts: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let mut folders = BTreeSet::new();
    for (path, bytes) in files {
        let folder = folder_of(path)?;
        let context = || format!("cannot write {}", path.display());
        fs::create_dir_all(folder).with_context(context)?;
        let part = part_of(path).with_context(context)?;
        parts.push(part.clone());
        fs::write(&part, bytes).with_context(context)?;
        folders.insert(folder);
    }
    for folder in folders {
        // Otherwise a power cut could leave names without their bytes.
        let synced = File::open(folder).and_then(|folder| Ok(syncfs(folder)?));
        synced.with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(())
}

fn settle_all(files: &[(PathBuf, Vec<u8>)], parts: &[PathBuf]) -> anyhow::Result<()> {
    for ((path, _), part) in files.iter().zip(parts) {
        settle(part, path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Hidden, so that who reads the folder meanwhile leaves it out.
fn part_of(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().context("the name is missing")?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(part))
}

fn settle(part: &Path, path: &Path) -> anyhow::Result<()> {
    match renameat_with(CWD, part, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => bail!("the file exists already"),
        // Some file systems cannot promise it; then two at once are not told apart.
        Err(Errno::INVAL | Errno::NOSYS) => {
            if path.exists() {
                bail!("the file exists already");
            }
            Ok(fs::rename(part, path)?)
        }
        Err(error) => Err(io::Error::from(error).into()),
    }
}
