//! What the station is made of: buses and ports, real or emulated.
//!
//! The agent asks for a bus or a port whenever it needs a new handle, so that one that has gone bad can be opened again.

use std::fmt;
use std::path::Path;

use anyhow::Context as _;
use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, Operation, SevenBitAddress};
use linux_embedded_hal::I2cdev;

use crate::emulate::bus::Bus;

/// An I2C bus.
pub enum I2cBus {
    Linux(I2cdev),
    Emulated(Bus),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct I2cError(ErrorKind);

impl I2cBus {
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        I2cdev::new(path)
            .map(Self::Linux)
            .with_context(|| format!("opening the I2C bus {}", path.display()))
    }
}

impl fmt::Debug for I2cBus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Linux(_) => "Linux",
            Self::Emulated(_) => "Emulated",
        })
    }
}

impl I2c for I2cBus {
    fn transaction(
        &mut self,
        address: SevenBitAddress,
        operations: &mut [Operation<'_>],
    ) -> Result<(), I2cError> {
        match self {
            Self::Linux(bus) => bus
                .transaction(address, operations)
                .map_err(|error| I2cError(error.kind())),
            Self::Emulated(bus) => bus
                .transaction(address, operations)
                .map_err(|error| I2cError(error.kind())),
        }
    }
}

impl ErrorType for I2cBus {
    type Error = I2cError;
}

impl Error for I2cError {
    fn kind(&self) -> ErrorKind {
        self.0
    }
}
