//! `edge`, as the tests run it.

fn main() -> std::process::ExitCode {
    edge::command::run(std::env::args_os())
}
