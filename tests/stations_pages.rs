//! The overview and the page of a station, and the series, pictures and downloads behind them.

mod charts;
mod downloads;
mod overview;
mod station;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::process::rollup;
use tower::ServiceExt as _;

use crate::support::app::{PEOPLE, TestApp};

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("text")
    }
}

/// As a browser asks, which takes gzip, or as a script.
pub async fn fetch(app: &TestApp, path: &str, packed: bool) -> Answer {
    let mut request = Request::get(path).header("authorization", format!("Bearer {PEOPLE}"));
    if packed {
        request = request.header("accept-encoding", "gzip");
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = app
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    Answer {
        status,
        headers,
        body: body.to_vec(),
    }
}

/// A page that must be there.
pub async fn page(app: &TestApp, path: &str) -> String {
    let answer = fetch(app, path, false).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.text()
}

pub async fn run(app: &TestApp, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()))
        .execute(&app.pool)
        .await
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

/// Stations `dev:1` to `dev:N`, called `boiler-0001` and so on, the first sixty with scores of the last hours, as they are
/// after processing.
pub async fn fleet(app: &TestApp, stations: u32, hours: u32) {
    fleet_every(app, stations, hours, 5).await;
}

pub async fn fleet_every(app: &TestApp, stations: u32, hours: u32, minutes: u32) {
    let now = app.now().to_rfc3339();
    run(
        app,
        &format!(
            "INSERT INTO devices (uid, serial_number, product, fleets, first_seen, last_seen, best_location, voltage, bars)
             SELECT 'dev:' || n, 'boiler-' || lpad(n::text, 4, '0'), 'product:com.example:thermal', '{{fleet:north}}',
                    '{now}'::timestamptz - interval '400 days', '{now}'::timestamptz - interval '3 min', 'Shorewood Hills WI', 3.9, 3
               FROM generate_series(1, {stations}) AS n;
             INSERT INTO received_events (uid, device, file, captured_at, captured_from, received_at, stored_at, raw)
             SELECT 'newest-' || uid, uid, 'thermal.qo', '{now}'::timestamptz - interval '5 min', 'when', '{now}', '{now}',
                    '{{\"body\":{{\"anomaly\":0.12,\"cold\":0.2,\"warm\":0.3,\"hot\":0.5,\"max\":61.5,\"mean\":30,\"v\":1}}}}'
               FROM devices;
             INSERT INTO measurements (device, series, at, value, event_uid)
             SELECT d.uid, s.name, t, s.value, 'newest-' || d.uid
               FROM (SELECT uid FROM devices ORDER BY serial_number LIMIT 60) AS d, (VALUES ('anomaly', 0.12), ('cold', 0.2), ('warm', 0.3), ('hot', 0.5), ('max', 61.5), ('mean', 30)) AS s (name, value),
                    generate_series('{now}'::timestamptz - interval '{hours} hours', '{now}'::timestamptz - interval '{minutes} min', interval '{minutes} min') AS t;
             INSERT INTO measurement_days_due
             SELECT shard_of(uid), uid, day::date, '{now}' FROM devices, generate_series('{now}'::timestamptz - interval '{hours} hours', '{now}'::timestamptz, interval '1 day') AS day
             ON CONFLICT DO NOTHING"
        ),
    )
    .await;
}

/// Brings all days that are over up to date.
pub async fn shortened(app: &TestApp, now: DateTime<Utc>) -> usize {
    let mut days = 0;
    loop {
        match rollup::tick(&app.pool, now)
            .await
            .expect("days are shortened")
        {
            0 => return days,
            count => days += count,
        }
    }
}

pub fn ago(app: &TestApp, hours: i64) -> String {
    (app.now() - TimeDelta::hours(hours))
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
