//! What the overview asks the database. Every query is short for one page of stations, however large the fleet; only
//! counting and ordering look at all of `devices`.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::receive::event::number;
use crate::web::series::shape;

/// As `station_states` has them, the most pressing first; and `unheard`, of which nothing bad is known and nothing at all
/// was heard for long: nobody can say that it is normal.
pub const STATES: [&str; 6] = [
    "firing",
    "silent",
    "recovering",
    "pending",
    "unheard",
    "normal",
];
/// Long after `watch` would have told of a silence, if it expected anything of the station.
const UNHEARD: TimeDelta = TimeDelta::days(7);

/// A station that was last seen before this, and is in no other state, is unheard.
pub fn unheard_before(now: DateTime<Utc>) -> DateTime<Utc> {
    now - UNHEARD
}

/// How many stations are in which state.
#[derive(Debug, Default)]
pub struct Counts {
    pub firing: i64,
    pub silent: i64,
    pub recovering: i64,
    pub pending: i64,
    pub unheard: i64,
    pub normal: i64,
}

impl Counts {
    pub fn all(&self) -> i64 {
        STATES.iter().map(|state| self.of(state)).sum()
    }

    pub fn of(&self, state: &str) -> i64 {
        match state {
            "firing" => self.firing,
            "silent" => self.silent,
            "recovering" => self.recovering,
            "pending" => self.pending,
            "unheard" => self.unheard,
            "normal" => self.normal,
            _ => 0,
        }
    }
}

/// Which stations to show.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Somewhere in name, uid, place or fleet; empty for all.
    pub text: &'a str,
    pub state: Option<&'a str>,
}

/// Of all stations, and of those that the search finds.
pub async fn counts(
    pool: &PgPool,
    text: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<(Counts, Counts)> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN s.state = 'normal' AND d.last_seen < $2 THEN 'unheard' ELSE s.state END AS "state!", count(*) AS "total!",
                  count(*) FILTER (WHERE $1 = '' OR position(lower($1) IN lower(concat_ws(' ', d.serial_number, d.uid, d.best_location, array_to_string(d.fleets, ' ')))) > 0) AS "matching!"
             FROM devices AS d JOIN station_states AS s ON s.device = d.uid GROUP BY 1"#,
        text,
        unheard_before(now)
    )
    .fetch_all(pool)
    .await?;
    let of = |state: &str, matching: bool| {
        let row = rows.iter().find(|row| row.state == state);
        row.map_or(0, |row| if matching { row.matching } else { row.total })
    };
    let counts = |matching: bool| Counts {
        firing: of("firing", matching),
        silent: of("silent", matching),
        recovering: of("recovering", matching),
        pending: of("pending", matching),
        unheard: of("unheard", matching),
        normal: of("normal", matching),
    };
    Ok((counts(false), counts(true)))
}

/// Deliveries that were given up.
pub async fn dead(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"SELECT count(*) AS "dead!" FROM delivery_states WHERE state = 'dead'"#)
        .fetch_one(pool)
        .await
}

/// A station as it is now.
#[derive(Debug)]
pub struct Found {
    pub uid: String,
    pub serial_number: Option<String>,
    pub product: Option<String>,
    pub fleets: Vec<String>,
    pub last_seen: DateTime<Utc>,
    pub best_location: Option<String>,
    pub voltage: Option<f64>,
    pub bars: Option<i32>,
    pub rssi: Option<i32>,
    pub state: String,
    pub silent: bool,
    pub acknowledged_by: Option<String>,
    pub anomaly: Option<f64>,
    /// Of the note that told the anomaly score.
    pub body: Option<Value>,
    /// Of its newest picture.
    pub event_uid: Option<String>,
    pub frame_max: Option<f32>,
}

impl Found {
    pub fn name(&self) -> &str {
        self.serial_number.as_deref().unwrap_or(&self.uid)
    }

    /// The scores of the newest note, anomaly first.
    pub fn scores(&self) -> Vec<(String, f64)> {
        let told = self.body.as_ref().and_then(Value::as_object);
        let mut scores: Vec<(String, f64)> = told
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.clone(), number(value)?)))
            .filter(|(name, value)| name != "anomaly" && shape::is_score(name, *value))
            .take(8)
            .collect();
        scores.extend(self.anomaly.map(|value| ("anomaly".to_owned(), value)));
        scores.sort_by_key(|(name, _)| (shape::place(name), name.clone()));
        scores
    }

    /// In deg C.
    pub fn hottest(&self) -> Option<f64> {
        self.body.as_ref()?.get("max").and_then(number)
    }
}

