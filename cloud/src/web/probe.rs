//! For machines that ask how we are: alive, ready, and in numbers.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::App;
use crate::error::Error;
use crate::observe;

/// The process answers; nothing more is claimed.
pub async fn alive() -> &'static str {
    "alive\n"
}

/// Events can be stored.
pub async fn ready(State(app): State<App>) -> Result<&'static str, Error> {
    if answers(&app).await {
        Ok("ready\n")
    } else {
        Err(Error::Unavailable("the database cannot be reached".into()))
    }
}

/// Whether the database answers now.
pub async fn answers(app: &App) -> bool {
    let probe = sqlx::query_scalar!("SELECT 1 AS \"one!\"").fetch_one(&app.pool);
    matches!(
        tokio::time::timeout(Duration::from_secs(2), probe).await,
        Ok(Ok(_))
    )
}

pub async fn metrics(State(app): State<App>) -> Response {
    let text = observe::scrape(&app).await;
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}
