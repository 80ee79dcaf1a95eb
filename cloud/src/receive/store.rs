//! Group commit: many requests, one transaction.
//!
//! Each request hands its event to a queue and waits. A writer takes whatever is waiting and commits it at once with one
//! statement; while it does, the next batch gathers. So a lone event waits for nothing, and under load the cost of a disk
//! sync is shared by all that came meanwhile. A request is answered only after the commit that holds its event.
//!
//! The queue is bounded: when it is full, or Postgres is away, the answer is "not now" and Notehub repeats. If Postgres
//! refuses a batch because of its data, the batch is halved until the event at fault stands alone: no event fails another.
//!
//! This module owns `received_events`, inserts into `pending_events`, and owns `rejected`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::event::Event;
use crate::clock::Clock;

/// Past some hundreds of rows a larger batch is no cheaper per event, and it would make the first wait for the last.
const LARGEST_BATCH: usize = 500;
/// How many requests may wait. At the slowest disk we know this is two seconds of work.
const QUEUE: usize = 8_192;
/// While one writer waits for its commit the other gathers; more only make smaller batches.
const WRITERS: usize = 2;

/// A commit that takes longer is given up, with its connection: the server behind it may be gone without a word. Those who
/// waited were answered long before.
const LONGEST_COMMIT: Duration = Duration::from_secs(30);

/// What became of an event that is now in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    New,
    Duplicate,
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("too many events are waiting to be stored")]
    Overloaded,
    #[error("the database cannot be reached")]
    Unavailable,
    #[error("the database refuses this event: {0}")]
    Refused(String),
}

/// The way in to the writers.
#[derive(Debug, Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    /// How many requests wait for a commit, those that a writer has taken included.
    waiting: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    answer: oneshot::Sender<Result<Stored, StoreError>>,
}

impl Intake {
    /// Starts the writers. They stop, with the queue emptied, once `stop` is cancelled.
    pub fn start(
        pool: &PgPool,
        clock: &Clock,
        wake: &Arc<Notify>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..WRITERS {
            tasks.spawn(write(
                pool.clone(),
                clock.clone(),
                wake.clone(),
                receiver.clone(),
                stop.clone(),
            ));
        }
        Self {
            queue: sender,
            waiting: Arc::default(),
        }
    }

    /// Returns once the event is committed, or cannot be.
    pub async fn store(&self, event: Event) -> Result<Stored, StoreError> {
        let (answer, stored) = oneshot::channel();
        self.queue
            .try_send(Waiting { event, answer })
            .map_err(|_| StoreError::Overloaded)?;
        let _counted = Counted::new(&self.waiting);
        stored.await.unwrap_or(Err(StoreError::Unavailable))
    }

    /// How many requests are waiting for a commit.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Counts a request for as long as it lives: one that is given up in the middle is not counted for ever.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn write(
    pool: PgPool,
    clock: Clock,
    wake: Arc<Notify>,
    queue: Arc<Mutex<mpsc::Receiver<Waiting>>>,
    stop: CancellationToken,
) {
    let mut batch = Vec::with_capacity(LARGEST_BATCH);
    // Kept from batch to batch: its statement is prepared and its server process warm.
    let mut connection = None;
    loop {
        {
            let mut queue = queue.lock().await;
            tokio::select! {
                biased;
                taken = queue.recv_many(&mut batch, LARGEST_BATCH) => if taken == 0 { return },
                () = stop.cancelled() => return,
            }
        }
        commit(
            &pool,
            &mut connection,
            clock.now(),
            std::mem::take(&mut batch),
        )
        .await;
        wake.notify_one();
    }
}

async fn commit(pool: &PgPool, connection: &mut Kept, now: DateTime<Utc>, mut batch: Vec<Waiting>) {
    // In one order everywhere, so that two writers with the same two events cannot wait for each other.
    batch.sort_by(|a, b| a.event.uid.cmp(&b.event.uid));
    let mut halves = vec![batch];
    while let Some(mut batch) = halves.pop() {
        let started = std::time::Instant::now();
        match insert_on(pool, connection, now, &batch).await {
            Ok(mut stored) => {
                metrics::histogram!("cloud_receive_batch_events")
                    .record(u32::try_from(batch.len()).unwrap_or(u32::MAX));
                metrics::histogram!("cloud_receive_commit_seconds").record(started.elapsed());
                stored.sort_unstable();
                let mut previous: Option<String> = None;
                for Waiting { event, answer } in batch {
                    // The same uid twice in one batch: the first one is new, the second a duplicate.
                    let new = previous.as_deref() != Some(&event.uid)
                        && stored.binary_search(&event.uid).is_ok();
                    answer
                        .send(Ok(if new { Stored::New } else { Stored::Duplicate }))
                        .ok();
                    previous = Some(event.uid);
                }
            }
            Err(error) if refuses_data(&error) && batch.len() > 1 => {
                let second = batch.split_off(batch.len() / 2);
                halves.push(second);
                halves.push(batch);
            }
            Err(error) => {
                let data = refuses_data(&error);
                if data {
                    tracing::warn!(error = %error, event.uid = %batch[0].event.uid, "event refused by the database");
                } else {
                    tracing::error!(error = %error, events = batch.len(), "events not stored; Notehub is told to repeat them");
                }
                for waiting in batch {
                    let why = if data {
                        StoreError::Refused(error.to_string())
                    } else {
                        StoreError::Unavailable
                    };
                    waiting.answer.send(Err(why)).ok();
                }
            }
        }
    }
}

