//! The card on an I2C bus, strict about the protocol's rules.

use std::time::Duration;

use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource, Operation};

use super::line::Door;
use super::{Card, Notecard, Rule};
use crate::emulate::bus::{Device, Span};

/// More than this is never said to wait, and never taken at once.
const MOST: usize = 253;
const TRANSFER_SPACING: Duration = Duration::from_millis(1);
const POLL_SPACING: Duration = Duration::from_millis(15);

/// The card, to be attached to a bus.
#[derive(Debug)]
pub struct OnI2c {
    notecard: Notecard,
    /// How much the host has said it will read; it may do so in another transfer.
    asked: Option<usize>,
    last_end: Option<Duration>,
    last_poll: Option<Duration>,
}

impl OnI2c {
    pub(super) fn new(notecard: Notecard) -> Self {
        Self {
            notecard,
            asked: None,
            last_end: None,
            last_poll: None,
        }
    }

    fn write(&mut self, card: &mut Card, at: Duration, bytes: &[u8]) -> Result<(), ErrorKind> {
        let Some((first, data)) = bytes.split_first() else {
            card.break_rule(at, Rule::EmptyWrite);
            return Ok(());
        };
        match (usize::from(*first), data) {
            (0, [wanted]) => self.asked = Some(usize::from(*wanted)),
            (0, []) => card.break_rule(at, Rule::EmptyWrite),
            (length, data) if length == data.len() => {
                if length > MOST {
                    card.break_rule(at, Rule::LongWrite);
                }
                card.hear(Door::I2c, at, data, Duration::ZERO);
            }
            _ => {
                card.break_rule(at, Rule::LengthByte);
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Data));
            }
        }
        Ok(())
    }

    fn read(&mut self, card: &mut Card, at: Duration, buffer: &mut [u8]) {
        buffer.fill(0);
        let Some(asked) = self.asked.take() else {
            card.break_rule(at, Rule::UnaskedRead);
            return;
        };
        if buffer.len() != asked + 2 {
            card.break_rule(at, Rule::ReadLength);
        }
        let waiting = card.doors.i2c.waiting(at);
        if asked > waiting {
            card.break_rule(at, Rule::OverRead);
        }
        if asked == 0 && waiting == 0 {
            if self.last_poll.is_some_and(|last| at < last + POLL_SPACING) {
                card.break_rule(at, Rule::PollSpacing);
            }
            self.last_poll = Some(at);
        }
        let given = card.give(Door::I2c, at, asked);
        let left = card.doors.i2c.waiting(at).min(MOST);
        let header = [left, asked].map(|count| u8::try_from(count).unwrap_or(u8::MAX));
        for (to, from) in buffer.iter_mut().zip(header.iter().chain(&given)) {
            *to = *from;
        }
    }
}

impl Device for OnI2c {
    fn transfer(
        &mut self,
        during: Span,
        operations: &mut [Operation<'_>],
    ) -> Result<(), ErrorKind> {
        let notecard = self.notecard.clone();
        notecard.with(|card| {
            if !card.hears(during.begin) || !card.hears(during.end) {
                self.asked = None;
                return Err(ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address));
            }
            if let Some(last) = self.last_end
                && during.begin < last + TRANSFER_SPACING
            {
                card.break_rule(during.begin, Rule::TransferSpacing);
            }
            self.last_end = Some(during.end);
            for operation in operations {
                match operation {
                    Operation::Write(bytes) => self.write(card, during.end, bytes)?,
                    Operation::Read(buffer) => self.read(card, during.end, buffer),
                }
            }
            Ok(())
        })
    }
}
