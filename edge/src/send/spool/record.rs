//! Records in a segment: how they are written, and how they are found again among damage (pure).
//!
//! ```text
//! magic 2 | kind 1 | length 3 | checksum 4 | content
//! ```
//!
//! Numbers are little-endian. The checksum is CRC-32 over the segment's number, the record's place in it, kind, length and
//! content: a record that was copied to another place, or that a note's own content happens to look like, is none.

use anyhow::ensure;

use super::Id;
use crate::note::{Class, Note};

/// Bytes before the content.
pub const HEAD: usize = 10;
/// Bytes of content at most. The Notecard takes notes of a few kilobytes.
pub const LONGEST: usize = 64 * 1024;
const MAGIC: [u8; 2] = [0xB7, 0x57];
/// Bytes of a note's content before its JSON.
const NOTE_HEAD: usize = 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// The first record of a segment.
    Start(Start),
    Note(Id, Class),
    /// It was handed over.
    Done(Id),
    /// There was no room for it.
    Dropped(Id),
}

/// What a segment says of the spool at the moment it was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Segments before this one were of no use any more.
    pub oldest: u32,
    pub next: u64,
    /// Notes dropped until then.
    pub dropped: u64,
}

/// A record and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    pub record: Record,
    pub at: u32,
    /// Of the whole record, bytes.
    pub length: u32,
}

/// All that a segment holds.
#[derive(Debug, Default)]
pub struct Scan {
    pub found: Vec<Found>,
    /// After the last record.
    pub end: usize,
    /// Stretches between records that are none.
    pub damaged: usize,
    /// After the last record there is something other than zeros.
    pub torn: bool,
}

/// What is written for a mark: one of the records that are not notes.
pub fn mark(record: Record) -> (u8, Vec<u8>) {
    match record {
        Record::Start(start) => {
            let mut content = start.oldest.to_le_bytes().to_vec();
            content.extend(start.next.to_le_bytes());
            content.extend(start.dropped.to_le_bytes());
            (b'S', content)
        }
        Record::Note(id, _) => (b'N', id.0.to_le_bytes().to_vec()),
        Record::Done(id) => (b'D', id.0.to_le_bytes().to_vec()),
        Record::Dropped(id) => (b'X', id.0.to_le_bytes().to_vec()),
    }
}

/// What is written for a note: all but the payload as JSON, so that people can read it and fields may be added.
pub fn note(id: Id, note: &Note) -> anyhow::Result<(u8, Vec<u8>)> {
    let mut rest = note.clone();
    let payload = rest.payload.take();
    let json = serde_json::to_vec(&rest)?;
    let (kind, mut content) = mark(Record::Note(id, note.class));
    content.push(note.class as u8);
    content.push(u8::from(payload.is_some()));
    let length = u32::try_from(json.len()).unwrap_or(u32::MAX);
    content.extend(length.to_le_bytes());
    content.extend(json);
    content.extend(payload.unwrap_or_default());
    ensure!(
        content.len() <= LONGEST,
        "a note for {} has {} bytes, and {LONGEST} is the most that is kept: the Notecard would not take it either",
        note.file,
        content.len()
    );
    Ok((kind, content))
}

/// The note in a record that [`scan`] or [`check`] has found to be one.
pub fn read_note(content: &[u8]) -> anyhow::Result<Note> {
    let (head, rest) = content
        .split_at_checked(NOTE_HEAD)
        .ok_or_else(|| anyhow::anyhow!("the record is too short for a note"))?;
    let length = number(&head[10..14]);
    let (json, payload) = usize::try_from(length)
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or_else(|| anyhow::anyhow!("the record is shorter than its note"))?;
    let mut note: Note = serde_json::from_slice(json)?;
    note.payload = (head[9] == 1).then(|| payload.to_vec());
    Ok(note)
}

/// A whole record for this place in this segment.
pub fn encode(segment: u32, at: usize, kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes();
    let mut bytes = Vec::with_capacity(HEAD + content.len());
    bytes.extend(MAGIC);
    bytes.push(kind);
    bytes.extend(&length[..3]);
    bytes.extend(checksum(segment, at, &bytes[2..6], content).to_le_bytes());
    bytes.extend(content);
    bytes
}

