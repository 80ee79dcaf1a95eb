//! `cloud`, as the tests run it.

fn main() -> std::process::ExitCode {
    cloud::command::run(std::env::args_os())
}
