//! All routes on one page, grouped by who calls them.

/// What may be signed in with.
pub mod account;
pub mod api;
mod assets;
mod backfill;
/// Downloads.
pub mod csv;
pub mod frames;
/// What people give us, checked.
mod given;
/// Changes, told to open pages.
pub mod live;
/// The API, described for programs.
pub mod openapi;
pub mod pages;
/// Who asks, and whether they may.
pub mod person;
mod picture;
pub mod probe;
/// Numbers over time.
pub mod series;
/// Browsers that are signed in.
pub mod session;
pub mod sms;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::middleware;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;

use crate::App;
use crate::error::Error;
use crate::receive;

/// How long answers in flight may take after the signal to stop.
const GRACE: Duration = Duration::from_secs(8);

pub fn router(app: App) -> Router {
    Router::new()
        .merge(for_scripts(&app))
        .merge(for_people(&app))
        .route("/static/{name}", get(assets::asset))
        .layer(CompressionLayer::new())
        // Notehub, with its own token.
        .route("/notehub", post(receive::notehub))
        // Twilio, with its signature or a link that we signed.
        .route("/twilio/inbound", post(sms::inbound))
        .route("/twilio/status", post(sms::status))
        .route("/media/{device}/{event}", get(sms::media::picture))
        // The short way that a text gives to an incident's page.
        .route("/i/{id}", get(incident))
        // Probes, with none.
        .route("/healthz", get(probe::alive))
        .route("/readyz", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .fallback(async || Error::NotFound("page"))
        .layer(middleware::map_response(taken_as_said))
        .with_state(app)
}

/// Scripts, with the people token; and the scripts of our own pages.
fn for_scripts(app: &App) -> Router<App> {
    Router::new()
        .route("/api/v1/devices", get(api::devices::devices))
        .route("/api/v1/devices/{uid}/frames", get(frames::list))
        .route("/api/v1/devices/{uid}/frames/{frame}", get(frames::frame))
        .route("/api/v1/devices/{uid}/series", get(series::series))
        .route("/api/v1/devices/{uid}/series.csv", get(csv::series))
        .route("/api/v1/devices/{uid}/events.csv", get(csv::events))
        .route("/api/v1/events/{uid}", get(api::events::event))
        .route("/api/v1/incidents", get(api::incidents::list))
        .route("/api/v1/incidents/{id}", get(api::incidents::whole))
        .route(
            "/api/v1/incidents/{id}/acknowledge",
            post(api::incidents::acknowledge),
        )
        .route("/api/v1/incidents/{id}/note", post(api::incidents::note))
        .route("/api/v1/incidents/{id}/close", post(api::incidents::close))
        .route(
            "/api/v1/incidents/{id}/silence",
            post(api::incidents::silence),
        )
        .route(
            "/api/v1/silences",
            get(api::silences::list).post(api::silences::start),
        )
        .route("/api/v1/silences/{id}", delete(api::silences::end))
        .route("/api/v1/deliveries", get(api::deliveries::list))
        .route("/api/v1/deliveries/{id}", get(api::deliveries::whole))
        .route("/api/v1/destinations", get(api::deliveries::health::list))
        .route("/api/v1/replay", post(api::replay))
        .route("/api/v1/try", post(api::try_out::try_expression))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/live", get(live::stream))
        .route(
            "/api/v1/backfill",
            get(backfill::state).post(backfill::begin),
        )
        .layer(middleware::map_response(told_in_json))
        .layer(middleware::from_fn_with_state(app.clone(), person::gate))
        .layer(middleware::map_response(kept_by_nobody))
}

/// People, who are asked to sign in.
fn for_people(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(pages::overview::overview))
        .route("/incidents", get(pages::incidents::list))
        .route("/incidents/{id}", get(pages::incidents::one::show))
        .route(
            "/incidents/{id}/acknowledge",
            post(pages::incidents::one::acknowledge),
        )
        .route("/incidents/{id}/note", post(pages::incidents::one::note))
        .route(
            "/incidents/{id}/silence",
            post(pages::incidents::one::silence),
        )
        .route("/incidents/{id}/close", post(pages::incidents::one::close))
        .route("/silences", post(pages::incidents::silence))
        .route("/silences/{id}/end", post(pages::incidents::end_silence))
        .route("/deliveries", get(pages::deliveries::list))
        .route("/deliveries/errors", get(pages::deliveries::errors::list))
        .route("/deliveries/errors", post(pages::deliveries::errors::again))
        .route("/deliveries/replay", get(pages::deliveries::replay::ask))
        .route("/deliveries/replay", post(pages::deliveries::replay::all))
        .route("/deliveries/{id}", get(pages::deliveries::one::show))
        .route(
            "/deliveries/{id}/replay",
            post(pages::deliveries::one::replay),
        )
        .route("/stations/{uid}", get(pages::station::station))
        .route("/stations/{uid}/events", get(pages::station::events::list))
        .route(
            "/stations/{uid}/events/{event}",
            get(pages::station::events::event),
        )
        .route("/audit", get(pages::audit::audit))
        .route("/rules", get(pages::rules::rules))
        .route(
            "/rules/try",
            get(pages::try_out::chosen).post(pages::try_out::tried),
        )
        .route("/api/docs", get(pages::docs::docs))
        .route("/sign-out", post(pages::sign_in::sign_out))
        .layer(middleware::from_fn_with_state(app.clone(), person::gate))
        .route("/sign-in", get(pages::sign_in::form))
        .route("/sign-in", post(pages::sign_in::sign_in))
        .layer(middleware::map_response(told_in_json))
        .layer(middleware::from_fn(pages::shown_as_page))
}

/// Relative, so that it leads to the right place below whatever path a proxy has put us.
async fn incident(Path(id): Path<i64>) -> Redirect {
    Redirect::to(&format!("../incidents/{id}"))
}

/// What is for signed-in people stays in no cache, unless an answer says otherwise itself, as pictures do.
async fn kept_by_nobody(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

/// No browser guesses what an answer is: some of them hold what devices sent.
async fn taken_as_said(mut response: Response) -> Response {
    response
        .headers_mut()
        .entry(header::X_CONTENT_TYPE_OPTIONS)
        .or_insert(HeaderValue::from_static("nosniff"));
    response
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
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let served = axum::serve(listener, service).with_graceful_shutdown(async move {
        shutdown.await;
        announce.cancel();
    });
    tokio::select! {
        served = served.into_future() => served,
        () = async { stopping.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
