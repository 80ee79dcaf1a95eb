//! Tries a stranger's model in a child process.
//!
//! The gate keeps out what is known to be dangerous, but a runtime may still crash, loop or take all memory on a graph it
//! never met, and none of these is an error that could be caught. The child has limits on memory and processor time, and
//! its parent watches the clock, so every such end becomes an error that says what happened.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::child::{self, Ending};
use super::library::NO_TELEMETRY;
use super::{CONSTANT_FRAME, Engine, Runtime, convention};
use crate::frame::PIXELS;
use crate::model::gate::{self, Kind};

/// What a model may use to load and answer one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds on the processor.
    pub processor: u64,
    /// By the clock on the wall.
    pub time: Duration,
}

impl Default for Limits {
    /// Generous for any classifier of a 32 x 24 frame, even on the smallest Raspberry Pi.
    fn default() -> Self {
        Self {
            memory: 1 << 30,
            processor: 15,
            time: Duration::from_secs(20),
        }
    }
}

/// Lets a child load the model and answer one frame; an error if it does not come back with one.
pub(super) fn try_model(
    program: &Path,
    bytes: &[u8],
    runtime: &Runtime,
    limits: &Limits,
) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command
        .args(["check-model", "-", "--trial"])
        .args(["--trial-memory", &limits.memory.to_string()])
        .args(["--trial-processor", &limits.processor.to_string()])
        .env(NO_TELEMETRY, "1")
        // A thread for each processor would only take address space.
        .env("RTEN_NUM_THREADS", "1")
        .env_remove("EDGE_RUNTIME");
    if let Runtime::Library(library) = runtime {
        command.arg("--runtime").arg(library);
    }
    let ending = child::run(command, bytes.to_vec(), limits.time)
        .context("trying the model in a process of its own")?;
    let what = match ending {
        Ending::Fine(_) => return Ok(()),
        Ending::Refused(reason) => format!("failed ({reason})"),
        Ending::TooSlow => format!(
            "was not done after {} s and was stopped",
            limits.time.as_secs_f32()
        ),
        Ending::Killed { signal, words } => {
            let words = if words.is_empty() {
                words
            } else {
                format!("; it said: {words}")
            };
            format!("died of {}{words}", child::signal_name(signal))
        }
    };
    bail!(
        "tried in a process of its own, with {} MB of memory and {} s, this model {what}. It cannot be used with this \
         runtime: export it again (float32, opset 13 to 21), or try the other runtime",
        limits.memory >> 20,
        limits.processor,
    )
}

/// Limits this very process, for good.
pub fn confine(limits: &Limits) -> anyhow::Result<()> {
    for (resource, limit) in [
        (Resource::As, limits.memory),
        (Resource::Cpu, limits.processor),
        // A crash here is expected; its memory is of no use to anybody.
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        setrlimit(resource, limit).with_context(|| format!("setting the limit {resource:?}"))?;
    }
    Ok(())
}

/// Loads a model and lets it answer one frame, whatever may come of it: the child's part.
pub fn run_here(bytes: &[u8], runtime: &Runtime) -> anyhow::Result<()> {
    let checked = gate::check(bytes)?;
    let (mut engine, _) = Engine::load(bytes, &checked, runtime)?;
    let frame = [CONSTANT_FRAME; PIXELS];
    let (input, classes) = match checked.kind {
        Kind::Scene(metadata) => (frame.to_vec(), metadata.labels.len()),
        Kind::Temperatures { classes } => (frame.to_vec(), classes),
        Kind::Picture {
            layout,
            height,
            width,
            classes,
        } => {
            let convention = convention::Convention::default();
            (convention.input(&frame, layout, height, width), classes)
        }
    };
    let outputs = engine.run(&input)?;
    let scores = outputs.first().map_or(0, Vec::len);
    ensure!(
        scores == classes,
        "it gave {scores} scores where its file says {classes}"
    );
    Ok(())
}
