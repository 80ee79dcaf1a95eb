//! The command line: what each subcommand does, and what it says.
//!
//! The only place (with `demo`) that writes to standard output.

mod access;
mod backfill;
mod check;
mod hash_password;
mod healthcheck;
mod replay;
pub(crate) mod serve;
mod try_route;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Loaded};
use crate::observe::{self, LogFormat};
use crate::process::transform;
use crate::{database, demo, web};

/// Takes events from Notehub, stores them for good, forwards them and texts a person when it matters.
#[derive(Debug, Parser)]
#[command(
    name = "cloud",
    version,
    after_help = "With no command it serves. Configuration: `cloud.toml` here, or --config; every key is shown in deploy/cloud.toml."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The configuration file; without it CLOUD_CONFIG, else cloud.toml if there is one, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How logs are written to standard error; RUST_LOG chooses what is logged.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the service (this is what happens without a command)
    Serve(serve::ServeOptions),
    /// Watch a recorded day travel through the service: no configuration, no account, no network needed
    Demo(demo::DemoOptions),
    /// Check the configuration and its expressions, and say what they amount to
    CheckConfig,
    /// Show what a route would send for an event, without a database or a running service
    TryRoute(try_route::TryRouteOptions),
    /// Process stored events again, or send deliveries again
    Replay(replay::ReplayOptions),
    /// Read a password from standard input and print what [[user]] in the configuration keeps of it
    HashPassword,
    /// Fetch from Notehub what never arrived (the service does this too)
    Backfill(backfill::BackfillOptions),
    /// Print the description of the API (OpenAPI), as the service gives it at /api/v1/openapi.json
    Openapi,
    /// Bring the database up to date and exit (serve does this too)
    Migrate,
    /// Ask a running service whether it can store events; for the health check of a container
    Healthcheck(healthcheck::HealthcheckOptions),
    #[command(hide = true)]
    TransformWorker,
}

/// Runs the program with these arguments, the first being its name.
pub fn run<I: IntoIterator<Item = OsString>>(arguments: I) -> ExitCode {
    let cli = Cli::parse_from(arguments);
    let command = cli
        .command
        .unwrap_or(Command::Serve(serve::ServeOptions::default()));
    if matches!(command, Command::TransformWorker) {
        return transform::worker_main();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&anyhow::Error::new(error).context("starting the runtime")),
    };
    match runtime.block_on(dispatch(command, &cli.common)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn dispatch(command: Command, common: &Common) -> anyhow::Result<ExitCode> {
    let quiet = matches!(
        command,
        Command::Demo(_)
            | Command::HashPassword
            | Command::CheckConfig
            | Command::TryRoute(_)
            | Command::Replay(_)
            | Command::Healthcheck(_)
            | Command::Backfill(_)
    );
    observe::init(common.log_format, if quiet { "warn" } else { "info" });
    // Fails only if one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match command {
        Command::Serve(options) => serve::serve(load(common)?, options).await,
        Command::Demo(options) => demo::demo(options).await,
        Command::CheckConfig => check::check(&load(common)?),
        Command::TryRoute(options) => try_route::try_route(&load(common)?.config, &options).await,
        Command::Replay(options) => replay::replay(load(common)?.config, options).await,
        Command::HashPassword => hash_password::hash_password(),
        Command::Backfill(options) => backfill::backfill(load(common)?.config, options).await,
        Command::Openapi => Ok(openapi()),
        Command::Migrate => migrate(&load(common)?.config).await,
        Command::Healthcheck(options) => {
            let loaded = options.needs_config().then(|| load(common)).transpose()?;
            let config = loaded.as_ref().map(|loaded| &loaded.config);
            healthcheck::healthcheck(options, config).await
        }
        Command::TransformWorker => Ok(ExitCode::FAILURE),
    }
}

fn load(common: &Common) -> anyhow::Result<Loaded> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let loaded = Config::load(common.config.as_deref(), &environment)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn openapi() -> ExitCode {
    println!("{}", web::openapi::text());
    ExitCode::SUCCESS
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
async fn migrate(config: &Config) -> anyhow::Result<ExitCode> {
    database::open(&config.database).await?.close().await?;
    println!("the database is up to date");
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
