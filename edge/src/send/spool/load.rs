//! From disk to memory: what earlier runs, power cuts and bad flash left.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;

use super::record::{self, Found, Record, Scan};
use super::{Active, Entry, Id, Place, Segment, Spool, name};
use crate::note::Class;

/// Bytes that are read of a segment at most; ours are a tenth of it.
const LONGEST: u64 = 1024 * 1024;

impl Spool {
    pub(super) fn load(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut scans = BTreeMap::new();
        for number in numbers(folder)? {
            match read(&self.disk.path(&name(number))) {
                Ok((bytes, size)) => {
                    scans.insert(number, (record::scan(number, &bytes), size));
                }
                Err(error) => {
                    tracing::error!(spool.file = name(number), %error, "a file of the spool cannot be read and is left alone until room is needed");
                    self.damaged += 1;
                    // As if something waited in it.
                    self.segments.insert(
                        number,
                        Segment {
                            size: 0,
                            waiting: 1,
                        },
                    );
                }
            }
        }
        let oldest = scans
            .values()
            .flat_map(|(scan, _)| &scan.found)
            .filter_map(|found| match found.record {
                Record::Start(start) => Some(start.oldest),
                _ => None,
            })
            .max();
        let last = scans.last_key_value().map(|(number, _)| *number);
        let mut places = HashMap::new();
        for (number, (scan, size)) in &scans {
            if oldest.is_some_and(|oldest| *number < oldest) {
                // It was removed, and a power cut brought it back.
                if let Err(error) = self.disk.remove(&name(*number)) {
                    tracing::warn!(%error, "an old file of the spool cannot be removed");
                }
                continue;
            }
            self.damaged += scan.damaged as u64;
            // Where the spool was being written, a torn end is a note that never was; elsewhere something was there.
            self.damaged += u64::from(scan.torn && last != Some(*number));
            let segment = Segment {
                size: *size,
                waiting: 0,
            };
            self.segments.insert(*number, segment);
            for found in &scan.found {
                self.replay(*number, *found, &mut places);
            }
        }
        for (id, (class, segment, found)) in places {
            let place = Place::Disk {
                segment,
                at: found.at,
            };
            let length = found.length;
            self.queues[class as usize].insert(id, Entry { place, length });
            self.waiting += u64::from(length);
            if let Some(segment) = self.segments.get_mut(&segment) {
                segment.waiting += 1;
            }
        }
        if let Some((number, (scan, size))) = scans.last_key_value()
            && self.segments.keys().next_back() == Some(number)
        {
            self.go_on_with(*number, scan, *size);
        }
        Ok(())
    }

    fn replay(
        &mut self,
        segment: u32,
        found: Found,
        places: &mut HashMap<Id, (Class, u32, Found)>,
    ) {
        match found.record {
            Record::Start(start) => {
                self.next = self.next.max(start.next);
                self.dropped = self.dropped.max(start.dropped);
            }
            Record::Note(id, class) => {
                self.next = self.next.max(id.0.saturating_add(1));
                places.insert(id, (class, segment, found));
            }
            Record::Done(id) => {
                self.next = self.next.max(id.0.saturating_add(1));
                places.remove(&id);
            }
            Record::Dropped(id) => {
                self.next = self.next.max(id.0.saturating_add(1));
                self.dropped = self.dropped.saturating_add(1);
                places.remove(&id);
            }
        }
    }

    /// Appends to the last segment again, after what a power cut left at its end is wiped away.
    fn go_on_with(&mut self, number: u32, scan: &Scan, size: u64) {
        let Some(size) = usize::try_from(size).ok().filter(|_| size <= LONGEST) else {
            return;
        };
        if scan.found.is_empty() && self.disk.remove(&name(number)).is_ok() {
            // The power went while it was being made.
            self.segments.remove(&number);
            return;
        }
        if !matches!(scan.found.first(), Some(first) if first.at == 0) {
            return;
        }
        let name = name(number);
        let opened = self.disk.open(&name).and_then(|file| {
            if scan.torn {
                self.disk
                    .write(&file, &name, scan.end, &vec![0; size - scan.end])?;
                self.disk.sync(&file, &name)?;
            }
            Ok(file)
        });
        match opened {
            Ok(file) => {
                self.active = Some(Active {
                    number,
                    file,
                    size,
                    end: scan.end,
                });
            }
            Err(error) => {
                tracing::warn!(spool.file = name, %error, "the spool can be read but not written");
            }
        }
    }
}

fn read(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok((bytes, size))
}

/// Of all segments in a folder. Files with other names are somebody else's.
fn numbers(folder: &Path) -> anyhow::Result<BTreeSet<u32>> {
    let context = || format!("cannot list {}", folder.display());
    let mut numbers = BTreeSet::new();
    for file in std::fs::read_dir(folder).with_context(context)? {
        let file = file.with_context(context)?;
        if !file.file_type().with_context(context)?.is_file() {
            continue;
        }
        let file = file.file_name();
        let number = file
            .to_str()
            .and_then(|file| file.strip_suffix(".spool"))
            .and_then(|number| number.parse::<u32>().ok())
            .filter(|number| file == *name(*number) && *number < u32::MAX / 2);
        numbers.extend(number);
    }
    Ok(numbers)
}
