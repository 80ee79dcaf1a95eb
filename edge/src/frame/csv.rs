//! Placeholder: text files of frames.
