//! The command line: what each subcommand does, and what it says.
//!
//! The only place that writes to standard output.

pub mod adopt;
pub mod capture;
pub mod check;
pub mod check_model;
pub mod classify;
pub mod evaluate;
pub mod picture;
pub mod probe_runtime;
pub mod run;
pub mod simulate;
pub mod train;

/// Where files may be written.
mod output;

/// What the commands at a station have in common.
mod station;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Context;

use clap::{Parser, Subcommand};

/// Watches a scene through a thermal camera: learns what is normal from its own frames, and says where it is not.
#[derive(Debug, Parser)]
#[command(
    name = "edge",
    version,
    after_help = "From frames to a verdict:\n  edge capture --simulate boiler --days 14 --frames 240 --out frames\n  edge train frames --out model.onnx\n  edge classify --model model.onnx frames/hot"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The agent: takes pictures, judges them, and queues notes on the Notecard
    Run(run::Options),
    /// One cycle of the agent, for a timer or a machine that is switched on for it
    Once(run::OnceOptions),
    /// Go through bus, camera, Notecard, model, clock and disk, and say what to mend
    Check(check::Options),
    /// Make a training set of frames, from the camera, a recording or the simulator
    Capture(capture::Options),
    /// Learn a scene from its normal frames: writes a model and a page that says what it can see
    Train(train::Options),
    /// Declare frames of a false alarm normal, and learn the scene again with them
    Adopt(adopt::Options),
    /// Say what frames show: cold, warm, hot or anomalous, where, and by how many degrees
    Classify(classify::Options),
    /// Draw frames in false colour
    Picture(picture::Options),
    /// Check a model file, and say what it is
    CheckModel(check_model::Options),
    /// Run the agent on emulated hardware, through a week of troubles, against a running `cloud`
    Simulate(simulate::Options),
    /// Measure false alarms and recall on simulated scenes
    Evaluate(evaluate::Options),
    #[command(hide = true)]
    ProbeRuntime(probe_runtime::Options),
}

/// Runs the program with these arguments, the first being its name.
pub fn run<I: IntoIterator<Item = OsString>>(arguments: I) -> ExitCode {
    let result = match Cli::parse_from(arguments).command {
        Command::Run(options) => run::run(&options),
        Command::Once(options) => run::once(&options),
        Command::Check(options) => check::run(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Capture(options) => capture::run(&options),
        Command::Train(options) => train::run(&options),
        Command::Adopt(options) => adopt::run(&options),
        Command::Classify(options) => classify::run(&options),
        Command::Picture(options) => picture::run(&options),
        Command::CheckModel(options) => check_model::run(&options),
        Command::Evaluate(options) => evaluate::run(&options),
        Command::ProbeRuntime(options) => probe_runtime::run(&options),
    };
    match result {
        Ok(code) => code,
        // Whoever read what was said has enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Says all of it now: whoever waits at the other end gets whole lines.
fn say(text: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush())
        .context("writing to standard output")
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    })
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
