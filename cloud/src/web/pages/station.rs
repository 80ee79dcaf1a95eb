//! One station: what it is like now, its scores and temperatures over time, its pictures, its health, and what it sent.
//!
//! The range is in the address, so what somebody looks at can be sent to somebody else. The charts are drawn here as plain
//! SVG with the numbers as a table; the script (`static/station.js`) puts ones to zoom in their place. `facts` has the
//! queries, `range` the ranges and `chart` the drawing (pure), `events` the pages of raw events.

/// Charts without any script (pure).
pub mod chart;
/// Raw events.
pub mod events;
/// The queries.
mod facts;
/// Which time is shown (pure).
mod range;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::{Nav, is_silence, page, rules, segment};
use crate::App;
use crate::config::Threshold;
use crate::error::Error;
use crate::web::person::Person;
use crate::web::series::read::{self, Latest};
use crate::web::series::{self, SeriesAnswer, TEMPERATURES};
use chart::{Chart, Row};
use range::{Range, View};

/// How finely the charts without script are drawn.
const POINTS: i64 = 160;

#[derive(Template)]
#[template(path = "station.html")]
struct Page {
    nav: Nav,
    now: DateTime<Utc>,
    device: facts::Device,
    /// The part of addresses that is this station's.
    uid: String,
    range: Range,
    scores: Vec<String>,
    temperatures: Vec<String>,
    answer: SeriesAnswer,
    charts: [Chart; 2],
    rows: Vec<Row>,
    rules: Vec<Watching>,
    open: Vec<facts::Open>,
    frames: Vec<facts::Picture>,
    /// Which of `frames` is shown large.
    shown: usize,
    older_frames: Option<String>,
    health: Option<facts::Health>,
    latest: Vec<Latest>,
    events: Vec<facts::Event>,
}

/// A rule that watches the station, in words.
struct Watching {
    name: String,
    severity: &'static str,
    value: String,
    fire: String,
    clear: f64,
    /// Instead of value and limits, where it judges no note.
    words: Option<String>,
}

pub async fn station(
    State(app): State<App>,
    person: Person,
    Path(uid): Path<String>,
    Query(view): Query<View>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let device = facts::device(&app.pool, &uid, app.clock.now())
        .await?
        .ok_or(Error::NotFound("station"))?;
    let latest = read::latest(&app.pool, &uid).await?;
    let names = series::usual(&latest);
    let range = match view.range.as_deref() {
        Some("all") => {
            let earliest = read::earliest(&app.pool, &uid, &names).await?;
            Range::all(earliest.unwrap_or(device.first_seen), now)
        }
        _ => Range::of(&view, now)?,
    };
    let station = device.station();
    let span = (range.from, range.to);
    let (nav, answer, open, frames, health, events) = tokio::try_join!(
        async { Ok(Nav::of(&app.pool, person, "overview").await?) },
        series::answer(&app, &station, names.clone(), span, POINTS),
        async { Ok(facts::open(&app.pool, &uid).await?) },
        async { Ok(facts::pictures(&app.pool, &uid, span, view.frame.as_deref()).await?) },
        async { Ok(facts::health(&app.pool, &uid).await?) },
        async { Ok(facts::events(&app.pool, &uid, None, facts::FEW).await?) },
    )?;
    let (temperatures, scores): (Vec<_>, Vec<_>) = names
        .into_iter()
        .partition(|name| TEMPERATURES.contains(&name.as_str()));
    let shown = view.frame.as_deref().and_then(|frame| {
        let place = |one: &facts::Picture| one.event_uid == frame;
        frames.iter().position(place)
    });
    let page_of_station = Page {
        charts: [
            Chart::draw(&answer, &scores, Some((0.0, 1.0))),
            Chart::draw(&answer, &temperatures, None),
        ],
        rows: chart::rows(&answer, &latest),
        rules: watching(&app, &station),
        older_frames: facts::older(&frames, &range),
        uid: segment(&uid),
        nav,
        now,
        device,
        range,
        scores,
        temperatures,
        answer,
        open,
        shown: shown.unwrap_or(0),
        frames,
        health,
        latest,
        events,
    };
    page(StatusCode::OK, &page_of_station)
}

fn watching(app: &App, station: &read::Station) -> Vec<Watching> {
    let rules = app.processor.plan.watched();
    let ours = rules.filter(|rule| series::watches(rule, station));
    ours.map(|rule| Watching {
        name: rule.config.name.clone(),
        severity: rule.config.severity.word(),
        value: rule.config.value.text.clone(),
        fire: match rule.config.fire {
            Threshold::Above(limit) => format!("above {limit}"),
            Threshold::Below(limit) => format!("below {limit}"),
        },
        clear: rule.config.clear,
        words: is_silence(&rule.config.name).then(|| rules::silent_when(&app.config.watch)),
    })
    .collect()
}

impl Page {
    fn link(&self) -> String {
        format!("/stations/{}", self.uid)
    }

    /// Where downloads of this range are.
    fn download(&self, what: &str) -> String {
        format!(
            "/api/v1/devices/{}/{what}.csv?{}",
            self.uid,
            self.range.query()
        )
    }

    /// Where downloads of everything are.
    fn download_all(&self, what: &str) -> String {
        format!("/api/v1/devices/{}/{what}.csv?from=2000-01-01", self.uid)
    }

    fn newest(&self, name: &str) -> Option<f64> {
        let one = self.latest.iter().find(|one| one.series == name)?;
        Some(one.value)
    }

    /// How finely the table looks.
    fn step(&self) -> String {
        facts::lasting(std::time::Duration::from_secs(
            self.answer.step_seconds.unsigned_abs(),
        ))
    }

    /// A map that the browser opens only when somebody asks for it.
    fn map(&self) -> Option<String> {
        let (lat, lon) = (self.device.best_lat?, self.device.best_lon?);
        Some(format!(
            "https://www.openstreetmap.org/?mlat={lat:.5}&mlon={lon:.5}#map=15/{lat:.5}/{lon:.5}"
        ))
    }

    fn frame_link(&self, frame: &facts::Picture) -> String {
        format!(
            "{}?{}&frame={}#pictures",
            self.link(),
            self.range.same(),
            segment(&frame.event_uid)
        )
    }

    fn is_empty(&self) -> bool {
        self.answer.series.iter().all(|line| line.at.is_empty())
    }

    /// The last moment that there is something of, if it is not in the range.
    fn last(&self) -> Option<(DateTime<Utc>, String)> {
        let names = || self.scores.iter().chain(&self.temperatures);
        let ours = self
            .latest
            .iter()
            .filter(|one| names().any(|name| *name == one.series));
        let last = ours.map(|one| one.at).max()?;
        Some((last, format!("{}?{}", self.link(), range::day_before(last))))
    }
}

/// The colours of pictures from the coldest to the hottest, at per cents of the way.
fn colours() -> impl Iterator<Item = (usize, String)> {
    (0..=8).map(|step| {
        let (red, green, blue) = colorous::INFERNO.eval_rational(step, 9).as_tuple();
        (step * 100 / 8, format!("#{red:02x}{green:02x}{blue:02x}"))
    })
}
