//! Judges an ONNX file before any runtime sees it.
//!
//! Runtimes trust their models: a stride of 0 kills the process, a loop never ends, a product of two vectors takes all
//! the memory there is. So a file is read here by our own reader, may use only operators of a list, and every tensor's
//! shape, the memory and the work of one run are calculated before any of it happens. What cannot be known from the
//! file alone is a reason to refuse. The gate decides nothing about how good a model is: whether its numbers survived
//! is for the golden frame to show, when the model is loaded.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use super::metadata::Metadata;
use super::onnx::{self, File};

/// What the model is for: its input, its classes, and whether it is one of ours.
mod kind;

/// What each operator may be given, and what comes out.
mod operators;

/// The shapes of all values, in the order of calculation.
mod shapes;

/// Versions of ONNX's operators that are known here.
const OPSETS: std::ops::RangeInclusive<i64> = 13..=21;
/// Versions of the file format that have those.
const IR_VERSIONS: std::ops::RangeInclusive<i64> = 3..=13;

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
pub fn check(bytes: &[u8]) -> Result<Checked, Rejected> {
    judge(bytes).map_err(|error| Rejected(format!("{error:#}")))
}

fn judge(bytes: &[u8]) -> Result<Checked> {
    refuse_other_formats(bytes)?;
    let file = onnx::read(bytes).context("this is no ONNX model that can be read")?;
    ensure!(
        IR_VERSIONS.contains(&file.ir_version),
        "its file format is version {}: versions {} to {} are read",
        file.ir_version,
        IR_VERSIONS.start(),
        IR_VERSIONS.end()
    );
    let opset = opset(&file)?;
    let entries = entries(&file)?;
    let shapes = shapes::infer(&file.graph, opset)?;
    let input = kind::input(&file.graph)?;
    let kind = kind::of(&file.graph, input, &shapes, &entries)?;
    let mut operators = BTreeMap::new();
    for node in &file.graph.nodes {
        *operators.entry(node.operator.clone()).or_default() += 1;
    }
    Ok(Checked {
        kind,
        input: input.name.clone(),
        outputs: file
            .graph
            .outputs
            .iter()
            .map(|output| output.name.clone())
            .collect(),
        opset,
        producer: format!("{} {}", file.producer, file.producer_version)
            .trim()
            .to_owned(),
        operators,
        sha256: onnx::encode::hex(&Sha256::digest(bytes)),
        work: shapes.work,
        largest: shapes.largest,
        entries,
    })
}

/// People take the file they have; its first bytes often say what it is.
fn refuse_other_formats(bytes: &[u8]) -> Result<()> {
    ensure!(!bytes.is_empty(), "the file is empty");
    if bytes.get(4..8) == Some(b"TFL3") {
        bail!("this is a TensorFlow Lite file: export it to ONNX (tf2onnx does it)");
    }
    let known: [(&[u8], &str); 9] = [
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (
            b"PK\x03\x04",
            "a zip archive (PyTorch and Keras save such): export the model to ONNX",
        ),
        (
            b"\x89HDF",
            "an HDF5 file (Keras saves such): export the model to ONNX",
        ),
        (b"\x1f\x8b", "a gzip archive: unpack it first"),
        (
            b"\x7fELF",
            "a program (an Edge Impulse .eim is one): export the model to ONNX",
        ),
        (b"GGUF", "a GGUF file, which holds language models"),
        (b"\x93NUMPY", "a NumPy array, not a model"),
        (
            b"version https://git-lfs",
            "a Git LFS pointer, not the file itself: run `git lfs pull`",
        ),
    ];
    for (magic, what) in known {
        ensure!(
            !bytes.starts_with(magic),
            "this is no ONNX model but {what}"
        );
    }
    // An ONNX file begins with the tag of its version, which is no character of a text.
    let start = &bytes[..bytes.len().min(64)];
    let text = start
        .iter()
        .all(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..0x7f));
    ensure!(!text, "this is no ONNX model but text");
    Ok(())
}

fn opset(file: &File) -> Result<i64> {
    let mut versions = file
        .operator_sets
        .iter()
        .filter(|set| is_default(&set.domain))
        .map(|set| set.version);
    let version = versions.next().context(
        "it does not say which operators it uses (no opset): export it with opset 13 to 21",
    )?;
    ensure!(
        versions.next().is_none(),
        "it says twice which operators it uses (two opsets)"
    );
    ensure!(
        OPSETS.contains(&version),
        "it uses opset {version}: export it with opset {} to {}",
        OPSETS.start(),
        OPSETS.end()
    );
    Ok(version)
}

/// ONNX's own operators have this domain; an import of others does no harm unless a node uses them.
fn is_default(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn entries(file: &File) -> Result<BTreeMap<String, String>> {
    let mut entries = BTreeMap::new();
    for (key, text) in &file.entries {
        let before = entries.insert(key.clone(), text.clone());
        ensure!(before.is_none(), "its metadata has the entry {key:?} twice");
    }
    Ok(entries)
}
