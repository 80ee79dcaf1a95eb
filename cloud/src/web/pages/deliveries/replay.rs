//! The dead deliveries of a window, again: first how many they are, then, if that is meant, all of them.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::wake;
use crate::App;
use crate::error::Error;
use crate::web::api::deliveries::health::{self, Health};
use crate::web::api::{self, Replay, deliveries};
use crate::web::given::Moment;
use crate::web::pages::{Nav, address, page};
use crate::web::person::Person;

#[derive(Template)]
#[template(path = "replay.html")]
struct Ask {
    nav: Nav,
    form: Window,
    destinations: Vec<String>,
    /// What the window holds, if it can be read.
    found: Option<Found>,
}

struct Found {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    by_destination: Vec<(String, i64)>,
}

impl Found {
    fn total(&self) -> i64 {
        self.by_destination.iter().map(|(_, count)| count).sum()
    }

    fn total_shown(&self) -> String {
        Health::shown(&self.total())
    }
}

/// Which of the dead: as somebody wrote it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Window {
    destination: String,
    from: String,
    to: String,
    #[serde(skip)]
    from_problem: Option<String>,
    #[serde(skip)]
    to_problem: Option<String>,
}

impl Window {
    fn destination(&self) -> Option<&str> {
        Some(self.destination.trim()).filter(|name| !name.is_empty())
    }

    /// Where it begins and ends, or what is wrong with that. Without anything written it is the last day.
    fn read(&mut self, now: DateTime<Utc>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let moment = |text: &str| text.trim().parse::<Moment>();
        let from = match self.from.trim() {
            "" => Ok(now - TimeDelta::days(1)),
            text => moment(text).map(Moment::begin),
        };
        let to = match self.to.trim() {
            // What dies in this moment is meant, too.
            "" => Ok(now + TimeDelta::seconds(1)),
            text => moment(text).map(Moment::end),
        };
        match (from, to) {
            (Ok(from), Ok(to)) if from < to => Some((from, to)),
            (Ok(_), Ok(_)) => {
                self.to_problem = Some("The end lies before the beginning.".into());
                None
            }
            (from, to) => {
                self.from_problem = from.err();
                self.to_problem = to.err();
                None
            }
        }
    }
}

/// How many would be sent again.
pub async fn ask(
    State(app): State<App>,
    person: Person,
    Query(form): Query<Window>,
) -> Result<Response, Error> {
    show(&app, person, form).await
}

async fn show(app: &App, person: Person, mut form: Window) -> Result<Response, Error> {
    let window = form.read(app.clock.now());
    let found = match window {
        None => None,
        Some((from, to)) => Some(Found {
            from,
            to,
            by_destination: deliveries::replayable(&app.pool, form.destination(), from, to).await?,
        }),
    };
    let status = match found {
        Some(_) => StatusCode::OK,
        None => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let mut destinations = health::names(&app.pool, None).await?;
    destinations.extend(app.lanes.iter().map(|lane| lane.name().to_owned()));
    destinations.sort();
    destinations.dedup();
    let ask = Ask {
        nav: Nav::of(&app.pool, person, "deliveries").await?,
        form,
        destinations,
        found,
    };
    page(status, &ask)
}

pub async fn all(
    State(app): State<App>,
    person: Person,
    Form(mut form): Form<Window>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let Some((from, to)) = form.read(now) else {
        return show(&app, person, form).await;
    };
    let choice = Replay::Dead {
        destination: form.destination().map(str::to_owned),
        from,
        to,
    };
    let count = api::again(&app.pool, choice, &person.actor(), now).await?;
    wake(&app);
    let query = [
        ("state", Some("waiting".to_owned())),
        ("destination", form.destination().map(str::to_owned)),
        ("done", Some("replayed".to_owned())),
        ("count", Some(count.to_string())),
    ];
    Ok(Redirect::to(&address("/deliveries", &query)).into_response())
}
