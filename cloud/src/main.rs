//! The program `cloud`; see `cloud::command` for its commands.

fn main() -> std::process::ExitCode {
    cloud::command::run(std::env::args_os())
}
