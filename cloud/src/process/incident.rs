//! What people are told: one incident per rule and device, and the notices that its steps call for.
//!
//! The alert machine (`alert`) decides; this module writes what follows: an incident opens, grows worse, is resolved; its
//! notices are enqueued for the recipients of the rule, spaced by the cooldown, repeated until somebody acknowledges, and
//! closed by an all-clear to those who were told. A notice that was not sent yet when the all-clear comes is withdrawn: the
//! all-clear says what happened and when, and two texts in a wrong order would say less.
//!
//! Owns `incidents` and `alerts`. `watch` calls in here for what time alone brings about.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use super::alert::{self, Alert, Notify};
use super::notice::{self, Facts, HotSpot, Kind};
use super::plan::{Plan, Recipient, Rule};
use super::route::delivery_id;
use super::transform::{Outcome, TransformError, Transforms};
use super::{AlertKey, Effects, Processor, Taken, Transition, record};
use crate::deliver::outbox::{self, NewDelivery};

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
    for transition in &effects.transitions {
        let event = &events[transition.event];
        let row = remembered
            .entry((transition.rule, event.device.clone()))
            .or_default();
        step(connection, processor, event, transition, row, now).await?;
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
           ON CONFLICT (rule, device) DO UPDATE SET state = excluded.state, memory = excluded.memory,
               incident_id = excluded.incident_id, last_notice_at = excluded.last_notice_at"#,
        Value::Array(rows)
    )
    .execute(connection)
    .await
    .context("writing alerts")?;
    Ok(())
}

