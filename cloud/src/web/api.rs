//! The API for people and scripts: what happened to an event, what is open, what waits, and what can be done about it.

/// What waits, died or arrived.
pub mod deliveries;
/// Stations.
pub mod devices;
/// Events, with what came of them.
pub mod events;
/// What is open and what is over.
pub mod incidents;
/// What nobody is told of for a time.
pub mod silences;
/// Expressions, tried.
pub mod try_out;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::person::Person;
use crate::App;
use crate::audit::{self, Action, Actor};
use crate::deliver::{Lane, outbox};
use crate::error::Error;
use crate::process::record;

const MOST_ROWS: i64 = 1_000;

/// What to do again; exactly one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(example = json!({ "event": "5ffa7e24-c559-40a0-8228-46ff8426b387" }))]
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

#[derive(Debug, Serialize, ToSchema)]
pub struct Replayed {
    /// How many events or deliveries that was.
    pub replayed: u64,
}

/// Replay
///
/// Processes stored events again, or sends deliveries again. What exists already is not made a second time.
#[utoipa::path(post, path = "/api/v1/replay", tag = "Deliveries", operation_id = "replay", request_body = Replay,
    responses((status = 200, description = "They are due", body = Replayed)))]
pub async fn replay(
    State(app): State<App>,
    person: Person,
    Json(choice): Json<Replay>,
) -> Result<Json<Replayed>, Error> {
    let replayed = again(&app.pool, choice, &person.actor(), app.clock.now()).await?;
    app.wake_process.notify_one();
    app.lanes.iter().for_each(Lane::wake);
    Ok(Json(Replayed { replayed }))
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
