//! Serial over I2C: the Notecard's lines, carried in transfers of at most 250 bytes.
//!
//! Three transfers make it up: `[n][n bytes]` writes; `[0][0]` and two bytes back ask how much waits; `[0][n]` and n + 2
//! bytes back fetch it. Never more is asked for than is known to wait, and never nothing is written, since a first byte of
//! 0 means to read. Write and read are one transfer with a repeated START, which is what `linux-embedded-hal` makes of it.

use std::fmt;
use std::time::Duration;

use embedded_hal::i2c::{Error, I2c, NoAcknowledgeSource, Operation};

use super::notecard::link::{Link, LinkError, Pacing};

/// Where a Notecard is unless it was moved by `card.io`.
pub const ADDRESS: u8 = 0x17;

/// One segment, after which the Notecard wants a pause.
const PIECE: usize = 250;

/// A Notecard at an address of an I2C bus.
pub struct SerialOverI2c<B> {
    bus: B,
    address: u8,
    /// What the last transfer said that waits.
    waiting: usize,
}

impl<B: I2c> SerialOverI2c<B> {
    pub fn new(bus: B, address: u8) -> Self {
        Self {
            bus,
            address,
            waiting: 0,
        }
    }

    fn fetch(&mut self, into: &mut Vec<u8>) -> Result<usize, LinkError> {
        let wanted = self.waiting.min(PIECE);
        let mut buffer = [0; PIECE + 2];
        let answer = &mut buffer[..wanted + 2];
        let ask = [0, u8::try_from(wanted).unwrap_or(u8::MAX)];
        let mut transfer = [Operation::Write(&ask), Operation::Read(answer)];
        self.bus
            .transaction(self.address, &mut transfer)
            .map_err(|error| explained(&error, self.address))?;
        let [waiting, given, data @ ..] = &buffer[..wanted + 2] else {
            return Ok(0);
        };
        if *given != ask[1] {
            return Err(LinkError(format!(
                "it gave {given} bytes where {wanted} were asked for"
            )));
        }
        into.extend_from_slice(data);
        Ok(usize::from(*waiting))
    }
}

impl<B: I2c + Send> Link for SerialOverI2c<B> {
    fn pacing(&self) -> Pacing {
        Pacing {
            piece: PIECE,
            between: Duration::from_millis(6),
            after_piece: Duration::from_millis(270),
            poll: Duration::from_millis(50),
            broken: Duration::from_secs(1),
            // A camera's frame on the same bus may be before us.
            longest: Duration::from_millis(300),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut message = Vec::with_capacity(bytes.len() + 1);
        message.push(u8::try_from(bytes.len()).map_err(|_| {
            LinkError(format!("{} bytes are too many for a transfer", bytes.len()))
        })?);
        message.extend_from_slice(bytes);
        self.bus
            .write(self.address, &message)
            .map_err(|error| explained(&error, self.address))
    }

    fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError> {
        let fetched = self.fetch(into);
        self.waiting = *fetched.as_ref().unwrap_or(&0);
        fetched.map(|waiting| waiting > 0)
    }
}

impl<B> fmt::Debug for SerialOverI2c<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SerialOverI2c")
            .field("address", &self.address)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

fn explained(error: &impl Error, address: u8) -> LinkError {
    use embedded_hal::i2c::ErrorKind::{ArbitrationLoss, NoAcknowledge};
    LinkError(match error.kind() {
        NoAcknowledge(NoAcknowledgeSource::Data) => {
            format!("what is at address {address:#04x} did not take all bytes")
        }
        NoAcknowledge(_) => format!("nothing answers at address {address:#04x} of the I2C bus"),
        ArbitrationLoss => "the I2C bus is held by somebody else".to_owned(),
        // Linux tells most of it by a number only.
        _ => format!("the I2C transfer failed: {error:?}"),
    })
}
