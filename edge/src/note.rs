//! What is said of a frame (pure).
