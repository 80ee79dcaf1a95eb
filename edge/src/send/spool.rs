//! What waits to be sent, on disk.
//!
//! Notes are appended to segments: files that are made full of zeros, so that keeping a note costs one write, one sync and
//! no metadata. What becomes of a note (`done`, dropped) is appended as a mark. A segment goes as a whole, oldest first,
//! when nothing in it waits any more; if room is needed before, what still waits in the oldest one is copied to the end.
//! Memory holds where the notes lie, and the notes themselves only while the disk does not take them.
//!
//! What is promised: a note is durable when `push` returns; a power cut at any byte loses none of these and invents none;
//! damage costs the records that it hit and no others; files never take more than the limit. Marks are appended at once
//! but synced with the next note, or sixteen together: after a power cut as many notes may be sent again.
//! A disk that is full or read-only is an error of each call and loses nothing: what it did not take waits in memory, is
//! offered by `next` like the rest, and is tried again with each call.

mod boot;
mod disk;
mod load;
mod lock;
mod record;
mod save;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::Sender;

use anyhow::{Context, anyhow, ensure};

use crate::note::{Class, Note};
use disk::Disk;
use lock::Lock;
use record::{HEAD, Record};

pub use boot::{next_boot, random_boot};
pub use disk::{Step, Written};

/// The least that a spool may be limited to, bytes.
pub const SMALLEST: u64 = 64 * 1024;
/// What may wait in memory while the disk takes nothing, bytes.
const MEMORY: u64 = 2 * 1024 * 1024;
const CLASSES: [Class; 4] = [Class::Picture, Class::Reading, Class::Health, Class::Alarm];

/// A note's place in the order in which notes came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u64);

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What the files may take together, about two thirds of it for notes that wait.
    pub bytes: u64,
    /// Notes that may wait.
    pub notes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// How many notes had to go to make room, the pushed one among them if it was the least dear.
    pub dropped: usize,
}

/// The queue of one station. Only one process has it open.
#[derive(Debug)]
pub struct Spool {
    disk: Disk,
    limits: Limits,
    /// Usual size of a segment, bytes.
    segment: usize,
    segments: BTreeMap<u32, Segment>,
    /// Where is written, unless nothing was written yet or writing failed.
    active: Option<Active>,
    /// By class, in order.
    queues: [BTreeMap<Id, Entry>; 4],
    /// Of all notes that wait, as records, bytes.
    waiting: u64,
    /// What the disk has not taken yet, and its bytes.
    unsaved: BTreeSet<(Class, Id)>,
    unsaved_bytes: u64,
    marks: VecDeque<Record>,
    /// Marks that were written and not synced.
    unsynced: usize,
    next: u64,
    dropped: u64,
    damaged: u64,
    _lock: Lock,
}

#[derive(Debug)]
struct Segment {
    /// Bytes.
    size: u64,
    /// Notes in it that wait.
    waiting: usize,
}

#[derive(Debug)]
struct Active {
    number: u32,
    file: File,
    size: usize,
    /// Where the next record goes.
    end: usize,
}

#[derive(Debug)]
struct Entry {
    place: Place,
    /// As a record, bytes.
    length: u32,
}

#[derive(Debug)]
enum Place {
    Memory(Box<Note>),
    Disk { segment: u32, at: u32 },
}

impl Spool {
    /// Opens what is in the folder, which is made if it is missing.
    pub fn open(folder: &Path, limits: Limits) -> anyhow::Result<Self> {
        Self::open_watched(folder, limits, None)
    }

