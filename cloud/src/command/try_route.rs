//! `cloud try-route`: what a route makes of an event, and exactly what would be sent.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::process::plan::{self, Plan};
use crate::process::transform::{Outcome, Transforms};
use crate::try_out::{Attempt, Subject, Tried, try_out};

#[derive(Debug, clap::Args)]
pub struct TryRouteOptions {
    /// The route's name.
    #[arg(long, value_name = "NAME")]
    route: String,
    /// A file with the event as Notehub posts it, or `-` for standard input.
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Print one JSON object: outcome, body, error.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
pub async fn try_route(config: &Config, options: &TryRouteOptions) -> anyhow::Result<ExitCode> {
    let transforms = Transforms::new(&config.transform, plan::worker_exe()?);
    // All of them, so that a bad one elsewhere is heard of here as well.
    Plan::compile(config, &transforms).map_err(|bad| {
        let lines: Vec<_> = bad.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let Some(subject) = Subject::route(config, &options.route) else {
        let known: Vec<_> = config
            .routes
            .iter()
            .map(|route| route.name.as_str())
            .collect();
        anyhow::bail!(
            "there is no route `{}`; the configuration has: {}",
            options.route,
            if known.is_empty() {
                "none".into()
            } else {
                known.join(", ")
            }
        );
    };
    let text = read(&options.event)?;
    let event: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not JSON", options.event.display()))?;
    let attempt = Attempt {
        subject,
        event,
        stored_at: None,
    };
    let tried = try_out(config, &transforms, attempt, Clock::System.now(), ()).await?;
    if options.json {
        println!("{}", as_json(&tried.outcome));
    } else {
        note(&tried);
        explain(&tried)?;
    }
    Ok(if matches!(tried.outcome, Outcome::Error(_)) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn read(path: &PathBuf) -> anyhow::Result<String> {
    let mut text = String::new();
    if path.as_os_str() == "-" {
        std::io::stdin()
            .read_to_string(&mut text)
            .context("reading the event from standard input")?;
    } else {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("reading the event from {}", path.display()))?;
    }
    Ok(text)
}

fn as_json(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Json(body) => json!({ "outcome": "json", "body": body, "error": null }),
        Outcome::Nothing => json!({ "outcome": "nothing", "body": null, "error": null }),
        Outcome::DoNotRoute => json!({ "outcome": "do_not_route", "body": null, "error": null }),
        Outcome::Error(error) => json!({ "outcome": "error", "body": null, "error": error }),
    }
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn note(tried: &Tried) {
    if tried.unreadable.is_some() {
        println!(
            "Note: this is no event as Notehub posts it, so it would be rejected; this is what the route would make of it.\n"
        );
    } else if tried.takes == Some(false) {
        println!(
            "Note: the route does not take this event (file {}, device {}); this is what it would make of it.\n",
            tried.event.file, tried.event.device
        );
    }
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn explain(tried: &Tried) -> anyhow::Result<()> {
    if let Some(problem) = &tried.problem {
        anyhow::bail!("{problem}");
    }
    match &tried.outcome {
        Outcome::Nothing => println!("The expression yields nothing: nothing would be sent."),
        Outcome::DoNotRoute => println!("$doNotRoute(): nothing would be sent."),
        Outcome::Error(error) => {
            println!("The expression fails, and nothing would be sent:\n{error}");
        }
        Outcome::Json(_) => {
            for send in &tried.sends {
                let preview = &send.preview;
                println!("{} {}", preview.method, preview.url);
                for (name, value) in &preview.headers {
                    println!("{name}: {value}");
                }
                println!("\n{}", preview.body);
            }
        }
    }
    Ok(())
}
