//! The spool's way to its files: every change of them goes through here, is counted, and may be watched.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

/// What flash had to take since the spool was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    pub writes: u64,
    pub bytes: u64,
    pub syncs: u64,
}

/// One change, in the order in which they were asked for. What is not followed by a sync of the same file may reach the
/// disk in part, in another order, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Created(String),
    Wrote {
        file: String,
        at: u64,
        bytes: Vec<u8>,
    },
    Synced(String),
    Removed(String),
    /// Files created and removed until now stay so.
    FolderSynced,
}

#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    watcher: Option<Sender<Step>>,
    pub written: Written,
}

impl Disk {
    pub fn new(folder: &Path, watcher: Option<Sender<Step>>) -> Self {
        Self {
            folder: folder.to_owned(),
            watcher,
            written: Written::default(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A file of zeros: writing into it later changes no metadata, and so costs one page and no journal.
    pub fn create(&mut self, name: &str, size: usize) -> io::Result<File> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.path(name))?;
        self.tell(|| Step::Created(name.to_owned()));
        self.write(&file, name, 0, &vec![0; size])?;
        Ok(file)
    }

    /// An existing file, to be written to.
    pub fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(self.path(name))
    }

    pub fn write(&mut self, file: &File, name: &str, at: usize, bytes: &[u8]) -> io::Result<()> {
        file.write_all_at(bytes, at as u64)?;
        self.written.writes += 1;
        self.written.bytes += bytes.len() as u64;
        self.tell(|| Step::Wrote {
            file: name.to_owned(),
            at: at as u64,
            bytes: bytes.to_vec(),
        });
        Ok(())
    }

    pub fn sync(&mut self, file: &File, name: &str) -> io::Result<()> {
        file.sync_data()?;
        self.written.syncs += 1;
        self.tell(|| Step::Synced(name.to_owned()));
        Ok(())
    }

    pub fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()?;
        self.written.syncs += 1;
        self.tell(|| Step::FolderSynced);
        Ok(())
    }

    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))?;
        self.tell(|| Step::Removed(name.to_owned()));
        Ok(())
    }

    fn tell(&self, step: impl FnOnce() -> Step) {
        if let Some(watcher) = &self.watcher {
            // Nobody watches any more.
            let _ = watcher.send(step());
        }
    }
}
