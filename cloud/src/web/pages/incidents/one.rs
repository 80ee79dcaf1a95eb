//! One incident: what is wrong, who knows, what came back, and what can be done about it.
//!
//! A link in a text leads here, so the state and the button to take it come first. Every deed is a plain form that leads
//! back here and says what was done; what was typed is kept when something is wrong with it.

/// The timeline as it is shown.
pub(in crate::web::pages) mod story;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;

use super::curve::{self, Curve};
use super::quiet::Quiet;
use super::{ENDED, NOT_ENDED, SILENCED};
use crate::App;
use crate::config::{Threshold, Wording};
use crate::deliver::text_status;
use crate::error::Error;
use crate::process::incident::timeline;
use crate::process::plan::Rule;
use crate::process::{incident, silence};
use crate::web::api::incidents::{self, Incident};
use crate::web::api::silences::{self, Silence};
use crate::web::given::{self, LONGEST_REASON, LONGEST_REMARK};
use crate::web::pages::{Nav, Sentences, Told, is_silence, lasting, number, page, segment};
use crate::web::person::Person;
use story::Step;

const SILENCES: i64 = 100;

#[derive(Template)]
#[template(path = "incident.html")]
struct One {
    nav: Nav,
    now: DateTime<Utc>,
    incident: Incident,
    done: Option<&'static str>,
    measure: Measure,
    /// Whether the rule is still configured.
    is_configured: bool,
    /// Where and how hot, in words.
    hot_spot: Option<String>,
    curve: Option<Curve>,
    /// Latest first.
    story: Vec<Step>,
    /// Those that mute it now.
    silences: Vec<Silence>,
    forms: Forms,
}

/// What the value of a rule is.
enum Measure {
    /// A number beside its limits, in words.
    Limits { fire: String, clear: String },
    /// How many hours it has lasted.
    Hours,
    /// A station that was heard no more: how long that is says all.
    Silence,
    /// Nothing to show: it is so or it is not.
    Nothing,
    /// Not known any more.
    Unknown,
}

impl One {
    /// Open, taken or over, as a class and as a word.
    fn state(&self) -> (&'static str, &'static str) {
        match (&self.incident.resolved_at, &self.incident.acknowledged_at) {
            (Some(_), _) => ("resolved", "over"),
            (None, Some(_)) => ("pending", "open, taken"),
            (None, None) => ("firing", "open, not taken"),
        }
    }

    fn lasted(&self) -> String {
        lasting(self.incident.resolved_at.unwrap_or(self.now) - self.incident.opened_at)
    }

    fn station(&self) -> String {
        format!("/stations/{}", segment(&self.incident.device))
    }

    fn event(&self) -> String {
        format!("/api/v1/events/{}", segment(&self.incident.event_uid))
    }

    /// A value with its unit.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "templates hand over references"
    )]
    fn value(&self, value: &f64) -> String {
        match self.measure {
            Measure::Hours => format!("{} h", number(value)),
            _ => number(value),
        }
    }

    fn shows_values(&self) -> bool {
        !matches!(self.measure, Measure::Nothing | Measure::Silence)
    }

    fn is_silence(&self) -> bool {
        matches!(self.measure, Measure::Silence)
    }

    fn resolution(&self) -> &str {
        self.incident.resolution.as_deref().unwrap_or_default()
    }
}

impl Measure {
    fn of(incident: &Incident, rule: Option<&Rule>) -> Self {
        if is_silence(&incident.rule) {
            return Self::Silence;
        }
        let Some(rule) = rule else {
            return Self::Unknown;
        };
        match rule.config.wording {
            Wording::Limit => {}
            Wording::Hours => return Self::Hours,
            Wording::Silence => return Self::Silence,
            Wording::Reason => return Self::Nothing,
        }
        let (side, limit, back) = match rule.config.fire {
            Threshold::Above(limit) => ("above", limit, "below"),
            Threshold::Below(limit) => ("below", limit, "above"),
        };
        Self::Limits {
            fire: format!("{side} {}", number(&limit)),
            clear: format!("{back} {}", number(&rule.config.clear)),
        }
    }
}

/// What somebody wrote and what is wrong with it.
#[derive(Debug, Default)]
struct Forms {
    note: Note,
    quiet: Quiet,
    /// The reason for closing it.
    close: Note,
}

/// A remark that somebody writes, or a reason.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Note {
    text: String,
    #[serde(skip)]
    problem: Option<String>,
}

impl Note {
    fn longest() -> usize {
        LONGEST_REMARK
    }

    fn longest_reason() -> usize {
        LONGEST_REASON
    }
}

/// What can have been done just before.
const DONE: Sentences = &[
    ("taken", "It is yours. Reminders stop."),
    (
        "second",
        "Somebody took it before you; that you did as well is in the timeline.",
    ),
    ("over", "It was over already."),
    (
        "closed",
        "Closed. A rule that is breached again opens a new incident.",
    ),
    ("noted", "Your note is in the timeline."),
    SILENCED,
    ENDED,
    NOT_ENDED,
];

