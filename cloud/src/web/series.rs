//! Series of a station over time, as charts want them: `GET /api/v1/devices/{uid}/series`.
//!
//! Whatever the range, an answer has about as many points as were asked for. Each tells lowest, mean and highest of its
//! step, so a peak of one measurement in a year is still in the chart, and a null stands where the station was not heard.
//! `read` has the queries, `shape` what is decided about steps and gaps (pure).

/// The queries.
pub mod read;
/// Steps, gaps and which series are scores (pure).
pub mod shape;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::App;
use crate::config::Threshold;
use crate::error::Error;
use crate::process::plan::{Plan, Rule};
use read::Station;

const USUAL_POINTS: i64 = 500;
const MOST_POINTS: i64 = 2_000;
/// A station has a dozen; an answer stays small whatever somebody asks for.
const MOST_SERIES: usize = 24;
const MOST_INCIDENTS: i64 = 200;
/// Of deg C, which charts show beside the scores.
pub const TEMPERATURES: [&str; 2] = ["max", "mean"];

/// What to show of a station.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// From when on: RFC 3339, or a date or `2026-03-01T12:00` in UTC. By default 24 hours before `to`.
    pub from: Option<String>,
    /// Until when, exclusive. By default now.
    pub to: Option<String>,
    /// Names separated by commas. By default the scores, `max` and `mean`.
    pub series: Option<String>,
    /// About how many points a series should have, 10 to 2000; 500 by default.
    pub points: Option<i64>,
}

/// Series of one station and one range.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesAnswer {
    pub device: String,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// What one point stands for. The first and the last step are whole, so they may begin before `from` and end after `to`.
    pub step_seconds: i64,
    pub series: Vec<Line>,
    /// The rules that watch this station and compare one of its series with a limit.
    pub limits: Vec<Limit>,
    /// The incidents that were open at some time of the range, newest first.
    pub incidents: Vec<Band>,
}

/// One series. The lists are of one length; a null is where the station was not heard.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Line {
    pub name: String,
    /// Unix seconds.
    pub at: Vec<i64>,
    /// The mean of each step.
    pub mean: Vec<Option<f64>>,
    /// The lowest of each step; absent if every step holds one measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<Vec<Option<f64>>>,
    /// The highest of each step; absent if every step holds one measurement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<Vec<Option<f64>>>,
}

/// Where a rule fires and clears.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Limit {
    pub rule: String,
    pub severity: &'static str,
    /// The series that it compares.
    pub series: String,
    /// `above` or `below`: on which side of `fire` it fires.
    pub side: &'static str,
    pub fire: f64,
    pub clear: f64,
}

/// An incident as a span of time.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct Band {
    pub id: i64,
    pub rule: String,
    pub severity: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub peak_value: f64,
    pub acknowledged_by: Option<String>,
}

/// Series of a station over time, downsampled.
#[utoipa::path(get, path = "/api/v1/devices/{uid}/series", tag = "Stations", operation_id = "getSeries",
    params(("uid" = String, Path, description = "The device's uid"), Which),
    responses((status = 200, description = "The points of each series", body = SeriesAnswer), (status = 404, description = "No such device"), (status = 422, description = "A range or a number that cannot be")))]
