//! The signs of life of each station: learned as its events take effect, and looked at when it may be overdue.
//!
//! Owns `heartbeats`. `process` calls `heard` in the transaction in which events take effect. It writes a row only for a new
//! arrival (a minute or more after the last), and does not move `look_at` with it: `watch` finds by that index the few
//! stations that may be overdue, however many there are, asks when each was last heard, and mostly puts off the look. So a
//! sign of life costs no change of an index. Before a station is declared silent, the shard of its device is held, so that
//! no event of it can take effect meanwhile, and none may be waiting to.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};

use super::absence;
use super::rhythm::{Absence, Patience, Rhythm};
use crate::config::Scope;
use crate::process::alert::telling;
use crate::process::plan::Plan;
use crate::process::{Taken, incident};
use crate::receive::event::number;

/// How many looks one transaction makes.
const LOOKS: i64 = 500;
/// How many stations it declares silent at most: it holds their shards.
const SILENT_AT_ONCE: usize = 100;

/// The notefile in which our agent says how often it reports.
const HEALTH: &str = "health.qo";

/// A row, as it is and as it becomes.
#[derive(Debug, Clone, PartialEq)]
struct Heartbeat {
    heard_at: DateTime<Utc>,
    rhythm: Rhythm,
    look_at: Option<DateTime<Utc>>,
    incident: Option<i64>,
    settles_at: Option<DateTime<Utc>>,
}

impl Heartbeat {
    /// One more arrival. Returns the incident that it ends.
    fn hear(&mut self, at: DateTime<Utc>, patience: Patience, now: DateTime<Utc>) -> Option<i64> {
        // By what was known before: the gap that ends now teaches patience, but not with itself.
        let expected = self.rhythm.clone();
        if self.rhythm.hear(self.heard_at, at) {
            self.heard_at = at;
        }
        // An arrival of long ago, fetched now, is no sign of life.
        if expected.overdue_at(self.heard_at, patience, &[]) <= now {
            return None;
        }
        let overdue_at = self.rhythm.overdue_at(self.heard_at, patience, &[]);
        let look_at = self.look_at.unwrap_or(overdue_at).min(overdue_at);
        self.look_at = Some(look_at);
        let ended = self.incident.take();
        if ended.is_some() {
            self.settles_at = Some(telling::settled(now));
        }
        ended
    }
}

/// Takes note of these events. Returns the incidents of silent stations that end, each with the event that ends it.
pub async fn heard<'e>(
    connection: &mut PgConnection,
    patience: Patience,
    events: &'e [Taken],
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<(i64, &'e Taken)>> {
    let mut of_devices: BTreeMap<&str, Vec<&Taken>> = BTreeMap::new();
    for event in events {
        of_devices.entry(&event.device).or_default().push(event);
    }
    let mut known = load(connection, of_devices.keys().copied().collect()).await?;
    let health = Scope::new(&[HEALTH.to_owned()], &[], &[], &[]);
    let mut changed = Vec::new();
    let mut ended = Vec::new();
    for (device, mut events) in of_devices {
        events.sort_by_key(|event| event.received_at);
        let Some(first) = events.first() else {
            continue;
        };
        let before = known.remove(device);
        let mut heartbeat = before.clone().unwrap_or_else(|| Heartbeat {
            heard_at: first.received_at.min(now),
            rhythm: Rhythm::default(),
            look_at: None,
            incident: None,
            settles_at: None,
        });
        for event in events {
            if let Some(every) = every(event, &health)
                && event.received_at >= heartbeat.heard_at
            {
                heartbeat.rhythm.told(every);
            }
            let at = event.received_at.min(now);
            let incident = heartbeat.hear(at, patience, now);
            ended.extend(incident.map(|incident| (incident, event)));
        }
        if before.as_ref() != Some(&heartbeat) {
            changed.push(row(device, &heartbeat));
        }
    }
    write(connection, changed)
        .await
        .context("writing heartbeats")?;
    Ok(ended)
}

/// How often the station reports, if this is where it says so.
fn every(event: &Taken, health: &Scope) -> Option<TimeDelta> {
    if !event.is_in(health) {
        return None;
    }
    let seconds = event.body().get("every").and_then(number)?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is too long is refused by the rhythm"
    )]
    TimeDelta::try_seconds(seconds as i64)
}