pub async fn show(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Query(told): Query<Told>,
) -> Result<Response, Error> {
    let forms = Forms::default();
    render(&app, person, id, told.sentence(DONE), forms, StatusCode::OK).await
}

async fn render(
    app: &App,
    person: Person,
    id: i64,
    done: Option<&'static str>,
    forms: Forms,
    status: StatusCode,
) -> Result<Response, Error> {
    let (pool, now) = (&app.pool, app.clock.now());
    let incident = incidents::one(pool, id).await?;
    let incident = incident.ok_or(Error::NotFound("incident"))?;
    let mut rules = app.processor.plan.watched();
    let rule = rules.find(|rule| rule.config.name == incident.rule);
    let mut silences = silences::find(pool, true, SILENCES, now).await?;
    silences.retain(|silence| silence.mutes(&incident.device, &incident.rule));
    let one = One {
        nav: Nav::of(pool, person, "incidents").await?,
        now,
        done,
        measure: Measure::of(&incident, rule),
        is_configured: rule.is_some(),
        hot_spot: hot_spot(pool, &incident.event_uid).await?,
        curve: curve::load(pool, &incident, rule, now).await?,
        story: story::of(
            &incident.rule,
            timeline(pool, id).await?,
            &incidents::tries(pool, id).await?,
            &text_status::of_incident(pool, id).await?,
        ),
        silences,
        incident,
        forms,
    };
    page(status, &one)
}

/// What the note that opened the incident says of it.
async fn hot_spot(pool: &PgPool, event: &str) -> sqlx::Result<Option<String>> {
    let body = sqlx::query_scalar!(
        "SELECT raw -> 'body' FROM received_events WHERE uid = $1",
        event
    )
    .fetch_optional(pool)
    .await?
    .flatten();
    let part = |key: &str| {
        let part = body.as_ref()?.get(key)?;
        part.as_f64()
    };
    let why = body.as_ref().and_then(|body| body.get("why"));
    let place = part("x").zip(part("y"));
    let place = place.map(|(x, y)| format!("column {}, row {}", number(&x), number(&y)));
    let warmer = part("dt").map(|dt| format!("{} °C above its surroundings", number(&dt)));
    let told: Vec<_> = [place, warmer].into_iter().flatten().collect();
    let told = Some(told.join(", ")).filter(|told| !told.is_empty());
    Ok(told.or_else(|| why.and_then(Value::as_str).map(str::to_owned)))
}

fn back(id: i64, done: &str) -> Response {
    Redirect::to(&format!("/incidents/{id}?done={done}")).into_response()
}

pub async fn acknowledge(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
) -> Result<Response, Error> {
    let before = incidents::one(&app.pool, id).await?;
    let before = before.ok_or(Error::NotFound("incident"))?;
    let actor = person.actor();
    let done = if !incident::acknowledge(&app.pool, id, &actor, app.clock.now()).await? {
        "over"
    } else if before.acknowledged_by.is_some_and(|by| by != actor.name) {
        "second"
    } else {
        tracing::info!(incident.id = id, by = actor.name, "incident acknowledged");
        "taken"
    };
    Ok(back(id, done))
}

pub async fn note(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Form(mut note): Form<Note>,
) -> Result<Response, Error> {
    let text = match given::text(&note.text, LONGEST_REMARK) {
        Ok(text) => text,
        Err(problem) => {
            note.problem = Some(problem);
            let forms = Forms {
                note,
                ..Forms::default()
            };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return render(&app, person, id, None, forms, status).await;
        }
    };
    if !incident::remark(&app.pool, id, &text, &person.actor(), app.clock.now()).await? {
        return Err(Error::NotFound("incident"));
    }
    Ok(back(id, "noted"))
}

pub async fn silence(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Form(mut quiet): Form<Quiet>,
) -> Result<Response, Error> {
    let Some((time, reason)) = quiet.check() else {
        let forms = Forms {
            quiet,
            ..Forms::default()
        };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return render(&app, person, id, None, forms, status).await;
    };
    let (actor, now) = (person.actor(), app.clock.now());
    let silence = silence::start_for_incident(&app.pool, id, time, &reason, &actor, now).await?;
    silence.ok_or(Error::NotFound("incident"))?;
    Ok(back(id, "silenced"))
}

/// Gives an incident up that nothing else would end.
pub async fn close(
    State(app): State<App>,
    person: Person,
    Path(id): Path<i64>,
    Form(mut close): Form<Note>,
) -> Result<Response, Error> {
    let reason = match given::text(&close.text, LONGEST_REASON) {
        Ok(reason) => reason,
        Err(problem) => {
            close.problem = Some(problem);
            let forms = Forms {
                close,
                ..Forms::default()
            };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return render(&app, person, id, None, forms, status).await;
        }
    };
    let closed = incident::close(&app.pool, id, &reason, &person.actor(), app.clock.now()).await?;
    if !closed && incidents::one(&app.pool, id).await?.is_none() {
        return Err(Error::NotFound("incident"));
    }
    Ok(back(id, if closed { "closed" } else { "over" }))
}