/// The most pressing first, and then by name.
pub async fn page(
    pool: &PgPool,
    wanted: &Wanted<'_>,
    skip: i64,
    most: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as!(
        Found,
        r#"SELECT d.uid, d.serial_number, d.product, d.fleets, d.last_seen, d.best_location, d.voltage, d.bars, d.rssi,
                  d.state AS "state!", d.silent AS "silent!", d.acknowledged_by, m.value AS "anomaly?", r.raw -> 'body' AS body,
                  f.event_uid AS "event_uid?", f.max_c AS "frame_max?"
             FROM (SELECT d.*, s.state, s.silent, s.acknowledged_by,
                          array_position('{firing,silent,recovering,pending,unheard,normal}', s.state) AS rank, coalesce(d.serial_number, d.uid) AS name
                     FROM devices AS d
                     JOIN (SELECT t.device, t.silent, t.acknowledged_by,
                                  CASE WHEN t.state = 'normal' AND u.last_seen < $5 THEN 'unheard' ELSE t.state END AS state
                             FROM station_states AS t JOIN devices AS u ON u.uid = t.device) AS s ON s.device = d.uid
                    WHERE ($1 = '' OR position(lower($1) IN lower(concat_ws(' ', d.serial_number, d.uid, d.best_location, array_to_string(d.fleets, ' ')))) > 0)
                      AND ($2::text IS NULL OR s.state = $2)
                    ORDER BY rank, name, d.uid LIMIT $3 OFFSET $4) AS d
             LEFT JOIN LATERAL (SELECT value, event_uid FROM measurements WHERE device = d.uid AND series = 'anomaly' ORDER BY at DESC LIMIT 1) AS m ON true
             LEFT JOIN received_events AS r ON r.uid = m.event_uid
             LEFT JOIN LATERAL (SELECT event_uid, max_c FROM frames WHERE device = d.uid ORDER BY at DESC, event_uid DESC LIMIT 1) AS f ON true
            ORDER BY d.rank, d.name, d.uid"#,
        wanted.text,
        wanted.state,
        most,
        skip,
        unheard_before(now)
    )
    .fetch_all(pool)
    .await
}

/// A point of a small curve.
#[derive(Debug)]
pub struct Point {
    pub device: String,
    pub series: String,
    /// Which half hour it is of those drawn.
    pub step: i32,
    pub value: f64,
}

/// The highest anomaly score of each half hour: what is hot for a minute is still there.
pub async fn peaks(
    pool: &PgPool,
    devices: &[String],
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Point>> {
    sqlx::query_as!(
        Point,
        r#"SELECT d.device AS "device!", 'anomaly' AS "series!", m.step AS "step!", m.value AS "value!"
             FROM unnest($1::text[]) AS d (device)
            CROSS JOIN LATERAL (
                  SELECT (date_part('epoch', m.at - $2)::integer / 1800) AS step, max(m.value) AS value FROM measurements AS m
                   WHERE m.device = d.device AND m.series = 'anomaly' AND m.at >= $2::timestamptz AND m.at < $3 GROUP BY 1) AS m
            ORDER BY d.device, m.step"#,
        devices as _,
        since,
        since + TimeDelta::hours(25)
    )
    .fetch_all(pool)
    .await
}

/// The newest of every two hours, of other scores: a dozen short looks, however often a station reports.
pub async fn samples(
    pool: &PgPool,
    devices: &[String],
    series: &[String],
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Point>> {
    sqlx::query_as!(
        Point,
        r#"SELECT d.device AS "device!", d.series AS "series!", (date_part('epoch', m.at - $3)::integer / 1800) AS "step!", m.value AS "value!"
             FROM unnest($1::text[], $2::text[]) AS d (device, series)
            CROSS JOIN generate_series(0, 24, 2) AS h (hour)
            CROSS JOIN LATERAL (
                  SELECT m.at, m.value FROM measurements AS m
                   WHERE m.device = d.device AND m.series = d.series AND m.at >= $3::timestamptz + h.hour * interval '1 hour' AND m.at < $3 + (h.hour + 2) * interval '1 hour'
                   ORDER BY m.at DESC LIMIT 1) AS m
            ORDER BY d.device, d.series, h.hour"#,
        devices as _,
        series as _,
        since
    )
    .fetch_all(pool)
    .await
}
