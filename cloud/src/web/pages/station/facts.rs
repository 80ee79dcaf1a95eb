//! What the page of a station asks the database, each by an index that leads with the device.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use super::range::Range;
use crate::receive::event::number;
use crate::web::frames;
use crate::web::pages::overview::fleet::unheard_before;
use crate::web::series::read::Station;

/// Pictures in the strip.
const PICTURES: i64 = 60;
/// Events on the page of a station.
pub const FEW: i64 = 8;
/// Events on a page of their own.
pub const MANY: i64 = 50;

#[derive(Debug)]
pub struct Device {
    pub uid: String,
    pub serial_number: Option<String>,
    pub product: Option<String>,
    pub fleets: Vec<String>,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
    pub best_lat: Option<f64>,
    pub best_lon: Option<f64>,
    pub best_location: Option<String>,
    pub best_timezone: Option<String>,
    pub voltage: Option<f64>,
    pub voltage_at: Option<DateTime<Utc>>,
    pub bars: Option<i32>,
    pub rssi: Option<i32>,
    pub signal_at: Option<DateTime<Utc>>,
    pub state: String,
    pub silent: bool,
    pub acknowledged_by: Option<String>,
}

impl Device {
    pub fn station(&self) -> Station {
        Station {
            uid: self.uid.clone(),
            serial_number: self.serial_number.clone(),
            product: self.product.clone(),
            fleets: self.fleets.clone(),
        }
    }

    pub fn name(&self) -> &str {
        self.serial_number.as_deref().unwrap_or(&self.uid)
    }
}

pub async fn device(pool: &PgPool, uid: &str, now: DateTime<Utc>) -> sqlx::Result<Option<Device>> {
    sqlx::query_as!(
        Device,
        r#"SELECT d.uid, d.serial_number, d.product, d.fleets, d.first_seen, d.last_seen, d.best_lat, d.best_lon, d.best_location,
                  d.best_timezone, d.voltage, d.voltage_at, d.bars, d.rssi, d.signal_at,
                  CASE WHEN s.state = 'normal' AND d.last_seen < $2 THEN 'unheard' ELSE s.state END AS "state!", s.silent AS "silent!", s.acknowledged_by
             FROM devices AS d JOIN station_states AS s ON s.device = d.uid WHERE d.uid = $1"#,
        uid,
        unheard_before(now)
    )
    .fetch_optional(pool)
    .await
}

/// An incident that is open.
#[derive(Debug)]
pub struct Open {
    pub id: i64,
    pub rule: String,
    pub severity: String,
    pub opened_at: DateTime<Utc>,
    pub peak_value: f64,
    pub acknowledged_by: Option<String>,
}

pub async fn open(pool: &PgPool, device: &str) -> sqlx::Result<Vec<Open>> {
    sqlx::query_as!(
        Open,
        "SELECT id, rule, severity, opened_at, peak_value, acknowledged_by FROM incidents
          WHERE device = $1 AND resolved_at IS NULL ORDER BY opened_at DESC",
        device
    )
    .fetch_all(pool)
    .await
}

#[derive(Debug)]
pub struct Picture {
    pub at: DateTime<Utc>,
    pub event_uid: String,
    pub min_c: f32,
    pub max_c: f32,
    /// Where its temperatures are; with `.png` after it, how it looks.
    pub href: String,
}

impl Picture {
    pub fn range(&self) -> String {
        format!("{:.1} to {:.1} °C", self.min_c, self.max_c)
    }
}

/// Those of the range, newest first; with one that was asked for, those from that one on. Without any in the range, the
/// newest there are.
pub async fn pictures(
    pool: &PgPool,
    device: &str,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    asked: Option<&str>,
) -> sqlx::Result<Vec<Picture>> {
    let mut found = page_of_pictures(pool, device, Some(from), to).await?;
    let missing = asked.is_some_and(|asked| found.iter().all(|one| one.event_uid != asked));
    if missing {
        let at = sqlx::query_scalar!(
            "SELECT at FROM frames WHERE device = $1 AND event_uid = $2",
            device,
            asked
        )
        .fetch_optional(pool)
        .await?;
        if let Some(at) = at {
            // Up to and with this one.
            let end = at + chrono::TimeDelta::microseconds(1);
            found = page_of_pictures(pool, device, None, end).await?;
        }
    }
    if found.is_empty() {
        found = page_of_pictures(pool, device, None, DateTime::<Utc>::MAX_UTC.min(to)).await?;
        found.truncate(1);
    }
    Ok(found)
}

