//! The gate, which judges ONNX files before a runtime sees them: good ones pass, and each way of being broken or
//! hostile is refused with words that say what is wrong.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::too_many_lines, reason = "tables of cases are long")]

/// Good models, made by code.
mod models;

/// Good models pass, as what they are.
mod good;

/// Files that are no ONNX model, or a damaged one.
mod bytes;

/// Graphs that do not hold together.
mod structure;

/// Graphs of one operator.
mod node;

/// Operators that are not run, and those whose shapes or numbers do not fit.
mod operators;

/// Convolutions and pools.
mod windows;

/// Inputs, outputs and metadata.
mod purpose;

/// Damage by chance: the gate never panics.
mod chance;

use edge::model::gate::{self, Rejected};

/// What is wrong, a file that has it, and what the gate says of it.
type Case = (&'static str, Vec<u8>, &'static str);

/// Each is refused with its own words.
fn refused(cases: Vec<Case>) {
    let mut wrong = Vec::new();
    for (name, bytes, expected) in cases {
        match gate::check(&bytes) {
            Ok(_) => wrong.push(format!("{name}: passed")),
            Err(Rejected(message)) if !message.contains(expected) => {
                wrong.push(format!("{name}: {message:?} does not say {expected:?}"));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