async fn step(
    connection: &mut PgConnection,
    processor: &Processor,
    event: &Taken,
    transition: &Transition,
    row: &mut Remembered,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let rule = &processor.plan.rules[transition.rule];
    match transition.step {
        alert::Step::Opened { value, peak, .. } => {
            let id = open(connection, rule, event, transition.at, value, peak).await?;
            tracing::info!(
                incident.id = id,
                rule = rule.config.name,
                device = event.device,
                value,
                "incident opened"
            );
            metrics::counter!("cloud_incidents_opened_total", "rule" => rule.config.name.clone())
                .increment(1);
            row.incident = Some(id);
            let cooldown = delta(rule.config.cooldown);
            match alert::opening_notice(row.last_notice_at, cooldown, now) {
                Notify::Now => {
                    row.last_notice_at = Some(now);
                    let open = Open {
                        id,
                        rule: transition.rule,
                        opened_at: transition.at,
                        peak,
                        value,
                        at: transition.at,
                        notices: 0,
                    };
                    tell(
                        connection,
                        &processor.plan,
                        &processor.transforms,
                        &open,
                        Kind::Opened,
                        event,
                        None,
                        now,
                    )
                    .await?;
                }
                Notify::After(at) => notice_due(connection, id, Some(at)).await?,
            }
        }
        alert::Step::Worse { peak } | alert::Step::Relapsed { peak, .. } => {
            if let Some(id) = row.incident {
                sqlx::query!(
                    "UPDATE incidents SET peak_value = $2 WHERE id = $1",
                    id,
                    peak
                )
                .execute(connection)
                .await?;
            }
        }
        alert::Step::Resolved {
            value,
            clear_since,
            peak,
        } => {
            if let Some(id) = row.incident.take() {
                tracing::info!(
                    incident.id = id,
                    rule = rule.config.name,
                    device = event.device,
                    value,
                    "incident resolved"
                );
                let incident = resolve(connection, id, clear_since, peak, "cleared").await?;
                let told = told(connection, id, now).await?;
                let resolved = Open {
                    id,
                    rule: transition.rule,
                    opened_at: incident.opened_at,
                    peak,
                    value,
                    at: transition.at,
                    notices: incident.notices,
                };
                tell(
                    connection,
                    &processor.plan,
                    &processor.transforms,
                    &resolved,
                    Kind::Resolved,
                    event,
                    Some(told),
                    now,
                )
                .await?;
            }
        }
        _ => {}
    }
    Ok(())
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
    how: &str,
) -> anyhow::Result<Resolved> {
    sqlx::query_as!(
        Resolved,
        r#"UPDATE incidents SET resolved_at = greatest($2, opened_at), resolution = $3, peak_value = $4, notice_due_at = NULL
            WHERE id = $1 RETURNING opened_at, notices"#,
        id,
        at,
        how,
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
    let reached = notices.into_iter().filter(|notice| notice.state != "dead");
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

/// An incident at the moment of a notice.
struct Open {
    id: i64,
    /// The rule's place in the plan.
    rule: usize,
    opened_at: DateTime<Utc>,
    peak: f64,
    value: f64,
    at: DateTime<Utc>,
    /// How many rounds of notices there were before.
    notices: i32,
}

/// Enqueues one notice per recipient of the rule, or of those in `only`, and notes when the next one is due.
#[expect(
    clippy::too_many_arguments,
    reason = "a notice needs the incident, the event, the means and the time"
)]
async fn tell(
    connection: &mut PgConnection,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    open: &Open,
    kind: Kind,
    event: &Taken,
    only: Option<BTreeSet<(String, Option<String>)>>,
    now: DateTime<Utc>,
) -> anyhow::Result<()> {
    let rule = &plan.rules[open.rule];
    let text = text(connection, plan, transforms, open, kind, event, now).await?;
    let round = open.notices + 1;
    let deliveries: Vec<_> = rule
        .recipients
        .iter()
        .filter(|recipient| only.as_ref().is_none_or(|only| only.contains(&recipient.key())))
        .map(|recipient| {
            let (destination, number) = recipient.key();
            let kind = kind_name(kind);
            let body = match recipient {
                Recipient::Phone { number, .. } => json!({ "to": number, "text": text }),
                Recipient::Http { .. } => json!({ "notice": kind, "text": text, "incident": described(rule, open, event) }),
            };
            NewDelivery {
                id: delivery_id(&["notice", &open.id.to_string(), &round.to_string(), &destination, number.as_deref().unwrap_or_default()]),
                event_uid: Some(event.uid.clone()),
                incident_id: Some(open.id),
                route: None,
                destination,
                device: event.device.clone(),
                notice: Some(kind),
                body: body.to_string(),
            }
        })
        .collect();
    outbox::enqueue(connection, &deliveries, now).await?;
    let next = match kind {
        Kind::Resolved => None,
        Kind::Opened | Kind::Reminder => rule.config.repeat.map(|repeat| now + delta(repeat)),
    };
    sqlx::query!(
        "UPDATE incidents SET notices = $2, last_notice_at = $3, notice_due_at = $4 WHERE id = $1",
        open.id,
        round,
        now,
        next
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The text of a notice: the rule's own, or, if it has none or it fails, the default one.
async fn text(
    connection: &mut PgConnection,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    open: &Open,
    kind: Kind,
    event: &Taken,
    now: DateTime<Utc>,
) -> anyhow::Result<String> {
    let rule = &plan.rules[open.rule];
    if let Some(message) = &rule.message {
        let mut input = event.value.clone();
        if let Value::Object(fields) = &mut input {
            fields.insert("alert".into(), described(rule, open, event));
            fields["alert"]["notice"] = kind_name(kind).into();
        }
        let (plan, index) = (plan.clone(), open.rule);
        let outcome = transforms
            .on_thread(move || {
                plan.rules[index]
                    .message
                    .as_ref()
                    .map(|message| message.run(&input, now))
            })
            .await?;
        let error = match outcome {
            Some(Outcome::Json(Value::String(text))) if !text.trim().is_empty() => {
                return Ok(notice::custom_text(&text, open.id));
            }
            Some(Outcome::Error(error)) => error,
            _ => TransformError {
                code: "NOT_A_TEXT".into(),
                message: "the message is no text; the default one was sent".into(),
                position: None,
            },
        };
        record::keep_error(connection, &event.uid, &message.part, &error, now).await?;
    }
    Ok(notice::default_text(&Facts {
        kind,
        severity: rule.config.severity,
        incident_id: open.id,
        device_name: event.text("sn").unwrap_or(&event.device),
        rule: &rule.config.name,
        value: open.value,
        threshold: rule.config.fire,
        peak: Some(open.peak),
        opened_at: open.opened_at,
        at: open.at,
        place: event.text("best_location"),
        timezone: event.text("best_timezone"),
        hot_spot: hot_spot(event.body()),
    }))
}

/// The hot spot, as the station reports it.
fn hot_spot(body: &Value) -> Option<HotSpot> {
    let number = |key: &str| body.get(key).and_then(crate::receive::event::number);
    Some(HotSpot {
        x: number("x")?,
        y: number("y")?,
        delta_t: number("dt")?,
    })
}

/// The incident as an HTTP notice and a rule's message see it.
fn described(rule: &Rule, open: &Open, event: &Taken) -> Value {
    json!({
        "id": open.id, "rule": rule.config.name, "severity": rule.config.severity.word(), "device": event.device,
        "name": event.text("sn").unwrap_or(&event.device), "value": open.value, "peak": open.peak, "at": open.at, "opened_at": open.opened_at,
    })
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Opened => "opened",
        Kind::Reminder => "reminder",
        Kind::Resolved => "resolved",
    }
}

fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

/// Makes the notices whose time has come: openings held back by a cooldown, and reminders. Returns how many incidents.
pub async fn notices_due(
    pool: &PgPool,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let mut transaction = pool.begin().await?;
    let due = sqlx::query!(
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
    for row in due {
        let Some(index) = plan
            .rules
            .iter()
            .position(|rule| rule.config.name == row.rule)
        else {
            continue;
        };
        if row.acknowledged_at.is_some() {
            notice_due(&mut transaction, row.id, None).await?;
            continue;
        }
        // The event may be gone by retention; its device is still known.
        let raw = row.raw.unwrap_or_else(|| "{}".into());
        let event = Taken {
            uid: row.event_uid,
            device: row.device,
            file: row.file.unwrap_or_default(),
            captured_at: row.captured_at.unwrap_or(row.opened_at),
            received_at: row.received_at.unwrap_or(row.opened_at),
            stored_at: row.stored_at.unwrap_or(row.opened_at),
            again: false,
            value: serde_json::from_str(&raw)?,
            raw,
        };
        let memory = row.memory.map(|memory| memory.0);
        let open = Open {
            id: row.id,
            rule: index,
            opened_at: row.opened_at,
            peak: row.peak_value,
            value: memory
                .as_ref()
                .and_then(|alert| alert.last_value)
                .unwrap_or(row.opened_value),
            at: memory
                .as_ref()
                .and_then(|alert| alert.last_at)
                .unwrap_or(row.opened_at),
            notices: row.notices,
        };
        let kind = if row.last_notice_at.is_none() {
            Kind::Opened
        } else {
            Kind::Reminder
        };
        tell(
            &mut transaction,
            plan,
            transforms,
            &open,
            kind,
            &event,
            None,
            now,
        )
        .await?;
        sqlx::query!(
            "UPDATE alerts SET last_notice_at = $2 WHERE incident_id = $1",
            row.id,
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

/// Somebody takes it: reminders stop. Returns whether there is such an open incident.
pub async fn acknowledge(
    pool: &PgPool,
    id: i64,
    by: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        r#"UPDATE incidents SET acknowledged_at = coalesce(acknowledged_at, $2), acknowledged_by = coalesce(acknowledged_by, $3), notice_due_at = NULL
            WHERE id = $1 AND resolved_at IS NULL"#,
        id,
        now,
        by
    )
    .execute(pool)
    .await?;
    Ok(done.rows_affected() == 1)
}