async fn load<'d>(
    connection: &mut PgConnection,
    devices: Vec<&'d str>,
) -> anyhow::Result<BTreeMap<&'d str, Heartbeat>> {
    let rows = sqlx::query!(
        "SELECT device, heard_at, every_seconds, gap_seconds, look_at, incident_id, settles_at FROM heartbeats WHERE device = ANY ($1)",
        &devices as _
    )
    .fetch_all(connection)
    .await
    .context("loading heartbeats")?;
    let rows = rows.into_iter().filter_map(|row| {
        let place = devices.iter().position(|device| *device == row.device)?;
        let heartbeat = Heartbeat {
            heard_at: row.heard_at,
            rhythm: rhythm(row.every_seconds, &row.gap_seconds),
            look_at: row.look_at,
            incident: row.incident_id,
            settles_at: row.settles_at,
        };
        Some((devices[place], heartbeat))
    });
    Ok(rows.collect())
}

fn rhythm(every_seconds: Option<i32>, gap_seconds: &[i32]) -> Rhythm {
    let seconds = |seconds: i32| TimeDelta::seconds(seconds.into());
    Rhythm {
        every: every_seconds.map(seconds),
        gaps: gap_seconds.iter().copied().map(seconds).collect(),
    }
}

fn row(device: &str, heartbeat: &Heartbeat) -> Value {
    let rhythm = &heartbeat.rhythm;
    let gaps: Vec<_> = rhythm.gaps.iter().map(TimeDelta::num_seconds).collect();
    json!({
        "device": device, "heard_at": heartbeat.heard_at, "every_seconds": rhythm.every.map(|every| every.num_seconds().max(1)),
        "gap_seconds": gaps, "look_at": heartbeat.look_at, "incident_id": heartbeat.incident, "settles_at": heartbeat.settles_at,
    })
}

async fn write(connection: &mut PgConnection, rows: Vec<Value>) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO heartbeats (device, heard_at, every_seconds, gap_seconds, look_at, incident_id, settles_at)
           SELECT device, heard_at, every_seconds, gap_seconds, look_at, incident_id, settles_at
             FROM jsonb_to_recordset($1) AS n (device text, heard_at timestamptz, every_seconds integer, gap_seconds integer[],
                  look_at timestamptz, incident_id bigint, settles_at timestamptz)
           ON CONFLICT (device) DO UPDATE SET heard_at = excluded.heard_at, every_seconds = excluded.every_seconds,
               gap_seconds = excluded.gap_seconds, look_at = excluded.look_at, incident_id = excluded.incident_id,
               settles_at = excluded.settles_at"#,
        Value::Array(rows)
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Until when a station that was silent is given time to tell all that it has to tell.
pub async fn settles_at(
    connection: &mut PgConnection,
    device: &str,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let known = sqlx::query_scalar!(
        "SELECT settles_at FROM heartbeats WHERE device = $1",
        device
    )
    .fetch_optional(connection)
    .await?;
    Ok(known.flatten())
}

