//! Which start of the agent this is.
//!
//! With a sequence number it makes the identity of a note, so it must never come again for the same station: not after a
//! power cut, and not after the SD card was replaced. Without a past it begins at a random thousand.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use rand::{Rng, RngExt};

use crate::file;

const FILE: &str = "boot";
/// The thousands that a `u32` has room for, with some to count on.
const THOUSANDS: u32 = u32::MAX / 1000;

/// Counts this start, durably, in `folder`. An error means that it could not be made durable; [`random_boot`] will do then.
pub fn next_boot(folder: &Path, chance: &mut impl Rng) -> anyhow::Result<u32> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let path = folder.join(FILE);
    let boot = match std::fs::read(&path) {
        Ok(text) => {
            let next = parse(&text).and_then(|boot| boot.checked_add(1));
            next.unwrap_or_else(|| {
                tracing::warn!(spool.file = %path.display(), "the number of the last start is not readable, counting begins anew");
                random_boot(chance)
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => random_boot(chance),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read {}", path.display()));
        }
    };
    file::replace(&path, text(boot).as_bytes())?;
    Ok(boot)
}

/// Where counting begins without a past.
pub fn random_boot(chance: &mut impl Rng) -> u32 {
    chance.random_range(1..THOUSANDS) * 1000
}

fn text(boot: u32) -> String {
    let number = boot.to_string();
    format!("{number} {:08x}\n", crc32fast::hash(number.as_bytes()))
}

fn parse(bytes: &[u8]) -> Option<u32> {
    let line = std::str::from_utf8(bytes).ok()?;
    let boot = line.split(' ').next()?.parse().ok()?;
    (text(boot) == line).then_some(boot)
}
