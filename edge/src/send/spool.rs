//! What waits to be sent, on disk.
