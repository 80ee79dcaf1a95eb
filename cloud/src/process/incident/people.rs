//! What people do to an incident: take it, and say something about it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{Acquire, Postgres};

use crate::audit::{self, Action, Actor};
use crate::live::{self, Change};

/// Somebody takes it: reminders and escalation stop, for as long as the incident lasts. Returns whether there is such an
/// open incident; who comes second is recorded, but it stays with the first. Within a transaction it becomes part of that.
pub async fn acknowledge<'c>(
    database: impl Acquire<'c, Database = Postgres>,
    id: i64,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut transaction = database.begin().await?;
    let done = sqlx::query!(
        r#"UPDATE incidents SET acknowledged_at = coalesce(acknowledged_at, $2), acknowledged_by = coalesce(acknowledged_by, $3), notice_due_at = NULL
            WHERE id = $1 AND resolved_at IS NULL"#,
        id,
        now,
        actor.name
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if done {
        let entry = audit::Entry {
            actor,
            action: Action::Acknowledged,
            subject: format!("incident {id}"),
            incident: Some(id),
            detail: json!({}),
        };
        audit::record(&mut transaction, entry, now).await?;
        live::announce(&mut transaction, &Change::Incident(id)).await?;
    }
    transaction.commit().await?;
    Ok(done)
}

/// Adds a remark to the timeline. Returns whether there is such an incident, open or not.
pub async fn remark<'c>(
    database: impl Acquire<'c, Database = Postgres>,
    id: i64,
    text: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut transaction = database.begin().await?;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM incidents WHERE id = $1) AS "known!""#,
        id
    )
    .fetch_one(&mut *transaction)
    .await?;
    if known {
        let entry = audit::Entry {
            actor,
            action: Action::Noted,
            subject: format!("incident {id}"),
            incident: Some(id),
            detail: json!({ "text": text }),
        };
        audit::record(&mut transaction, entry, now).await?;
        live::announce(&mut transaction, &Change::Incident(id)).await?;
    }
    transaction.commit().await?;
    Ok(known)
}
