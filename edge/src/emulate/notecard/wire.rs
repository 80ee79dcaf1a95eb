//! The card's serial line: in memory, where time may be simulated, and on a pty for real clients.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serialport::{SerialPort, TTYPort};

use super::Notecard;
use super::line::Door;
use crate::clock::Task;

/// A start bit, eight of data and a stop bit.
const BITS_PER_BYTE: u32 = 10;
/// How long the pty's thread waits for a byte.
const LOOK: Duration = Duration::from_millis(2);

/// A host's end of a serial line in memory. Reads never wait: what is not there yet is [`ErrorKind::WouldBlock`].
#[derive(Debug)]
pub struct Wire {
    notecard: Notecard,
    per_byte: Duration,
    /// When the last byte that was written has gone out.
    written_until: Duration,
}

/// A pty with the card at its other end, until it is dropped.
#[derive(Debug)]
pub struct Pty {
    /// What a client opens.
    pub path: String,
    ended: Arc<AtomicBool>,
    task: Option<Task<()>>,
}

impl Wire {
    pub(super) fn new(notecard: Notecard, baud: Option<u32>) -> Self {
        let per_byte = baud.map_or(Duration::ZERO, |baud| {
            Duration::from_secs(1) * BITS_PER_BYTE / baud.max(1)
        });
        Self {
            notecard,
            per_byte,
            written_until: Duration::ZERO,
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = self.notecard.clock.uptime();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let end = now.max(self.written_until) + self.per_byte.saturating_mul(length);
        self.written_until = end;
        self.notecard
            .with(|card| card.hear(Door::Serial, end, bytes, self.per_byte));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let now = self.notecard.clock.uptime();
        let given = self.notecard.with(|card| {
            let given = card.give(Door::Serial, now, buffer.len());
            // What is said to somebody who cannot hear is gone.
            if now < card.faults.deaf_until {
                Vec::new()
            } else {
                given
            }
        });
        if given.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..given.len()].copy_from_slice(&given);
        Ok(given.len())
    }
}

impl Pty {
    pub(super) fn new(notecard: Notecard) -> io::Result<Self> {
        let (mut card, host) = TTYPort::pair()?;
        card.set_timeout(LOOK)?;
        let path = host.name().unwrap_or_default();
        // A client may want it for itself.
        drop(host);
        let ended = Arc::new(AtomicBool::new(false));
        let end = ended.clone();
        let clock = notecard.clock.clone();
        let task = clock.clone().spawn("notecard", move || {
            let mut wire = Wire::new(notecard, None);
            let mut buffer = [0; 512];
            while !end.load(Ordering::Relaxed) {
                match card.read(&mut buffer) {
                    Ok(read) => {
                        // It takes all.
                        let _ = wire.write(&buffer[..read]);
                    }
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    // Nobody has it open.
                    Err(_) => clock.sleep(LOOK),
                }
                if let Ok(given) = wire.read(&mut buffer) {
                    // What is said to nobody is gone.
                    let _ = card.write_all(&buffer[..given]);
                }
            }
        });
        Ok(Self {
            path,
            ended,
            task: Some(task),
        })
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            // Nobody is left to tell of a panic in it.
            let _ = task.join();
        }
    }
}
