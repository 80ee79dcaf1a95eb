//! The incident of a station that is heard no more: opened by `watch`, ended by the event that is heard again.
//!
//! It is an incident like any other, of the rule `silent`, with an alert beside it; its numbers are hours. It opened when
//! the station was last heard, for that is since when it is silent.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::end::{resolve, told};
use super::tell::{Open, Teller};
use crate::config::SILENT;
use crate::live::{self, Change};
use crate::process::Taken;
use crate::process::alert::{self, rounded};
use crate::process::plan::{Plan, Which};
use crate::process::transform::Transforms;

/// How many hours of silence there were by `now`.
pub(super) fn hours(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    rounded(now.signed_duration_since(since).as_seconds_f64().max(0.0) / 3600.0)
}

/// Opens the incident of a station that was last heard at `heard_at`, due to be told now. Returns its number, or none if
/// there is an open one already.
pub async fn fell_silent(
    connection: &mut PgConnection,
    plan: &Plan,
    device: &str,
    heard_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let Some(silence) = &plan.silence else {
        return Ok(None);
    };
    // The last event says how the station is called and where it stands.
    let event = sqlx::query_scalar!(
        "SELECT uid FROM processed_events WHERE device = $1 ORDER BY captured_at DESC, uid DESC LIMIT 1",
        device
    )
    .fetch_optional(&mut *connection)
    .await?;
    let id = sqlx::query_scalar!(
        r#"INSERT INTO incidents (rule, device, severity, event_uid, opened_at, opened_value, peak_value, notice_due_at)
           VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
           ON CONFLICT (rule, device) WHERE resolved_at IS NULL DO NOTHING RETURNING id"#,
        SILENT,
        device,
        silence.rule.config.severity.word(),
        event.unwrap_or_default(),
        heard_at,
        hours(heard_at, now),
        now
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(id) = id else { return Ok(None) };
    tracing::warn!(incident.id = id, device, heard_at = %heard_at, "a station is silent");
    metrics::counter!("cloud_incidents_opened_total", "rule" => SILENT).increment(1);
    sqlx::query!(
        r#"INSERT INTO alerts (rule, device, state, memory, incident_id) VALUES ($1, $2, $3, '{}', $4)
           ON CONFLICT (device, rule) DO UPDATE SET state = excluded.state, incident_id = excluded.incident_id"#,
        SILENT,
        device,
        alert::State::Firing.as_str(),
        id
    )
    .execute(&mut *connection)
    .await?;
    announce(connection, id, device).await?;
    Ok(Some(id))
}

/// Ends that incident, tells so to who was told of it, and lets the other incidents of the station be told again once it
/// has had time to say what it has to say.
pub async fn heard_again(
    connection: &mut PgConnection,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    (incident, event): (i64, &Taken),
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let open = sqlx::query!(
        "SELECT opened_at FROM incidents WHERE id = $1 AND resolved_at IS NULL FOR UPDATE",
        incident
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(open) = open else { return Ok(()) };
    let heard_at = event.received_at.min(now);
    let lasted = hours(open.opened_at, heard_at);
    tracing::info!(
        incident.id = incident,
        device = event.device,
        hours = lasted,
        "a silent station is heard again"
    );
    metrics::counter!("cloud_stations_returned_total").increment(1);
    let resolved = resolve(connection, incident, heard_at, lasted).await?;
    let told = told(connection, incident, now).await?;
    let teller = Teller {
        plan,
        transforms,
        now,
    };
    let open = Open {
        id: incident,
        rule: Which::Silence,
        opened_at: resolved.opened_at,
        peak: lasted,
        value: lasted,
        at: heard_at,
        notices: resolved.notices,
    };
    teller.all_clear(connection, open, event, &told).await?;
    sqlx::query!(
        r#"UPDATE alerts SET state = $3, incident_id = NULL, last_notice_at = CASE WHEN $4 THEN $5 ELSE last_notice_at END
            WHERE device = $1 AND rule = $2"#,
        event.device,
        SILENT,
        alert::State::Normal.as_str(),
        !told.is_empty(),
        now
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        r#"UPDATE incidents SET notice_due_at = greatest(notice_due_at, $2)
            WHERE device = $1 AND resolved_at IS NULL AND acknowledged_at IS NULL"#,
        event.device,
        alert::telling::settled(now)
    )
    .execute(&mut *connection)
    .await?;
    announce(connection, incident, &event.device).await?;
    Ok(())
}

/// The pages of the incident and of the station look different now.
async fn announce(connection: &mut PgConnection, incident: i64, device: &str) -> sqlx::Result<()> {
    live::announce(connection, &Change::Incident(incident)).await?;
    live::announce(connection, &Change::of_devices([device])).await
}
