//! Where frames come from.

/// Recordings: folders of files, and files of many frames.
pub mod replay;
