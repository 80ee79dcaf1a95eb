//! What people are told: one incident per rule and device, and the notices that its steps call for.
//!
//! The alert machine (`alert`) decides; this module writes what follows: an incident opens, grows worse, is resolved; its
//! notices are enqueued for the recipients of the rule, spaced by the cooldown, repeated until somebody acknowledges, and
//! closed by an all-clear to those who were told. A notice that was not sent yet when the all-clear comes is withdrawn: the
//! all-clear says what happened and when, and two texts in a wrong order would say less.
//!
//! Owns `incidents` and `alerts`. `watch` calls in here for what time alone brings about.

mod tell;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::alert::{self, Alert, NoReminder, Notify, Reminder};
use super::notice::Kind;
use super::plan::{Plan, Rule};
use super::transform::Transforms;
use super::{AlertKey, Effects, Processor, Taken, Transition};
use crate::audit::{self, Action, Actor};
use crate::deliver::outbox;
use crate::live::{self, Change};
use tell::{Open, Teller};

/// A stored alert, with what hangs on it.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    pub alert: Alert,
    pub incident: Option<i64>,
    pub last_notice_at: Option<DateTime<Utc>>,
}

/// The alerts of the devices in this batch.
pub async fn load(
    connection: &mut PgConnection,
    plan: &Plan,
    events: &[Taken],
) -> anyhow::Result<HashMap<AlertKey, Remembered>> {
    if plan.rules.is_empty() {
        return Ok(HashMap::new());
    }
    let devices: BTreeSet<&str> = events.iter().map(|event| event.device.as_str()).collect();
    let devices: Vec<_> = devices.into_iter().collect();
    let rows = sqlx::query!(
        r#"SELECT rule, device, memory AS "memory: Json<Alert>", incident_id, last_notice_at FROM alerts WHERE device = ANY ($1)"#,
        &devices as _
    )
    .fetch_all(connection)
    .await
    .context("loading alerts")?;
    let remembered = rows.into_iter().filter_map(|row| {
        let rule = plan
            .rules
            .iter()
            .position(|rule| rule.config.name == row.rule)?;
        Some((
            (rule, row.device),
            Remembered {
                alert: row.memory.0,
                incident: row.incident_id,
                last_notice_at: row.last_notice_at,
            },
        ))
    });
    Ok(remembered.collect())
}

