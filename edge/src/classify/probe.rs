//! Tries a library in a child process before this one loads it.
//!
//! Some builds of ONNX Runtime die while they are being loaded: 1.21.0 executes an instruction that the processors of
//! Raspberry Pis lack, before any version could be asked. What would have killed the agent at every start is then an
//! error that says which library to take instead.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::child::{self, Ending};
use super::library::{self, NO_TELEMETRY, RECOMMENDED};
use super::{Engine, Ports};
use crate::model::onnx::{Attribute, Data, Dim, Element, Graph, encode};

/// Loading takes a fraction of a second, on a slow card some seconds.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// What the built-in model must say: 1 / (1 + 1/e), and the rest.
const EXPECTED: [f32; 2] = [0.731_058_6, 0.268_941_4];

/// Loads the library in a child process; an error if that does not go well.
pub fn probe(program: &Path, library: &Path) -> anyhow::Result<()> {
    let name = library.display();
    // Said here, because the child's path might mean something else to the system's loader.
    let path = library
        .canonicalize()
        .with_context(|| format!("the runtime {name}"))?;
    ensure!(path.is_file(), "the runtime {name} is not a file");
    let mut command = Command::new(program);
    command
        .arg("probe-runtime")
        .arg(&path)
        .env(NO_TELEMETRY, "1");
    let ending = child::run(command, Vec::new(), TIME_LIMIT)
        .with_context(|| format!("trying the runtime {name} in a process of its own"))?;
    let what = match ending {
        Ending::Fine(_) => return Ok(()),
        Ending::Refused(reason) => format!("is refused: {reason}"),
        Ending::TooSlow => format!("was not loaded after {} s", TIME_LIMIT.as_secs()),
        Ending::Killed { signal, .. } => {
            format!(
                "killed the process that loaded it ({})",
                child::signal_name(signal)
            )
        }
    };
    bail!(
        "the runtime {name} {what}. Use ONNX Runtime {RECOMMENDED} for this processor, or leave --runtime and \
         EDGE_RUNTIME away: the built-in runtime needs nothing"
    )
}

/// What a library is, and what speaks against it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Probed {
    pub name: String,
    pub version: Option<String>,
    pub objection: Option<&'static str>,
}

/// Loads the library into this very process and calculates something with it: the child's part.
pub fn run_here(library: &Path) -> anyhow::Result<Probed> {
    let ports = Ports {
        input: "x".to_owned(),
        shape: vec![1, 1, 3, 3],
        outputs: vec!["y".to_owned()],
    };
    let (engine, name) = library::Engine::load(library, &tiny_model(), &ports)?;
    let mut engine = Engine::Library(engine);
    let outputs = engine.run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])?;
    let right = outputs[0].len() == EXPECTED.len()
        && outputs[0]
            .iter()
            .zip(EXPECTED)
            .all(|(found, expected)| (found - expected).abs() < 1e-5);
    ensure!(
        right,
        "it calculates {:?} where {EXPECTED:?} is right",
        outputs[0]
    );
    let version = library::version(library)?;
    Ok(Probed {
        objection: version.as_deref().and_then(library::objection),
        version,
        name,
    })
}

/// The mean of nine numbers, and a choice by it.
fn tiny_model() -> Vec<u8> {
    let ints = |values: &[i64]| Attribute::Ints(values.to_vec());
    let size = |size: i64| Dim::Size(size);
    let graph = Graph::new("probe")
        .input("x", Element::Float, &[size(1), size(1), size(3), size(3)])
        .output("y", Element::Float, &[size(1), size(2)])
        .initializer("kernel", &[1, 1, 3, 3], Data::Float(vec![1.0 / 9.0; 9]))
        .initializer("weights", &[1, 2], Data::Float(vec![0.1, -0.1]))
        .node(
            "Conv",
            &["x", "kernel"],
            &["mean"],
            &[
                ("dilations", ints(&[1, 1])),
                ("group", Attribute::Int(1)),
                ("kernel_shape", ints(&[3, 3])),
                ("pads", ints(&[0, 0, 0, 0])),
                ("strides", ints(&[1, 1])),
            ],
        )
        .node(
            "Flatten",
            &["mean"],
            &["flat"],
            &[("axis", Attribute::Int(1))],
        )
        .node("MatMul", &["flat", "weights"], &["choice"], &[])
        .node(
            "Softmax",
            &["choice"],
            &["y"],
            &[("axis", Attribute::Int(1))],
        );
    encode(&graph, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_model_says_what_it_must() {
        let ports = Ports {
            input: "x".to_owned(),
            shape: vec![1, 1, 3, 3],
            outputs: vec!["y".to_owned()],
        };
        let engine = super::super::embedded::Engine::load(&tiny_model(), &ports).expect("fine");
        let outputs = engine
            .run(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
            .expect("fine");
        for (found, expected) in outputs[0].iter().zip(EXPECTED) {
            assert!((found - expected).abs() < 1e-6, "{outputs:?}");
        }
    }
}
