//! Files that are written whole or not at all.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Writes beside the file and renames, so that an interruption leaves the old one whole; when this returns, a power cut
/// leaves the new one.
pub fn replace(place: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut name = place
        .file_name()
        .context("a file name is missing")?
        .to_owned();
    name.push(".part");
    let part = place.with_file_name(name);
    let folder = place
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let written = File::create(&part)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, place))
        // The name is the folder's.
        .and_then(|()| File::open(folder.unwrap_or(Path::new(".")))?.sync_all());
    written.with_context(|| {
        // What is left of it says nothing; that it could not be written is told anyway.
        let _ = fs::remove_file(&part);
        format!("cannot write {}", place.display())
    })
}