type Kept = Option<PoolConnection<Postgres>>;

/// Inserts on the writer's own connection. One that failed may be broken, and is not used again.
async fn insert_on(
    pool: &PgPool,
    kept: &mut Kept,
    now: DateTime<Utc>,
    batch: &[Waiting],
) -> sqlx::Result<Vec<String>> {
    let mut connection = match kept.take() {
        Some(connection) => connection,
        None => pool.acquire().await?,
    };
    let stored = tokio::time::timeout(LONGEST_COMMIT, insert(&mut connection, now, batch)).await;
    let stored = stored.unwrap_or(Err(sqlx::Error::PoolTimedOut));
    match &stored {
        Err(error) if !refuses_data(error) => drop(connection.detach()),
        _ => *kept = Some(connection),
    }
    stored
}

/// Inserts the events that are not there yet, queues them for `process`, and returns their uids.
async fn insert(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
    batch: &[Waiting],
) -> sqlx::Result<Vec<String>> {
    let column = |read: fn(&Event) -> &str| {
        batch
            .iter()
            .map(|waiting| read(&waiting.event))
            .collect::<Vec<_>>()
    };
    let captured_at: Vec<_> = batch
        .iter()
        .map(|waiting| waiting.event.captured_at)
        .collect();
    let received_at: Vec<_> = batch
        .iter()
        .map(|waiting| waiting.event.received_at)
        .collect();
    sqlx::query_scalar!(
        r#"WITH incoming AS (
               SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[], $6::timestamptz[], $7::text[])
                   AS t (uid, device, file, captured_at, captured_from, received_at, raw)
           ), stored AS (
               INSERT INTO received_events (uid, device, file, captured_at, captured_from, received_at, stored_at, raw)
               SELECT uid, device, file, captured_at, captured_from, received_at, $8, raw::jsonb FROM incoming
               ON CONFLICT (uid) DO NOTHING
               RETURNING uid, device, captured_at
           ), queued AS (
               INSERT INTO pending_events (shard, captured_at, uid, queued_at) SELECT shard_of(device), captured_at, uid, $8 FROM stored
           )
           SELECT uid FROM stored"#,
        &column(|event| &event.uid) as _,
        &column(|event| &event.device) as _,
        &column(|event| &event.file) as _,
        &captured_at,
        &column(|event| event.captured_from.as_str()) as _,
        &received_at,
        &column(|event| &event.raw) as _,
        now,
    )
    .fetch_all(connection)
    .await
}

/// Whether Postgres objects to what is in the rows (classes 22 and 23, and 54: a limit exceeded), so that a repeat is no use.
pub(crate) fn refuses_data(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| {
            ["22", "23", "54"]
                .iter()
                .any(|class| code.starts_with(class))
        })
}

/// How much of a body that is no event is kept.
const KEPT: usize = 64 * 1024;

/// Keeps a body that is no event, so that the mistake in the Notehub route can be seen and its notes be found again.
pub async fn reject(
    pool: &PgPool,
    now: DateTime<Utc>,
    reason: &str,
    body: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO rejected (at, reason, body) VALUES ($1, $2, $3)",
        now,
        reason,
        kept(body)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The same for a body that comes again and again; false if it is kept already.
pub async fn reject_once(
    pool: &PgPool,
    now: DateTime<Utc>,
    reason: &str,
    body: &[u8],
) -> sqlx::Result<bool> {
    let digest = Sha256::digest(body);
    let done = sqlx::query!(
        "INSERT INTO rejected (at, reason, body, digest) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        now,
        reason,
        kept(body),
        digest.as_slice()
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn kept(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(KEPT)]).replace('\0', "\u{FFFD}")
}
