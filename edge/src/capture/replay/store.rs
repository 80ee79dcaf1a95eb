//! Writes files of frames: whole or not at all, and never over another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Recorded, folder_of, marks_of, sidecar};
use crate::frame::csv;
use crate::frame::npy;

/// What a CSV file of the frame at this path holds.
pub fn written_csv(path: &Path, recorded: &Recorded) -> String {
    csv::format(&recorded.frame, &marks_at(path, recorded))
}

/// What an array file of the frame at this path holds, and the JSON file beside it if anything is known.
pub fn written_npy(path: &Path, recorded: &Recorded) -> anyhow::Result<(Vec<u8>, Option<String>)> {
    let array = npy::format(&[&recorded.frame])?;
    let marks = marks_at(path, recorded);
    Ok((array, sidecar::format(&recorded.frame, &marks)))
}

/// Makes a file of these bytes that nobody sees before it is complete; it must not exist.
pub fn store(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    fs::create_dir_all(folder_of(path)?).with_context(context)?;
    let part = part_of(path).with_context(context)?;
    let stored = fill(&part, bytes).and_then(|()| settle(&part, path));
    if stored.is_err() {
        // It may not even be there.
        let _ = fs::remove_file(&part);
    }
    stored.with_context(context)
}

/// The folder's name says the label, unless it is another.
fn marks_at(path: &Path, recorded: &Recorded) -> csv::Marks {
    let mut marks = marks_of(recorded);
    let folder = path.parent().and_then(Path::file_name);
    marks
        .label
        .take_if(|label| folder.is_some_and(|folder| folder == label.as_str()));
    marks
}

/// Hidden, so that who reads the folder meanwhile leaves it out.
fn part_of(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().context("the name is missing")?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    Ok(path.with_file_name(part))
}

fn fill(part: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(part)?;
    file.write_all(bytes)?;
    // Otherwise a power cut could leave the name without its bytes.
    file.sync_data()?;
    Ok(())
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
