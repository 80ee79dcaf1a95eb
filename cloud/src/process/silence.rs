//! Silences: for a time nobody is told of a rule at a station, by somebody's wish and with a reason.
//!
//! Owns the table `silences`. Incidents open and end as always; only their notices are held back (`incident` says which): in
//! the transaction in which a silence begins, what was not sent yet is withdrawn, and in that in which somebody ends it,
//! what it held back is asked for again. One that ends by itself is found by `watch`, which was told when.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use sqlx::{Acquire, PgConnection, PgPool, Postgres};

use super::incident;
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
    let mut transaction = pool.begin().await?;
    let connection = &mut transaction;
    let id = begin(connection, matcher, None, time, reason, actor, now).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Silences the rule and the station of an incident, open or not. Returns the silence's number, or none if there is no
/// such incident. Within a transaction it becomes part of that.
pub async fn start_for_incident<'c>(
    database: impl Acquire<'c, Database = Postgres>,
    incident: i64,
    time: TimeDelta,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    let mut transaction = database.begin().await?;
    let found = sqlx::query!("SELECT device, rule FROM incidents WHERE id = $1", incident)
        .fetch_optional(&mut *transaction)
        .await?;
    let Some(found) = found else { return Ok(None) };
    let matcher = Matcher {
        device: Some(found.device),
        rule: Some(found.rule),
    };
    let connection = &mut transaction;
    let id = begin(
        connection,
        &matcher,
        Some(incident),
        time,
        reason,
        actor,
        now,
    )
    .await?;
    transaction.commit().await?;
    Ok(Some(id))
}

async fn begin(
    connection: &mut PgConnection,
    matcher: &Matcher,
    of: Option<i64>,
    time: TimeDelta,
    reason: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let until = now + time.clamp(TimeDelta::zero(), LONGEST);
    let id = sqlx::query_scalar!(
        "INSERT INTO silences (device, rule, starts_at, ends_at, author, reason) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        matcher.device,
        matcher.rule,
        now,
        until,
        actor.name,
        reason
    )
    .fetch_one(&mut *connection)
    .await?;
    let words = words(&actor.name, reason);
    incident::hold_back(connection, matcher, until, &words, now).await?;
    let entry = audit::Entry {
        actor,
        action: Action::Silenced,
        subject: format!("silence {id}"),
        incident: of,
        detail: json!({ "device": matcher.device, "rule": matcher.rule, "until": until, "text": reason }),
    };
    audit::record(connection, entry, now).await?;
    live::announce(connection, &Change::Everything).await?;
    Ok(id)
}

/// Ends a silence before its time. Returns whether it was in force.
pub async fn end(pool: &PgPool, id: i64, actor: &Actor, now: DateTime<Utc>) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let ended = sqlx::query_as!(
        Matcher,
        "UPDATE silences SET ends_at = $2, ended_by = $3 WHERE id = $1 AND starts_at <= $2 AND ends_at > $2 RETURNING device, rule",
        id,
        now,
        actor.name
    )
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(matcher) = &ended {
        incident::wake(&mut transaction, matcher, now).await?;
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
    Ok(ended.is_some())
}

/// A silence, in force or over.
#[derive(Debug, Clone, Serialize)]
pub struct Silence {
    pub id: i64,
    /// Absent means all of them.
    pub device: Option<String>,
    pub rule: Option<String>,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
    pub author: String,
    pub reason: String,
    /// Who ended it before its time.
    pub ended_by: Option<String>,
}

impl Silence {
    /// Why something is held back.
    pub(super) fn words(&self) -> String {
        words(&self.author, &self.reason)
    }
}

fn words(author: &str, reason: &str) -> String {
    match reason.trim() {
        "" => format!("silenced by {author}"),
        reason => format!("silenced by {author}: {reason}"),
    }
}

/// The silences in force, the one that ends first at the front.
pub async fn in_force(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Vec<Silence>> {
    sqlx::query_as!(
        Silence,
        "SELECT id, device, rule, starts_at, ends_at, author, reason, ended_by FROM silences WHERE ends_at > $1 AND starts_at <= $1 ORDER BY ends_at, id",
        now
    )
    .fetch_all(pool)
    .await
}

/// The newest silences, in force or over, the latest begun at the front.
pub async fn recent(pool: &PgPool, most: i64) -> sqlx::Result<Vec<Silence>> {
    sqlx::query_as!(
        Silence,
        "SELECT id, device, rule, starts_at, ends_at, author, reason, ended_by FROM silences ORDER BY id DESC LIMIT $1",
        most
    )
    .fetch_all(pool)
    .await
}

/// The silence that lies over a rule at a station and lasts longest.
pub(super) async fn over(
    connection: &mut PgConnection,
    device: &str,
    rule: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Silence>> {
    sqlx::query_as!(
        Silence,
        r#"SELECT id, device, rule, starts_at, ends_at, author, reason, ended_by FROM silences
            WHERE ends_at > $3 AND starts_at <= $3 AND (device IS NULL OR device = $1) AND (rule IS NULL OR rule = $2)
            ORDER BY ends_at DESC, id LIMIT 1"#,
        device,
        rule,
        now
    )
    .fetch_optional(connection)
    .await
}
