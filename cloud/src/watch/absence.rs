//! Whether anybody was there to listen: the watch's own heartbeat, and the times in which there was none.
//!
//! Owns `awake` and `absences`. All replicas share them: one that is awake is enough.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::rhythm::Absence;

/// How often the watch says that it is awake. Twice this and a little more is still no absence.
const SAID_EVERY: TimeDelta = TimeDelta::seconds(20);
/// A shorter gap is a restart: Notehub repeats what it could not deliver for longer than that.
const COUNTS_FROM: TimeDelta = TimeDelta::minutes(2);
/// No station's time is longer than this, so older absences matter to nobody.
const KEPT: TimeDelta = TimeDelta::days(100);

/// Says that we are awake. An absence that ends with this is written down in the same transaction, before anybody judges.
pub async fn awake(connection: &mut PgConnection, now: DateTime<Utc>) -> sqlx::Result<()> {
    let last = sqlx::query_scalar!("SELECT last_at FROM awake WHERE one")
        .fetch_optional(&mut *connection)
        .await?;
    // A last time in the future is one of a clock that has been set back since.
    if last.is_some_and(|last| last <= now && now.signed_duration_since(last) < SAID_EVERY) {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO awake (last_at) VALUES ($1) ON CONFLICT DO NOTHING",
        now
    )
    .execute(&mut *connection)
    .await?;
    // Whoever comes second waits here, finds the time of the first, and so no absence.
    let last = sqlx::query_scalar!("SELECT last_at FROM awake WHERE one FOR UPDATE")
        .fetch_one(&mut *connection)
        .await?;
    sqlx::query!("UPDATE awake SET last_at = $1 WHERE one", now)
        .execute(&mut *connection)
        .await?;
    if now.signed_duration_since(last) < COUNTS_FROM {
        return Ok(());
    }
    tracing::warn!(
        from = %last,
        to = %now,
        "no service was awake: what did not arrive meanwhile is no station's silence"
    );
    sqlx::query!(
        "INSERT INTO absences (began_at, ended_at) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        last,
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!("DELETE FROM absences WHERE ended_at < $1", now - KEPT)
        .execute(connection)
        .await?;
    Ok(())
}

/// In order of time.
pub async fn absences(connection: &mut PgConnection) -> sqlx::Result<Vec<Absence>> {
    sqlx::query_as!(
        Absence,
        "SELECT began_at, ended_at FROM absences ORDER BY ended_at, began_at"
    )
    .fetch_all(connection)
    .await
}
