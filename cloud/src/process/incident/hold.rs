//! What silences do to notices: those not sent yet are withdrawn, and what was held back is asked for again at their end.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::config::SILENT;
use crate::deliver::outbox;
use crate::process::plan::{Plan, Rule};
use crate::process::silence::Matcher;

/// A silence begins: takes back what is on its way to be told of the incidents that it is about, all of them open.
pub(in crate::process) async fn hold_back(
    connection: &mut PgConnection,
    matcher: &Matcher,
    until: DateTime<Utc>,
    words: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let open = sqlx::query!(
        r#"SELECT id, device, rule FROM incidents
            WHERE resolved_at IS NULL AND ($1::text IS NULL OR device = $1) AND ($2::text IS NULL OR rule = $2)
            ORDER BY id FOR UPDATE"#,
        matcher.device,
        matcher.rule
    )
    .fetch_all(&mut *connection)
    .await?;
    for incident in open {
        let notices = outbox::notices(connection, incident.id).await?;
        let waiting: Vec<_> = notices
            .iter()
            .filter(|notice| notice.state == "due")
            .collect();
        let ids: Vec<_> = waiting.iter().map(|notice| notice.id).collect();
        if ids.is_empty() {
            continue;
        }
        outbox::withdraw(connection, &ids, words, now).await?;
        let told = waiting.iter().filter(|notice| notice.tells());
        let kinds: BTreeSet<_> = told.filter_map(|notice| notice.kind.as_deref()).collect();
        for kind in kinds {
            note(connection, incident.id, kind, words, Some(until), now).await?;
        }
        // What may have arrived although nobody knows counts as told.
        let reached = |notice: &&outbox::Notice| {
            notice.tells() && (notice.ambiguous || !ids.contains(&notice.id))
        };
        let reached = notices.iter().filter(reached);
        let told_at = reached.map(|notice| notice.created_at).max();
        // If nobody heard of it, the telling begins anew at the end of the silence.
        sqlx::query!(
            r#"UPDATE incidents
                  SET last_notice_at = $2, notice_due_at = CASE WHEN acknowledged_at IS NULL THEN $3::timestamptz END,
                      escalation = CASE WHEN $2::timestamptz IS NULL THEN 0 ELSE escalation END,
                      escalate_at = CASE WHEN $2::timestamptz IS NULL THEN NULL ELSE escalate_at END
                WHERE id = $1"#,
            incident.id,
            told_at,
            until
        )
        .execute(&mut *connection)
        .await?;
        forget_withdrawn(connection, &incident.device, &incident.rule).await?;
    }
    Ok(())
}

/// The cooldown counts from what was told, and not from what was taken back.
async fn forget_withdrawn(
    connection: &mut PgConnection,
    device: &str,
    rule: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"UPDATE alerts SET last_notice_at = (SELECT max(i.last_notice_at) FROM incidents AS i WHERE i.device = $1 AND i.rule = $2)
            WHERE device = $1 AND rule = $2"#,
        device,
        rule
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A silence ended: whatever it held back is decided anew.
pub(in crate::process) async fn wake(
    connection: &mut PgConnection,
    matcher: &Matcher,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"UPDATE incidents SET notice_due_at = $3
            WHERE resolved_at IS NULL AND acknowledged_at IS NULL AND ($1::text IS NULL OR device = $1) AND ($2::text IS NULL OR rule = $2)
              AND (notice_due_at IS NULL OR notice_due_at > $3)"#,
        matcher.device,
        matcher.rule,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the station of an incident is silent, and so its other incidents have to wait.
pub(super) async fn station_silent(
    connection: &mut PgConnection,
    plan: &Plan,
    rule: &Rule,
    device: &str,
) -> sqlx::Result<bool> {
    if rule.config.name == SILENT || !plan.silence_mutes() {
        return Ok(false);
    }
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM incidents WHERE rule = $1 AND device = $2 AND resolved_at IS NULL) AS "silent!""#,
        SILENT,
        device
    )
    .fetch_one(connection)
    .await
}

/// Keeps for the timeline why a notice was not made.
pub(super) async fn note(
    connection: &mut PgConnection,
    incident: i64,
    notice: &str,
    reason: &str,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "INSERT INTO held_back (incident_id, at, notice, reason, until) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
        incident,
        now,
        notice,
        reason,
        until
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn ask_again(
    connection: &mut PgConnection,
    incident: i64,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE incidents SET notice_due_at = $2 WHERE id = $1",
        incident,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}
