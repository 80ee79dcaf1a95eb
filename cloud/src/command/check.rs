//! `cloud check-config`.

use std::process::ExitCode;

use crate::config::Loaded;
use crate::deliver::retry::Schedule;
use crate::process::plan::{self, Plan};
use crate::process::transform::Transforms;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the command line"
)]
pub fn check(loaded: &Loaded) -> anyhow::Result<ExitCode> {
    let config = &loaded.config;
    let transforms = Transforms::new(&config.transform, plan::worker_exe()?);
    if let Err(bad) = Plan::compile(config, &transforms) {
        for expression in &bad {
            eprintln!("error: {expression}");
        }
        return Ok(ExitCode::FAILURE);
    }
    match &loaded.path {
        Some(path) => println!("{}: good\n", path.display()),
        None => println!("no configuration file: the defaults\n"),
    }
    println!("{}", config.describe());
    for (name, schedule) in [
        ("events", Schedule::events()),
        ("notices", Schedule::notices()),
    ] {
        println!(
            "Retries of {name}: after {schedule}; in all {}",
            humantime::format_duration(schedule.total())
        );
    }
    Ok(ExitCode::SUCCESS)
}
