//! The server most people would write: one INSERT and one commit for each request, on a pool of ten connections.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::floor;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Input {
    pub(crate) database: String,
}

/// As much of an event as the smallest useful table holds.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    #[serde(rename = "event")]
    uid: &'a str,
    device: &'a str,
    file: &'a str,
    when: i64,
}

pub(crate) async fn serve(input: Input) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(10)
        // The ping before each use costs up to a quarter; the comparison is with a well-kept server.
        .test_before_acquire(false)
        .connect(&input.database)
        .await?;
    let router = Router::new()
        .route("/notehub", post(store))
        .with_state(pool);
    floor::listen(router).await
}

async fn store(State(pool): State<PgPool>, body: Bytes) -> StatusCode {
    let Ok(raw) = std::str::from_utf8(&body) else {
        return StatusCode::UNPROCESSABLE_ENTITY;
    };
    let Ok(event) = serde_json::from_str::<Event<'_>>(raw) else {
        return StatusCode::UNPROCESSABLE_ENTITY;
    };
    let stored = sqlx::query(
        "INSERT INTO events (uid, device, file, captured_at, received_at, raw)
         VALUES ($1, $2, $3, $4, $4, $5::jsonb)
         ON CONFLICT (uid) DO NOTHING",
    )
    .bind(event.uid)
    .bind(event.device)
    .bind(event.file)
    .bind(DateTime::from_timestamp(event.when, 0))
    .bind(raw)
    .execute(&pool)
    .await;
    match stored {
        Ok(_) => StatusCode::OK,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}
