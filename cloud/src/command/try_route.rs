//! `cloud try-route`: what a route makes of an event, and exactly what would be sent.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::config::Config;
use crate::deliver::destination::{Destination, Outbound, Preview};
use crate::process::plan::{self, Plan};
use crate::process::route;
use crate::process::transform::{Outcome, Transforms};
use crate::receive::event;

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
    let plan = Plan::compile(config, &transforms).map_err(|bad| {
        let lines: Vec<_> = bad.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    let plan = Arc::new(plan);
    let Some(index) = plan
        .routes
        .iter()
        .position(|route| route.config.name == options.route)
    else {
        let known: Vec<_> = plan
            .routes
            .iter()
            .map(|route| route.config.name.as_str())
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
    let value: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} is not JSON", options.event.display()))?;
    let now = Clock::System.now();

    let (threads, input) = (plan.clone(), value.clone());
    let outcome = transforms
        .on_thread(move || route::preview(&threads.routes[index], &input, now))
        .await?;
    if options.json {
        println!("{}", as_json(&outcome));
    } else {
        let route = &plan.routes[index];
        if let Ok(event) = event::parse(text.as_bytes(), now) {
            let fits = route.scope.matches(
                &event.file,
                &event.device,
                value.get("sn").and_then(Value::as_str),
                &strings(value.get("fleets")),
                value
                    .get("product")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            );
            if !fits {
                println!(
                    "Note: the route does not take this event (file {}, device {}); this is what it would make of it.\n",
                    event.file, event.device
                );
            }
        } else {
            println!(
                "Note: this is no event as Notehub posts it, so it would be rejected; this is what the route would make of it.\n"
            );
        }
        explain(&outcome, config, &route.config.destination, &value, now)?;
    }
    Ok(if matches!(outcome, Outcome::Error(_)) {
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

fn strings(value: Option<&Value>) -> Vec<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|text| text.as_str().map(str::to_owned))
        .collect()
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn explain(
    outcome: &Outcome,
    config: &Config,
    destination: &str,
    event: &Value,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    match outcome {
        Outcome::Nothing => println!("The expression yields nothing: nothing would be sent."),
        Outcome::DoNotRoute => println!("$doNotRoute(): nothing would be sent."),
        Outcome::Error(error) => {
            println!("The expression fails, and nothing would be sent:\n{error}");
        }
        Outcome::Json(body) => {
            let configured = config
                .destination(destination)
                .with_context(|| format!("there is no destination `{destination}`"))?;
            let text = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
            let Preview {
                method,
                url,
                headers,
                body,
            } = Destination::new(configured)?.preview(&Outbound {
                id: uuid::Uuid::nil(),
                event_uid: text("event"),
                incident_id: None,
                device: text("device").unwrap_or_default(),
                created_at: now,
                attempt: 1,
                ambiguous_before: None,
                body: body.to_string(),
            });
            println!("{method} {url}");
            for (name, value) in headers {
                println!("{name}: {value}");
            }
            println!("\n{body}");
        }
    }
    Ok(())
}
