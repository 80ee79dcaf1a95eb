//! What is too old, deleted in small batches.
//!
//! A sweep goes through all kinds of rows, one batch at a time, each in a short transaction of its own. Rows are found
//! through the primary keys that are there anyway: device by device, from a cursor onwards, so that no batch looks at what
//! an earlier one looked at, and none reads a table. Between two batches others have their turn, and while requests wait to
//! be stored a sweep stands still, though not for ever.
//!
//! Age is counted from the moment of the note or of its storing, whichever is later: a note with an absurd time, or one
//! that was fetched late, is kept as long as any other. What belongs together goes together. An event that waits to be
//! processed, a delivery that is not ended, an incident that is open, and what tells of it, are never deleted.
//!
//! Deletes from tables that others write; it is the only one that does, and inserts nothing. Owns `retention_progress`. The
//! lease there sees to it that one replica at a time is at it.

mod deliveries;
mod events;
mod incidents;
mod people;
mod series;

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config;
use crate::receive::store::Intake;

/// A sweep begins so long after the last one ended.
const EVERY: TimeDelta = TimeDelta::hours(1);
/// Whoever holds the lease and is not heard of for so long is taken for dead.
const LEASE: TimeDelta = TimeDelta::minutes(2);
/// After a batch others have so many times as long as it took, within bounds.
const YIELD: u32 = 4;
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A kind of rows of which so many batches in a row failed is left to the next sweep.
const MOST_FAILURES: u32 = 3;
/// With so many requests waiting to be stored a sweep stands still, so many times in a row at most before its next batch.
const CROWDED: usize = 16;
const MOST_PATIENCE: u32 = 30;
const POLL: Duration = Duration::from_secs(1);
/// How often it is looked whether a sweep is due.
const LOOK: Duration = Duration::from_mins(1);

/// Where a sweep is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cursor {
    Events(events::Cursor),
    Measurements(series::Cursor),
    Days,
    Frames(series::FrameCursor),
    FrameParts(series::PartCursor),
    Deliveries(deliveries::Cursor),
    Incidents(i64),
    Audit,
    Rejected,
    Sessions,
    Silences,
    Texts,
    TextStatuses,
}

/// Deleted rows, by table.
type Deleted = Vec<(&'static str, u64)>;

/// What a batch did, and where the next one begins: nowhere if this kind of rows is through.
struct Batch<C> {
    deleted: Deleted,
    next: Option<C>,
}

/// Before which moment each kind of rows is too old.
#[derive(Debug, Clone, Copy)]
struct Limits {
    events: DateTime<Utc>,
    measurements: DateTime<Utc>,
    attempts: DateTime<Utc>,
    frames: DateTime<Utc>,
}

/// The sweep of this process.
#[derive(Debug)]
pub struct Retention {
    pool: PgPool,
    config: config::Retention,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lease: Uuid,
    sweep: Option<Sweep>,
}

#[derive(Debug)]
struct Sweep {
    cursor: Cursor,
    limits: Limits,
    began: DateTime<Utc>,
    /// How often in a row the batch at the cursor failed.
    failures: u32,
    batches: u32,
    deleted: u64,
}

/// What a tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worked {
    /// No sweep is due, or another replica is at it.
    Nothing,
    /// One batch, of so many rows; there is more to look through.
    Batch(u64),
    /// The last batch of a sweep.
    Ended(u64),
}

impl Retention {
    pub fn new(pool: PgPool, config: config::Retention) -> Self {
        Self {
            pool,
            config,
            state: Mutex::new(State {
                lease: Uuid::now_v7(),
                sweep: None,
            }),
        }
    }

    /// Deletes one batch, if a sweep is due or on its way.
    pub async fn tick(&self, now: DateTime<Utc>) -> anyhow::Result<Worked> {
        let mut state = self.state.lock().await;
        let started = Instant::now();
        let mut transaction = self.pool.begin().await?;
        // Nobody shall wait for us, nor we for anybody.
        sqlx::query!("SELECT set_config('lock_timeout', '1s', true) AS lock, set_config('statement_timeout', '10s', true) AS statement")
            .fetch_one(&mut *transaction)
            .await?;
        if !claim(&mut transaction, state.lease, state.sweep.is_some(), now).await? {
            state.sweep = None;
            // Now, and not when the connection is next used: its row is what others look at.
            transaction.rollback().await?;
            return Ok(Worked::Nothing);
        }
        let lease = state.lease;
        let limits = self.limits(now);
        let sweep = state.sweep.get_or_insert_with(|| Sweep::begin(limits, now));
        let (deleted, next) = match attempt(&mut transaction, sweep, now).await? {
            Ok(done) => done,
            Err(error) => {
                let table = sweep.cursor.table();
                metrics::counter!("cloud_retention_failures_total", "table" => table).increment(1);
                sweep.failures += 1;
                if sweep.failures < MOST_FAILURES {
                    // As above: the next tick must not find the row held by this one.
                    transaction.rollback().await?;
                    return Err(error);
                }
                // All kinds that come after it would wait for ever.
                tracing::error!(
                    table,
                    error = format!("{error:#}"),
                    "old rows not deleted, the sweep goes on without them; the next one tries again"
                );
                (Deleted::new(), sweep.cursor.after())
            }
        };
        note(
            &mut transaction,
            lease,
            &deleted,
            next.is_none().then_some(now),
        )
        .await?;
        transaction.commit().await?;

        let rows = deleted.iter().map(|(_, rows)| rows).sum();
        for (table, rows) in deleted {
            metrics::counter!("cloud_retention_deleted_total", "table" => table).increment(rows);
        }
        metrics::histogram!("cloud_retention_batch_seconds").record(started.elapsed());
        sweep.batches += 1;
        sweep.deleted += rows;
        sweep.failures = 0;
        if let Some(next) = next {
            sweep.cursor = next;
            return Ok(Worked::Batch(rows));
        }
        tracing::info!(
            deleted = sweep.deleted,
            batches = sweep.batches,
            duration_ms = (now - sweep.began).num_milliseconds(),
            "retention"
        );
        state.sweep = None;
        Ok(Worked::Ended(rows))
    }

