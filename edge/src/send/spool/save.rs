//! From memory to disk: records are appended to segments, and segments removed.

use anyhow::Context;

use super::record::{self, HEAD, Record, Start};
use super::{Active, CLASSES, Id, Place, Segment, Spool, name};
use crate::note::Class;

/// Marks that may wait for a sync.
const MARKS: usize = 16;

impl Spool {
    /// Writes what was not written yet, marks first: they make room.
    pub(super) fn save(&mut self) -> anyhow::Result<()> {
        let saved = self.try_save();
        if saved.is_err() {
            // What a failed write or sync left there is unknown, so nothing is appended to it.
            self.active = None;
        }
        // If nothing could be written, removing what is of no use may be what it takes.
        if let Err(error) = self.clear_away(saved.is_ok()) {
            self.active = None;
            tracing::warn!(
                error = format!("{error:#}"),
                "the spool cannot clear away what was sent"
            );
        }
        saved
    }

    fn try_save(&mut self) -> anyhow::Result<()> {
        while let Some(record) = self.marks.front() {
            let (kind, content) = record::mark(*record);
            self.append(kind, &content)?;
            self.marks.pop_front();
            self.unsynced += 1;
        }
        let mut kept = Vec::with_capacity(self.unsaved.len());
        for (class, id) in self.unsaved.clone().into_iter().rev() {
            let note = self.read(class, id)?;
            let (kind, content) = record::note(id, &note)?;
            kept.push((class, id, self.append(kind, &content)?));
        }
        if kept.is_empty() && self.unsynced < MARKS {
            return Ok(());
        }
        self.sync_active()?;
        for (class, id, place) in kept {
            self.settle(class, id, place);
        }
        self.unsaved.clear();
        self.unsaved_bytes = 0;
        Ok(())
    }

    /// A note lies here now.
    fn settle(&mut self, class: Class, id: Id, (segment, at): (u32, u32)) {
        if let Some(entry) = self.queues[class as usize].get_mut(&id) {
            entry.place = Place::Disk { segment, at };
        }
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.waiting += 1;
        }
    }

    /// Writes a record at the end, in a new segment if need be, and returns where.
    fn append(&mut self, kind: u8, content: &[u8]) -> anyhow::Result<(u32, u32)> {
        let length = HEAD + content.len();
        let fits = |active: &Active| active.end + length <= active.size;
        if !self.active.as_ref().is_some_and(fits) {
            self.begin_segment(length)?;
        }
        let active = self.active.as_mut().context("a segment was begun")?;
        let bytes = record::encode(active.number, active.end, kind, content);
        let name = name(active.number);
        self.disk
            .write(&active.file, &name, active.end, &bytes)
            .with_context(|| format!("cannot write {}", self.disk.path(&name).display()))?;
        let at = u32::try_from(active.end).context("a segment is too large")?;
        active.end += length;
        Ok((active.number, at))
    }

    fn begin_segment(&mut self, needed: usize) -> anyhow::Result<()> {
        self.sync_active()?;
        let newest = self.segments.last_key_value();
        let number = newest.map_or(1, |(number, _)| number + 1);
        let not_counted = self
            .marks
            .iter()
            .filter(|mark| matches!(mark, Record::Dropped(_)));
        let start = Start {
            oldest: self.segments.keys().next().copied().unwrap_or(number),
            next: self.next,
            dropped: self.dropped - not_counted.count() as u64,
        };
        let (kind, content) = record::mark(Record::Start(start));
        let start = record::encode(number, 0, kind, &content);
        let size = self.segment.max(start.len() + needed);
        let name = name(number);
        let made = self.disk.create(&name, size).and_then(|file| {
            self.disk.write(&file, &name, 0, &start)?;
            self.disk.sync(&file, &name)?;
            self.disk.sync_folder()?;
            Ok(file)
        });
        let file =
            made.with_context(|| format!("cannot make {}", self.disk.path(&name).display()))?;
        let segment = Segment {
            size: size as u64,
            waiting: 0,
        };
        self.segments.insert(number, segment);
        self.active = Some(Active {
            number,
            file,
            size,
            end: start.len(),
        });
        Ok(())
    }

    pub(super) fn sync_active(&mut self) -> anyhow::Result<()> {
        if let Some(active) = &self.active {
            let name = name(active.number);
            self.disk
                .sync(&active.file, &name)
                .with_context(|| format!("cannot sync {}", self.disk.path(&name).display()))?;
        }
        self.unsynced = 0;
        Ok(())
    }

    /// Removes the oldest segments as long as nothing in them waits, or, if the files take too much, what waits can be
    /// copied to the end.
    fn clear_away(&mut self, copy: bool) -> anyhow::Result<()> {
        // Once round is all that can help.
        for _ in 0..self.segments.len() {
            let oldest = self.segments.first_key_value();
            let Some((number, waiting)) = oldest.map(|(number, held)| (*number, held.waiting))
            else {
                break;
            };
            // The newest one stays, so that numbers never begin anew.
            let newest = self.segments.len() == 1;
            if newest || (waiting > 0 && !(copy && self.size() > self.budget())) {
                break;
            }
            if waiting > 0 {
                self.copy_to_end(number)?;
            }
            let name = name(number);
            self.disk
                .remove(&name)
                .with_context(|| format!("cannot remove {}", self.disk.path(&name).display()))?;
            self.segments.remove(&number);
            // The marks for what lay there may be in the next one, which must not go before.
            self.disk.sync_folder()?;
        }
        Ok(())
    }

    fn copy_to_end(&mut self, number: u32) -> anyhow::Result<()> {
        let mut here = Vec::new();
        for class in CLASSES {
            for (id, entry) in &self.queues[class as usize] {
                if let Place::Disk { segment, at } = entry.place
                    && segment == number
                {
                    here.push((class, *id, at, entry.length));
                }
            }
        }
        let mut moved = Vec::with_capacity(here.len());
        for (class, id, at, length) in here {
            match self.fetch(number, at, length) {
                Ok(bytes) => moved.push((class, id, self.append(b'N', &bytes[HEAD..])?)),
                Err(error) => self.skip(class, id, &error),
            }
        }
        self.sync_active()?;
        for (class, id, place) in moved {
            self.leave(number);
            self.settle(class, id, place);
        }
        Ok(())
    }
}
