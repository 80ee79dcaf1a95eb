//! How each destination does: what waits, what died, what arrived lately, and whether it is spared.
//!
//! Counts stop at `COUNTED`: beyond that the exact number helps nobody, and counting would take seconds.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::App;
use crate::deliver::{Lane, outbox};

/// The queries have the number.
pub const COUNTED: i64 = 10_000;

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Health {
    pub destination: String,
    /// `ubidots`, `twilio` or `http`; absent of one that is no longer configured.
    pub kind: Option<&'static str>,
    /// Delivered since `since` of the whole answer.
    pub delivered: i64,
    /// Due or being sent, up to 10,000.
    pub waiting: i64,
    /// Those of them that were tried without success.
    pub failing: i64,
    /// Since when the oldest of the next in line waits.
    pub oldest_at: Option<DateTime<Utc>>,
    /// Up to 10,000; what was withdrawn did not fail and is not counted.
    pub dead: i64,
    /// Died within a day.
    pub died_lately: i64,
    /// Why the latest failed.
    pub trouble: Option<String>,
    /// The breaker as this process has it: `closed`, `open` or `half-open`.
    pub breaker: Option<&'static str>,
    /// Nothing is sent before.
    pub open_until: Option<DateTime<Utc>>,
    /// Such as `4/s`.
    pub rate_limit: Option<String>,
}

impl Health {
    /// For a count that stopped. Templates hand over references.
    pub fn shown(count: &i64) -> String {
        if *count >= COUNTED {
            "10,000+".into()
        } else {
            count.to_string()
        }
    }
}

/// All destinations, and how far back `delivered` counts: a day, or as far as the latest 10,000 deliveries reach.
pub async fn all(app: &App, now: DateTime<Utc>) -> sqlx::Result<(Vec<Health>, DateTime<Utc>)> {
    let day_ago = now - TimeDelta::days(1);
    let mut names = names(&app.pool, None).await?;
    let configured = app.lanes.iter().map(|lane| lane.name().to_owned());
    names.extend(configured);
    names.sort();
    names.dedup();
    let (delivered, since) = delivered(&app.pool, day_ago).await?;
    let rows = sqlx::query!(
        r#"SELECT n.name AS "name!", due.count AS "due!", due.failing AS "failing!",
                  (SELECT count(*) FROM delivery_states AS s WHERE s.state = 'leased' AND s.destination = n.name) AS "leased!",
                  (SELECT min(c.created_at) FROM (SELECT id FROM delivery_states AS s WHERE s.state = 'due' AND s.destination = n.name ORDER BY s.due_at LIMIT 100) AS s
                     JOIN delivery_contents AS c ON c.id = s.id) AS oldest_at,
                  (SELECT count(*) FROM (SELECT FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name AND NOT starts_with(coalesce(s.reason, ''), $3) LIMIT 10000) AS x) AS "dead!",
                  (SELECT count(*) FROM (SELECT FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name AND s.ended_at >= $2 AND NOT starts_with(coalesce(s.reason, ''), $3) LIMIT 10000) AS x) AS "died_lately!",
                  coalesce(
                      (SELECT reason FROM delivery_states AS s WHERE s.state = 'due' AND s.destination = n.name AND s.attempts > s.attempts_before AND s.reason IS NOT NULL
                        ORDER BY s.due_at DESC LIMIT 1),
                      (SELECT reason FROM delivery_states AS s WHERE s.state = 'dead' AND s.destination = n.name AND NOT starts_with(coalesce(s.reason, ''), $3) ORDER BY s.ended_at DESC LIMIT 1)) AS trouble
             FROM unnest($1::text[]) AS n (name)
            CROSS JOIN LATERAL (SELECT count(*) AS count, count(*) FILTER (WHERE failing) AS failing FROM (
                       SELECT s.attempts > s.attempts_before AS failing FROM delivery_states AS s WHERE s.state = 'due' AND s.destination = n.name LIMIT 10000) AS x) AS due
            ORDER BY n.name"#,
        &names,
        day_ago,
        outbox::WITHDRAWN
    )
    .fetch_all(&app.pool)
    .await?;
    let health = rows.into_iter().map(|row| {
        let lane = app.lanes.iter().find(|lane| lane.name() == row.name);
        let breaker = lane.map(Lane::breaker_state);
        let arrived = delivered.iter().find(|(name, _)| *name == row.name);
        Health {
            kind: lane.map(Lane::kind),
            delivered: arrived.map_or(0, |(_, count)| *count),
            waiting: row.due + row.leased,
            failing: row.failing,
            oldest_at: row.oldest_at,
            dead: row.dead,
            died_lately: row.died_lately,
            trouble: row.trouble,
            breaker: breaker.map(|(state, _)| state),
            open_until: breaker
                .and_then(|(_, until)| until)
                .filter(|until| *until > now),
            rate_limit: lane.and_then(Lane::rate_limit),
            destination: row.name,
        }
    });
    Ok((health.collect(), since))
}

