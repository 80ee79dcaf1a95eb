//! One delivery: what was to be sent, the exact request, every attempt with what came back, and what happens next.

use std::fmt::Write as _;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Redirect, Response};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::wake;
use crate::App;
use crate::deliver::Lane;
use crate::deliver::destination::{Outbound, Preview};
use crate::deliver::text_status;
use crate::error::Error;
use crate::web::api::deliveries::{self, Attempt, Whole};
use crate::web::api::{self, Replay};
use crate::web::pages::incidents::one::story::report;
use crate::web::pages::{Nav, Sentences, Told, page, segment};
use crate::web::person::Person;

/// More of a body than this helps nobody on a page; the API has the rest.
const SHOWN: usize = 20_000;

#[derive(Template)]
#[template(path = "delivery.html")]
struct One {
    nav: Nav,
    done: Option<&'static str>,
    whole: Whole,
    /// What happens next, and when.
    next: Next,
    body: String,
    /// What the carrier reported of a text.
    report: Option<String>,
    /// None if the destination is no longer configured.
    request: Option<Preview>,
}

struct Next {
    text: String,
    at: Option<DateTime<Utc>>,
}

impl One {
    fn station(&self) -> String {
        format!("/stations/{}", segment(&self.whole.delivery.device))
    }

    fn event(&self) -> Option<String> {
        let uid = self.whole.delivery.event_uid.as_deref()?;
        Some(format!("/api/v1/events/{}", segment(uid)))
    }

    fn has_ended(&self) -> bool {
        ["dead", "delivered"].contains(&self.whole.delivery.state.as_str())
    }

    fn took(attempt: &Attempt) -> String {
        let time = attempt.ended_at - attempt.started_at;
        if time.num_seconds() < 10 {
            format!("{} ms", time.num_milliseconds())
        } else {
            format!("{} s", time.num_seconds())
        }
    }
}

/// What can have been done just before.
const DONE: Sentences = &[
    (
        "replayed",
        "It is due again, with a new allowance of tries.",
    ),
    ("waiting", "It was waiting to be sent already."),
];

pub async fn show(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
    Query(told): Query<Told>,
) -> Result<Response, Error> {
    let whole = find(&app, &id).await?;
    let now = app.clock.now();
    let texts = text_status::of_deliveries(&app.pool, &[whole.delivery.id]).await?;
    let mut lanes = app.lanes.iter();
    let lane = lanes.find(|lane| lane.name() == whole.delivery.destination);
    let one = One {
        nav: Nav::of(&app.pool, person, "deliveries").await?,
        done: told.sentence(DONE),
        next: next(&whole, lane.map(Lane::breaker_state), now),
        report: texts.values().next().map(report),
        body: cut(pretty(&whole.body)),
        request: lane.map(|lane| shown(lane.preview(&outbound(&whole)))),
        whole,
    };
    page(StatusCode::OK, &one)
}

async fn find(app: &App, id: &str) -> Result<Whole, Error> {
    const UNKNOWN: Error = Error::NotFound("delivery");
    let id: Uuid = id.parse().map_err(|_| UNKNOWN)?;
    deliveries::one(&app.pool, id).await?.ok_or(UNKNOWN)
}

fn outbound(whole: &Whole) -> Outbound {
    let delivery = &whole.delivery;
    Outbound {
        id: delivery.id,
        event_uid: delivery.event_uid.clone(),
        incident_id: delivery.incident_id,
        device: delivery.device.clone(),
        created_at: whole.replayed_at.unwrap_or(delivery.created_at),
        attempt: u32::try_from(delivery.attempts.max(1)).unwrap_or(1),
        ambiguous_before: whole.ambiguous_at,
        body: whole.body.clone(),
    }
}

/// JSON is easier to read over several lines.
fn pretty(body: &str) -> String {
    let value: Option<Value> = serde_json::from_str(body).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| body.to_owned())
}

fn cut(mut text: String) -> String {
    if text.len() > SHOWN {
        let whole = text.len();
        text.truncate(text.floor_char_boundary(SHOWN));
        let _ = write!(text, "\n… cut here; {whole} bytes in all");
    }
    text
}

fn shown(mut preview: Preview) -> Preview {
    preview.body = cut(preview.body);
    preview
}

/// What happens next. `breaker` is its state and until when nothing passes; none where the destination is gone.
fn next(
    whole: &Whole,
    breaker: Option<(&'static str, Option<DateTime<Utc>>)>,
    now: DateTime<Utc>,
) -> Next {
    let delivery = &whole.delivery;
    let say = |text: &str, at| Next {
        text: text.to_owned(),
        at,
    };
    match (delivery.state.as_str(), breaker) {
        ("delivered", _) => say("Nothing: it arrived", delivery.ended_at),
        ("dead", _) => say("Nothing by itself; it can be sent again by hand", None),
        ("leased", _) => say(
            "It is being sent; if nothing is heard it is tried again after",
            whole.leased_until,
        ),
        (_, None) => say(
            "It waits for its destination, which is no longer configured",
            None,
        ),
        (_, Some((_, Some(until)))) if until > now && until > delivery.due_at => say(
            "The destination fails and is spared; nothing is sent before",
            Some(until),
        ),
        _ if delivery.due_at > now => say("It is tried again", Some(delivery.due_at)),
        _ => say("It is sent as soon as it is its turn", None),
    }
}

pub async fn replay(
    State(app): State<App>,
    person: Person,
    Path(id): Path<String>,
) -> Result<Redirect, Error> {
    let whole = find(&app, &id).await?;
    let id = whole.delivery.id;
    let now = app.clock.now();
    let count = api::again(&app.pool, Replay::Delivery(id), &person.actor(), now).await?;
    wake(&app);
    let done = if count > 0 { "replayed" } else { "waiting" };
    Ok(Redirect::to(&format!("/deliveries/{id}?done={done}")))
}