/// Looks at the stations that may be overdue and opens an incident for each that is. Returns how many incidents.
pub async fn look(pool: &PgPool, plan: &Arc<Plan>, now: DateTime<Utc>) -> anyhow::Result<usize> {
    let Some(silence) = &plan.silence else {
        return Ok(0);
    };
    let patience = silence.patience;
    let mut opened = 0;
    loop {
        let mut transaction = pool.begin().await?;
        let absences = absence::absences(&mut transaction).await?;
        let (looked, overdue) = put_off(&mut transaction, patience, &absences, now).await?;
        let some: Vec<_> = overdue.into_iter().take(SILENT_AT_ONCE).collect();
        let silent = surely(&mut transaction, &some, patience, &absences, now).await?;
        for (device, heard_at) in &silent {
            let incident =
                incident::fell_silent(&mut transaction, plan, device, *heard_at, now).await?;
            sqlx::query!(
                "UPDATE heartbeats SET look_at = NULL, incident_id = $2 WHERE device = $1",
                device,
                incident
            )
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        opened += silent.len();
        // What others are at is found the next time.
        let full = i64::try_from(looked).is_ok_and(|looked| looked == LOOKS);
        if !full || silent.len() < some.len() {
            return Ok(opened);
        }
    }
}

/// Puts off the look at those that were heard since. Returns how many were looked at, and those that seem overdue.
async fn put_off(
    connection: &mut PgConnection,
    patience: Patience,
    absences: &[Absence],
    now: DateTime<Utc>,
) -> sqlx::Result<(usize, Vec<String>)> {
    let rows = sqlx::query!(
        r#"SELECT h.device, greatest(h.heard_at, CASE WHEN d.last_seen <= $1 THEN d.last_seen END) AS "heard_at!", h.every_seconds, h.gap_seconds
             FROM heartbeats AS h LEFT JOIN devices AS d ON d.uid = h.device
            WHERE h.look_at <= $1 ORDER BY h.look_at LIMIT $2 FOR UPDATE OF h SKIP LOCKED"#,
        now,
        LOOKS
    )
    .fetch_all(&mut *connection)
    .await?;
    let looked = rows.len();
    let mut overdue = Vec::new();
    let mut later = (Vec::new(), Vec::new());
    for row in rows {
        let rhythm = rhythm(row.every_seconds, &row.gap_seconds);
        let at = rhythm.overdue_at(row.heard_at, patience, absences);
        if at <= now {
            overdue.push(row.device);
        } else {
            later.0.push(row.device);
            later.1.push(at);
        }
    }
    if !later.0.is_empty() {
        sqlx::query!(
            "UPDATE heartbeats AS h SET look_at = n.at FROM unnest($1::text[], $2::timestamptz[]) AS n (device, at) WHERE h.device = n.device",
            &later.0,
            &later.1
        )
        .execute(connection)
        .await?;
    }
    Ok((looked, overdue))
}

/// Those of these that are overdue with nothing of theirs under way, and when each was last heard. Their shards are held
/// until the transaction ends; whose shard is taken has to wait.
async fn surely(
    connection: &mut PgConnection,
    devices: &[String],
    patience: Patience,
    absences: &[Absence],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<(String, DateTime<Utc>)>> {
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    let shards = sqlx::query_scalar!(
        r#"SELECT shard FROM process_shards WHERE shard IN (SELECT shard_of(device) FROM unnest($1::text[]) AS d (device))
            ORDER BY shard FOR UPDATE SKIP LOCKED"#,
        devices
    )
    .fetch_all(&mut *connection)
    .await?;
    // A new statement, which sees what was committed until now.
    let rows = sqlx::query!(
        r#"SELECT h.device, greatest(h.heard_at, CASE WHEN d.last_seen <= $3 THEN d.last_seen END) AS "heard_at!", h.every_seconds, h.gap_seconds
             FROM heartbeats AS h LEFT JOIN devices AS d ON d.uid = h.device
            WHERE h.device = ANY ($1) AND shard_of(h.device) = ANY ($2)
              AND NOT EXISTS (SELECT FROM pending_events AS p JOIN received_events AS r ON r.uid = p.uid
                               WHERE p.shard = shard_of(h.device) AND r.device = h.device)"#,
        devices,
        &shards,
        now
    )
    .fetch_all(connection)
    .await?;
    let silent = rows.into_iter().filter_map(|row| {
        let rhythm = rhythm(row.every_seconds, &row.gap_seconds);
        let overdue = rhythm.overdue_at(row.heard_at, patience, absences) <= now;
        overdue.then_some((row.device, row.heard_at))
    });
    Ok(silent.collect())
}

/// Nothing is expected of this station until it is heard again.
pub async fn give_up(connection: &mut PgConnection, device: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE heartbeats SET look_at = NULL, incident_id = NULL WHERE device = $1",
        device
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Nobody watches any more. Should somebody again, those that were silent are looked at first.
pub async fn forget_incidents(connection: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE heartbeats SET look_at = heard_at, incident_id = NULL WHERE incident_id IS NOT NULL"
    )
    .execute(connection)
    .await?;
    Ok(())
}
