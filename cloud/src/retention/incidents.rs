//! Incidents that are over for long, with their notices and what people did about them.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{Batch, deliveries};

/// They are few, so each sweep looks at all of them.
const ROWS: i64 = 200;

/// An incident stays while it is open, while the event that opened it is there, and while one of its notices waits.
pub(super) async fn batch(
    connection: &mut PgConnection,
    after: i64,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<i64>> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.resolved_at < $2
                  AND NOT EXISTS (SELECT FROM received_events AS r WHERE r.uid = i.event_uid)
                  AND NOT EXISTS (SELECT FROM delivery_contents AS c JOIN delivery_states AS s USING (id)
                                   WHERE c.incident_id = i.id AND (s.ended_at IS NULL OR s.ended_at >= $2)) AS "is_old?"
             FROM (SELECT id, event_uid, resolved_at FROM incidents WHERE id > $1 ORDER BY id LIMIT $3) AS i
            ORDER BY i.id"#,
        after,
        before,
        ROWS
    )
    .fetch_all(&mut *connection)
    .await?;
    let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= ROWS;
    let next = rows.last().filter(|_| full).map(|last| last.id);
    let old: Vec<_> = rows
        .iter()
        .filter(|row| row.is_old == Some(true))
        .map(|row| row.id)
        .collect();
    if old.is_empty() {
        return Ok(Batch {
            deleted: Vec::new(),
            next,
        });
    }
    let notices = sqlx::query_scalar!(
        "SELECT id FROM delivery_contents WHERE incident_id = ANY ($1)",
        &old
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut deleted = deliveries::delete(connection, &notices).await?;
    let audit = sqlx::query!("DELETE FROM audit WHERE incident_id = ANY ($1)", &old)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let held_back = sqlx::query!("DELETE FROM held_back WHERE incident_id = ANY ($1)", &old)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let incidents = sqlx::query!("DELETE FROM incidents WHERE id = ANY ($1)", &old)
        .execute(connection)
        .await?
        .rows_affected();
    deleted.extend([
        ("audit", audit),
        ("held_back", held_back),
        ("incidents", incidents),
    ]);
    Ok(Batch { deleted, next })
}
