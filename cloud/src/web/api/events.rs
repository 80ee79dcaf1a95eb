//! `GET /api/v1/events/{uid}`: an event with all that came of it.
//!
//! The answer goes from Postgres to the caller as text: an event may be nested as deeply as a reader of JSON can follow, and
//! around it there is more here. The types say what it looks like.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::App;
use crate::error::Error;

/// An event with all that came of it.
#[derive(Debug, ToSchema)]
pub struct Story {
    pub uid: String,
    pub device: String,
    /// The notefile.
    #[schema(example = "thermal.qo")]
    pub file: String,
    pub captured_at: DateTime<Utc>,
    /// Whose word that is: `note` of the agent, `when` of the Notecard, `received` of Notehub.
    pub captured_from: String,
    pub received_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
    /// The note itself.
    pub body: Value,
    /// The event as it came.
    #[schema(value_type = Object)]
    pub raw: Value,
    /// None while it waits.
    pub processed_at: Option<DateTime<Utc>>,
    /// What failed, a line for each part of the configuration.
    pub error: Option<String>,
    /// The event that brought this very note before; then nothing followed from this one.
    pub repeat_of: Option<String>,
    /// The events that brought it again.
    pub repeats: Vec<String>,
    #[schema(example = json!({ "anomaly": 0.9034, "hot": 0.8 }))]
    pub measurements: BTreeMap<String, f64>,
    pub deliveries: Vec<Delivered>,
    pub incidents: Vec<Opened>,
}

/// A delivery that the event called for, with every try at it.
#[derive(Debug, ToSchema)]
#[schema(as = StoryDelivery)]
pub struct Delivered {
    pub id: Uuid,
    pub event_uid: Option<String>,
    pub incident_id: Option<i64>,
    pub route: Option<String>,
    pub destination: String,
    pub device: String,
    /// Of an incident: `opened`, `reminder` or `resolved`.
    pub notice: Option<String>,
    pub body: Value,
    pub created_at: DateTime<Utc>,
    /// `due`, `leased`, `delivered` or `dead`.
    pub state: String,
    pub due_at: DateTime<Utc>,
    pub attempts: i32,
    pub leased_until: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub reason: Option<String>,
    pub tries: Vec<Tried>,
}

#[derive(Debug, ToSchema)]
#[schema(as = StoryTry)]
pub struct Tried {
    pub number: i32,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
    /// `delivered`, `retry` or `refused`.
    pub outcome: String,
    /// Of HTTP, if there was an answer.
    pub status: Option<i32>,
    /// The start of the answer.
    pub answer: String,
    /// What it showed, and what follows.
    pub reason: Option<String>,
}

/// An incident that the event opened.
#[derive(Debug, ToSchema)]
#[schema(as = StoryIncident)]
pub struct Opened {
    pub id: i64,
    pub rule: String,
    pub severity: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    pub peak_value: f64,
}

/// Get an event
///
/// With its measurements, its deliveries and every try at them, and the incidents that it opened.
#[utoipa::path(get, path = "/api/v1/events/{uid}", tag = "Events", operation_id = "getEvent",
    params(("uid" = String, Path, description = "Of the event", example = "5ffa7e24-c559-40a0-8228-46ff8426b387")),
    responses((status = 200, description = "The event", body = Story)))]
pub async fn event(
    State(app): State<App>,
    Path(uid): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let story = story(&app.pool, &uid)
        .await?
        .ok_or(Error::NotFound("event"))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], story))
}

/// The event and what came of it, as JSON text.
pub async fn story(pool: &PgPool, uid: &str) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        r#"SELECT (to_jsonb(e) || jsonb_build_object(
                      'measurements', (SELECT coalesce(jsonb_object_agg(m.series, m.value), '{}') FROM measurements AS m
                                        WHERE m.device = e.device AND m.at = e.captured_at AND m.event_uid = e.uid),
                      'deliveries', (SELECT coalesce(jsonb_agg(to_jsonb(d) || jsonb_build_object('tries', (
                                            SELECT coalesce(jsonb_agg(a ORDER BY a.number), '[]') FROM attempts AS a WHERE a.delivery_id = d.id))), '[]')
                                       FROM deliveries AS d WHERE d.event_uid = e.uid),
                      'incidents', (SELECT coalesce(jsonb_agg(i), '[]') FROM incidents AS i WHERE i.event_uid = e.uid),
                      'repeats', (SELECT coalesce(jsonb_agg(p.uid ORDER BY p.uid), '[]') FROM processed_events AS p
                                   WHERE p.device = e.device AND p.repeat_of = e.uid)))::text AS "row!"
             FROM events AS e WHERE e.uid = $1"#,
        uid
    )
    .fetch_optional(pool)
    .await
}
