//! Uids of events (pure): the same note, uploaded twice, is one event.

use std::fmt::Write;

use md5::{Digest, Md5};
use rand::{Rng, RngExt};

use super::{Synced, go};

/// The uid of a note from a device: an MD5 of what the note is, as a UUID of version 8. None if the note has no time: two
/// readings that look alike could be two then.
pub fn content_uid(device: &str, note: &Synced) -> Option<String> {
    let when = note.when.filter(|when| *when != 0)?;
    let mut hash = Md5::new();
    hash.update(device);
    hash.update(when.to_le_bytes());
    hash.update(&note.file);
    hash.update(&note.note_id);
    if !note.body.is_null() {
        hash.update(go::sorted(&note.body));
    }
    hash.update(note.payload.as_deref().unwrap_or_default());
    Some(written(hash.finalize().into(), 8))
}

/// Any uid, version 4.
pub fn random_uid(chance: &mut impl Rng) -> String {
    written(chance.random(), 4)
}

fn written(mut bytes: [u8; 16], version: u8) -> String {
    bytes[6] = bytes[6] & 0x0F | version << 4;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