/// How many arrived by destination, and since when that is counted.
async fn delivered(
    pool: &PgPool,
    day_ago: DateTime<Utc>,
) -> sqlx::Result<(Vec<(String, i64)>, DateTime<Utc>)> {
    let rows = sqlx::query!(
        r#"SELECT s.destination AS "destination!", count(*) FILTER (WHERE s.state = 'delivered') AS "delivered!", count(*) AS "all!", min(c.created_at) AS "since!"
             FROM (SELECT id, created_at FROM delivery_contents WHERE created_at >= $1 ORDER BY created_at DESC, id DESC LIMIT 10000) AS c
             JOIN delivery_states AS s ON s.id = c.id GROUP BY s.destination"#,
        day_ago
    )
    .fetch_all(pool)
    .await?;
    let all: i64 = rows.iter().map(|row| row.all).sum();
    let since = rows.iter().map(|row| row.since).min();
    let since = since.filter(|_| all >= COUNTED).unwrap_or(day_ago);
    let counts = rows.into_iter().map(|row| (row.destination, row.delivered));
    Ok((counts.collect(), since))
}

/// The destinations of what waits or died, or the one that is asked for. They may be no longer configured.
pub async fn names(pool: &PgPool, only: Option<&str>) -> sqlx::Result<Vec<String>> {
    if let Some(only) = only {
        return Ok(vec![only.to_owned()]);
    }
    // From name to name by the index: there are many deliveries and few destinations.
    sqlx::query_scalar!(
        r#"WITH RECURSIVE due AS (
               (SELECT destination FROM delivery_states WHERE state = 'due' ORDER BY destination LIMIT 1)
               UNION ALL
               SELECT (SELECT destination FROM delivery_states WHERE state = 'due' AND destination > due.destination ORDER BY destination LIMIT 1)
                 FROM due WHERE due.destination IS NOT NULL
           ), dead AS (
               (SELECT destination FROM delivery_states WHERE state = 'dead' ORDER BY destination LIMIT 1)
               UNION ALL
               SELECT (SELECT destination FROM delivery_states WHERE state = 'dead' AND destination > dead.destination ORDER BY destination LIMIT 1)
                 FROM dead WHERE dead.destination IS NOT NULL)
           SELECT destination AS "destination!" FROM (
               SELECT destination FROM due UNION SELECT destination FROM dead
               UNION SELECT destination FROM delivery_states WHERE state = 'leased') AS n
            WHERE destination IS NOT NULL ORDER BY destination"#
    )
    .fetch_all(pool)
    .await
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Destinations {
    pub destinations: Vec<Health>,
    /// Since when `delivered` counts: a day ago, or as far as the latest 10,000 deliveries reach back.
    pub since: DateTime<Utc>,
}

/// List destinations
///
/// How each one does: what waits, what died, and whether its breaker is closed.
#[utoipa::path(get, path = "/api/v1/destinations", tag = "Deliveries", operation_id = "listDestinations", responses((status = 200, description = "Destinations", body = Destinations)))]
pub async fn list(
    axum::extract::State(app): axum::extract::State<App>,
) -> Result<axum::Json<Destinations>, crate::error::Error> {
    let (destinations, since) = all(&app, app.clock.now()).await?;
    Ok(axum::Json(Destinations {
        destinations,
        since,
    }))
}
