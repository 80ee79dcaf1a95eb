//! Takes events off the queue, and writes what they measured.
//!
//! Owns `measurements`, `devices`, `processed_events`, `event_errors` and, with `receive`, `pending_events`.
//! Every insert is idempotent: an event that is processed again writes nothing twice.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use super::transform::TransformError;
use super::{Effects, Taken, rollup};
use crate::database;
use crate::receive::event::number;

/// How many shards one transaction may hold, of the 64 there are: enough for full batches, and some left for others.
const SHARDS_AT_ONCE: i64 = 16;

/// Takes the oldest pending events of some shards that nobody holds, in order of capture, and holds those shards until the
/// transaction ends.
pub async fn take(connection: &mut PgConnection, most: i64) -> sqlx::Result<Vec<Taken>> {
    let shards = sqlx::query_scalar!(
        r#"SELECT shard FROM process_shards AS s
            WHERE EXISTS (SELECT FROM pending_events AS p WHERE p.shard = s.shard)
            ORDER BY random() LIMIT $1 FOR UPDATE SKIP LOCKED"#,
        SHARDS_AT_ONCE.min(most),
    )
    .fetch_all(&mut *connection)
    .await?;
    if shards.is_empty() {
        return Ok(Vec::new());
    }
    // By their place in the table: that is found without a second look into an index however long the queue is, and no
    // plan made for a short queue can go wrong on a long one. A row that `replay` rewrites meanwhile stays for the next.
    let taken = sqlx::query!(
        r#"DELETE FROM pending_events WHERE ctid = ANY (ARRAY (
               SELECT p.ctid FROM unnest($1::smallint[]) AS s (shard)
                CROSS JOIN LATERAL (
                      SELECT q.ctid FROM pending_events AS q WHERE q.shard = s.shard ORDER BY q.captured_at, q.uid LIMIT $2) AS p))
           RETURNING uid, queued_at, again"#,
        &shards,
        (most / i64::try_from(shards.len()).unwrap_or(1)).max(1),
    )
    .fetch_all(&mut *connection)
    .await?;
    let uids: Vec<_> = taken.iter().map(|row| row.uid.as_str()).collect();
    let queued: HashMap<_, _> = taken.iter().map(|row| (row.uid.as_str(), row)).collect();
    let rows = sqlx::query!(
        r#"SELECT uid, device, file, captured_at, received_at, stored_at, raw::text AS "raw!" FROM received_events WHERE uid = ANY ($1)"#,
        &uids as _,
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut events: Vec<_> = rows
        .into_iter()
        .map(|row| Taken {
            // What was stored was read by the same reader before.
            value: serde_json::from_str(&row.raw).unwrap_or(Value::Null),
            repeat_of: None,
            again: queued.get(row.uid.as_str()).is_some_and(|row| row.again),
            queued_at: queued
                .get(row.uid.as_str())
                .map_or(row.stored_at, |row| row.queued_at),
            uid: row.uid,
            device: row.device,
            file: row.file,
            captured_at: row.captured_at,
            received_at: row.received_at,
            stored_at: row.stored_at,
            raw: row.raw,
        })
        .collect();
    events.sort_by(|a, b| (a.captured_at, &a.uid).cmp(&(b.captured_at, &b.uid)));
    Ok(events)
}