    /// As `open`; somebody is told of every change of a file.
    pub fn open_watched(
        folder: &Path,
        limits: Limits,
        watcher: Option<Sender<Step>>,
    ) -> anyhow::Result<Self> {
        ensure!(
            limits.bytes >= SMALLEST && limits.notes > 0,
            "a spool needs room for at least {SMALLEST} bytes and one note, not {} and {}",
            limits.bytes,
            limits.notes
        );
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let lock = Lock::take(folder)?;
        let pages = (limits.bytes / 16 / 4096).clamp(1, 16);
        let mut spool = Self {
            disk: Disk::new(folder, watcher),
            limits,
            segment: usize::try_from(pages).unwrap_or(1) * 4096,
            segments: BTreeMap::new(),
            active: None,
            queues: Default::default(),
            waiting: 0,
            unsaved: BTreeSet::new(),
            unsaved_bytes: 0,
            marks: VecDeque::new(),
            unsynced: 0,
            next: 0,
            dropped: 0,
            damaged: 0,
            _lock: lock,
        };
        spool.load(folder)?;
        Ok(spool)
    }

    /// Keeps a note. After an error of the disk it waits in memory, and is neither durable nor lost. What is longer than
    /// 64 KiB is refused.
    pub fn push(&mut self, note: Note) -> anyhow::Result<Pushed> {
        let id = Id(self.next);
        let class = note.class;
        let (_, content) = record::note(id, &note)?;
        let length = u32::try_from(HEAD + content.len()).unwrap_or(u32::MAX);
        self.next = self.next.wrapping_add(1);
        let before = self.dropped;
        if self.make_room(class, length) {
            let place = Place::Memory(Box::new(note));
            self.queues[class as usize].insert(id, Entry { place, length });
            self.waiting += u64::from(length);
            self.unsaved.insert((class, id));
            self.unsaved_bytes += u64::from(length);
        } else {
            self.forget_for_good(Record::Dropped(id));
        }
        let dropped = usize::try_from(self.dropped - before).unwrap_or(usize::MAX);
        self.save().with_context(|| {
            format!(
                "a note for the Notecard is not on disk yet ({} wait in memory)",
                self.unsaved.len()
            )
        })?;
        Ok(Pushed { dropped })
    }

    /// What to send next: alarms before all else, then in the order in which notes came. It stays until it is `done`.
    #[expect(
        clippy::should_implement_trait,
        reason = "it looks at the front of a queue and moves nothing"
    )]
    pub fn next(&mut self) -> Option<(Id, Note)> {
        loop {
            let (class, id) = self.front()?;
            match self.read(class, id) {
                Ok(note) => return Some((id, note)),
                Err(error) => self.skip(class, id, &error),
            }
        }
    }

    /// A record that is damaged now, although it was not when the spool was opened.
    fn skip(&mut self, class: Class, id: Id, error: &anyhow::Error) {
        tracing::error!(
            spool.note = id.0,
            error = format!("{error:#}"),
            "a note that waited cannot be read any more and is skipped"
        );
        self.damaged += 1;
        self.take_out(class, id);
    }

    /// A note was handed over, and is not offered again. After an error this is known in memory and tried again.
    pub fn done(&mut self, id: Id) -> anyhow::Result<()> {
        let Some(class) = CLASSES
            .into_iter()
            .find(|class| self.queues[*class as usize].contains_key(&id))
        else {
            return Ok(());
        };
        self.take_out(class, id);
        self.marks.push_back(Record::Done(id));
        self.save()
            .context("it is not on disk yet that a note was sent")
    }

    /// Makes durable whatever is not yet: before the power goes, or after an error.
    pub fn sync(&mut self) -> anyhow::Result<()> {
        self.save()?;
        self.sync_active().inspect_err(|_| self.active = None)
    }

    /// Notes that wait.
    pub fn depth(&self) -> usize {
        self.queues.iter().map(BTreeMap::len).sum()
    }

    pub fn depth_of(&self, class: Class) -> usize {
        self.queues[class as usize].len()
    }

    pub fn is_empty(&self) -> bool {
        self.depth() == 0
    }

    /// Notes that the disk has not taken yet.
    pub fn unsaved(&self) -> usize {
        self.unsaved.len()
    }

    /// Notes for which there was no room, since the spool exists.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Records found damaged, by this process.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// What the disk had to take from this process.
    pub fn written(&self) -> Written {
        self.disk.written
    }

    /// What the files take, bytes.
    pub fn size(&self) -> u64 {
        self.segments.values().map(|segment| segment.size).sum()
    }

    fn front(&self) -> Option<(Class, Id)> {
        let first = |class: Class| {
            let (id, _) = self.queues[class as usize].first_key_value()?;
            Some((class, *id))
        };
        first(Class::Alarm).or_else(|| {
            [Class::Picture, Class::Reading, Class::Health]
                .into_iter()
                .filter_map(first)
                .min_by_key(|(_, id)| *id)
        })
    }

    fn read(&self, class: Class, id: Id) -> anyhow::Result<Note> {
        let entry = &self.queues[class as usize][&id];
        match &entry.place {
            Place::Memory(note) => Ok((**note).clone()),
            Place::Disk { segment, at } => {
                let bytes = self.fetch(*segment, *at, entry.length)?;
                record::read_note(&bytes[HEAD..])
            }
        }
    }

    /// A record, as it is on disk.
    fn fetch(&self, segment: u32, at: u32, length: u32) -> anyhow::Result<Vec<u8>> {
        let name = name(segment);
        let mut bytes = vec![0; length as usize];
        File::open(self.disk.path(&name))
            .and_then(|file| file.read_exact_at(&mut bytes, u64::from(at)))
            .with_context(|| format!("cannot read {name}"))?;
        match record::check(segment, at as usize, &bytes) {
            Some(_) => Ok(bytes),
            None => Err(anyhow!("the record at byte {at} of {name} is damaged")),
        }
    }
}

