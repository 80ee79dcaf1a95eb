//! Posts the day's events to the running service and follows each until nothing more will happen to it.
//!
//! Events are posted one after another, as fast as they are answered. Their journeys are printed in that order, a
//! stretch at a time. From the first score near the threshold on, each event is followed to its end before the next is
//! posted: a text that has not been sent yet is withdrawn when all is clear again, which is right, but the day is made
//! of minutes and the demo of milliseconds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use sqlx::PgPool;

use super::day::{Day, Recorded};
use super::facts::{self, Progress};
use super::report::{self, Answered};
use super::{Screen, THRESHOLD};

/// How many events are posted before their journeys are printed.
const STRETCH: usize = 25;

/// Patience with a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

const LOOK_AGAIN: Duration = Duration::from_millis(15);

pub(super) struct Replay {
    pub(super) client: reqwest::Client,
    pub(super) url: String,
    pub(super) token: String,
    pub(super) pool: PgPool,
    pub(super) pace: Duration,
}

impl Replay {
    /// Posts all events and returns the answers in the same order.
    pub(super) async fn run(
        &self,
        day: &Day,
        screen: &mut Screen,
    ) -> anyhow::Result<Vec<Answered>> {
        let mut answers: Vec<Answered> = Vec::with_capacity(day.events.len());
        let mut printed = 0;
        let mut closely = !self.pace.is_zero();
        for event in &day.events {
            answers.push(self.post(event).await?);
            closely |= event.anomaly.is_some_and(|score| score >= THRESHOLD);
            if closely || answers.len() - printed >= STRETCH {
                self.follow(
                    &day.events[printed..answers.len()],
                    &answers[printed..],
                    screen,
                )
                .await?;
                printed = answers.len();
            }
            tokio::time::sleep(self.pace).await;
        }
        self.follow(&day.events[printed..], &answers[printed..], screen)
            .await?;
        Ok(answers)
    }

    async fn post(&self, event: &Recorded) -> anyhow::Result<Answered> {
        let response = self
            .client
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("Content-Type", "application/json")
            .body(event.text.clone())
            .send()
            .await
            .context("posting an event")?;
        let status = response.status().as_u16();
        let body = response.text().await.context("reading the answer")?;
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        Ok(match (status, answer["status"].as_str()) {
            (200, Some("stored")) => Answered::Stored,
            (200, Some("duplicate")) => Answered::Duplicate,
            _ => Answered::Other { status, body },
        })
    }

    /// Waits until the events have come to their end, and prints the journey of each.
    async fn follow(
        &self,
        events: &[Recorded],
        answers: &[Answered],
        screen: &mut Screen,
    ) -> anyhow::Result<()> {
        let stored: Vec<String> = events
            .iter()
            .zip(answers)
            .filter(|(_, answered)| **answered == Answered::Stored)
            .map(|(event, _)| event.uid.clone())
            .collect();
        let mut progress = self.ended(&stored).await?;
        for (event, answered) in events.iter().zip(answers) {
            let trace = match answered {
                Answered::Stored => progress.remove(&event.uid).unwrap_or_default().trace,
                _ => report::Trace::default(),
            };
            let line = report::journey(event, answered, &trace, screen.ink);
            screen.say(&format!("{line}\n"))?;
        }
        Ok(())
    }

    async fn ended(&self, uids: &[String]) -> anyhow::Result<HashMap<String, Progress>> {
        let since = Instant::now();
        loop {
            let progress = facts::progress(&self.pool, uids).await?;
            let underway = uids
                .iter()
                .filter(|uid| !progress.get(*uid).is_some_and(|progress| progress.ended))
                .count();
            if underway == 0 {
                return Ok(progress);
            }
            if since.elapsed() > PATIENCE {
                bail!("{underway} events are still underway after {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Waits until the service says that it can take events.
pub(super) async fn wait_until_ready(
    client: &reqwest::Client,
    address: SocketAddr,
) -> anyhow::Result<()> {
    let since = Instant::now();
    let url = format!("http://{address}/readyz");
    loop {
        match client.get(&url).send().await {
            Ok(response) if response.status().is_success() => return Ok(()),
            _ if since.elapsed() > PATIENCE => bail!("the service is not ready after {PATIENCE:?}"),
            _ => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}
