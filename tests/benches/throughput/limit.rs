//! The insert limit: the same rows by UNNEST, 500 a commit, as fast as one or two clients can hand them over.

use std::io::Write;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use cloud::clock::Clock;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use crate::event::Events;

const ROWS: u64 = 500;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) database: String,
    pub(crate) clients: u32,
    pub(crate) window: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Output {
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
}

pub(crate) async fn run(input: Input) -> anyhow::Result<()> {
    let events = Events::ending(Clock::System.now());
    let pool = PgPoolOptions::new()
        .max_connections(input.clients)
        .min_connections(input.clients)
        .connect(&input.database)
        .await?;
    let mut clients = JoinSet::new();
    let start = Instant::now();
    for client in 0..u64::from(input.clients) {
        let connection = pool.acquire().await?.detach();
        // Each client has a history of its own: no uid may appear twice.
        clients.spawn(insert(
            connection,
            events,
            client << 32,
            start + input.window,
        ));
    }
    let mut rows = 0;
    while let Some(client) = clients.join_next().await {
        rows += client??;
    }
    let output = Output {
        rows,
        seconds: start.elapsed().as_secs_f64(),
    };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&output)?)?;
    Ok(())
}

async fn insert(
    mut connection: PgConnection,
    events: Events,
    first: u64,
    deadline: Instant,
) -> anyhow::Result<u64> {
    let mut next = first;
    while Instant::now() < deadline {
        let batch = next..next + ROWS;
        let uids: Vec<String> = batch.clone().map(|i| Events::uid(i).to_string()).collect();
        let devices: Vec<String> = batch.clone().map(Events::device).collect();
        let times: Vec<DateTime<Utc>> = batch
            .clone()
            .filter_map(|i| DateTime::from_timestamp(events.when(i & 0xFFFF_FFFF), 0))
            .collect();
        let raws: Vec<String> = batch
            .map(|i| {
                let mut raw = String::with_capacity(1_200);
                events.write(i & 0xFFFF_FFFF, &mut raw);
                raw
            })
            .collect();
        sqlx::query(
            "INSERT INTO events (uid, device, file, captured_at, received_at, raw)
             SELECT uid, device, 'thermal.qo', at, at, raw::jsonb
             FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
                  AS new (uid, device, at, raw)
             ON CONFLICT (uid) DO NOTHING",
        )
        .bind(uids)
        .bind(devices)
        .bind(times)
        .bind(raws)
        .execute(&mut connection)
        .await?;
        next += ROWS;
    }
    connection.close().await?;
    Ok(next - first)
}
