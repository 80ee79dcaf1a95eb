//! What frames mean over time.
