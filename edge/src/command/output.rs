//! Where the files that a command makes may be written.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// Where a file is going to be written, found out before the work for it is done.
///
/// Its folder is made if it is missing; a link is followed, so that it stays a link; what is there and is no file (a
/// folder, a device) is refused.
pub fn place(path: &Path) -> anyhow::Result<PathBuf> {
    let naming = || format!("{} cannot be written", path.display());
    path.file_name()
        .context("it has no file name")
        .with_context(naming)?;
    let place = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(folder) = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
            {
                fs::create_dir_all(folder).with_context(naming)?;
            }
            return Ok(path.to_owned());
        }
        Err(error) => return Err(error).with_context(naming),
    };
    let kind = fs::metadata(&place).with_context(naming)?;
    if !kind.is_file() {
        bail!(
            "{} cannot be written: it is there and is no file",
            path.display()
        );
    }
    Ok(place)
}
