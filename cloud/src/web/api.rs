//! The API for people and scripts: what happened to an event, what is open, what waits, and what can be done about it.

/// What waits, died or arrived.
pub mod deliveries;
/// What is open and what is over.
pub mod incidents;
/// What nobody is told of for a time.
pub mod silences;

use axum::Json;
use axum::extract::{Path, State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::person::Person;
use crate::App;
use crate::audit::{self, Action, Actor};
use crate::deliver::{Lane, outbox};
use crate::error::Error;
use crate::process::record;

const MOST_ROWS: i64 = 1_000;

type Answer = Result<Json<Value>, Error>;

pub async fn devices(State(app): State<App>) -> Answer {
    let rows = sqlx::query_scalar!(
        r#"SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('alerts', (
                      SELECT coalesce(jsonb_object_agg(a.rule, a.state), '{}') FROM alerts AS a WHERE a.device = d.uid)) ORDER BY d.uid), '[]') AS "rows!"
             FROM (SELECT * FROM devices ORDER BY uid LIMIT $1) AS d"#,
        MOST_ROWS
    )
    .fetch_one(&app.pool)
    .await?;
    Ok(Json(json!({ "devices": rows })))
}

/// An event with all that came of it.
pub async fn event(State(app): State<App>, Path(uid): Path<String>) -> Answer {
    let row = sqlx::query_scalar!(
        r#"SELECT to_jsonb(e) || jsonb_build_object(
                      'measurements', (SELECT coalesce(jsonb_object_agg(m.series, m.value), '{}') FROM measurements AS m
                                        WHERE m.device = e.device AND m.at = e.captured_at AND m.event_uid = e.uid),
                      'deliveries', (SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('tries', (
                                            SELECT coalesce(jsonb_agg(a ORDER BY a.number), '[]') FROM attempts AS a WHERE a.delivery_id = d.id))), '[]')
                                       FROM deliveries AS d WHERE d.event_uid = e.uid),
                      'incidents', (SELECT coalesce(jsonb_agg(i), '[]') FROM incidents AS i WHERE i.event_uid = e.uid),
                      'repeats', (SELECT coalesce(jsonb_agg(p.uid ORDER BY p.uid), '[]') FROM processed_events AS p
                                   WHERE p.device = e.device AND p.repeat_of = e.uid)) AS "row!"
             FROM events AS e WHERE e.uid = $1"#,
        uid
    )
    .fetch_optional(&app.pool)
    .await?;
    row.map(Json).ok_or(Error::NotFound("event"))
}

/// What to do again; exactly one of these.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Replay {
    /// A stored event, by uid: processed again.
    Event(String),
    /// The events captured in a window: processed again.
    Events {
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    },
    /// The events that carry an error, of one part (`route ubidots`) or of any: processed again.
    Errors { part: Option<String> },
    /// A delivery, by id: sent again.
    Delivery(Uuid),
    /// The deliveries that died in a window: sent again.
    Dead {
        destination: Option<String>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    },
}

impl Replay {
    /// For people to read.
    fn subject(&self) -> String {
        let window = |from: &DateTime<Utc>, to: &DateTime<Utc>| {
            let shown = |at: &DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
            format!("from {} to {}", shown(from), shown(to))
        };
        match self {
            Self::Event(uid) => format!("event {uid}"),
            Self::Events { from, to } => format!("events {}", window(from, to)),
            Self::Errors { part: None } => "events with an error".into(),
            Self::Errors { part: Some(part) } => format!("events with an error of {part}"),
            Self::Delivery(id) => format!("delivery {id}"),
            Self::Dead {
                destination: None,
                from,
                to,
            } => format!("dead deliveries {}", window(from, to)),
            Self::Dead {
                destination: Some(destination),
                from,
                to,
            } => format!("dead deliveries to {destination} {}", window(from, to)),
        }
    }
}

pub async fn replay(State(app): State<App>, person: Person, Json(choice): Json<Replay>) -> Answer {
    let count = again(&app.pool, choice, &person.actor(), app.clock.now()).await?;
    app.wake_process.notify_one();
    app.lanes.iter().for_each(Lane::wake);
    Ok(Json(json!({ "replayed": count })))
}

/// Also what `cloud replay` does.
pub async fn again(
    pool: &sqlx::PgPool,
    choice: Replay,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<u64> {
    let entry = audit::Entry {
        actor,
        action: Action::Replayed,
        subject: choice.subject(),
        incident: None,
        detail: json!({}),
    };
    audit::record(&mut *pool.acquire().await?, entry, now).await?;
    let events = match choice {
        Replay::Event(uid) => record::Replay::Event(uid),
        Replay::Events { from, to } => record::Replay::Window { from, to },
        Replay::Errors { part } => record::Replay::Errors { part },
        Replay::Delivery(id) => return outbox::replay(pool, &outbox::Replay::One(id), now).await,
        Replay::Dead {
            destination,
            from,
            to,
        } => {
            return outbox::replay(
                pool,
                &outbox::Replay::Dead {
                    destination,
                    from,
                    to,
                },
                now,
            )
            .await;
        }
    };
    record::replay(pool, &events, now).await
}
