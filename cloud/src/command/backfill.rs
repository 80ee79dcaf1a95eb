//! `cloud backfill`: what Notehub could not deliver, fetched now.
//!
//! On a configured database it fetches by itself, in turn with the running service: the pace and the lease are in the
//! database. The embedded Postgres belongs to the service that runs it, so there the service is asked to begin.

use std::process::ExitCode;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{access, replay, serve};
use crate::clock::Clock;
use crate::config::Config;
use crate::database::{self, Database};
use crate::receive::backfill::{Backfill, Did, Summary};
use crate::receive::store::Intake;

/// So many failures in a row, and it is left to another time.
const MOST_FAILURES: u32 = 5;
/// A pause that is longer than this is told.
const WORTH_TELLING: TimeDelta = TimeDelta::seconds(15);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --since it goes on where all is known to be stored. Exit code 0: all until now is stored."
)]
pub struct BackfillOptions {
    /// Go back to a time such as 2026-03-01T12:00:00Z, or so far, such as 2h.
    #[arg(long, value_name = "TIME", value_parser = replay::moment)]
    since: Option<DateTime<Utc>>,
}

pub async fn backfill(mut config: Config, options: BackfillOptions) -> anyhow::Result<ExitCode> {
    let project = config.notehub.project.clone().context(
        "there is nothing to fetch from: set notehub.project and notehub.token in the configuration",
    )?;
    if config.database.url.is_none() {
        access::complete(&mut config)?;
        let wish = json!({ "from": options.since });
        if replay::ask_service(&config, "/api/v1/backfill", &wish)
            .await?
            .is_some()
        {
            say(&format!(
                "the running service fetches what is missing of {project}; its log tells what came, and GET /api/v1/backfill how far it is"
            ));
            return Ok(ExitCode::SUCCESS);
        }
    }
    let database = database::open(&config.database).await?;
    let stop = serve::stop_signal()?;
    let fetched = tokio::select! {
        fetched = fetch(&config, &database, options.since) => fetched,
        () = stop => Err(anyhow::anyhow!("interrupted; the next time goes on from there")),
    };
    database.close().await?;
    Ok(match fetched? {
        Some(summary) => {
            say(&format!(
                "all that Notehub took from {} to {} is stored: {} in {} requests",
                shown(summary.from),
                shown(summary.until),
                summary.tally,
                summary.requests
            ));
            ExitCode::SUCCESS
        }
        None => ExitCode::FAILURE,
    })
}

/// Makes one pass and tells how it goes; none if it was given up.
async fn fetch(
    config: &Config,
    database: &Database,
    since: Option<DateTime<Utc>>,
) -> anyhow::Result<Option<Summary>> {
    let clock = Clock::System;
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let _stops = stop.clone().drop_guard();
    let intake = Intake::start(
        &database.pool,
        &clock,
        &std::sync::Arc::default(),
        &tasks,
        &stop,
    );
    let backfill =
        Backfill::new(config, &database.pool, &intake)?.context("notehub.project is missing")?;
    if let Some(since) = since {
        backfill.go_back_to(since).await;
    }
    let ended = turns(&backfill, &clock).await;
    // Whatever happened, others need not wait for the lease to run out.
    backfill.release().await?;
    ended
}

async fn turns(backfill: &Backfill, clock: &Clock) -> anyhow::Result<Option<Summary>> {
    let (mut failures, mut told) = (0, "");
    loop {
        let turn = backfill.turn(clock.now()).await?;
        let pause = (turn.next - clock.now()).max(TimeDelta::zero());
        match turn.did {
            Did::Ended(summary) => return Ok(Some(summary)),
            Did::Asked(summary) => {
                failures = 0;
                progress(&format!(
                    "stored until {}: {}",
                    shown(summary.until),
                    summary.tally
                ));
            }
            Did::Failed(problem) => {
                failures += 1;
                progress(&problem.text);
                if problem.needs_somebody || failures == MOST_FAILURES {
                    return Ok(None);
                }
            }
            Did::Waited(why) => {
                if pause > WORTH_TELLING || why != told {
                    progress(&format!("waiting: {why}"));
                    told = why;
                }
            }
        }
        if pause > WORTH_TELLING {
            progress(&format!("going on in {} s", pause.num_seconds()));
        }
        tokio::time::sleep(pause.to_std().unwrap_or_default()).await;
    }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[expect(clippy::print_stdout, reason = "this is the command line")]
fn say(text: &str) {
    println!("{text}");
}

#[expect(clippy::print_stderr, reason = "this is the command line")]
fn progress(text: &str) {
    eprintln!("{text}");
}