    fn limits(&self, now: DateTime<Utc>) -> Limits {
        let before = |time: Duration| {
            TimeDelta::from_std(time)
                .ok()
                .and_then(|time| now.checked_sub_signed(time))
                .unwrap_or(DateTime::UNIX_EPOCH)
        };
        Limits {
            events: before(self.config.events),
            measurements: before(self.config.measurements),
            attempts: before(self.config.attempts),
            frames: before(self.config.frames),
        }
    }
}

impl Sweep {
    fn begin(limits: Limits, now: DateTime<Utc>) -> Self {
        Self {
            cursor: Cursor::Events(events::Cursor::default()),
            limits,
            began: now,
            failures: 0,
            batches: 0,
            deleted: 0,
        }
    }
}

impl Cursor {
    /// The kind of rows, by its main table.
    fn table(&self) -> &'static str {
        match self {
            Self::Events(_) => "received_events",
            Self::Measurements(_) => "measurements",
            Self::Days => "measurement_days",
            Self::Frames(_) => "frames",
            Self::FrameParts(_) => "frame_parts",
            Self::Deliveries(_) => "deliveries",
            Self::Incidents(_) => "incidents",
            Self::Audit => "audit",
            Self::Rejected => "rejected",
            Self::Sessions => "sessions",
            Self::Silences => "silences",
            Self::Texts => "inbound_texts",
            Self::TextStatuses => "text_statuses",
        }
    }

    /// Where the next kind begins. Events go first: what is kept as long as its event then goes in the same sweep.
    fn after(&self) -> Option<Self> {
        Some(match self {
            Self::Events(_) => Self::Measurements(series::Cursor::default()),
            Self::Measurements(_) => Self::Days,
            Self::Days => Self::Frames(series::FrameCursor::default()),
            Self::Frames(_) => Self::FrameParts(series::PartCursor::default()),
            Self::FrameParts(_) => Self::Deliveries(deliveries::Cursor::default()),
            Self::Deliveries(_) => Self::Incidents(0),
            Self::Incidents(_) => Self::Audit,
            Self::Audit => Self::Rejected,
            Self::Rejected => Self::Sessions,
            Self::Sessions => Self::Silences,
            Self::Silences => Self::Texts,
            Self::Texts => Self::TextStatuses,
            Self::TextStatuses => return None,
        })
    }
}

/// One batch from where the cursor stands. The inner error is one that a later batch need not have.
async fn attempt(
    connection: &mut PgConnection,
    sweep: &Sweep,
    now: DateTime<Utc>,
) -> sqlx::Result<anyhow::Result<(Deleted, Option<Cursor>)>> {
    let mut savepoint = connection.begin().await?;
    let done = batch(&mut savepoint, &sweep.cursor, &sweep.limits, now)
        .await
        .with_context(|| format!("deleting old rows ({:?})", sweep.cursor));
    if done.is_ok() {
        savepoint.commit().await?;
    } else {
        savepoint.rollback().await?;
    }
    Ok(done)
}