/// Writes what the alert machine decided, in the order in which it did.
pub async fn follow(
    connection: &mut PgConnection,
    processor: &Processor,
    events: &[Taken],
    effects: Effects,
    mut remembered: HashMap<AlertKey, Remembered>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let teller = Teller {
        plan: &processor.plan,
        transforms: &processor.transforms,
        now,
    };
    for transition in &effects.transitions {
        let event = &events[transition.event];
        let row = remembered
            .entry((transition.rule, event.device.clone()))
            .or_default();
        step(connection, &teller, event, transition, row).await?;
    }
    for (key, alert) in effects.alerts {
        remembered.entry(key).or_default().alert = alert;
    }
    let changed = effects
        .transitions
        .iter()
        .map(|transition| (transition.rule, events[transition.event].device.clone()));
    let changed: BTreeSet<AlertKey> = changed.collect();
    let rows: Vec<Value> = changed
        .into_iter()
        .filter_map(|key| {
            let row = remembered.get(&key)?;
            let (rule, device) = key;
            Some(json!({
                "rule": processor.plan.rules[rule].config.name, "device": device, "state": row.alert.state.as_str(), "memory": row.alert,
                "incident_id": row.incident, "last_notice_at": row.last_notice_at,
            }))
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        r#"INSERT INTO alerts (rule, device, state, memory, incident_id, last_notice_at)
           SELECT rule, device, state, memory, incident_id, last_notice_at
             FROM jsonb_to_recordset($1) AS n (rule text, device text, state text, memory jsonb, incident_id bigint, last_notice_at timestamptz)
           ON CONFLICT (device, rule) DO UPDATE SET state = excluded.state, memory = excluded.memory,
               incident_id = excluded.incident_id, last_notice_at = greatest(alerts.last_notice_at, excluded.last_notice_at)"#,
        Value::Array(rows)
    )
    .execute(connection)
    .await
    .context("writing alerts")?;
    Ok(())
}

async fn step(
    connection: &mut PgConnection,
    teller: &Teller<'_>,
    event: &Taken,
    transition: &Transition,
    row: &mut Remembered,
) -> anyhow::Result<()> {
    match (transition.step, row.incident) {
        (alert::Step::Opened { value, peak, .. }, _) => {
            let values = (value, peak);
            opened(connection, teller, event, transition, values, row).await
        }
        (alert::Step::Worse { peak } | alert::Step::Relapsed { peak, .. }, Some(id)) => {
            sqlx::query!(
                "UPDATE incidents SET peak_value = $2 WHERE id = $1",
                id,
                peak
            )
            .execute(connection)
            .await?;
            Ok(())
        }
        (
            alert::Step::Resolved {
                clear_since, peak, ..
            },
            Some(id),
        ) => {
            row.incident = None;
            let told = resolved(
                connection,
                teller,
                event,
                transition,
                (id, clear_since, peak),
            )
            .await?;
            // The all-clear is a notice too: the next opening keeps its distance from it.
            if told {
                row.last_notice_at = Some(teller.now);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn opened(
    connection: &mut PgConnection,
    teller: &Teller<'_>,
    event: &Taken,
    transition: &Transition,
    (value, peak): (f64, f64),
    row: &mut Remembered,
) -> anyhow::Result<()> {
    let rule = &teller.plan.rules[transition.rule];
    let name = &rule.config.name;
    let id = open(connection, rule, event, transition.at, value, peak).await?;
    tracing::info!(
        incident.id = id,
        rule = name,
        device = event.device,
        value,
        "incident opened"
    );
    metrics::counter!("cloud_incidents_opened_total", "rule" => name.clone()).increment(1);
    row.incident = Some(id);
    match alert::opening_notice(row.last_notice_at, delta(rule.config.cooldown), teller.now) {
        Notify::Now => {
            row.last_notice_at = Some(teller.now);
            let at = transition.at;
            let open = Open {
                id,
                rule: transition.rule,
                opened_at: at,
                peak,
                value,
                at,
                notices: 0,
            };
            teller
                .tell(connection, &open, Kind::Opened, event, None)
                .await
        }
        Notify::After(at) => Ok(notice_due(connection, id, Some(at)).await?),
    }
}

async fn resolved(
    connection: &mut PgConnection,
    teller: &Teller<'_>,
    event: &Taken,
    transition: &Transition,
    (id, clear_since, peak): (i64, DateTime<Utc>, f64),
) -> anyhow::Result<bool> {
    let name = &teller.plan.rules[transition.rule].config.name;
    let value = transition.value;
    tracing::info!(
        incident.id = id,
        rule = name,
        device = event.device,
        value,
        "incident resolved"
    );
    let Resolved { opened_at, notices } = resolve(connection, id, clear_since, peak).await?;
    let told = told(connection, id, teller.now).await?;
    let at = transition.at;
    let open = Open {
        id,
        rule: transition.rule,
        opened_at,
        peak,
        value,
        at,
        notices,
    };
    let anybody = !told.is_empty();
    teller
        .tell(connection, &open, Kind::Resolved, event, Some(told))
        .await?;
    Ok(anybody)
}

async fn open(
    connection: &mut PgConnection,
    rule: &Rule,
    event: &Taken,
    at: DateTime<Utc>,
    value: f64,
    peak: f64,
) -> anyhow::Result<i64> {
    sqlx::query_scalar!(
        r#"INSERT INTO incidents (rule, device, severity, event_uid, opened_at, opened_value, peak_value)
           VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id"#,
        rule.config.name,
        event.device,
        rule.config.severity.word(),
        event.uid,
        at,
        value,
        peak
    )
    .fetch_one(connection)
    .await
    .context("opening an incident")
}

struct Resolved {
    opened_at: DateTime<Utc>,
    notices: i32,
}

async fn resolve(
    connection: &mut PgConnection,
    id: i64,
    at: DateTime<Utc>,
    peak: f64,
) -> anyhow::Result<Resolved> {
    sqlx::query_as!(
        Resolved,
        r#"UPDATE incidents SET resolved_at = greatest($2, opened_at), resolution = 'cleared', peak_value = $3, notice_due_at = NULL
            WHERE id = $1 RETURNING opened_at, notices"#,
        id,
        at,
        peak
    )
    .fetch_one(connection)
    .await
    .context("resolving an incident")
}

/// Who got, or may yet have got, a notice of this incident, and so is owed its end. Notices still waiting are withdrawn.
async fn told(
    connection: &mut PgConnection,
    incident: i64,
    now: DateTime<Utc>,
) -> anyhow::Result<BTreeSet<(String, Option<String>)>> {
    let notices = outbox::notices(connection, incident).await?;
    let waiting: Vec<_> = notices
        .iter()
        .filter(|notice| notice.state == "due")
        .map(|notice| notice.id)
        .collect();
    outbox::withdraw(
        connection,
        &waiting,
        "withdrawn: the incident was resolved before this was sent",
        now,
    )
    .await?;
    let reached = notices
        .into_iter()
        .filter(|notice| notice.state != "dead" || notice.ambiguous);
    Ok(reached
        .map(|notice| (notice.destination, notice.recipient))
        .collect())
}

async fn notice_due(
    connection: &mut PgConnection,
    id: i64,
    at: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "UPDATE incidents SET notice_due_at = $2 WHERE id = $1",
        id,
        at
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// An incident whose next notice is due, with the event that opened it and what is remembered of it.
struct Due {
    id: i64,
    rule: String,
    device: String,
    opened_at: DateTime<Utc>,
    peak_value: f64,
    opened_value: f64,
    notices: i32,
    last_notice_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    event_uid: String,
    file: Option<String>,
    captured_at: Option<DateTime<Utc>>,
    received_at: Option<DateTime<Utc>>,
    stored_at: Option<DateTime<Utc>>,
    raw: Option<String>,
    memory: Option<Json<Alert>>,
}

impl Due {
    fn at_this_moment(self, rule: usize) -> serde_json::Result<(Open, Taken)> {
        // The event may be gone by retention; its device is still known.
        let raw = self.raw.unwrap_or_else(|| "{}".into());
        let event = Taken {
            uid: self.event_uid,
            device: self.device,
            file: self.file.unwrap_or_default(),
            captured_at: self.captured_at.unwrap_or(self.opened_at),
            received_at: self.received_at.unwrap_or(self.opened_at),
            stored_at: self.stored_at.unwrap_or(self.opened_at),
            queued_at: self.opened_at,
            again: false,
            repeat_of: None,
            value: serde_json::from_str(&raw)?,
            raw,
        };
        let alert = self.memory.map(|memory| memory.0).unwrap_or_default();
        let open = Open {
            id: self.id,
            rule,
            opened_at: self.opened_at,
            peak: self.peak_value,
            value: alert.last_value.unwrap_or(self.opened_value),
            at: alert.last_at.unwrap_or(self.opened_at),
            notices: self.notices,
        };
        Ok((open, event))
    }
}

/// Makes the notices whose time has come: openings held back by a cooldown, and reminders. Returns how many incidents.
pub async fn notices_due(
    pool: &PgPool,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let mut transaction = pool.begin().await?;
    let due = sqlx::query_as!(
        Due,
        r#"SELECT i.id, i.rule, i.device, i.opened_at, i.peak_value, i.opened_value, i.notices, i.last_notice_at, i.acknowledged_at, i.event_uid,
                  e.file AS "file?", e.captured_at AS "captured_at?", e.received_at AS "received_at?", e.stored_at AS "stored_at?", e.raw::text AS raw,
                  a.memory AS "memory?: Json<Alert>"
             FROM incidents AS i
             LEFT JOIN received_events AS e ON e.uid = i.event_uid
             LEFT JOIN alerts AS a ON a.incident_id = i.id
            WHERE i.notice_due_at <= $1 AND i.resolved_at IS NULL
            ORDER BY i.notice_due_at LIMIT 100
              FOR UPDATE OF i SKIP LOCKED"#,
        now
    )
    .fetch_all(&mut *transaction)
    .await?;
    let count = due.len();
    for due in due {
        let rule = plan
            .rules
            .iter()
            .position(|rule| rule.config.name == due.rule);
        let Some(rule) = rule else { continue };
        let repeat = plan.rules[rule].config.repeat.map(delta);
        let acknowledged = due.acknowledged_at.is_some();
        let kind = match alert::reminder(repeat, acknowledged, due.last_notice_at, now) {
            Reminder::Due => Kind::Reminder,
            // The opening was held back, and its time has come.
            Reminder::No(NoReminder::NeverTold) => Kind::Opened,
            Reminder::No(NoReminder::NotBefore(at)) => {
                notice_due(&mut transaction, due.id, Some(at)).await?;
                continue;
            }
            Reminder::No(NoReminder::Acknowledged | NoReminder::Unwanted) => {
                notice_due(&mut transaction, due.id, None).await?;
                continue;
            }
        };
        let (open, event) = due.at_this_moment(rule)?;
        let teller = Teller {
            plan,
            transforms,
            now,
        };
        teller
            .tell(&mut transaction, &open, kind, &event, None)
            .await?;
        sqlx::query!(
            "UPDATE alerts SET last_notice_at = $2 WHERE incident_id = $1",
            open.id,
            now
        )
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(count)
}

/// Ends the incidents of rules that are no longer configured: nothing judges them any more. Nobody is told, it was decided here.
pub async fn forget_removed_rules(
    pool: &PgPool,
    plan: &Plan,
    now: DateTime<Utc>,
) -> anyhow::Result<u64> {
    let rules: Vec<_> = plan
        .rules
        .iter()
        .map(|rule| rule.config.name.as_str())
        .collect();
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM alerts WHERE rule <> ALL ($1)", &rules as _)
        .execute(&mut *transaction)
        .await?;
    let ended = sqlx::query!(
        "UPDATE incidents SET resolved_at = greatest($2, opened_at), resolution = 'rule removed', notice_due_at = NULL WHERE resolved_at IS NULL AND rule <> ALL ($1)",
        &rules as _,
        now
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok(ended.rows_affected())
}

/// Somebody takes it: reminders and escalation stop. Returns whether there is such an open incident; who comes second is
/// recorded, but it stays with the first.
pub async fn acknowledge(
    pool: &PgPool,
    id: i64,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let done = sqlx::query!(
        r#"UPDATE incidents SET acknowledged_at = coalesce(acknowledged_at, $2), acknowledged_by = coalesce(acknowledged_by, $3), notice_due_at = NULL
            WHERE id = $1 AND resolved_at IS NULL"#,
        id,
        now,
        actor.name
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if done {
        let entry = audit::Entry {
            actor,
            action: Action::Acknowledged,
            subject: format!("incident {id}"),
            incident: Some(id),
            detail: json!({}),
        };
        audit::record(&mut transaction, entry, now).await?;
        live::announce(&mut transaction, &Change::Incident(id)).await?;
    }
    transaction.commit().await?;
    Ok(done)
}

/// Adds a remark to the timeline. Returns whether there is such an incident, open or not.
pub async fn remark(
    pool: &PgPool,
    id: i64,
    text: &str,
    actor: &Actor,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let mut transaction = pool.begin().await?;
    let known = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM incidents WHERE id = $1) AS "known!""#,
        id
    )
    .fetch_one(&mut *transaction)
    .await?;
    if known {
        let entry = audit::Entry {
            actor,
            action: Action::Noted,
            subject: format!("incident {id}"),
            incident: Some(id),
            detail: json!({ "text": text }),
        };
        audit::record(&mut transaction, entry, now).await?;
        live::announce(&mut transaction, &Change::Incident(id)).await?;
    }
    transaction.commit().await?;
    Ok(known)
}
