//! What waits, failed or died, and why; and how each destination does.
//!
//! `one` is the page of a single delivery, `replay` sends a window of dead ones again, `errors` has the events that an
//! expression failed for.

/// Events that an expression failed for.
pub mod errors;
/// One delivery: what was to be sent, and what came back.
pub mod one;
/// Dead deliveries of a window, again.
pub mod replay;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Nav, address, page};
use crate::App;
use crate::deliver::Lane;
use crate::error::Error;
use crate::web::api::deliveries::health::{self, Health};
use crate::web::api::deliveries::{self, Condition, Delivery, Which};
use crate::web::given::{Moment, optional};
use crate::web::person::Person;

const ROWS: i64 = 50;

/// What can be looked at: the word in the address, and what people read.
const VIEWS: [(&str, &str); 5] = [
    ("waiting", "Waiting"),
    ("failing", "Failing"),
    ("dead", "Dead"),
    ("delivered", "Delivered"),
    ("all", "All"),
];

#[derive(Template)]
#[template(path = "deliveries.html")]
struct List {
    nav: Nav,
    now: DateTime<Utc>,
    done: Option<String>,
    view: &'static str,
    which: Which,
    health: Vec<Health>,
    /// Since when the deliveries are counted.
    since: DateTime<Utc>,
    deliveries: Vec<Delivery>,
    /// Where it goes on.
    next: Option<String>,
    /// Where the first page is, if this is another.
    first: Option<String>,
}

impl List {
    fn is_filtered(&self) -> bool {
        let which = &self.which;
        which.device.is_some()
            || which.destination.is_some()
            || which.from.is_some()
            || which.to.is_some()
    }

    /// Those that were given up, of all destinations.
    fn dead(&self) -> i64 {
        self.health.iter().map(|one| one.dead).sum()
    }

    fn dead_shown(&self) -> String {
        Health::shown(&self.dead())
    }

    /// What the time of a row is.
    fn time_word(&self) -> &'static str {
        match self.view {
            "waiting" | "failing" => "Due",
            "dead" => "Given up",
            _ => "Made",
        }
    }

    fn nothing(&self) -> &'static str {
        match self.view {
            "waiting" => "Nothing waits.",
            "failing" => "Nothing fails.",
            "dead" => "Nothing was given up.",
            _ => "Nothing yet.",
        }
    }

    #[expect(clippy::unused_self, reason = "templates call it by `self`")]
    fn link(&self, view: &str, destination: Option<&str>) -> String {
        let query = [
            ("state", Some(view.to_owned())),
            ("destination", destination.map(str::to_owned)),
        ];
        address("/deliveries", &query)
    }
}

#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(default, deserialize_with = "optional")]
    state: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    destination: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    device: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    from: Option<Moment>,
    #[serde(default, deserialize_with = "optional")]
    to: Option<Moment>,
    #[serde(default, deserialize_with = "optional")]
    after: Option<deliveries::Cursor>,
    /// What was done just before, and to how many.
    #[serde(default, deserialize_with = "optional")]
    done: Option<String>,
    #[serde(default, deserialize_with = "optional")]
    count: Option<u64>,
}

pub async fn list(
    State(app): State<App>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Response, Error> {
    let state = asked.state.as_deref().unwrap_or("waiting");
    let view = VIEWS.iter().find(|(word, _)| *word == state);
    let (view, _) = *view.ok_or(Error::NotFound("view of deliveries"))?;
    let which = Which {
        state: view.parse::<Condition>().ok(),
        destination: asked.destination,
        device: asked.device,
        from: asked.from,
        to: asked.to,
        after: asked.after,
        limit: None,
    };
    let now = app.clock.now();
    let found = deliveries::find(&app.pool, &which, ROWS).await?;
    let (health, since) = health::all(&app, now).await?;
    let page_at = |after: Option<String>| {
        let shown = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
        let query = [
            ("state", Some(view.to_owned())),
            ("destination", which.destination.clone()),
            ("device", which.device.clone()),
            ("from", shown(which.from)),
            ("to", shown(which.to)),
            ("after", after),
        ];
        address("/deliveries", &query)
    };
    let list = List {
        nav: Nav::of(&app.pool, person, "deliveries").await?,
        now,
        done: asked
            .done
            .as_deref()
            .and_then(|done| sentence(done, asked.count)),
        view,
        health,
        since,
        next: found.next.map(|next| page_at(Some(next))),
        first: which.after.map(|_| page_at(None)),
        deliveries: found.deliveries,
        which,
    };
    page(StatusCode::OK, &list)
}

/// Nothing of the address but a number is shown, so that nobody can make it say something.
fn sentence(done: &str, count: Option<u64>) -> Option<String> {
    let count = count.unwrap_or_default();
    Some(match (done, count) {
        ("replayed", 0) => "Nothing was dead there any more.".into(),
        ("replayed", 1) => "One delivery is due again.".into(),
        ("replayed", count) => format!("{count} deliveries are due again."),
        ("processed", 0) => "There was nothing to process again.".into(),
        ("processed", 1) => "One event is processed again.".into(),
        ("processed", count) => format!("{count} events are processed again."),
        _ => return None,
    })
}

/// Says that something may be due.
fn wake(app: &App) {
    app.wake_process.notify_one();
    app.lanes.iter().for_each(Lane::wake);
}