async fn page_of_pictures(
    pool: &PgPool,
    device: &str,
    from: Option<DateTime<Utc>>,
    to: DateTime<Utc>,
) -> sqlx::Result<Vec<Picture>> {
    let rows = sqlx::query!(
        "SELECT at, event_uid, min_c, max_c FROM frames WHERE device = $1 AND at >= coalesce($2::timestamptz, '-infinity') AND at < $3
          ORDER BY at DESC, event_uid DESC LIMIT $4",
        device,
        from,
        to,
        PICTURES
    )
    .fetch_all(pool)
    .await?;
    let pictures = rows.into_iter().map(|row| Picture {
        href: frames::link(device, &row.event_uid),
        at: row.at,
        event_uid: row.event_uid,
        min_c: row.min_c,
        max_c: row.max_c,
    });
    Ok(pictures.collect())
}

/// The address of what is older than a full strip.
pub fn older(frames: &[Picture], range: &Range) -> Option<String> {
    let full = frames.len() == usize::try_from(PICTURES).unwrap_or(usize::MAX);
    let last = frames.last().filter(|_| full)?;
    let end = last.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let from = range.from.min(last.at - chrono::TimeDelta::days(1));
    let from = from.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    Some(format!("from={from}&to={end}"))
}

/// What the newest sign of life says: names for people, and values.
#[derive(Debug)]
pub struct Health {
    pub at: DateTime<Utc>,
    pub event_uid: String,
    pub told: Vec<(String, String)>,
}

/// The agent's signs of life tell `up`, so its series leads to the newest. Those of others are looked for among the newest
/// events.
pub async fn health(pool: &PgPool, device: &str) -> sqlx::Result<Option<Health>> {
    let row = sqlx::query!(
        r#"SELECT m.at AS "at!", m.event_uid AS "event_uid!", r.raw -> 'body' AS body
             FROM (SELECT at, event_uid, 0 AS rank FROM (
                        SELECT at, event_uid FROM measurements WHERE device = $1 AND series = 'up' ORDER BY at DESC LIMIT 1) AS u
                   UNION ALL
                   SELECT at, event_uid, 1 FROM (
                        SELECT p.captured_at AS at, p.uid AS event_uid
                          FROM (SELECT captured_at, uid FROM processed_events WHERE device = $1 ORDER BY captured_at DESC, uid DESC LIMIT 400) AS p
                          JOIN received_events AS e ON e.uid = p.uid
                         WHERE e.file LIKE '%health.qo' AND jsonb_typeof(e.raw -> 'body') = 'object'
                         ORDER BY p.captured_at DESC LIMIT 1) AS h) AS m
             LEFT JOIN received_events AS r ON r.uid = m.event_uid
            ORDER BY m.rank LIMIT 1"#,
        device
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Health {
        at: row.at,
        event_uid: row.event_uid,
        told: row.body.as_ref().map(told).unwrap_or_default(),
    }))
}

/// Which note it is; that is told elsewhere, or to nobody.
const IDENTITY: [&str; 4] = ["v", "t", "seq", "boot"];
/// Fields of others that are shown.
const MOST_FIELDS: usize = 12;

/// How a field of the body is told; none if it tells nothing.
type Tell = fn(&Value) -> Option<String>;

/// What is known, in the order in which it is told; a field that is called in two ways is told once.
const FIELDS: [(&str, &str, Tell); 21] = [
    ("fault", "In trouble", yes),
    ("why", "Said because of", text),
    ("up", "Running for", running),
    ("uptime", "Running for", running),
    ("spool", "Notes that wait", whole),
    ("dropped", "Notes dropped", whole),
    ("rejected", "Pictures rejected", whole),
    ("moved", "Camera moved", moved),
    ("vdd", "Camera supply", volts),
    ("ta", "Camera temperature", celsius),
    ("volt", "Notecard supply", volts),
    ("voltage", "Supply", volts),
    ("temp", "Notecard temperature", celsius),
    ("temperature", "Temperature", celsius),
    ("model", "Model", text),
    ("every", "Reading every", running),
    ("interval", "Reading every", running),
    ("threshold", "Suspicious above", share),
    ("frames", "Pictures", text),
    ("clk", "Clock", text),
    ("clock", "Clock", text),
];

/// In words, as far as it is there and means something: what is known, and then what others add, by name.
fn told(body: &Value) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for (key, name, tell) in FIELDS {
        let value = body.get(key).and_then(tell);
        if told.iter().all(|(other, _)| other != name) {
            told.extend(value.map(|value| (name.to_owned(), value)));
        }
    }
    let known =
        |name: &str| IDENTITY.contains(&name) || FIELDS.iter().any(|(key, ..)| *key == name);
    let fields = body.as_object().into_iter().flatten();
    let plain = |value: &Value| !(value.is_object() || value.is_array() || value.is_null());
    let mut others: Vec<_> = fields
        .filter(|(name, value)| !known(name) && plain(value))
        .map(|(name, value)| {
            (
                name.clone(),
                text(value).unwrap_or_else(|| value.to_string()),
            )
        })
        .collect();
    others.sort();
    others.truncate(MOST_FIELDS);
    told.extend(others);
    told
}