/// Puts events that were taken and not decided back into the queue.
pub async fn give_back(connection: &mut PgConnection, events: &[Taken]) -> sqlx::Result<()> {
    for event in events {
        sqlx::query!(
            "INSERT INTO pending_events (shard, captured_at, uid, queued_at, again) VALUES (shard_of($1), $2, $3, $4, $5)
             ON CONFLICT (shard, captured_at, uid) DO NOTHING",
            event.device,
            event.captured_at,
            event.uid,
            event.queued_at,
            event.again
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub async fn write(
    connection: &mut PgConnection,
    events: &[Taken],
    effects: &Effects,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    measurements(connection, events, effects, now)
        .await
        .context("writing measurements")?;
    devices(connection, events)
        .await
        .context("writing devices")?;
    power_and_signal(connection, events)
        .await
        .context("writing power and signal of devices")?;
    errors(connection, events, effects, now)
        .await
        .context("writing errors of events")?;
    processed(connection, events, now)
        .await
        .context("marking events as processed")
}

async fn measurements(
    connection: &mut PgConnection,
    events: &[Taken],
    effects: &Effects,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if effects.points.is_empty() {
        return Ok(());
    }
    let of = |event: &usize| &events[*event];
    let days: BTreeSet<_> = effects
        .points
        .iter()
        .map(|(event, _)| {
            (
                of(event).device.as_str(),
                of(event).captured_at.date_naive(),
            )
        })
        .collect();
    rollup::mark(connection, &days, now).await?;
    // In the order of the index, which is how it is filled fastest.
    let mut points: Vec<_> = effects
        .points
        .iter()
        .map(|(event, point)| (&events[*event], point))
        .collect();
    points.sort_by(|a, b| {
        (&a.0.device, &a.1.series, a.0.captured_at).cmp(&(
            &b.0.device,
            &b.1.series,
            b.0.captured_at,
        ))
    });
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (event, point) in points {
        columns.0.push(event.device.as_str());
        columns.1.push(point.series.as_str());
        columns.2.push(event.captured_at);
        columns.3.push(point.value);
        columns.4.push(event.uid.as_str());
    }
    sqlx::query!(
        r#"INSERT INTO measurements (device, series, at, value, event_uid)
           SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::float8[], $5::text[])
           ON CONFLICT DO NOTHING"#,
        &columns.0 as _,
        &columns.1 as _,
        &columns.2,
        &columns.3,
        &columns.4 as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the newest of its events says about a device.
async fn devices(connection: &mut PgConnection, events: &[Taken]) -> sqlx::Result<()> {
    let mut newest: BTreeMap<&str, (&Taken, DateTime<Utc>)> = BTreeMap::new();
    for event in events {
        newest
            .entry(&event.device)
            .and_modify(|(latest, first)| {
                *first = event.received_at.min(*first);
                if event.received_at >= latest.received_at {
                    *latest = event;
                }
            })
            .or_insert((event, event.received_at));
    }
    let described: Vec<Value> = newest
        .into_values()
        .map(|(event, first_seen)| {
            serde_json::json!({
                "uid": event.device, "serial_number": event.text("sn"), "product": event.text("product"), "fleets": event.fleets(),
                "first_seen": first_seen, "last_seen": event.received_at,
                "best_lat": event.value.get("best_lat").and_then(number), "best_lon": event.value.get("best_lon").and_then(number),
                "best_location": event.text("best_location"), "best_timezone": event.text("best_timezone"),
            })
        })
        .collect();
    sqlx::query!(
        r#"INSERT INTO devices AS d (uid, serial_number, product, fleets, first_seen, last_seen, best_lat, best_lon, best_location, best_timezone)
           SELECT uid, serial_number, product, fleets, first_seen, last_seen, best_lat, best_lon, best_location, best_timezone
             FROM jsonb_to_recordset($1) AS n (uid text, serial_number text, product text, fleets text[], first_seen timestamptz,
                  last_seen timestamptz, best_lat float8, best_lon float8, best_location text, best_timezone text)
           ON CONFLICT (uid) DO UPDATE SET
               first_seen = least(d.first_seen, excluded.first_seen),
               last_seen = greatest(d.last_seen, excluded.last_seen),
               -- Old notes that come late say nothing new, and a field that is absent was not cleared.
               serial_number = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.serial_number, d.serial_number) ELSE d.serial_number END,
               product = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.product, d.product) ELSE d.product END,
               fleets = CASE WHEN excluded.last_seen >= d.last_seen AND excluded.fleets <> '{}' THEN excluded.fleets ELSE d.fleets END,
               best_lat = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.best_lat, d.best_lat) ELSE d.best_lat END,
               best_lon = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.best_lon, d.best_lon) ELSE d.best_lon END,
               best_location = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.best_location, d.best_location) ELSE d.best_location END,
               best_timezone = CASE WHEN excluded.last_seen >= d.last_seen THEN coalesce(excluded.best_timezone, d.best_timezone) ELSE d.best_timezone END"#,
        Value::Array(described),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the Notecard says of its supply and its radio: sessions in the event itself, the agent in its health note.
async fn power_and_signal(connection: &mut PgConnection, events: &[Taken]) -> sqlx::Result<()> {
    let mut told: Vec<_> = events
        .iter()
        .filter(|event| event.repeat_of.is_none())
        .filter_map(|event| {
            let top = |key: &str| event.value.get(key).and_then(number);
            let session = event.file.ends_with("_session.qo");
            let voltage = if session {
                top("voltage")
            } else if event.file.ends_with("health.qo") {
                let body = event.value.get("body");
                body.and_then(|body| body.get("volt").and_then(number))
            } else {
                None
            };
            // What is not known travels as 0.
            let voltage = voltage.filter(|volts| *volts > 0.0 && *volts < 1e3);
            let whole = |key: &str| {
                top(key)
                    .filter(|value| session && value.abs() < 1e3)
                    .map(f64::round)
            };
            let (bars, rssi) = (whole("bars"), whole("rssi"));
            (voltage.is_some() || bars.is_some() || rssi.is_some())
                .then_some((event, voltage, bars, rssi))
        })
        .collect();
    told.sort_by_key(|(event, ..)| event.captured_at);
    for (event, voltage, bars, rssi) in told {
        sqlx::query!(
            "UPDATE devices SET
                 voltage = CASE WHEN $3::float8 IS NOT NULL AND $2 >= coalesce(voltage_at, '-infinity') THEN $3 ELSE voltage END,
                 voltage_at = CASE WHEN $3 IS NOT NULL THEN greatest(voltage_at, $2) ELSE voltage_at END,
                 bars = CASE WHEN $6 AND $2 >= coalesce(signal_at, '-infinity') THEN $4::float8::integer ELSE bars END,
                 rssi = CASE WHEN $6 AND $2 >= coalesce(signal_at, '-infinity') THEN $5::float8::integer ELSE rssi END,
                 signal_at = CASE WHEN $6 THEN greatest(signal_at, $2) ELSE signal_at END
              WHERE uid = $1",
            event.device,
            event.captured_at,
            voltage,
            bars,
            rssi,
            bars.is_some() || rssi.is_some()
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

async fn errors(
    connection: &mut PgConnection,
    events: &[Taken],
    effects: &Effects,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let again: Vec<_> = events
        .iter()
        .filter(|event| event.again)
        .map(|event| event.uid.as_str())
        .collect();
    if !again.is_empty() {
        sqlx::query!(
            "DELETE FROM event_errors WHERE event_uid = ANY ($1)",
            &again as _
        )
        .execute(&mut *connection)
        .await?;
    }
    for (event, part, error) in &effects.errors {
        keep_error(connection, &events[*event].uid, part, error, now).await?;
        metrics::counter!("cloud_process_errors_total", "part" => part.clone()).increment(1);
    }
    Ok(())
}

pub async fn keep_error(
    connection: &mut PgConnection,
    event_uid: &str,
    part: &str,
    error: &TransformError,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"INSERT INTO event_errors (event_uid, part, code, message, position, at) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (event_uid, part) DO UPDATE SET code = excluded.code, message = excluded.message, position = excluded.position, at = excluded.at"#,
        event_uid,
        part,
        error.code.replace('\0', "\u{FFFD}"),
        error.message.replace('\0', "\u{FFFD}"),
        error.position.and_then(|position| i64::try_from(position).ok()),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn processed(
    connection: &mut PgConnection,
    events: &[Taken],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let mut events: Vec<_> = events.iter().collect();
    events.sort_by(|a, b| (&a.device, a.captured_at).cmp(&(&b.device, b.captured_at)));
    let text =
        |read: fn(&Taken) -> &str| events.iter().map(|event| read(event)).collect::<Vec<_>>();
    let captured_at: Vec<_> = events.iter().map(|event| event.captured_at).collect();
    let repeat_of: Vec<_> = events
        .iter()
        .map(|event| event.repeat_of.as_deref())
        .collect();
    let repeats = repeat_of.iter().flatten().count();
    if repeats > 0 {
        metrics::counter!("cloud_process_repeats_total").increment(repeats as u64);
    }
    sqlx::query!(
        r#"INSERT INTO processed_events (device, captured_at, uid, processed_at, repeat_of)
           SELECT device, captured_at, uid, $5, repeat_of
             FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) AS t (device, captured_at, uid, repeat_of)
           ON CONFLICT (device, captured_at, uid) DO UPDATE SET processed_at = excluded.processed_at, repeat_of = excluded.repeat_of"#,
        &text(|event| &event.device) as _,
        &captured_at,
        &text(|event| &event.uid) as _,
        &repeat_of as _,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks an event as processed although nothing followed from it, with the reason as its error: the database will not
/// have its effects.
pub async fn set_aside(
    connection: &mut PgConnection,
    event: &Taken,
    why: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    tracing::error!(
        event.uid = event.uid,
        error = why,
        "event set aside: the database refuses what follows from it"
    );
    let error = TransformError {
        code: "DATABASE".into(),
        message: why.into(),
        position: None,
    };
    keep_error(connection, &event.uid, "process", &error, now).await?;
    processed(connection, std::slice::from_ref(event), now).await
}

/// Puts stored events back into the queue; what they already led to stays as it is. Returns how many.
pub async fn replay(pool: &PgPool, choice: &Replay, now: DateTime<Utc>) -> sqlx::Result<u64> {
    // Three statements, so that each goes by its index.
    let mut transaction = database::unhurried(pool).await?;
    let done = match choice {
        Replay::Event(uid) => {
            sqlx::query!(
                r#"INSERT INTO pending_events (shard, captured_at, uid, queued_at, again)
                   SELECT shard_of(device), captured_at, uid, $2, true FROM received_events WHERE uid = $1
                   ON CONFLICT (shard, captured_at, uid) DO UPDATE SET again = true"#,
                uid,
                now
            )
            .execute(&mut *transaction)
            .await?
        }
        Replay::Window { from, to } => {
            sqlx::query!(
                r#"INSERT INTO pending_events (shard, captured_at, uid, queued_at, again)
                   SELECT shard_of(device), captured_at, uid, $3, true FROM received_events WHERE captured_at >= $1 AND captured_at < $2
                   ON CONFLICT (shard, captured_at, uid) DO UPDATE SET again = true"#,
                from,
                to,
                now
            )
            .execute(&mut *transaction)
            .await?
        }
        Replay::Errors { part } => {
            sqlx::query!(
                r#"INSERT INTO pending_events (shard, captured_at, uid, queued_at, again)
                   SELECT shard_of(r.device), r.captured_at, r.uid, $2, true
                     FROM (SELECT DISTINCT event_uid FROM event_errors WHERE $1::text IS NULL OR part = $1) AS e
                     JOIN received_events AS r ON r.uid = e.event_uid
                   ON CONFLICT (shard, captured_at, uid) DO UPDATE SET again = true"#,
                part.as_deref(),
                now
            )
            .execute(&mut *transaction)
            .await?
        }
    };
    transaction.commit().await?;
    Ok(done.rows_affected())
}

/// Which stored events to process again.
#[derive(Debug)]
pub enum Replay {
    Event(String),
    /// By the time they were captured.
    Window {
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    },
    /// Those that carry an error, of one part (`route ubidots`) or of any.
    Errors {
        part: Option<String>,
    },
}
