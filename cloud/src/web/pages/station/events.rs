//! The raw events of a station, and one of them with all that came of it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::facts;
use crate::App;
use crate::error::Error;
use crate::web::api;
use crate::web::pages::{Nav, page, segment};
use crate::web::person::Person;

/// The events before this moment and uid.
#[derive(Debug, Deserialize)]
pub struct Before {
    at: Option<DateTime<Utc>>,
    uid: Option<String>,
}

#[derive(Template)]
#[template(path = "station_events.html")]
struct List {
    nav: Nav,
    name: String,
    uid: String,
    events: Vec<facts::Event>,
    earlier: Option<String>,
}

pub async fn list(
    State(app): State<App>,
    person: Person,
    Path(device): Path<String>,
    Query(before): Query<Before>,
) -> Result<Response, Error> {
    let known = facts::device(&app.pool, &device, app.clock.now())
        .await?
        .ok_or(Error::NotFound("station"))?;
    let before = before.at.zip(before.uid);
    let events = facts::events(&app.pool, &device, before, facts::MANY).await?;
    let full = events.len() == usize::try_from(facts::MANY).unwrap_or(usize::MAX);
    let earlier = events.last().filter(|_| full).map(|last| {
        let at = last
            .captured_at
            .to_rfc3339_opts(SecondsFormat::AutoSi, true);
        format!("?at={}&uid={}", segment(&at), segment(&last.uid))
    });
    let list = List {
        nav: Nav::of(&app.pool, person, "overview").await?,
        name: known.name().to_owned(),
        uid: segment(&device),
        events,
        earlier,
    };
    page(StatusCode::OK, &list)
}

#[derive(Template)]
#[template(path = "station_event.html")]
struct One {
    nav: Nav,
    name: String,
    uid: String,
    event: Value,
    raw: String,
    captured_at: Option<DateTime<Utc>>,
    received_at: Option<DateTime<Utc>>,
    stored_at: Option<DateTime<Utc>>,
    processed_at: Option<DateTime<Utc>>,
}

pub async fn event(
    State(app): State<App>,
    person: Person,
    Path((device, event)): Path<(String, String)>,
) -> Result<Response, Error> {
    let known = facts::device(&app.pool, &device, app.clock.now())
        .await?
        .ok_or(Error::NotFound("station"))?;
    let story = api::events::story(&app.pool, &event).await?;
    let story = story.ok_or(Error::NotFound("event"))?;
    // An event that is nested as deeply as one may be is, with what is around it here, beyond the reader: then it is shown
    // as it stands.
    let event: Value = serde_json::from_str(&story)
        .unwrap_or_else(|_| json!({ "device": device, "uid": event, "raw": story }));
    if event["device"] != device.as_str() {
        return Err(Error::NotFound("event"));
    }
    let at = |key: &str| event[key].as_str()?.parse().ok();
    let one = One {
        nav: Nav::of(&app.pool, person, "overview").await?,
        name: known.name().to_owned(),
        uid: segment(&device),
        raw: serde_json::to_string_pretty(&event["raw"]).unwrap_or_default(),
        captured_at: at("captured_at"),
        received_at: at("received_at"),
        stored_at: at("stored_at"),
        processed_at: at("processed_at"),
        event,
    };
    page(StatusCode::OK, &one)
}

impl One {
    fn text(&self, key: &str) -> &str {
        self.event[key].as_str().unwrap_or_default()
    }

    fn list(&self, key: &str) -> &[Value] {
        self.event[key].as_array().map_or(&[], Vec::as_slice)
    }

    fn measurements(&self) -> Vec<(&String, String)> {
        let all = self.event["measurements"].as_object();
        let told = |(name, value)| (name, Value::to_string(value));
        all.into_iter().flatten().map(told).collect()
    }
}

/// A text of a value that may not be there.
fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}