async fn batch(
    connection: &mut PgConnection,
    cursor: &Cursor,
    limits: &Limits,
    now: DateTime<Utc>,
) -> anyhow::Result<(Deleted, Option<Cursor>)> {
    fn then<C>(batch: Batch<C>, same: fn(C) -> Cursor) -> (Deleted, Option<Cursor>) {
        (batch.deleted, batch.next.map(same))
    }
    let (deleted, same) = match cursor {
        Cursor::Events(at) => then(
            events::batch(connection, at, limits.events).await?,
            Cursor::Events,
        ),
        Cursor::Measurements(at) => then(
            series::measurements(connection, at, limits.measurements).await?,
            Cursor::Measurements,
        ),
        Cursor::Days => then(series::days(connection, limits.measurements).await?, |()| {
            Cursor::Days
        }),
        Cursor::Frames(at) => then(
            series::frames(connection, at, limits.frames).await?,
            Cursor::Frames,
        ),
        Cursor::FrameParts(at) => then(
            series::frame_parts(connection, at, limits.frames).await?,
            Cursor::FrameParts,
        ),
        Cursor::Deliveries(at) => then(
            deliveries::batch(connection, at, limits.attempts).await?,
            Cursor::Deliveries,
        ),
        Cursor::Incidents(at) => then(
            incidents::batch(connection, *at, limits.events).await?,
            Cursor::Incidents,
        ),
        Cursor::Audit => then(people::audit(connection, limits.events).await?, |()| {
            Cursor::Audit
        }),
        Cursor::Rejected => then(events::rejected(connection, limits.events).await?, |()| {
            Cursor::Rejected
        }),
        Cursor::Sessions => then(people::sessions(connection, now).await?, |()| {
            Cursor::Sessions
        }),
        Cursor::Silences => then(people::silences(connection, limits.events).await?, |()| {
            Cursor::Silences
        }),
        Cursor::Texts => then(people::texts(connection, limits.events).await?, |()| {
            Cursor::Texts
        }),
        Cursor::TextStatuses => then(
            people::text_statuses(connection, limits.events).await?,
            |()| Cursor::TextStatuses,
        ),
    };
    Ok((deleted, same.or_else(|| cursor.after())))
}

/// Takes or keeps the lease, and holds its row until the transaction ends. False if no sweep is due or another is at it.
async fn claim(
    connection: &mut PgConnection,
    lease: Uuid,
    is_sweeping: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let row = sqlx::query!(
        "SELECT lease, leased_until, swept_at FROM retention_progress WHERE only_row FOR UPDATE SKIP LOCKED"
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(false) };
    // A moment in the future is one of a clock that has been set back since.
    let others = row.lease.is_some_and(|holder| holder != lease)
        && row
            .leased_until
            .is_some_and(|until| until > now && until <= now + LEASE * 2);
    let rested = row.swept_at.is_none_or(|at| at + EVERY <= now || at > now);
    let ours = is_sweeping && row.lease == Some(lease);
    if others || !(ours || rested) {
        return Ok(false);
    }
    sqlx::query!(
        "UPDATE retention_progress SET lease = $1, leased_until = $2 WHERE only_row",
        lease,
        now + LEASE
    )
    .execute(connection)
    .await?;
    Ok(true)
}

/// Adds to what was ever deleted; a sweep that has ended gives the lease back.
async fn note(
    connection: &mut PgConnection,
    lease: Uuid,
    deleted: &Deleted,
    ended: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    if deleted.is_empty() && ended.is_none() {
        return Ok(());
    }
    let (tables, rows): (Vec<_>, Vec<_>) = deleted
        .iter()
        .map(|(table, rows)| (*table, i64::try_from(*rows).unwrap_or(i64::MAX)))
        .unzip();
    sqlx::query!(
        r#"UPDATE retention_progress
              SET deleted = deleted || coalesce((SELECT jsonb_object_agg(name, rows + coalesce((deleted ->> name)::bigint, 0))
                                                   FROM unnest($2::text[], $3::bigint[]) AS t (name, rows)), '{}'),
                  swept_at = coalesce($4, swept_at),
                  lease = CASE WHEN $4::timestamptz IS NULL THEN lease END,
                  leased_until = CASE WHEN $4::timestamptz IS NULL THEN leased_until END
            WHERE only_row AND lease = $1"#,
        lease,
        &tables as _,
        &rows,
        ended
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a sweep lets those go before it that wait to be stored, having done so some times in a row already.
fn stands_back(waiting: usize, times: u32) -> bool {
    waiting >= CROWDED && times < MOST_PATIENCE
}

/// Sweeps until it is told to stop, and stands back while `intake` is crowded.
pub async fn run(retention: Retention, intake: Intake, clock: Clock, stop: CancellationToken) {
    let mut stood_back = 0;
    while !stop.is_cancelled() {
        let pause = if stands_back(intake.waiting(), stood_back) {
            stood_back += 1;
            POLL
        } else {
            stood_back = 0;
            let started = Instant::now();
            match retention.tick(clock.now()).await {
                Ok(Worked::Batch(_)) => {
                    (started.elapsed() * YIELD).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
                }
                Ok(Worked::Nothing | Worked::Ended(_)) => LOOK,
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "old rows not deleted");
                    LOOK
                }
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_stands_back_while_requests_wait_but_not_for_ever() {
        assert!(!stands_back(0, 0));
        assert!(!stands_back(CROWDED - 1, 0));
        assert!(stands_back(CROWDED, 0));
        assert!(stands_back(100_000, MOST_PATIENCE - 1));
        assert!(!stands_back(100_000, MOST_PATIENCE));
    }
}
