//! Stage two: from stored events to measurements, deliveries and incidents.
//!
//! A tick claims some shards of devices (`FOR UPDATE SKIP LOCKED`), takes their oldest pending events, decides all of them
//! on a thread made for user expressions, and writes what follows in the same transaction that takes the events off the
//! queue. So an event's effects exist once or not at all, a device is never processed twice at once however many services
//! share the database, and its events are seen in order of `when` as far as they have arrived.
//!
//! Nothing here touches the network or reads the clock: `now` is given to the tick. A failing expression leaves its error
//! with the event and harms nothing else. An event that the database will not take is set aside alone, with its error.
//!
//! Who owns what: `record` takes events and writes measurements, devices, errors; `identity` knows which events are one
//! note; `frame` puts pictures together; `incident` writes alerts and incidents, `silence` the silences; `rollup` keeps days
//! of measurements in short; `watch::heartbeat` is told of each arrival.

pub mod alert;
pub mod frame;
pub mod identity;
pub mod incident;
pub mod notice;
pub mod picture_notice;
pub mod plan;
pub mod record;
pub mod rollup;
pub mod route;
pub mod series;
pub mod silence;
pub mod transform;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};

use crate::config::{self, Scope};
use crate::deliver::outbox::{self, NewDelivery};
use crate::live::{self, Change};
use crate::receive::store::refuses_data;
use crate::watch::heartbeat;
use alert::{Alert, Sample};
use plan::Plan;
use route::Routing;
use transform::{Outcome, TransformError, Transforms};

/// How many events one transaction takes at most.
const BATCH: i64 = 500;
/// How long the expressions of one batch may take together. What is not reached by then goes back into the queue, so that
/// slow expressions cost time but never hold a transaction, and what is decided is seen soon.
const BUDGET: Duration = Duration::from_secs(1);
/// From how many on a batch counts as full: more will be waiting. Shards are rarely filled evenly.
pub const FULL: usize = 100;

/// An event on its way through.
#[derive(Debug, Clone)]
pub struct Taken {
    pub uid: String,
    pub device: String,
    pub file: String,
    pub captured_at: DateTime<Utc>,
    pub received_at: DateTime<Utc>,
    pub stored_at: DateTime<Utc>,
    /// Since when it has waited to be processed.
    pub queued_at: DateTime<Utc>,
    /// Asked for by `replay`.
    pub again: bool,
    /// The event that brought this very note before; then nothing follows from this one.
    pub repeat_of: Option<String>,
    pub raw: String,
    pub value: Value,
}

