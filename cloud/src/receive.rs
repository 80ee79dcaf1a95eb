//! Stage one: `POST /notehub`.
//!
//! Authenticates, caps, parses and stores an event by its uid, and answers only once it is committed. Nothing here runs a
//! user's expression or calls the network.
//!
//! Notehub repeats only what it failed to deliver, and to it only a 5xx is a failure. So whatever we cannot take *now* is
//! a 503 with `Retry-After`, and a 4xx is kept for what can never be taken: a wrong token, a body over the limit, or a body
//! that is no event, which is put into `rejected` before it is refused.

pub mod auth;
pub mod backfill;
pub mod event;
pub mod store;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::App;
use crate::error::Error;
use store::{StoreError, Stored};

pub async fn notehub(State(app): State<App>, headers: HeaderMap, body: Body) -> Response {
    let answer = match tokio::time::timeout(
        app.config.server.request_timeout,
        accept(&app, &headers, body),
    )
    .await
    {
        Ok(answer) => answer,
        // It may be stored all the same; the repeat is then a duplicate.
        Err(_elapsed) => Err(Error::Unavailable("the request took too long".into())),
    };
    let outcome = match &answer {
        Ok((_, Stored::New)) => "stored",
        Ok((_, Stored::Duplicate)) => "duplicate",
        Err(error) => error.name(),
    };
    metrics::counter!("cloud_receive_requests_total", "outcome" => outcome).increment(1);
    match answer {
        Ok((event, _)) => Json(json!({ "event": event, "status": outcome })).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn accept(app: &App, headers: &HeaderMap, body: Body) -> Result<(String, Stored), Error> {
    let token = auth::presented(headers, "x-notehub-token").ok_or(Error::Unauthorized(
        "send the header `Authorization: Bearer <token>`",
    ))?;
    if !app.notehub_tokens.accept(token) {
        return Err(Error::Unauthorized(
            "the token is not one of access.notehub_tokens",
        ));
    }
    let limit = app.config.server.body_limit;
    let body = to_bytes(body, limit)
        .await
        .map_err(|error| Error::of_body(&error, limit))?;
    let now = app.clock.now();
    let event = match event::parse(&body, now) {
        Ok(event) => event,
        Err(why) => return Err(reject(app, &why.to_string(), &body).await),
    };
    let uid = event.uid.clone();
    match app.intake.store(event).await {
        Ok(stored) => Ok((uid, stored)),
        Err(StoreError::Refused(why)) => {
            Err(reject(app, &format!("the database refuses it: {why}"), &body).await)
        }
        Err(why @ (StoreError::Overloaded | StoreError::Unavailable)) => {
            Err(Error::Unavailable(why.to_string()))
        }
    }
}

/// Keeps the body, then refuses it; if it cannot be kept, Notehub must come again.
async fn reject(app: &App, reason: &str, body: &[u8]) -> Error {
    match store::reject(&app.pool, app.clock.now(), reason, body).await {
        Ok(()) => {
            tracing::warn!(reason, bytes = body.len(), "body rejected");
            Error::Unprocessable(reason.to_owned())
        }
        Err(error) => {
            tracing::error!(error = %error, "rejected body not kept");
            Error::Unavailable("the database cannot be reached".into())
        }
    }
}
