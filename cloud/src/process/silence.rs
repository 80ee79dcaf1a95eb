//! Silences: for a time nobody is told of a rule at a station, by somebody's wish and with a reason.
//!
//! Owns the table `silences`. Incidents open and end as always; only their notices are held back.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use sqlx::PgPool;

use crate::audit::{self, Action, Actor};
use crate::live::{self, Change};

/// Longer ones are forgotten by everybody; a rule that nobody wants is better taken out of the configuration.
pub const LONGEST: TimeDelta = TimeDelta::days(30);

/// What is muted: nothing in a field stands for all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    pub device: Option<String>,
    pub rule: Option<String>,
}

/// Begins a silence now and returns its number.
pub async fn start(
    pool: &PgPool,
    matcher: &Matcher,
    time: TimeDelta,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    begin(pool, matcher, None, time, reason, actor, now).await
}

/// Silences the rule and the station of an incident, open or not. Returns the silence's number, or none if there is no
/// such incident.
pub async fn start_for_incident(
    pool: &PgPool,
    incident: i64,
    time: TimeDelta,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let found = sqlx::query!("SELECT device, rule FROM incidents WHERE id = $1", incident)
        .fetch_optional(pool)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let matcher = Matcher {
        device: Some(found.device),
        rule: Some(found.rule),
    };
    begin(pool, &matcher, Some(incident), time, reason, actor, now)
        .await
        .map(Some)
}

async fn begin(
    pool: &PgPool,
    matcher: &Matcher,
    incident: Option<i64>,
    time: TimeDelta,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let until = now + time.clamp(TimeDelta::zero(), LONGEST);
    let mut transaction = pool.begin().await?;
    let id = sqlx::query_scalar!(
        "INSERT INTO silences (device, rule, starts_at, ends_at, author, reason) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        matcher.device,
        matcher.rule,
        now,
        until,
        actor.name,
        reason
    )
    .fetch_one(&mut *transaction)
    .await?;
    let entry = audit::Entry {
        actor,
        action: Action::Silenced,
        subject: format!("silence {id}"),
        incident,
        detail: json!({ "device": matcher.device, "rule": matcher.rule, "until": until, "text": reason }),
    };
    audit::record(&mut transaction, entry, now).await?;
    live::announce(&mut transaction, &Change::Everything).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Ends a silence before its time. Returns whether it was in force.
pub async fn end(pool: &PgPool, id: i64, actor: &Actor, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let ended = sqlx::query!(
        "UPDATE silences SET ends_at = $2, ended_by = $3 WHERE id = $1 AND starts_at <= $2 AND ends_at > $2",
        id,
        now,
        actor.name
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if ended {
        let entry = audit::Entry {
            actor,
            action: Action::SilenceEnded,
            subject: format!("silence {id}"),
            incident: None,
            detail: json!({}),
        };
        audit::record(&mut transaction, entry, now).await?;
        live::announce(&mut transaction, &Change::Everything).await?;
    }
    transaction.commit().await?;
    Ok(ended)
}