impl Taken {
    pub fn text(&self, field: &str) -> Option<&str> {
        self.value
            .get(field)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    pub fn fleets(&self) -> Vec<String> {
        let fleets = self.value.get("fleets").and_then(Value::as_array);
        fleets
            .into_iter()
            .flatten()
            .filter_map(|fleet| fleet.as_str().map(str::to_owned))
            .collect()
    }

    pub fn body(&self) -> &Value {
        self.value.get("body").unwrap_or(&Value::Null)
    }

    pub fn is_in(&self, scope: &Scope) -> bool {
        scope.matches(
            &self.file,
            &self.device,
            self.text("sn"),
            &self.fleets(),
            self.text("product").unwrap_or_default(),
        )
    }
}

/// Everything that follows from a batch, decided and not yet written.
#[derive(Debug, Default)]
pub struct Effects {
    pub points: Vec<(usize, series::Point)>,
    pub parts: Vec<(usize, frame::Part)>,
    pub deliveries: Vec<(usize, route::Routed)>,
    pub errors: Vec<(usize, String, TransformError)>,
    pub alerts: HashMap<AlertKey, Alert>,
    pub transitions: Vec<Transition>,
}

/// A rule, by its place in the plan, and a device.
pub type AlertKey = (usize, String);

/// A step of the alert machine that an incident may have to follow.
#[derive(Debug)]
pub struct Transition {
    pub rule: usize,
    pub event: usize,
    pub at: DateTime<Utc>,
    pub value: f64,
    pub step: alert::Step,
}

#[derive(Debug, Clone)]
pub struct Processor {
    pub pool: PgPool,
    pub plan: Arc<Plan>,
    pub transforms: Transforms,
}

impl Processor {
    /// Processes one batch and returns how many events it was; 0 means that nothing waits, or that others are at it.
    pub async fn tick(&self, now: DateTime<Utc>) -> anyhow::Result<usize> {
        match self.batch(now, BATCH).await {
            Err(error) if error.downcast_ref().is_some_and(refuses_data) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the database refuses a batch; its events are processed one by one"
                );
                self.one_by_one(now).await
            }
            other => other,
        }
    }

    async fn batch(&self, now: DateTime<Utc>, most: i64) -> anyhow::Result<usize> {
        let started = Instant::now();
        let mut transaction = self.pool.begin().await?;
        // A batch that a crash of Postgres undoes is simply decided again, so its commit need not wait for the disk. Nothing
        // is sent on the strength of it before it is safe: the claim of a delivery waits, for all that was written before.
        sqlx::query!("SET LOCAL synchronous_commit = off")
            .execute(&mut *transaction)
            .await?;
        let events = record::take(&mut transaction, most).await?;
        if events.is_empty() {
            return Ok(0);
        }
        let count = events.len();
        let change = Change::of_devices(events.iter().map(|event| event.device.as_str()));
        if let Err(error) = self.apply(&mut transaction, events, now).await {
            // Not left to the drop: whoever comes next would find the shards still held.
            transaction.rollback().await.ok();
            return Err(error);
        }
        live::announce(&mut transaction, &change).await?;
        transaction.commit().await?;
        metrics::counter!("cloud_process_events_total").increment(count as u64);
        metrics::histogram!("cloud_process_batch_seconds").record(started.elapsed());
        Ok(count)
    }

    /// Decides what follows from the events, and writes it.
    async fn apply(
        &self,
        connection: &mut PgConnection,
        mut events: Vec<Taken>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        identity::tell_repeats(connection, &mut events).await?;
        let alerts = incident::load(connection, &self.plan, &events).await?;
        let plan = self.plan.clone();
        let (events, rest, alerts, effects) = self
            .transforms
            .on_thread(move || {
                let mut events = events;
                let (decided, effects) = decide(&plan, &events, &alerts, now);
                let rest = events.split_off(decided);
                (events, rest, alerts, effects)
            })
            .await?;
        record::give_back(connection, &rest).await?;
        record::write(connection, &events, &effects, now).await?;
        let routed: Vec<_> = effects
            .deliveries
            .iter()
            .map(|(event, routed)| NewDelivery::of_route(&events[*event], routed))
            .collect();
        outbox::enqueue(connection, &routed, now).await?;
        frame::collect(connection, &events, &effects.parts, now).await?;
        if let Some(silence) = &self.plan.silence {
            let returned = heartbeat::heard(connection, silence.patience, &events, now).await?;
            for returned in returned {
                let (plan, transforms) = (&self.plan, &self.transforms);
                incident::heard_again(connection, plan, transforms, returned, now).await?;
            }
        }
        incident::follow(connection, self, &events, effects, alerts, now).await
    }

    /// The way out when the database refuses what a batch would write: each event alone, and the one at fault set aside.
    async fn one_by_one(&self, now: DateTime<Utc>) -> anyhow::Result<usize> {
        let mut done = 0;
        while done < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            let mut transaction = self.pool.begin().await?;
            let events = record::take(&mut transaction, 1).await?;
            let Some(event) = events.first().cloned() else {
                break;
            };
            let mut attempt = transaction.begin().await?;
            match self.apply(&mut attempt, events, now).await {
                Ok(()) => attempt.commit().await?,
                Err(error) if error.downcast_ref().is_some_and(refuses_data) => {
                    attempt.rollback().await?;
                    let why = format!("{error:#}");
                    record::set_aside(&mut transaction, &event, &why, now).await?;
                }
                Err(error) => return Err(error),
            }
            transaction.commit().await?;
            done += 1;
        }
        Ok(done)
    }
}