/// The record that begins `bytes`, which lie at `at`: its kind and content.
pub fn check(segment: u32, at: usize, bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    if head[..2] != MAGIC {
        return None;
    }
    let length = usize::from(head[3]) | usize::from(head[4]) << 8 | usize::from(head[5]) << 16;
    if length > LONGEST {
        return None;
    }
    let content = rest.get(..length)?;
    let right = checksum(segment, at, &head[2..6], content).to_le_bytes() == head[6..10];
    right.then_some((head[2], content))
}

/// Finds every whole record, whatever lies between them.
pub fn scan(segment: u32, bytes: &[u8]) -> Scan {
    let mut scan = Scan::default();
    let mut at = 0;
    while at + HEAD <= bytes.len() {
        if let Some((kind, content)) = check(segment, at, &bytes[at..]) {
            let length = HEAD + content.len();
            // What a later version of the program may have written stays where it is and means nothing here.
            if let Some(record) = read(kind, content) {
                let [place, size] =
                    [at, length].map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
                scan.found.push(Found {
                    record,
                    at: place,
                    length: size,
                });
            }
            scan.damaged += usize::from(at > scan.end);
            at += length;
            scan.end = at;
        } else {
            let next = bytes[at + 1..].windows(2).position(|pair| pair == MAGIC);
            at = next.map_or(bytes.len(), |further| at + 1 + further);
        }
    }
    scan.torn = bytes[scan.end..].iter().any(|byte| *byte != 0);
    scan
}

fn read(kind: u8, content: &[u8]) -> Option<Record> {
    let id = || Some(Id(long(content.get(..8)?)));
    match kind {
        b'S' => Some(Record::Start(Start {
            oldest: number(content.get(..4)?),
            next: long(content.get(4..12)?),
            dropped: long(content.get(12..20)?),
        })),
        b'N' => {
            let class = match content.get(8)? {
                0 => Class::Picture,
                1 => Class::Reading,
                2 => Class::Health,
                3 => Class::Alarm,
                _ => return None,
            };
            Some(Record::Note(id()?, class))
        }
        b'D' => Some(Record::Done(id()?)),
        b'X' => Some(Record::Dropped(id()?)),
        _ => None,
    }
}

fn checksum(segment: u32, at: usize, head: &[u8], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&(at as u64).to_le_bytes());
    hasher.update(head);
    hasher.update(content);
    hasher.finalize()
}

fn number(bytes: &[u8]) -> u32 {
    u32::try_from(long(bytes)).unwrap_or(u32::MAX)
}

fn long(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(number: u32, records: &[Record]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            let (kind, content) = mark(*record);
            bytes.extend(encode(number, bytes.len(), kind, &content));
        }
        bytes
    }

    fn ids(scan: &Scan) -> Vec<Record> {
        scan.found.iter().map(|found| found.record).collect()
    }

    #[test]
    fn every_record_but_the_damaged_one_is_found() {
        let records: Vec<_> = (0..9).map(|id| Record::Done(Id(id))).collect();
        let whole = segment(7, &records);
        assert_eq!(ids(&scan(7, &whole)), records);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            let scan = scan(7, &bytes);
            let damaged = at / 18;
            let mut left = records.clone();
            left.remove(damaged);
            assert_eq!(ids(&scan), left, "byte {at}");
            let last = damaged == 8;
            assert_eq!(scan.damaged, usize::from(!last), "byte {at}");
            assert_eq!(scan.torn, last, "byte {at}");
        }
    }

    #[test]
    fn a_record_of_another_segment_or_place_is_none() {
        let records = [Record::Done(Id(1)), Record::Dropped(Id(2))];
        let bytes = segment(7, &records);
        assert!(scan(8, &bytes).found.is_empty());
        let shifted = [&[0][..], &bytes].concat();
        assert!(scan(7, &shifted).found.is_empty());
    }

    #[test]
    fn zeros_after_the_last_record_are_no_damage() {
        let mut bytes = segment(1, &[Record::Done(Id(1))]);
        let end = bytes.len();
        bytes.resize(4096, 0);
        let scan = scan(1, &bytes);
        assert_eq!((scan.end, scan.damaged, scan.torn), (end, 0, false));
    }
}
