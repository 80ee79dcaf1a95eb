//! An I2C bus with emulated devices on it, as `embedded_hal` sees one.
//!
//! A transfer takes the time that its bits take on the wire, and the bus is busy meanwhile; a second master's transfer
//! waits its turn. The device sees the transfer as a whole, with the moments at which it began and ended, so that what
//! changes in it meanwhile can change in the middle of a long read.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use embedded_hal::i2c::{
    Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation, SevenBitAddress,
};

use crate::clock::Clock;

/// A byte and its acknowledgement.
const BITS_PER_BYTE: f64 = 9.0;

/// What answers at an address.
pub trait Device: fmt::Debug + Send {
    /// One transfer: from START to STOP, with a repeated START between operations of different kind. An error is what the
    /// master would see, such as a byte that was not acknowledged.
    fn transfer(&mut self, during: Span, operations: &mut [Operation<'_>])
    -> Result<(), ErrorKind>;
}

/// When a transfer began and ended, in the uptime of the bus's clock.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub begin: Duration,
    pub end: Duration,
}

/// A handle on the bus; all handles made from one share it.
#[derive(Clone)]
pub struct Bus {
    /// The bus's own.
    clock: Clock,
    /// Whose master waits for the end of a transfer.
    master: Clock,
    bits_per_second: f64,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    busy_until: Duration,
    devices: Vec<(SevenBitAddress, Box<dyn Device>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusError(pub ErrorKind);

impl Bus {
    pub fn new(clock: Clock, bits_per_second: f64) -> Self {
        Self {
            master: clock.clone(),
            clock,
            bits_per_second,
            state: Arc::default(),
        }
    }

    /// Connects a device; an address that is taken is taken over.
    pub fn attach(&self, address: SevenBitAddress, device: impl Device + 'static) {
        let mut state = self.state();
        state.devices.retain(|(taken, _)| *taken != address);
        state.devices.push((address, Box::new(device)));
    }

    /// The same bus for a master with a clock of its own, who may lose power in the middle of a transfer.
    #[must_use]
    pub fn by(&self, master: Clock) -> Self {
        Self {
            master,
            ..self.clone()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn duration(&self, operations: &[Operation<'_>]) -> Duration {
        let mut bytes = 0_usize;
        for operation in operations {
            // The address goes before each.
            bytes += 1 + match operation {
                Operation::Read(buffer) => buffer.len(),
                Operation::Write(buffer) => buffer.len(),
            };
        }
        Duration::from_secs_f64(bytes as f64 * BITS_PER_BYTE / self.bits_per_second)
    }
}

impl I2c for Bus {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        let duration = self.duration(operations);
        let (begin, end) = {
            let mut state = self.state();
            let begin = self.clock.uptime().max(state.busy_until);
            state.busy_until = begin + duration;
            (begin, begin + duration)
        };
        // Not under the lock: somebody else may want to queue up.
        self.master.sleep(end.saturating_sub(self.clock.uptime()));
        let mut state = self.state();
        let device = state
            .devices
            .iter_mut()
            .find(|(taken, _)| *taken == address);
        let Some((_, device)) = device else {
            return Err(BusError(ErrorKind::NoAcknowledge(
                NoAcknowledgeSource::Address,
            )));
        };
        device
            .transfer(Span { begin, end }, operations)
            .map_err(BusError)
    }
}

impl ErrorType for Bus {
    type Error = BusError;
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}

impl fmt::Display for BusError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

impl std::error::Error for BusError {}

impl fmt::Debug for Bus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bus").finish_non_exhaustive()
    }
}
