//! Placeholder: NumPy files of frames.
