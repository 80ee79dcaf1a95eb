//! Deliveries of routes that ended long ago, with their attempts. Notices stay with their incident.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Batch, Deleted};

const ROWS: i64 = 500;

/// The last delivery that was looked at, by the moment at which it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    created_at: DateTime<Utc>,
    id: Uuid,
}

impl Default for Cursor {
    fn default() -> Self {
        Self {
            created_at: DateTime::UNIX_EPOCH,
            id: Uuid::nil(),
        }
    }
}

/// None ends before it was made, so the oldest are found by that. One that waits, or ended lately, is passed over.
pub(super) async fn batch(
    connection: &mut PgConnection,
    cursor: &Cursor,
    before: DateTime<Utc>,
) -> sqlx::Result<Batch<Cursor>> {
    let rows = sqlx::query!(
        r#"SELECT c.created_at, c.id, c.incident_id IS NULL AND s.ended_at < $3 AS "is_old?"
             FROM (SELECT created_at, id, incident_id FROM delivery_contents
                    WHERE created_at < $3 AND (created_at, id) > ($1, $2) ORDER BY created_at, id LIMIT $4) AS c
             JOIN delivery_states AS s USING (id)
            ORDER BY c.created_at, c.id"#,
        cursor.created_at,
        cursor.id,
        before,
        ROWS
    )
    .fetch_all(&mut *connection)
    .await?;
    let full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= ROWS;
    let next = rows.last().filter(|_| full).map(|last| Cursor {
        created_at: last.created_at,
        id: last.id,
    });
    let old: Vec<_> = rows
        .iter()
        .filter(|row| row.is_old == Some(true))
        .map(|row| row.id)
        .collect();
    Ok(Batch {
        deleted: delete(connection, &old).await?,
        next,
    })
}

/// Deletes those that are still ended: somebody may have made one due again in this moment.
pub(super) async fn delete(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Deleted> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let gone = sqlx::query_scalar!(
        "DELETE FROM delivery_states WHERE id = ANY ($1) AND state IN ('delivered', 'dead') RETURNING id",
        ids
    )
    .fetch_all(&mut *connection)
    .await?;
    let attempts = sqlx::query!("DELETE FROM attempts WHERE delivery_id = ANY ($1)", &gone)
        .execute(&mut *connection)
        .await?
        .rows_affected();
    let deliveries = sqlx::query!("DELETE FROM delivery_contents WHERE id = ANY ($1)", &gone)
        .execute(connection)
        .await?
        .rows_affected();
    Ok(vec![("deliveries", deliveries), ("attempts", attempts)])
}
