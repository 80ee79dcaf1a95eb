//! What is open and what was, and what is silenced.
//!
//! `one` is the page of a single incident, `curve` draws its value, `quiet` is the form of a silence.

/// The value around an incident, drawn.
mod curve;
/// One incident: where a link in a text leads to.
pub mod one;
/// The form of a silence.
mod quiet;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgPool;

use super::{Nav, Sentences, Told, address, lasting, page};
use crate::App;
use crate::error::Error;
use crate::process::silence::{self, Matcher};
use crate::web::api::incidents::{self, Incident, Which};
use crate::web::api::silences::{self, Silence};
use crate::web::given::{Moment, optional};
use crate::web::person::Person;
pub use quiet::{Quiet, TIMES};

const OPEN_ROWS: i64 = 200;
const PAST_ROWS: i64 = 30;
const SILENCES: i64 = 100;
const PAST_SILENCES: i64 = 10;
/// Stations that a field offers; others can be written there.
const OFFERED: i64 = 500;

#[derive(Template)]
#[template(path = "incidents.html")]
struct List {
    nav: Nav,
    now: DateTime<Utc>,
    done: Option<&'static str>,
    which: Which,
    counts: Counts,
    open: Vec<Incident>,
    past: Vec<Incident>,
    /// Where there are earlier ones.
    earlier: Option<String>,
    silences: Vec<Silence>,
    past_silences: Vec<Silence>,
    rules: Vec<String>,
    stations: Vec<Station>,
    quiet: Quiet,
}

impl List {
    fn is_filtered(&self) -> bool {
        let which = &self.which;
        let texts = [&which.device, &which.rule, &which.severity];
        texts.iter().any(|text| text.is_some()) || which.from.is_some() || which.to.is_some()
    }

    fn open_for(&self, incident: &Incident) -> String {
        lasting(self.now - incident.opened_at)
    }

    fn silence_of(&self, incident: &Incident) -> Option<&Silence> {
        let mut all = self.silences.iter();
        all.find(|silence| silence.mutes(&incident.device, &incident.rule))
    }

    fn is(given: Option<&String>, value: &str) -> bool {
        given.is_some_and(|given| given == value)
    }
}

struct Counts {
    /// Open ones that nobody has taken.
    untaken: i64,
    /// Opened within a week.
    week: i64,
}

/// A station that a field offers.
struct Station {
    uid: String,
    name: String,
}

/// What can have been done just before.
const DONE: Sentences = &[SILENCED, ENDED, NOT_ENDED];
const SILENCED: (&str, &str) = (
    "silenced",
    "Silenced. Nobody is told until it ends; what happens is recorded all the same.",
);
const ENDED: (&str, &str) = ("ended", "The silence is ended.");
const NOT_ENDED: (&str, &str) = ("not-ended", "That silence was over already.");

pub async fn list(
    State(app): State<App>,
    person: Person,
    Query(which): Query<Which>,
    Query(told): Query<Told>,
) -> Result<Response, Error> {
    incidents::check(&which)?;
    let quiet = Quiet::default();
    show(
        &app,
        person,
        which,
        told.sentence(DONE),
        quiet,
        StatusCode::OK,
    )
    .await
}

async fn show(
    app: &App,
    person: Person,
    which: Which,
    done: Option<&'static str>,
    quiet: Quiet,
    status: StatusCode,
) -> Result<Response, Error> {
    let (pool, now) = (&app.pool, app.clock.now());
    let with = |open| Which {
        open: Some(open),
        ..which.clone()
    };
    // Open ones stand on the first page.
    let open = match which.before {
        None => incidents::find(pool, &with(true), OPEN_ROWS).await?,
        Some(_) => Vec::new(),
    };
    let mut past = incidents::find(pool, &with(false), PAST_ROWS + 1).await?;
    let more = i64::try_from(past.len()).is_ok_and(|count| count > PAST_ROWS);
    if more {
        past.pop();
    }
    let earlier = past.last().filter(|_| more).map(|last| {
        let shown = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
        let query = [
            ("device", which.device.clone()),
            ("rule", which.rule.clone()),
            ("severity", which.severity.clone()),
            ("from", shown(which.from)),
            ("to", shown(which.to)),
            ("before", Some(last.id.to_string())),
        ];
        address("/incidents", &query)
    });
    let list = List {
        nav: Nav::of(pool, person, "incidents").await?,
        now,
        done,
        counts: counts(pool, now).await?,
        open,
        past,
        earlier,
        silences: silences::find(pool, true, SILENCES, now).await?,
        past_silences: silences::find(pool, false, PAST_SILENCES, now).await?,
        rules: silences::rules(app).await?,
        stations: stations(pool).await?,
        which,
        quiet,
    };
    page(status, &list)
}

async fn counts(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<Counts> {
    sqlx::query_as!(
        Counts,
        r#"SELECT (SELECT count(*) FROM incidents WHERE resolved_at IS NULL AND acknowledged_at IS NULL) AS "untaken!",
                  (SELECT count(*) FROM incidents WHERE opened_at >= $1) AS "week!""#,
        now - TimeDelta::days(7)
    )
    .fetch_one(pool)
    .await
}

async fn stations(pool: &PgPool) -> sqlx::Result<Vec<Station>> {
    sqlx::query_as!(
        Station,
        r#"SELECT uid, coalesce(serial_number, uid) AS "name!" FROM devices ORDER BY uid LIMIT $1"#,
        OFFERED
    )
    .fetch_all(pool)
    .await
}

/// Silences a station, a rule, or one at the other.
pub async fn silence(
    State(app): State<App>,
    person: Person,
    Form(mut quiet): Form<Quiet>,
) -> Result<Response, Error> {
    let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let matcher = Matcher {
        device: given(&quiet.device),
        rule: given(&quiet.rule),
    };
    let checked = quiet.check();
    if let Err((field, problem)) = silences::known(&app, &matcher).await? {
        quiet.problems.set(field, problem);
    }
    let (Some((time, reason)), false) = (checked, quiet.problems.any()) else {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(&app, person, Which::default(), None, quiet, status).await;
    };
    let (actor, now) = (person.actor(), app.clock.now());
    silence::start(&app.pool, &matcher, time, &reason, &actor, now).await?;
    Ok(Redirect::to("/incidents?done=silenced").into_response())
}

/// Where to go back to.
#[derive(Debug, Deserialize)]
pub struct Back {
    #[serde(default, deserialize_with = "optional")]
    incident: Option<i64>,
}

/// Ends a silence before its time.
pub async fn end_silence(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Form(back): Form<Back>,
) -> Result<Redirect, Error> {
    let ended = silence::end(&app.pool, id, &person.actor(), app.clock.now()).await?;
    let done = if ended { "ended" } else { "not-ended" };
    Ok(Redirect::to(&match back.incident {
        Some(incident) => format!("/incidents/{incident}?done={done}"),
        None => format!("/incidents?done={done}"),
    }))
}