/// What waits, in memory.
impl Spool {
    /// Drops what is less dear than a note of this class and size, as far as there is no room. False if there is none.
    fn make_room(&mut self, class: Class, length: u32) -> bool {
        let length = u64::from(length);
        if length > self.capacity() {
            return false;
        }
        while self.depth() >= self.limits.notes || self.waiting + length > self.capacity() {
            let lowest = CLASSES
                .into_iter()
                .find_map(|class| Some((class, *self.queues[class as usize].first_key_value()?.0)));
            if !self.drop_if_below(lowest, class) {
                return false;
            }
        }
        while self.unsaved_bytes + length > MEMORY && !self.unsaved.is_empty() {
            if !self.drop_if_below(self.unsaved.first().copied(), class) {
                return false;
            }
        }
        true
    }

    fn drop_if_below(&mut self, lowest: Option<(Class, Id)>, class: Class) -> bool {
        let Some((lowest, id)) = lowest.filter(|(lowest, _)| *lowest <= class) else {
            return false;
        };
        self.take_out(lowest, id);
        self.forget_for_good(Record::Dropped(id));
        true
    }

    fn forget_for_good(&mut self, record: Record) {
        self.dropped = self.dropped.saturating_add(1);
        self.marks.push_back(record);
    }

    fn take_out(&mut self, class: Class, id: Id) {
        let Some(entry) = self.queues[class as usize].remove(&id) else {
            return;
        };
        self.waiting -= u64::from(entry.length);
        match entry.place {
            Place::Memory(_) => {
                self.unsaved.remove(&(class, id));
                self.unsaved_bytes -= u64::from(entry.length);
            }
            Place::Disk { segment, .. } => self.leave(segment),
        }
    }

    fn leave(&mut self, segment: u32) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            segment.waiting -= 1;
        }
    }

    /// What notes that wait may take, bytes: the rest is for marks, for what is done but not cleared away, and for the
    /// segments that are made before an older one can go.
    fn capacity(&self) -> u64 {
        self.budget() / 4 * 3
    }

    /// What the files may take before segments are cleared away, bytes.
    fn budget(&self) -> u64 {
        self.limits.bytes - 3 * self.segment as u64
    }
}

fn name(segment: u32) -> String {
    format!("{segment:010}.spool")
}
