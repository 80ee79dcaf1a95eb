//! What people are told: one incident per rule and device, and the notices that its steps call for.
//!
//! The alert machine (`alert`) decides; this module writes what follows: an incident opens, grows worse, is resolved; its
//! notices are enqueued for the recipients of the rule, spaced by the cooldown, repeated and escalated until somebody
//! acknowledges, and closed by an all-clear to those who were told. A notice that was not sent yet when the all-clear comes
//! is withdrawn: the all-clear says what happened and when, and two texts in a wrong order would say less.
//!
//! While a silence is in force, and while the station is silent, nothing is told but the all-clear to those who heard of
//! the incident before. What was held back is told afterwards if the incident is still open, once; an incident that came
//! and went meanwhile is told to nobody. Why something was held back is kept in `held_back`.
//!
//! Owns `incidents`, `alerts` and `held_back`. `tell` enqueues notices, `due` decides when, `hold` is what silences do,
//! `end` how incidents end, `silent` the incidents of stations that are heard no more, `people` what people do to them, and
//! `timeline` tells all of it. `watch` calls in here for what time alone brings about.

mod due;
mod end;
mod hold;
mod people;
mod silent;
pub(crate) mod tell;
mod timeline;

use std::collections::{BTreeSet, HashMap};

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::alert::{self, Alert, telling};
use super::plan::{Plan, Rule, Which};
use super::{AlertKey, Effects, Processor, Taken, Transition};
use crate::watch::heartbeat;
use due::Question;
use end::{Resolved, resolve, told};
use tell::{Open, Teller};

pub use due::notices_due;
pub use end::{close, forget_removed_rules};
pub(super) use hold::{hold_back, wake};
pub use people::{acknowledge, remark};
pub use silent::{fell_silent, heard_again};
pub use timeline::{TimelineEntry, Told, What, timeline};

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
                "UPDATE incidents SET peak_value = $2, peak_at = $3 WHERE id = $1",
                id,
                peak,
                transition.at
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
    let open = Open {
        id,
        rule: Which::Rule(transition.rule),
        opened_at: transition.at,
        peak,
        value,
        at: transition.at,
        notices: 0,
    };
    let question = Question::of_new(rule, &event.device, row.last_notice_at);
    let asked = question.ask(connection, teller, id).await?;
    let settles_at = heartbeat::settles_at(connection, &event.device).await?;
    let verdict = telling::at_opening(&asked.standing, transition.at, settles_at, teller.now);
    let told = asked
        .follow(connection, teller, open, event, verdict)
        .await?;
    if told {
        row.last_notice_at = Some(teller.now);
    }
    Ok(())
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
    let open = Open {
        id,
        rule: Which::Rule(transition.rule),
        opened_at,
        peak,
        value,
        at: transition.at,
        notices,
    };
    teller.all_clear(connection, open, event, &told).await?;
    Ok(!told.is_empty())
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
        r#"INSERT INTO incidents (rule, device, severity, event_uid, opened_at, opened_value, peak_value, peak_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $5) RETURNING id"#,
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

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}
