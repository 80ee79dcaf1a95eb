//! Words over the bus: asked again when nobody answers, and only where writing is harmless written.

use std::time::Duration;

use embedded_hal::i2c::{Error as _, ErrorKind, I2c, NoAcknowledgeSource, Operation};
use thiserror::Error;

use super::settings::{CONTROL, STATUS};
use crate::clock::Clock;

/// How often an access is tried.
const ATTEMPTS: u32 = 4;
/// Before the second attempt, and longer by as much before each further one.
const PAUSE: Duration = Duration::from_millis(5);

/// An access that failed, however often it was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "{} at address {address:#04x} of the I2C bus, asked {attempts} times; check wires, address and supply \
     (`i2cdetect -y 1` shows who answers)",
    reason(*.kind)
)]
pub struct NotAnswered {
    pub address: u8,
    pub attempts: u32,
    pub kind: ErrorKind,
}

/// All that is ever written to: anything else could be the EEPROM, and ruin the camera.
#[derive(Debug, Clone, Copy)]
pub(super) enum Writable {
    Status,
    Control,
}

fn reason(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data) => "the camera stops answering",
        ErrorKind::NoAcknowledge(_) => "no camera answers",
        ErrorKind::ArbitrationLoss => "somebody else talks while the camera is asked",
        ErrorKind::Bus => "the bus is disturbed when the camera is asked",
        _ => "the camera cannot be asked",
    }
}

#[derive(Debug)]
pub(super) struct Registers<I> {
    bus: I,
    address: u8,
    clock: Clock,
    /// Whether an attempt failed since this was last asked.
    was_silent: bool,
}

impl<I: I2c> Registers<I> {
    pub(super) fn new(bus: I, address: u8, clock: Clock) -> Self {
        Self {
            bus,
            address,
            clock,
            was_silent: false,
        }
    }

    /// Consecutive words, in one transaction.
    pub(super) fn read(&mut self, register: u16, words: &mut [u16]) -> Result<(), NotAnswered> {
        let mut bytes = vec![0; 2 * words.len()];
        let register = register.to_be_bytes();
        self.insist(&mut [Operation::Write(&register), Operation::Read(&mut bytes)])?;
        for (word, pair) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u16::from_be_bytes(*pair);
        }
        Ok(())
    }

    pub(super) fn read_word(&mut self, register: u16) -> Result<u16, NotAnswered> {
        let mut word = [0];
        self.read(register, &mut word)?;
        Ok(word[0])
    }

    pub(super) fn write(&mut self, register: Writable, word: u16) -> Result<(), NotAnswered> {
        let register = match register {
            Writable::Status => STATUS,
            Writable::Control => CONTROL,
        };
        let ([a, b], [c, d]) = (register.to_be_bytes(), word.to_be_bytes());
        self.insist(&mut [Operation::Write(&[a, b, c, d])])
    }

    /// Whether somebody had to be asked more than once since this was last called.
    pub(super) fn take_silence(&mut self) -> bool {
        std::mem::take(&mut self.was_silent)
    }

    fn insist(&mut self, operations: &mut [Operation<'_>]) -> Result<(), NotAnswered> {
        let mut attempts = 1;
        while let Err(error) = self.bus.transaction(self.address, operations) {
            self.was_silent = true;
            if attempts == ATTEMPTS {
                return Err(NotAnswered {
                    address: self.address,
                    attempts,
                    kind: error.kind(),
                });
            }
            self.clock.sleep(PAUSE * attempts);
            attempts += 1;
        }
        Ok(())
    }
}
