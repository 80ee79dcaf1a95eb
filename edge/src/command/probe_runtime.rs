//! `edge probe-runtime`: loads a library and tells what it is. Other commands run it as a child, which may die of it.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::classify::{self, Runtime, probe};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The library of ONNX Runtime.
    library: PathBuf,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    classify::prepare_environment(&Runtime::Library(options.library.clone()))?;
    let probed = probe::run_here(&options.library)?;
    super::say(&format!("{}\n", serde_json::to_string(&probed)?))?;
    Ok(ExitCode::SUCCESS)
}
