//! The program `edge`; see `edge::command` for its commands.

fn main() -> std::process::ExitCode {
    edge::command::run(std::env::args_os())
}
