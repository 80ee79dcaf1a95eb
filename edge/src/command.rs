//! Placeholder: the command line.

pub mod capture;
pub mod check_model;
pub mod classify;
pub mod evaluate;
pub mod picture;

/// Runs the program with these arguments, the first being its name.
pub fn run<I: IntoIterator<Item = std::ffi::OsString>>(arguments: I) -> std::process::ExitCode {
    use clap::Parser;

    #[derive(Debug, Parser)]
    enum Cli {
        Capture(capture::Options),
        Picture(picture::Options),
        Classify(classify::Options),
        CheckModel(check_model::Options),
        Evaluate(evaluate::Options),
    }
    let result = match Cli::parse_from(arguments) {
        Cli::Capture(options) => capture::run(&options),
        Cli::Picture(options) => picture::run(&options),
        Cli::Classify(options) => classify::run(&options),
        Cli::CheckModel(options) => check_model::run(&options),
        Cli::Evaluate(options) => evaluate::run(&options),
    };
    result.unwrap_or(std::process::ExitCode::FAILURE)
}
