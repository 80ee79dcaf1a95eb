//! Events that an expression failed for, by the part that failed, and the button to process them again.

use std::str::FromStr;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;

use super::{VIEWS, wake};
use crate::App;
use crate::error::Error;
use crate::web::api::deliveries::health::Health;
use crate::web::api::{self, Replay};
use crate::web::given::optional;
use crate::web::pages::{Nav, address, page, segment};
use crate::web::person::Person;

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "errors.html")]
struct Errors {
    nav: Nav,
    now: DateTime<Utc>,
    done: Option<String>,
    parts: Vec<Part>,
    /// The part that is looked at.
    part: Option<String>,
    rows: Vec<Row>,
    /// Where it goes on.
    next: Option<String>,
}

/// A part of the configuration that failed, such as `route ubidots`.
struct Part {
    name: String,
    /// Up to 10,000.
    count: i64,
    latest: DateTime<Utc>,
}

struct Row {
    event_uid: String,
    part: String,
    code: String,
    message: String,
    position: Option<i64>,
    at: DateTime<Utc>,
    device: Option<String>,
    name: Option<String>,
}

impl Row {
    fn event(&self) -> String {
        format!("/api/v1/events/{}", segment(&self.event_uid))
    }

    fn station(&self) -> Option<String> {
        let device = self.device.as_deref()?;
        Some(format!("/stations/{}", segment(device)))
    }
}

impl Part {
    fn href(&self) -> String {
        address("/deliveries/errors", &[("part", Some(self.name.clone()))])
    }
}

#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default, deserialize_with = "optional")]
    part: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    before: Option<Before>,
    #[serde(default, deserialize_with = "optional")]
    done: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    count: Option<u64>,
}

/// Where the page before ended: a moment, in which there may be many, and an event.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Before(DateTime<Utc>, String);

impl FromStr for Before {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const BAD: &str = "`before` is what the link to the next page says";
        let (micros, uid) = text.split_once('.').ok_or(BAD)?;
        let at = micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros);
        // Beyond these years Postgres knows no time.
        let at = at.filter(|at| (0..7_258_118_400).contains(&at.timestamp()));
        Ok(Self(at.ok_or(BAD)?, uid.to_owned()))
    }
}

pub async fn list(
    State(app): State<App>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Response, Error> {
    let parts = parts(&app.pool).await?;
    let mut names: Vec<_> = parts.iter().map(|part| part.name.clone()).collect();
    names.retain(|name| asked.part.as_ref().is_none_or(|part| part == name));
    let rows = rows(&app.pool, &names, asked.before).await?;
    let last = rows.last().filter(|_| rows.len() >= ROWS);
    let next = last.map(|last| {
        let before = format!("{}.{}", last.at.timestamp_micros(), last.event_uid);
        let query = [("part", asked.part.clone()), ("before", Some(before))];
        address("/deliveries/errors", &query)
    });
    let done = asked.done.as_deref();
    let errors = Errors {
        nav: Nav::of(&app.pool, person, "deliveries").await?,
        now: app.clock.now(),
        done: done.and_then(|done| super::sentence(done, asked.count)),
        parts,
        part: asked.part,
        next,
        rows,
    };
    page(StatusCode::OK, &errors)
}

async fn parts(pool: &PgPool) -> sqlx::Result<Vec<Part>> {
    // From part to part by the index: there may be an error for every event.
    sqlx::query_as!(
        Part,
        r#"WITH RECURSIVE names AS (
               (SELECT part FROM event_errors ORDER BY part LIMIT 1)
               UNION ALL
               SELECT (SELECT part FROM event_errors WHERE part > names.part ORDER BY part LIMIT 1) FROM names WHERE names.part IS NOT NULL)
           SELECT n.part AS "name!", (SELECT count(*) FROM (SELECT FROM event_errors AS e WHERE e.part = n.part LIMIT 10000) AS x) AS "count!",
                  (SELECT at FROM event_errors AS e WHERE e.part = n.part ORDER BY at DESC LIMIT 1) AS "latest!"
             FROM names AS n WHERE n.part IS NOT NULL ORDER BY 3 DESC LIMIT 200"#
    )
    .fetch_all(pool)
    .await
}

async fn rows(pool: &PgPool, parts: &[String], before: Option<Before>) -> sqlx::Result<Vec<Row>> {
    let (at, uid) = before.map(|Before(at, uid)| (at, uid)).unzip();
    sqlx::query_as!(
        Row,
        r#"SELECT e.event_uid AS "event_uid!", e.part AS "part!", e.code AS "code!", e.message AS "message!", e.position, e.at AS "at!",
                  r.device AS "device?", coalesce(d.serial_number, r.device) AS name
             FROM (SELECT e.* FROM unnest($1::text[]) AS n (part) CROSS JOIN LATERAL (
                          SELECT * FROM event_errors AS e WHERE e.part = n.part AND e.at <= $2 AND (e.at, e.event_uid) < ($2, $3)
                           ORDER BY e.at DESC, e.event_uid DESC LIMIT 50) AS e
                    ORDER BY e.at DESC, e.event_uid DESC LIMIT 50) AS e
             LEFT JOIN received_events AS r ON r.uid = e.event_uid
             LEFT JOIN devices AS d ON d.uid = r.device
            ORDER BY e.at DESC, e.event_uid DESC, e.part"#,
        parts,
        at.unwrap_or(never()),
        uid.unwrap_or_default()
    )
    .fetch_all(pool)
    .await
}

/// The year 2200, before which every error lies.
fn never() -> DateTime<Utc> {
    DateTime::from_timestamp_secs(7_258_118_400).unwrap_or_default()
}

/// Which to process again: one event, or all of a part.
#[derive(Debug, Deserialize)]
pub struct Again {
    #[serde(default, deserialize_with = "optional")]
    event: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    part: Option<String>,
}

pub async fn again(
    State(app): State<App>,
    person: Person,
    Form(again): Form<Again>,
) -> Result<Redirect, Error> {
    let part = again.part.clone();
    let choice = match (again.event, again.part) {
        (Some(uid), _) => Replay::Event(uid),
        (None, Some(part)) => Replay::Errors { part: Some(part) },
        (None, None) => {
            let message = "say which event or which part to process again";
            return Err(Error::Unprocessable(message.into()));
        }
    };
    let count = api::again(&app.pool, choice, &person.actor(), app.clock.now()).await?;
    wake(&app);
    let query = [
        ("part", part),
        ("done", Some("processed".to_owned())),
        ("count", Some(count.to_string())),
    ];
    Ok(Redirect::to(&address("/deliveries/errors", &query)))
}
