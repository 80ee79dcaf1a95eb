//! Placeholder: `edge picture`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Options {}

pub fn run(_options: &Options) -> anyhow::Result<ExitCode> {
    todo!()
}
