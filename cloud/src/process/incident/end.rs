//! How an incident ends: by its own condition, because nothing watches it any more, or by a person who gives it up.

use std::collections::BTreeSet;

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::tell::Key;
use crate::audit::{self, Action, Actor};
use crate::config::SILENT;
use crate::deliver::outbox;
use crate::live::{self, Change};
use crate::process::alert::Alert;
use crate::process::plan::Plan;
use crate::watch::heartbeat;

pub(super) struct Resolved {
    pub(super) opened_at: DateTime<Utc>,
    pub(super) notices: i32,
}

pub(super) async fn resolve(
    connection: &mut PgConnection,
    id: i64,
    at: DateTime<Utc>,
    peak: f64,
) -> anyhow::Result<Resolved> {
    sqlx::query_as!(
        Resolved,
        r#"UPDATE incidents SET resolved_at = greatest($2, opened_at), resolution = 'cleared', peak_value = $3, notice_due_at = NULL
            WHERE id = $1 RETURNING opened_at, notices"#,
        id,
        at,
        peak
    )
    .fetch_one(connection)
    .await
    .context("resolving an incident")
}

/// Who got, or may yet have got, a notice of this incident, and so is owed its end. Notices still waiting are withdrawn.
///
/// No silence stands in the way of that: who was told that something is wrong is told that it is over. Who was not, because
/// of a silence, is not.
pub(super) async fn told(
    connection: &mut PgConnection,
    incident: i64,
    now: DateTime<Utc>,
) -> anyhow::Result<BTreeSet<Key>> {
    let notices = withdraw_waiting(
        connection,
        incident,
        "the incident was resolved before this was sent",
        now,
    )
    .await?;
    let reached = notices
        .into_iter()
        .filter(|notice| notice.state != "dead" || notice.ambiguous);
    Ok(reached
        .map(|notice| (notice.destination, notice.recipient))
        .collect())
}

/// Returns the notices as they were before.
async fn withdraw_waiting(
    connection: &mut PgConnection,
    incident: i64,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<outbox::Notice>> {
    let notices = outbox::notices(connection, incident).await?;
    let waiting: Vec<_> = notices
        .iter()
        .filter(|notice| notice.state == "due")
        .map(|notice| notice.id)
        .collect();
    outbox::withdraw(connection, &waiting, reason, now).await?;
    Ok(notices)
}

/// Ends the incidents of rules that are no longer configured, and of silent stations if nobody watches for them: nothing
/// judges them any more. Nobody is told, it was decided here.
pub async fn forget_removed_rules(
    pool: &PgPool,
    plan: &Plan,
    now: DateTime<Utc>,
) -> anyhow::Result<u64> {
    let rules: Vec<_> = plan
        .watched()
        .map(|rule| rule.config.name.as_str())
        .collect();
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM alerts WHERE rule <> ALL ($1)", &rules as _)
        .execute(&mut *transaction)
        .await?;
    if plan.silence.is_none() {
        heartbeat::forget_incidents(&mut transaction).await?;
    }
    let ended = sqlx::query!(
        r#"UPDATE incidents SET resolved_at = greatest($2, opened_at), notice_due_at = NULL,
               resolution = CASE WHEN rule = $3 THEN 'watch switched off' ELSE 'rule removed' END
            WHERE resolved_at IS NULL AND rule <> ALL ($1)"#,
        &rules as _,
        now,
        SILENT
    )
    .execute(&mut *transaction)
    .await?;
    if ended.rows_affected() > 0 {
        live::announce(&mut transaction, &Change::Everything).await?;
    }
    transaction.commit().await?;
    Ok(ended.rows_affected())
}

/// A person ends an incident that nothing else would end, such as that of a station that was retired. Returns whether there
/// was such an open incident.
///
/// Nobody is told, and notices not sent yet are withdrawn: it is not over, it is given up. A rule that is breached again
/// opens a new one; a station that was given up is expected again once it is heard.
pub async fn close(
    pool: &PgPool,
    id: i64,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let device = sqlx::query_scalar!("SELECT device FROM incidents WHERE id = $1", id)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(device) = device else {
        return Ok(false);
    };
    // Whoever processes this device is waited for: it would write down the alert as it was.
    sqlx::query!(
        "SELECT shard FROM process_shards WHERE shard = shard_of($1) FOR UPDATE",
        device
    )
    .fetch_all(&mut *transaction)
    .await?;
    let closed = sqlx::query_scalar!(
        r#"UPDATE incidents SET resolved_at = greatest($2, opened_at), resolution = 'closed', notice_due_at = NULL
            WHERE id = $1 AND resolved_at IS NULL RETURNING rule"#,
        id,
        now
    )
    .fetch_optional(&mut *transaction)
    .await?;
    let Some(rule) = closed else {
        return Ok(false);
    };
    let why = "the incident was closed before this was sent";
    withdraw_waiting(&mut transaction, id, why, now).await?;
    begin_anew(&mut transaction, &device, &rule).await?;
    if rule == SILENT {
        heartbeat::give_up(&mut transaction, &device).await?;
    }
    let entry = audit::Entry {
        actor,
        action: Action::Closed,
        subject: format!("incident {id}"),
        incident: Some(id),
        detail: json!({ "text": reason }),
    };
    audit::record(&mut transaction, entry, now).await?;
    live::announce(&mut transaction, &Change::Incident(id)).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Makes an alert normal; what was decided already is not decided again.
async fn begin_anew(connection: &mut PgConnection, device: &str, rule: &str) -> sqlx::Result<()> {
    let memory = sqlx::query_scalar!(
        r#"SELECT memory AS "memory: Json<Alert>" FROM alerts WHERE device = $1 AND rule = $2"#,
        device,
        rule
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(Json(before)) = memory else {
        return Ok(());
    };
    let after = Alert {
        fingerprint: before.fingerprint,
        last_at: before.last_at,
        last_value: before.last_value,
        ..Alert::default()
    };
    sqlx::query!(
        "UPDATE alerts SET state = $3, memory = $4, incident_id = NULL WHERE device = $1 AND rule = $2",
        device,
        rule,
        after.state.as_str(),
        Json(after) as _
    )
    .execute(connection)
    .await?;
    Ok(())
}
