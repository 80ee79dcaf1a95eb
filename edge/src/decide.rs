//! What frames mean over time (pure).
