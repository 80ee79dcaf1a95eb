//! Fills and empties a spool without end, and tells of each step, until it is killed.

#[path = "../../spool/note.rs"]
mod note;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use edge::note::Class;
use edge::send::spool::{Limits, Spool};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().context("a folder")?);
    let first = arguments.next().context("a number")?;
    let mut seq: u32 = first.to_str().context("a number")?.parse()?;
    let limits = Limits {
        bytes: 1024 * 1024,
        notes: 10_000,
    };
    let mut spool = Spool::open(&folder, limits)?;
    let mut output = io::stdout().lock();
    loop {
        let class = match seq % 7 {
            0 => Class::Alarm,
            1 => Class::Health,
            2 | 3 => Class::Picture,
            _ => Class::Reading,
        };
        spool.push(note::note(class, seq))?;
        writeln!(output, "pushed {seq}")?;
        seq += 1;
        // Sometimes more, sometimes fewer than come in.
        for _ in 0..(seq / 16) % 3 {
            if let Some((id, next)) = spool.next() {
                writeln!(output, "sending {}", next.seq)?;
                spool.done(id)?;
                writeln!(output, "done {}", next.seq)?;
            }
        }
    }
}
