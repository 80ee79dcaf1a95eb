//! What a notice says and to whom it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::delta;
use crate::config;
use crate::deliver::outbox::{self, NewDelivery};
use crate::process::notice::{self, Facts, HotSpot, Kind};
use crate::process::plan::{Plan, Recipient};
use crate::process::route::delivery_id;
use crate::process::transform::{Outcome, TransformError, Transforms};
use crate::process::{Taken, record};

/// An incident at the moment of a notice.
pub(crate) struct Open {
    pub(crate) id: i64,
    /// The rule's place in the plan.
    pub(crate) rule: usize,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) peak: f64,
    pub(crate) value: f64,
    pub(crate) at: DateTime<Utc>,
    /// How many rounds of notices there were before.
    pub(crate) notices: i32,
}

/// What it takes to tell people.
pub(super) struct Teller<'a> {
    pub(super) plan: &'a Arc<Plan>,
    pub(super) transforms: &'a Transforms,
    pub(super) now: DateTime<Utc>,
}

impl Teller<'_> {
    /// Enqueues one notice per recipient of the rule, or of those in `only`, and notes when the next one is due.
    pub(super) async fn tell(
        &self,
        connection: &mut PgConnection,
        open: &Open,
        kind: Kind,
        event: &Taken,
        only: Option<BTreeSet<(String, Option<String>)>>,
    ) -> anyhow::Result<()> {
        let now = self.now;
        let rule = &self.plan.rules[open.rule];
        let text = self.text(connection, open, kind, event).await?;
        let round = open.notices + 1;
        let deliveries: Vec<_> = rule
            .recipients
            .iter()
            .filter(|recipient| {
                only.as_ref()
                    .is_none_or(|only| only.contains(&recipient.key()))
            })
            .map(|recipient| {
                let (destination, number) = recipient.key();
                let body = body(&rule.config, recipient, &text, open, kind, event);
                NewDelivery {
                    id: delivery_id(&[
                        "notice",
                        &open.id.to_string(),
                        &round.to_string(),
                        &destination,
                        number.as_deref().unwrap_or_default(),
                    ]),
                    event_uid: Some(event.uid.clone()),
                    incident_id: Some(open.id),
                    route: None,
                    destination,
                    device: event.device.clone(),
                    notice: Some(kind_name(kind)),
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
        &self,
        connection: &mut PgConnection,
        open: &Open,
        kind: Kind,
        event: &Taken,
    ) -> anyhow::Result<String> {
        let now = self.now;
        let rule = &self.plan.rules[open.rule];
        if let Some(message) = &rule.message {
            let input = message_input(&rule.config, open, kind, event);
            let (plan, index) = (self.plan.clone(), open.rule);
            let outcome = self
                .transforms
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
        Ok(default_words(&rule.config, open, kind, event))
    }
}

/// What a rule's own message sees: the event, and the incident beside it as `alert`.
pub(crate) fn message_input(rule: &config::Rule, open: &Open, kind: Kind, event: &Taken) -> Value {
    let mut input = event.value.clone();
    if let Value::Object(fields) = &mut input {
        fields.insert("alert".into(), described(rule, open, event));
        fields["alert"]["notice"] = kind_name(kind).into();
    }
    input
}

/// The text of a notice whose rule has none of its own.
pub(crate) fn default_words(rule: &config::Rule, open: &Open, kind: Kind, event: &Taken) -> String {
    notice::default_text(&Facts {
        kind,
        severity: rule.severity,
        incident_id: open.id,
        device_name: event.text("sn").unwrap_or(&event.device),
        rule: &rule.name,
        value: open.value,
        threshold: rule.fire,
        peak: Some(open.peak),
        opened_at: open.opened_at,
        at: open.at,
        place: event.text("best_location"),
        timezone: event.text("best_timezone"),
        hot_spot: hot_spot(event.body()),
        wording: rule.wording,
        why: event.body().get("why").and_then(Value::as_str),
    })
}

/// What a destination gets for a recipient.
pub(crate) fn body(
    rule: &config::Rule,
    recipient: &Recipient,
    text: &str,
    open: &Open,
    kind: Kind,
    event: &Taken,
) -> Value {
    match recipient {
        Recipient::Phone { number, .. } => json!({ "to": number, "text": text }),
        Recipient::Http { .. } => {
            json!({ "notice": kind_name(kind), "text": text, "incident": described(rule, open, event) })
        }
    }
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
fn described(rule: &config::Rule, open: &Open, event: &Taken) -> Value {
    json!({
        "id": open.id, "rule": rule.name, "severity": rule.severity.word(), "device": event.device,
        "name": event.text("sn").unwrap_or(&event.device), "value": open.value, "peak": open.peak, "at": open.at, "opened_at": open.opened_at,
    })
}

pub(crate) fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Opened => "opened",
        Kind::Reminder => "reminder",
        Kind::Resolved => "resolved",
    }
}