pub async fn series(
    State(app): State<App>,
    Path(device): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, Error> {
    let station = Station::find(&app.pool, &device)
        .await?
        .ok_or(Error::NotFound("device"))?;
    let (from, to) = range(which.from.as_deref(), which.to.as_deref(), app.clock.now())?;
    let points = which.points.unwrap_or(USUAL_POINTS);
    if !(10..=MOST_POINTS).contains(&points) {
        return Err(Error::Unprocessable(format!(
            "`points` is a number from 10 to {MOST_POINTS}"
        )));
    }
    let names = match &which.series {
        Some(names) => named(names)?,
        None => usual(&read::latest(&app.pool, &device).await?),
    };
    let answer = answer(&app, &station, names, (from, to), points).await?;
    Ok(([(header::CACHE_CONTROL, "private, no-cache")], Json(answer)).into_response())
}

/// Also what the page of a station draws without any script.
pub async fn answer(
    app: &App,
    station: &Station,
    names: Vec<String>,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    points: i64,
) -> Result<SeriesAnswer, Error> {
    let step = shape::step(to - from, points);
    let (buckets, incidents) = tokio::try_join!(
        read::buckets(&app.pool, &station.uid, &names, (from, to), step),
        bands(&app.pool, &station.uid, (from, to)),
    )?;
    Ok(SeriesAnswer {
        device: station.uid.clone(),
        from,
        to,
        step_seconds: step.num_seconds(),
        series: shape::lines(names, &buckets, step),
        limits: limits(&app.processor.plan, station),
        incidents,
    })
}

/// Scores first, and then what is in deg C.
pub fn usual(latest: &[read::Latest]) -> Vec<String> {
    let mut names = shape::scores(
        latest
            .iter()
            .map(|one| (one.series.as_str(), one.value, one.at)),
    );
    let known = |name: &&str| latest.iter().any(|one| one.series == *name);
    names.extend(
        TEMPERATURES
            .iter()
            .copied()
            .filter(known)
            .map(str::to_owned),
    );
    names.truncate(MOST_SERIES);
    names
}

pub fn named(names: &str) -> Result<Vec<String>, Error> {
    let mut list: Vec<_> = names
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    list.dedup();
    if list.is_empty() || list.len() > MOST_SERIES {
        return Err(Error::Unprocessable(format!(
            "`series` is 1 to {MOST_SERIES} names separated by commas"
        )));
    }
    Ok(list)
}

/// From when until when.
pub fn range(
    from: Option<&str>,
    to: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(DateTime<Utc>, DateTime<Utc>), Error> {
    let read = |name: &str, text: Option<&str>| match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => shape::moment(text).map(Some).ok_or_else(|| {
            Error::Unprocessable(format!(
                "`{name}` is a time such as 2026-03-01T12:00:00Z, or a date"
            ))
        }),
    };
    let to = read("to", to)?.unwrap_or(now);
    let from = match read("from", from)? {
        Some(from) => from,
        None => to - TimeDelta::hours(24),
    };
    if from >= to || to - from > TimeDelta::days(36_525) {
        return Err(Error::Unprocessable(
            "`from` is before `to`, and a century at most".into(),
        ));
    }
    Ok((from, to))
}

/// Whether the rule watches the station, whatever the notefile.
pub fn watches(rule: &Rule, station: &Station) -> bool {
    rule.scope.concerns(
        &station.uid,
        station.serial_number.as_deref(),
        &station.fleets,
        station.product.as_deref().unwrap_or_default(),
    )
}

/// Only of rules whose value is a number of the body as it is: those can be drawn over its series.
fn limits(plan: &Plan, station: &Station) -> Vec<Limit> {
    let rules = plan.rules.iter().filter(|rule| watches(rule, station));
    rules
        .filter_map(|rule| {
            let series = shape::series_of(&rule.config.value.text)?;
            let (side, fire) = match rule.config.fire {
                Threshold::Above(limit) => ("above", limit),
                Threshold::Below(limit) => ("below", limit),
            };
            Some(Limit {
                rule: rule.config.name.clone(),
                severity: rule.config.severity.word(),
                series: series.to_owned(),
                side,
                fire,
                clear: rule.config.clear,
            })
        })
        .collect()
}

async fn bands(
    pool: &PgPool,
    device: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
) -> sqlx::Result<Vec<Band>> {
    sqlx::query_as!(
        Band,
        "SELECT id, rule, severity, opened_at, resolved_at, peak_value, acknowledged_by FROM incidents
          WHERE device = $1 AND opened_at < $3 AND (resolved_at IS NULL OR resolved_at > $2)
          ORDER BY opened_at DESC LIMIT $4",
        device,
        from,
        to,
        MOST_INCIDENTS
    )
    .fetch_all(pool)
    .await
}
