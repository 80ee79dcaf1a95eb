//! What people did and wrote, who was signed in, and what was to be quiet.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::Batch;

const ROWS: usize = 500;
const LIMIT: i64 = 500;

/// What belongs into the timeline of an incident goes with the incident.
pub(super) async fn audit(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        "DELETE FROM audit WHERE id = ANY (ARRAY (SELECT id FROM audit WHERE at < $1 AND incident_id IS NULL ORDER BY at LIMIT $2))",
        before,
        LIMIT
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("audit", rows, ROWS))
}

/// A session that has expired is of no use to anybody.
pub(super) async fn sessions(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        "DELETE FROM sessions WHERE token_digest = ANY (ARRAY (SELECT token_digest FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2))",
        now,
        LIMIT
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("sessions", rows, ROWS))
}

pub(super) async fn silences(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        "DELETE FROM silences WHERE id = ANY (ARRAY (SELECT id FROM silences WHERE ends_at < $1 ORDER BY ends_at LIMIT $2))",
        before,
        LIMIT
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("silences", rows, ROWS))
}

/// Texts that came in. They are kept far longer than Twilio repeats one.
pub(super) async fn texts(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        "DELETE FROM inbound_texts WHERE message_sid = ANY (ARRAY (SELECT message_sid FROM inbound_texts WHERE at < $1 ORDER BY at LIMIT $2))",
        before,
        LIMIT
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("inbound_texts", rows, ROWS))
}

/// What Twilio reported of texts that went out.
pub(super) async fn text_statuses(
    connection: &mut PgConnection,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<()>> {
    let rows = sqlx::query!(
        r#"DELETE FROM text_statuses AS t USING (SELECT message_sid, status FROM text_statuses WHERE at < $1 ORDER BY at LIMIT $2) AS old
            WHERE t.message_sid = old.message_sid AND t.status = old.status"#,
        before,
        LIMIT
    )
    .execute(connection)
    .await?
    .rows_affected();
    Ok(Batch::of("text_statuses", rows, ROWS))
}
