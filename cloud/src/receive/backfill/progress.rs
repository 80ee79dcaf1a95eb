//! How far a project has been fetched, and who is at it.
//!
//! Owns `backfill_progress`. The lease saves requests: what is stored twice is stored once, so nothing is wrong if two ask,
//! but Notehub counts. Whoever has lost the lease moves nothing any more.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Tally;

/// No pause is longer, so one that is was written by a clock that has been set back since.
pub const LONGEST_PAUSE: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Clone)]
pub struct Progress {
    pub complete_until: DateTime<Utc>,
    pub not_before: Option<DateTime<Utc>>,
    pub lease: Option<Uuid>,
    pub leased_until: Option<DateTime<Utc>>,
    pub caught_up_at: Option<DateTime<Utc>>,
    pub again_from: Option<DateTime<Utc>>,
}

/// The progress of a project, which begins at `first` if there was none.
pub async fn read(pool: &PgPool, project: &str, first: DateTime<Utc>) -> sqlx::Result<Progress> {
    let row = || {
        sqlx::query_as!(
            Progress,
            "SELECT complete_until, not_before, lease, leased_until, caught_up_at, again_from FROM backfill_progress WHERE project = $1",
            project
        )
    };
    if let Some(progress) = row().fetch_optional(pool).await? {
        return Ok(progress);
    }
    sqlx::query!(
        "INSERT INTO backfill_progress (project, complete_until) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        project,
        first
    )
    .execute(pool)
    .await?;
    row().fetch_one(pool).await
}

/// Takes or keeps the lease for one request, if the pace allows one now. False if somebody else was faster.
pub async fn claim(
    pool: &PgPool,
    project: &str,
    lease: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    next: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE backfill_progress SET lease = $2, leased_until = $4, asked_at = $3, requests = requests + 1, not_before = $5
          WHERE project = $1
            AND (lease IS NULL OR lease = $2 OR leased_until <= $3 OR leased_until > $4)
            AND (not_before IS NULL OR not_before <= $3 OR not_before > $6)",
        project,
        lease,
        now,
        until,
        next,
        now + LONGEST_PAUSE
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Counts from there on, because the position is of no use.
pub async fn reset(
    pool: &PgPool,
    project: &str,
    lease: Uuid,
    from: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE backfill_progress SET complete_until = $3 WHERE project = $1 AND lease = $2",
        project,
        lease,
        from
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Counts what came, and moves the position to the end of a window that is whole, unless there is a gap before it. False
/// if the lease is lost.
pub async fn took(
    pool: &PgPool,
    project: &str,
    lease: Uuid,
    tally: &Tally,
    whole: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "UPDATE backfill_progress SET new = new + $3, known = known + $4, rejected = rejected + $5, skipped = skipped + $6, problem = NULL,
                complete_until = CASE WHEN $7::timestamptz <= complete_until THEN greatest(complete_until, $8) ELSE complete_until END
          WHERE project = $1 AND lease = $2",
        project,
        lease,
        i64::from(tally.new),
        i64::from(tally.known),
        i64::from(tally.rejected),
        i64::from(tally.skipped),
        whole.map(|(start, _)| start),
        whole.map(|(_, end)| end)
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Keeps what went wrong, and the pause that Notehub asked for.
pub async fn failed(
    pool: &PgPool,
    project: &str,
    lease: Uuid,
    problem: &str,
    not_before: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE backfill_progress SET problem = $3, not_before = greatest(not_before, $4) WHERE project = $1 AND lease = $2",
        project,
        lease,
        problem.replace('\0', "\u{FFFD}"),
        not_before
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// A pass has come to its end: the lease is given back, and a wish that it fulfilled is forgotten.
pub async fn ended(
    pool: &PgPool,
    project: &str,
    lease: Uuid,
    wish: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE backfill_progress SET lease = NULL, leased_until = NULL, caught_up_at = $4,
                again_from = CASE WHEN again_from = $3 THEN NULL ELSE again_from END
          WHERE project = $1 AND lease = $2",
        project,
        lease,
        wish,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Gives the lease back in the middle of a pass.
pub async fn release(pool: &PgPool, project: &str, lease: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE backfill_progress SET lease = NULL, leased_until = NULL WHERE project = $1 AND lease = $2",
        project,
        lease
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Asks whoever fetches this project to begin a pass at once: at `from`, or where it is anyway. Returns from
/// where; nothing if nobody ever fetched, and then the first pass is due anyway.
pub async fn wish(
    connection: &mut PgConnection,
    project: &str,
    from: Option<DateTime<Utc>>,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let wished = sqlx::query_scalar!(
        "UPDATE backfill_progress SET again_from = least(again_from, coalesce($2, complete_until)) WHERE project = $1 RETURNING again_from",
        project,
        from
    )
    .fetch_optional(connection)
    .await?;
    Ok(wished.flatten())
}

/// How it stands, for people.
pub async fn state(pool: &PgPool, project: &str) -> sqlx::Result<Option<Value>> {
    sqlx::query_scalar!(
        r#"SELECT to_jsonb(p) - 'lease' - 'leased_until' AS "state!" FROM backfill_progress AS p WHERE project = $1"#,
        project
    )
    .fetch_optional(pool)
    .await
}

/// How many seconds lie between the moment until which all is stored and now.
pub async fn behind(pool: &PgPool, project: &str, now: DateTime<Utc>) -> sqlx::Result<Option<f64>> {
    sqlx::query_scalar!(
        r#"SELECT greatest(extract(epoch FROM $2 - complete_until)::float8, 0) AS "behind!" FROM backfill_progress WHERE project = $1"#,
        project,
        now
    )
    .fetch_optional(pool)
    .await
}
