//! Who did what, newest first.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Nav, page};
use crate::App;
use crate::error::Error;
use crate::web::person::Person;

const ROWS: i64 = 100;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    nav: Nav,
    entries: Vec<Entry>,
    /// The id before which there is more.
    before: Option<i64>,
}

struct Entry {
    id: i64,
    at: DateTime<Utc>,
    person: String,
    via: String,
    action: String,
    subject: String,
    incident_id: Option<i64>,
    text: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Which {
    before: Option<i64>,
}

pub async fn audit(
    State(app): State<App>,
    person: Person,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    let entries = sqlx::query_as!(
        Entry,
        r#"SELECT id, at, person, via, action, subject, incident_id, detail ->> 'text' AS text
             FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2"#,
        which.before.unwrap_or(i64::MAX),
        ROWS
    )
    .fetch_all(&app.pool)
    .await?;
    let full = i64::try_from(entries.len()).is_ok_and(|count| count == ROWS);
    let before = entries.last().filter(|_| full).map(|entry| entry.id);
    let nav = Nav::of(&app.pool, person, "audit").await?;
    page(
        StatusCode::OK,
        &Audit {
            nav,
            entries,
            before,
        },
    )
}
