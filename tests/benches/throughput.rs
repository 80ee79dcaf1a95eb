//! How fast is the service, and how far from what this machine allows?
//!
//! One command measures the HTTP floor, the insert limit, durable ingest, open arrivals, a slow disk and the whole
//! way of an event, in interleaved rounds, and sets them in proportion: `cargo bench -p tests --bench throughput`.
//! Absolute figures drift with the machine; the ratios are what to compare.
//!
//! Every server and the load itself run as child processes of this same binary (`--role`), so that processor time
//! and memory can be told apart. Postgres is a real one that syncs to disk, with a new database for each measurement.

#[path = "throughput/arguments.rs"]
mod arguments;
#[path = "throughput/child.rs"]
mod child;
#[path = "throughput/connection.rs"]
mod connection;
#[path = "throughput/event.rs"]
mod event;
#[path = "throughput/floor.rs"]
mod floor;
#[path = "throughput/limit.rs"]
mod limit;
#[path = "throughput/load.rs"]
mod load;
#[path = "throughput/one_insert.rs"]
mod one_insert;
#[path = "throughput/receiver.rs"]
mod receiver;
#[path = "throughput/report.rs"]
mod report;
#[path = "throughput/rounds.rs"]
mod rounds;
#[path = "throughput/server.rs"]
mod server;
#[path = "throughput/targets.rs"]
mod targets;
#[path = "throughput/whole.rs"]
mod whole;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use arguments::{Arguments, Role};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.role == Some(Role::Cloud) {
        let program = OsString::from("cloud");
        return cloud::command::run(std::iter::once(program).chain(arguments.rest));
    }
    match work(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With nowhere left to complain to, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "throughput: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &Arguments) -> anyhow::Result<()> {
    match arguments.role {
        None => runtime()?.block_on(measure(arguments)),
        Some(Role::Floor) => runtime()?.block_on(floor::serve()),
        Some(Role::OneInsert) => runtime()?.block_on(one_insert::serve(arguments.input()?)),
        Some(Role::Receiver) => runtime()?.block_on(receiver::serve()),
        Some(Role::Limit) => runtime()?.block_on(limit::run(arguments.input()?)),
        Some(Role::Load) => load::run(arguments.input()?),
        Some(Role::Cloud) => anyhow::bail!("the service is started by main"),
    }
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let measured = rounds::run(arguments).await?;
    let text = if arguments.json {
        report::json(&measured)?
    } else {
        report::text(&measured)
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// The runtime every server here gets: tokio's own defaults, as in the service.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the async runtime")
}
