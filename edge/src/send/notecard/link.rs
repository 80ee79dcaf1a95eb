//! What a Notecard hangs on, as the transactions see it: bytes go out in pieces, and come in when they are asked for.

use std::fmt;
use std::time::Duration;

/// A way to a Notecard. Neither call waits longer than [`Pacing::longest`]; all other waiting is the caller's.
pub trait Link: fmt::Debug + Send {
    fn pacing(&self) -> Pacing;

    /// One piece, no longer than [`Pacing::piece`].
    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// Appends what has arrived; says whether more is known to be waiting.
    fn read(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError>;
}

/// How fast a Notecard may be spoken to. It has an input buffer of 1500 bytes that it empties slowly, and one that is
/// asked too often has been seen to hang.
#[derive(Debug, Clone, Copy)]
pub struct Pacing {
    /// Bytes that may be written at once.
    pub piece: usize,
    /// Before each read or write.
    pub between: Duration,
    /// After a piece that is followed by another.
    pub after_piece: Duration,
    /// Between looks for a reply.
    pub poll: Duration,
    /// After a failed write, before the next try to find the Notecard.
    pub broken: Duration,
    /// What a single read or write may take, a busy bus included.
    pub longest: Duration,
}

/// The link itself failed; what it means is for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LinkError(pub String);
