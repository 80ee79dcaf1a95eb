//! Placeholder: the gate.

use std::collections::BTreeMap;

use super::metadata::Metadata;

/// What the gate found a model to be.
#[derive(Debug, Clone)]
pub struct Checked {
    pub kind: Kind,
    pub input: String,
    /// Names of the graph's outputs in order.
    pub outputs: Vec<String>,
    /// All of the file's metadata entries.
    pub entries: BTreeMap<String, String>,
    pub opset: i64,
    pub producer: String,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
    /// Hex SHA-256 of the file: the model's id.
    pub sha256: String,
    /// Estimated multiply-adds of one run, and the largest tensor in elements.
    pub work: u64,
    pub largest: u64,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// One of ours.
    Scene(Box<Metadata>),
    /// Input `[1,1,24,32]` of deg C.
    Temperatures { classes: usize },
    /// A coloured picture.
    Picture {
        layout: Layout,
        height: usize,
        width: usize,
        classes: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `[1, 3, height, width]`
    ChannelsFirst,
    /// `[1, height, width, 3]`
    ChannelsLast,
}

/// Why a file is no model to run: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub String);

/// Judges a file.
pub fn check(_bytes: &[u8]) -> Result<Checked, Rejected> {
    todo!()
}
