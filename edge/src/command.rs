//! Placeholder: the command line.

/// Runs the program with these arguments, the first being its name.
pub fn run<I: IntoIterator<Item = std::ffi::OsString>>(_arguments: I) -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
