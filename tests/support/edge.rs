//! The agent's program, and frames to give it.

/// A service that takes everything.
pub mod sink;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Where the program `edge` was built.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_edge-under-test").into()
}

/// The command line `edge …`, run in `directory`.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .args(arguments)
        .current_dir(directory)
        .env_remove("EDGE_RUNTIME")
        .stdin(Stdio::null());
    command
}

pub fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments)
        .output()
        .expect("the program runs")
}

/// What it printed, having succeeded.
pub fn printed(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "edge {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// What it said against it, having failed.
pub fn refused(directory: &Path, arguments: &[&str]) -> String {
    let output = run(directory, arguments);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "edge {arguments:?}: {printed}");
    String::from_utf8(output.stderr).expect("it complains in text")
}
