//! `cloud replay`: again what is stored.
//!
//! On a configured database it works on the tables; the running service finds the work by polling. The embedded Postgres
//! belongs to the service that runs it, so there the service is asked; if none runs, the database is started for this.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access;
use crate::audit::{Actor, Via};
use crate::clock::Clock;
use crate::config::Config;
use crate::database;
use crate::web::api::{self, Replay};

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub struct ReplayOptions {
    /// Process this stored event again (its uid).
    #[arg(long, value_name = "UID", group = "what")]
    event: Option<String>,
    /// Process the events again that carry an error.
    #[arg(long, group = "what")]
    errors: bool,
    /// Process the events again that were captured in a window (--from, --to).
    #[arg(long, group = "what")]
    events: bool,
    /// Send this delivery again (its id), dead or delivered.
    #[arg(long, value_name = "ID", group = "what")]
    delivery: Option<Uuid>,
    /// Send the deliveries again that were given up, all or those of a window (--from, --to).
    #[arg(long, group = "what")]
    dead: bool,
    /// With --errors: only errors of this part, such as `route ubidots`.
    #[arg(long, value_name = "PART", requires = "errors")]
    part: Option<String>,
    /// With --dead: only deliveries to this destination.
    #[arg(long, value_name = "NAME", requires = "dead")]
    destination: Option<String>,
    /// The start of the window: a time such as 2026-03-01T12:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["event", "errors", "delivery"])]
    from: Option<DateTime<Utc>>,
    /// The end of the window; without it, now.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["event", "errors", "delivery"])]
    to: Option<DateTime<Utc>>,
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
pub async fn replay(mut config: Config, options: ReplayOptions) -> anyhow::Result<ExitCode> {
    let now = Clock::System.now();
    let request = request(options, now)?;
    let count = if config.database.url.is_some() {
        directly(&config, &request, now).await?
    } else {
        let kept = config.database.data_dir.join("people-token");
        anyhow::ensure!(
            config.access.people_token.is_some() || kept.exists(),
            "there is nothing to replay: no service has run with the data directory {}; name the configuration with --config, or run this where the service runs",
            config.database.data_dir.display()
        );
        access::complete(&mut config)?;
        match ask_service(&config, "/api/v1/replay", &request).await? {
            Some(answer) => answer["replayed"]
                .as_u64()
                .context("the service's answer has no `replayed`")?,
            None => directly(&config, &request, now).await?,
        }
    };
    println!(
        "{count} {} again",
        if count == 1 { "is due" } else { "are due" }
    );
    Ok(if count == 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The body of `POST /api/v1/replay`, which says it all.
fn request(options: ReplayOptions, now: DateTime<Utc>) -> anyhow::Result<Value> {
    let to = options.to.unwrap_or(now);
    Ok(if let Some(uid) = options.event {
        json!({ "event": uid })
    } else if let Some(id) = options.delivery {
        json!({ "delivery": id })
    } else if options.errors {
        json!({ "errors": { "part": options.part } })
    } else if options.dead {
        json!({ "dead": { "destination": options.destination, "from": options.from.unwrap_or(DateTime::UNIX_EPOCH), "to": to + TimeDelta::seconds(1) } })
    } else {
        let from = options.from.context(
            "--events needs --from, so that not all there ever was is processed again by mistake",
        )?;
        json!({ "events": { "from": from, "to": to } })
    })
}

async fn directly(config: &Config, request: &Value, now: DateTime<Utc>) -> anyhow::Result<u64> {
    let database = database::open(&config.database).await?;
    let choice: Replay = serde_json::from_value(request.clone())?;
    let count = api::again(&database.pool, choice, &actor(), now).await?;
    database.close().await?;
    Ok(count)
}

/// Whoever runs the program, as far as the system says.
fn actor() -> Actor {
    let name = std::env::var("USER")
        .ok()
        .filter(|name| !name.is_empty() && name.chars().count() <= 100 && !name.contains('\0'));
    Actor {
        name: name.unwrap_or_else(|| "operator".into()),
        via: Via::Command,
    }
}

/// What the running service answers; none if no service answers there.
pub(super) async fn ask_service(
    config: &Config,
    path: &str,
    request: &Value,
) -> anyhow::Result<Option<Value>> {
    let url = format!("http://{}{path}", config.server.listen);
    let token = config
        .access
        .people_token
        .as_ref()
        .map_or("", |token| token.expose_secret());
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_mins(1))
        .build()?;
    let sent = client
        .post(&url)
        .bearer_auth(token)
        .header("content-type", "application/json")
        .body(request.to_string())
        .send()
        .await;
    let answer = match sent {
        Err(error) if error.is_connect() => return Ok(None),
        other => other.with_context(|| format!("asking the service at {url}"))?,
    };
    let status = answer.status();
    let text = answer.text().await?;
    anyhow::ensure!(
        status.is_success(),
        "the service at {url} answers {status}: {text}"
    );
    serde_json::from_str(&text)
        .map(Some)
        .with_context(|| format!("the service at {url} answers no JSON"))
}

/// A time in RFC 3339, or a duration before now.
pub(super) fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.to_utc());
    }
    let ago = humantime::parse_duration(text).map_err(|_| {
        "write a time such as 2026-03-01T12:00:00Z, or how long ago, such as 2h".to_owned()
    })?;
    Ok(Clock::System.now() - TimeDelta::from_std(ago).map_err(|error| error.to_string())?)
}
