//! All routes on one page, grouped by who calls them.

pub mod api;
mod backfill;
pub mod frames;
pub mod pages;
mod picture;
pub mod probe;

use std::future::Future;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::App;
use crate::error::Error;
use crate::receive::{self, auth};

/// How long answers in flight may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(8);

pub fn router(app: App) -> Router {
    // People and scripts, with the people token.
    let people = Router::new()
        .route("/api/v1/devices", get(api::devices))
        .route("/api/v1/devices/{uid}/frames", get(frames::list))
        .route("/api/v1/devices/{uid}/frames/{frame}", get(frames::frame))
        .route("/api/v1/events/{uid}", get(api::event))
        .route("/api/v1/incidents", get(api::incidents))
        .route("/api/v1/incidents/{id}/acknowledge", post(api::acknowledge))
        .route("/api/v1/deliveries", get(api::deliveries))
        .route("/api/v1/replay", post(api::replay))
        .route(
            "/api/v1/backfill",
            get(backfill::state).post(backfill::begin),
        )
        .layer(middleware::map_response(told_in_json))
        .layer(middleware::from_fn_with_state(app.clone(), people_only));
    Router::new()
        // Notehub, with its own token.
        .route("/notehub", post(receive::notehub))
        // People, who are asked to sign in.
        .route("/", get(pages::overview))
        .route("/sign-in", post(pages::sign_in))
        // Probes, with none.
        .route("/healthz", get(probe::alive))
        .route("/readyz", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .merge(people)
        .fallback(async || Error::NotFound("page"))
        .with_state(app)
}

async fn people_only(State(app): State<App>, request: Request, next: Next) -> Response {
    match auth::presented(request.headers(), "x-people-token") {
        Some(token) if app.people_tokens.accept(token) => next.run(request).await,
        _ => Error::Unauthorized("send the header `Authorization: Bearer <people token>`")
            .into_response(),
    }
}

/// What the framework says of a request it could not read, in the shape of our own errors.
async fn told_in_json(response: Response) -> Response {
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !(plain && response.status().is_client_error()) {
        return response;
    }
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 4_096).await;
    let message = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
    let name = Error::Unreadable(String::new()).name();
    (status, Json(json!({ "error": name, "message": message }))).into_response()
}

/// Serves until `shutdown`, then answers what is in flight, for a while.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let stopping = CancellationToken::new();
    let announce = stopping.clone();
    let listener = listener.tap_io(|stream| {
        // Answers are small and somebody waits for each.
        stream.set_nodelay(true).ok();
    });
    let served = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        announce.cancel();
    });
    tokio::select! {
        served = served.into_future() => served,
        () = async { stopping.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