fn text(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

fn yes(value: &Value) -> Option<String> {
    let is = value.as_bool().or_else(|| Some(number(value)? > 0.0))?;
    Some(if is { "yes" } else { "no" }.to_owned())
}

fn running(value: &Value) -> Option<String> {
    number(value).map(lasting_seconds)
}

fn whole(value: &Value) -> Option<String> {
    Some(format!("{:.0}", number(value)?))
}

fn share(value: &Value) -> Option<String> {
    Some(number(value)?.to_string())
}

fn moved(value: &Value) -> Option<String> {
    Some(match number(value)? {
        0.0 => "no".to_owned(),
        pixels => format!("by {pixels:.1} pixels"),
    })
}

/// The agent sends 0 for what it could not measure.
fn measured(value: &Value) -> Option<f64> {
    number(value).filter(|value| *value != 0.0)
}

fn volts(value: &Value) -> Option<String> {
    Some(format!("{:.2} V", measured(value)?))
}

fn celsius(value: &Value) -> Option<String> {
    Some(format!("{:.1} °C", measured(value)?))
}

/// A body's number of seconds.
fn lasting_seconds(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds);
    duration.map_or_else(|_| format!("{seconds} s"), lasting)
}

/// The two largest units of a time.
pub fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    let minutes = seconds / 60;
    match minutes {
        0 => format!("{seconds} s"),
        1..60 => format!("{minutes} min"),
        60..1_440 => two(minutes / 60, "h", minutes % 60, "min"),
        _ => two(minutes / 1_440, "d", minutes % 1_440 / 60, "h"),
    }
}

fn two(first: u64, unit: &str, rest: u64, smaller: &str) -> String {
    if rest == 0 {
        format!("{first} {unit}")
    } else {
        format!("{first} {unit} {rest} {smaller}")
    }
}

/// A line in a list of events.
#[derive(Debug)]
pub struct Event {
    pub uid: String,
    pub file: String,
    pub captured_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub errors: i64,
    pub repeat_of: Option<String>,
}

/// Newest first, those before a moment and uid.
pub async fn events(
    pool: &PgPool,
    device: &str,
    before: Option<(DateTime<Utc>, String)>,
    most: i64,
) -> sqlx::Result<Vec<Event>> {
    let (at, uid) = before.unzip();
    sqlx::query_as!(
        Event,
        r#"SELECT p.uid, r.file, p.captured_at, r.received_at, p.repeat_of,
                  (SELECT count(*) FROM event_errors AS e WHERE e.event_uid = p.uid) AS "errors!"
             FROM (SELECT uid, captured_at, repeat_of FROM processed_events
                    WHERE device = $1 AND (captured_at, uid) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::text, ''))
                    ORDER BY captured_at DESC, uid DESC LIMIT $4) AS p
             JOIN received_events AS r ON r.uid = p.uid
            ORDER BY p.captured_at DESC, p.uid DESC"#,
        device,
        at,
        uid,
        most
    )
    .fetch_all(pool)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_of_life_is_told_in_words() {
        let body = serde_json::json!({
            "up": 90_000, "spool": 3, "moved": 0, "vdd": 3.29, "ta": 0, "model": "boiler-7", "fault": 1, "why": "camera: no answer",
            "every": 300, "threshold": "0.7", "frames": 5, "unknown": true, "v": 1, "t": 1_772_000_000, "seq": 7, "boot": 2,
            "rejected": 2, "volt": 3.85,
        });
        let told: Vec<_> = told(&body)
            .into_iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        assert_eq!(
            told,
            [
                "In trouble: yes",
                "Said because of: camera: no answer",
                "Running for: 1 d 1 h",
                "Notes that wait: 3",
                "Pictures rejected: 2",
                "Camera moved: no",
                "Camera supply: 3.29 V",
                "Notecard supply: 3.85 V",
                "Model: boiler-7",
                "Reading every: 5 min",
                "Suspicious above: 0.7",
                "unknown: true",
            ]
        );
        assert_eq!(super::told(&Value::Null), []);
        let others = super::told(
            &serde_json::json!({ "text": "boot", "deep": {}, "voltage": 4.1, "uptime": 777_600, "t": 5 }),
        );
        assert_eq!(
            others,
            [
                ("Running for".into(), "9 d".into()),
                ("Supply".into(), "4.10 V".into()),
                ("text".into(), "boot".into()),
            ]
        );
    }
}
