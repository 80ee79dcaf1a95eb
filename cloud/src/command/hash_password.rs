//! `cloud hash-password`: what `[[user]]` keeps of a password.

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use anyhow::Context;

use crate::web::account;

const SHORTEST: usize = 12;
const LONGEST: usize = 1_000;

/// Reads one line from standard input, so that the password is in no list of processes and in no history of a shell.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command line"
)]
pub fn hash_password() -> anyhow::Result<ExitCode> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprintln!("Type the password and press Enter; it will be visible here.");
    }
    let mut line = String::new();
    input
        .lock()
        .read_line(&mut line)
        .context("reading the password from standard input")?;
    let password = line.trim_end_matches(['\n', '\r']);
    anyhow::ensure!(
        (SHORTEST..=LONGEST).contains(&password.chars().count()),
        "a password has {SHORTEST} to {LONGEST} characters; several words make a good one"
    );
    println!("{}", account::hash(password)?);
    Ok(ExitCode::SUCCESS)
}
