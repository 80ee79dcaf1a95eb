//! How far the fetching of missed events is, and the wish that it go back.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::person::Person;
use crate::App;
use crate::audit::{self, Action};
use crate::error::Error;
use crate::receive::backfill::progress;

const PROJECT: Error = Error::NotFound("notehub.project in the configuration");

/// How far the fetching of missed events is
///
/// `backfill` is null before the first time.
#[utoipa::path(get, path = "/api/v1/backfill", tag = "Events", operation_id = "getBackfill",
    responses((status = 200, description = "Until when all is stored that Notehub took, and what goes wrong", body = Value),
        (status = 404, description = "No Notehub project is configured", body = super::openapi::Problem)))]
pub async fn state(State(app): State<App>) -> Result<Json<Value>, Error> {
    let project = app.config.notehub.project.as_deref().ok_or(PROJECT)?;
    let state = progress::state(&app.pool, project).await?;
    Ok(Json(json!({ "backfill": state })))
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BackfillWish)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// Without it the next pass begins where it would anyway, but now.
    #[serde(default)]
    from: Option<DateTime<Utc>>,
}

/// Fetch missed events
///
/// The loop that fetches sees it within seconds.
#[utoipa::path(post, path = "/api/v1/backfill", tag = "Events", operation_id = "requestBackfill", request_body = Wish,
    responses((status = 200, description = "It is noted, and from when on it fetches", body = Value),
        (status = 404, description = "No Notehub project is configured", body = super::openapi::Problem)))]
pub async fn begin(
    State(app): State<App>,
    person: Person,
    Json(wish): Json<Wish>,
) -> Result<Json<Value>, Error> {
    let project = app.config.notehub.project.as_deref().ok_or(PROJECT)?;
    let mut transaction = app.pool.begin().await?;
    let from = progress::wish(&mut transaction, project, wish.from).await?;
    // Nothing is noted of a project that was never asked for: its first pass is yet to come.
    if let Some(from) = from {
        let entry = audit::Entry {
            actor: &person.actor(),
            action: Action::Fetched,
            subject: format!("events of {project} from {}", from.to_rfc3339()),
            incident: None,
            detail: json!({}),
        };
        audit::record(&mut transaction, entry, app.clock.now()).await?;
    }
    transaction.commit().await?;
    Ok(Json(json!({ "project": project, "from": from })))
}