/// Decides everything that follows from these events, in their order, until all are decided or the budget is used up, and
/// says how many that is. Pure but for the patience kept with expressions.
fn decide(
    plan: &Plan,
    events: &[Taken],
    remembered: &HashMap<AlertKey, incident::Remembered>,
    now: DateTime<Utc>,
) -> (usize, Effects) {
    let started = Instant::now();
    let mut effects = Effects::default();
    for (index, event) in events.iter().enumerate() {
        if index > 0 && started.elapsed() > BUDGET {
            return (index, effects);
        }
        if event.repeat_of.is_some() {
            continue;
        }
        measure(plan, index, event, now, &mut effects);
        for (route, routing) in route::route(plan, event, now) {
            match routing {
                Routing::Deliver(routed) => effects.deliveries.push((index, routed)),
                Routing::Nothing => {}
                Routing::Failed(error) => {
                    let part = format!("route {}", route.config.name);
                    effects.errors.push((index, part, error));
                }
            }
        }
        for (rule_index, rule) in plan.rules.iter().enumerate() {
            if !event.is_in(&rule.scope) {
                continue;
            }
            let value = match rule_value(rule, event, now) {
                Ok(Some(value)) => value,
                Ok(None) => continue,
                Err(error) => {
                    effects.errors.push((index, rule.value.part.clone(), error));
                    continue;
                }
            };
            let at = alert::moment(event.captured_at, event.received_at, event.stored_at);
            let key = (rule_index, event.device.clone());
            let before = effects
                .alerts
                .get(&key)
                .or_else(|| remembered.get(&key).map(|row| &row.alert));
            let (after, step) = alert::step(
                &rule.condition,
                &before.cloned().unwrap_or_default(),
                Sample { at, value },
                now,
            );
            tracing::debug!(
                rule = rule.config.name,
                device = event.device,
                event.uid = event.uid,
                "{step}"
            );
            if !matches!(step, alert::Step::Ignored(_)) {
                effects.alerts.insert(key, after);
                effects.transitions.push(Transition {
                    rule: rule_index,
                    event: index,
                    at,
                    value: alert::rounded(value),
                    step,
                });
            }
        }
    }
    (events.len(), effects)
}

fn measure(plan: &Plan, index: usize, event: &Taken, now: DateTime<Utc>, effects: &mut Effects) {
    if frame::is_part(event) {
        match frame::part(event) {
            Ok(part) => effects.parts.push((index, part)),
            Err(error) => effects.errors.push((index, frame::PART.to_owned(), error)),
        }
    }
    let points = match &plan.series {
        None => series::untransformed(event),
        Some(transform) => match transform.run(&event.value, now) {
            Outcome::Json(value) => series::points(&value),
            Outcome::Nothing | Outcome::DoNotRoute => Vec::new(),
            Outcome::Error(error) => {
                effects.errors.push((index, transform.part.clone(), error));
                Vec::new()
            }
        },
    };
    effects
        .points
        .extend(points.into_iter().map(|point| (index, point)));
}

/// The number that a rule reads from an event; none if its expression yields nothing and the rule assumes nothing.
///
/// A templated note leaves zeros out, so a rule may say which number an absent one stands for. That holds for notes that
/// say something at all: an event without a body says nothing about the value.
pub fn rule_value(
    rule: &plan::Rule,
    event: &Taken,
    now: DateTime<Utc>,
) -> Result<Option<f64>, TransformError> {
    number_in(&rule.config, event, rule.value.run(&event.value, now))
}

/// The number in what a rule's expression made of an event.
pub fn number_in(
    rule: &config::Rule,
    event: &Taken,
    outcome: Outcome,
) -> Result<Option<f64>, TransformError> {
    let assumed = || {
        rule.missing.filter(|_| {
            event
                .body()
                .as_object()
                .is_some_and(|body| !body.is_empty())
        })
    };
    match outcome {
        Outcome::Json(Value::Null) | Outcome::Nothing => Ok(assumed()),
        Outcome::Json(value) => match crate::receive::event::number(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(TransformError {
                code: "NOT_A_NUMBER".into(),
                message: format!("the rule's value is no number but {}", excerpt(&value)),
                position: None,
            }),
        },
        Outcome::DoNotRoute => Ok(None),
        Outcome::Error(error) => Err(error),
    }
}

fn excerpt(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
