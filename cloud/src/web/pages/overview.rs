//! All stations at a glance, the most pressing first: a verdict, and what each station is like now.
//!
//! A small fleet is shown as cards, a large one as rows, a page at a time; searching and choosing are plain links and a
//! form, so they work without any script. `fleet` has the queries, `spark` draws the small curves (pure).

/// The queries.
pub mod fleet;
/// Small curves (pure).
mod spark;

use std::fmt::Write;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::{Nav, page, segment};
use crate::App;
use crate::config::Threshold;
use crate::error::Error;
use crate::web::frames;
use crate::web::person::Person;
use crate::web::series::shape;
use fleet::{Counts, Found};

/// Stations on one page. Up to so many are shown as cards.
pub const PAGE: i64 = 48;
/// What is drawn of a station.
const DRAWN: TimeDelta = TimeDelta::hours(24);
/// Dots along each pixel of a picture: a few hundred bytes for a row, some thousand for a card.
const SMALL: u32 = 1;
const LARGER: u32 = 4;

#[derive(Debug, Default, Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    page: Option<i64>,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    nav: Nav,
    verdict: String,
    all: Counts,
    matching: Counts,
    dead: i64,
    search: Search,
    stations: Vec<Station>,
    dense: bool,
    number: i64,
    pages: i64,
    now: DateTime<Utc>,
    public_url: String,
}

struct Station {
    found: Found,
    href: String,
    scores: Vec<Score>,
    hottest: Option<String>,
    picture: Option<Picture>,
    spark: spark::Spark,
}

struct Score {
    name: String,
    value: String,
}

struct Picture {
    png: String,
    hottest: String,
}

pub async fn overview(
    State(app): State<App>,
    person: Person,
    Query(search): Query<Search>,
) -> Result<Response, Error> {
    let now = app.clock.now();
    let state = fleet::STATES
        .contains(&search.state.as_str())
        .then_some(search.state.as_str());
    let wanted = fleet::Wanted {
        text: search.q.trim(),
        state,
    };
    let number = search.page.unwrap_or(1).clamp(1, 1_000_000);
    let (nav, (all, matching), dead, found) = tokio::try_join!(
        Nav::of(&app.pool, person, "overview"),
        fleet::counts(&app.pool, wanted.text, now),
        fleet::dead(&app.pool),
        fleet::page(&app.pool, &wanted, (number - 1) * PAGE, PAGE, now),
    )?;
    let shown = state.map_or(matching.all(), |state| matching.of(state));
    let dense = all.all() > PAGE;
    let stations = told(&app, found, now, dense).await?;
    let public = app.config.server.public_url.as_ref();
    let overview = Overview {
        nav,
        verdict: verdict(&all),
        dead,
        stations,
        dense,
        number,
        pages: (shown + PAGE - 1) / PAGE,
        all,
        matching,
        search,
        now,
        public_url: public.map_or_else(
            || "https://YOUR-ADDRESS".into(),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        ),
    };
    page(StatusCode::OK, &overview)
}

async fn told(
    app: &App,
    found: Vec<Found>,
    now: DateTime<Utc>,
    dense: bool,
) -> Result<Vec<Station>, Error> {
    let since = spark::start(now - DRAWN);
    let mut wanted = (Vec::new(), Vec::new());
    let scores: Vec<_> = found.iter().map(Found::scores).collect();
    for (one, scores) in found.iter().zip(&scores) {
        for (name, _) in scores.iter().filter(|(name, _)| name != "anomaly") {
            wanted.0.push(one.uid.clone());
            wanted.1.push(name.clone());
        }
    }
    let uids: Vec<_> = found.iter().map(|one| one.uid.clone()).collect();
    let (peaks, samples) = tokio::try_join!(
        fleet::peaks(&app.pool, &uids, since),
        fleet::samples(&app.pool, &wanted.0, &wanted.1, since),
    )?;
    let stations = found.into_iter().zip(scores).map(|(one, scores)| {
        let limit = app.processor.plan.rules.iter().find_map(|rule| {
            let concerned = rule.scope.concerns(
                &one.uid,
                one.serial_number.as_deref(),
                &one.fleets,
                one.product.as_deref().unwrap_or_default(),
            );
            let about = shape::series_of(&rule.config.value.text) == Some("anomaly");
            match rule.config.fire {
                Threshold::Above(limit) if concerned && about => Some(limit),
                _ => None,
            }
        });
        let spark = spark::draw(&one.uid, &scores, &peaks, &samples, limit);
        let scale = if dense { SMALL } else { LARGER };
        let mark = if dense { "&mark=false" } else { "" };
        Station {
            href: format!("/stations/{}", segment(&one.uid)),
            hottest: one.hottest().map(|celsius| format!("{celsius:.1}")),
            picture: one.event_uid.as_ref().map(|event| Picture {
                png: format!("{}.png?scale={scale}{mark}", frames::link(&one.uid, event)),
                hottest: one
                    .frame_max
                    .map_or_else(String::new, |max| format!("{max:.1}")),
            }),
            scores: scores
                .into_iter()
                .map(|(name, value)| Score {
                    name,
                    value: format!("{value:.2}"),
                })
                .collect(),
            spark,
            found: one,
        }
    });
    Ok(stations.collect())
}

/// What is to be known within a second.
fn verdict(all: &Counts) -> String {
    let mut text = String::new();
    for (state, count) in [
        ("firing", all.firing),
        ("silent", all.silent),
        ("recovering", all.recovering),
        ("pending", all.pending),
    ] {
        if count > 0 {
            let _ = write!(
                text,
                "{}{count} {state}",
                if text.is_empty() { "" } else { ", " }
            );
        }
    }
    match (text.is_empty(), all.all()) {
        (true, 0) => "No station yet".into(),
        (true, _) => "All quiet".into(),
        (false, _) => text,
    }
}

impl Overview {
    fn worst(&self) -> &'static str {
        match &self.all {
            all if all.firing > 0 => "firing",
            all if all.silent > 0 => "silent",
            all if all.recovering + all.pending > 0 => "pending",
            _ => "normal",
        }
    }

    /// The address of this page with something else chosen.
    fn link(&self, state: &str, page: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.search.q.is_empty() {
            query.append_pair("q", &self.search.q);
        }
        if !state.is_empty() {
            query.append_pair("state", state);
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        match query.finish() {
            query if query.is_empty() => "/".into(),
            query => format!("/?{query}"),
        }
    }

    /// What to choose from: the word of the state, empty for all, what people read, and how many there are.
    fn choices(&self) -> Vec<(&'static str, &'static str, i64)> {
        let mut choices = vec![("", "All", self.matching.all())];
        let labels = [
            "Firing",
            "Silent",
            "Recovering",
            "Pending",
            "Not heard",
            "Normal",
        ];
        let states = fleet::STATES.iter().zip(labels);
        choices.extend(states.map(|(state, label)| (*state, label, self.matching.of(state))));
        choices.retain(|(state, _, count)| {
            state.is_empty() || *count > 0 || *state == self.search.state
        });
        choices
    }
}

impl Station {
    fn score(&self, name: &str) -> Option<&str> {
        let score = self.scores.iter().find(|score| score.name == name)?;
        Some(&score.value)
    }

    fn signal(&self) -> Option<String> {
        match (self.found.bars, self.found.rssi) {
            (Some(bars), _) => Some(format!("{bars} of 4 bars")),
            (None, Some(rssi)) => Some(format!("{rssi} dBm")),
            (None, None) => None,
        }
    }

    fn voltage(&self) -> Option<String> {
        self.found.voltage.map(|volts| format!("{volts:.2} V"))
    }
}
