//! From a note to the Notecard: what waits on disk, and the way over the wire.

/// Serial over I2C.
pub mod i2c;

/// Transactions: one request, its answer, and what is done when it does not come.
pub mod notecard;

/// The requests that are used, as types.
pub mod request;

/// UART and USB.
pub mod serial;

/// What waits to be sent, on disk.
pub mod spool;
