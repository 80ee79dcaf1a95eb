//! What a notice says and to whom it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::delta;
use crate::deliver::outbox::{self, NewDelivery};
use crate::process::notice::{self, Facts, HotSpot, Kind};
use crate::process::plan::{Plan, Recipient, Rule};
use crate::process::route::delivery_id;
use crate::process::transform::{Outcome, TransformError, Transforms};
use crate::process::{Taken, record};

/// An incident at the moment of a notice.
pub(super) struct Open {
    pub(super) id: i64,
    /// The rule's place in the plan.
    pub(super) rule: usize,
    pub(super) opened_at: DateTime<Utc>,
    pub(super) peak: f64,
    pub(super) value: f64,
    pub(super) at: DateTime<Utc>,
    /// How many rounds of notices there were before.
    pub(super) notices: i32,
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
        let mut text = self.text(connection, open, kind, event).await?;
        if let Some(link) = self.plan.link(open.id) {
            text = notice::with_link(text, &link);
        }
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
        &self,
        connection: &mut PgConnection,
        open: &Open,
        kind: Kind,
        event: &Taken,
    ) -> anyhow::Result<String> {
        let now = self.now;
        let rule = &self.plan.rules[open.rule];
        if let Some(message) = &rule.message {
            let mut input = event.value.clone();
            if let Value::Object(fields) = &mut input {
                fields.insert("alert".into(), described(rule, open, event));
                fields["alert"]["notice"] = kind_name(kind).into();
            }
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
            wording: rule.config.wording,
            why: event.body().get("why").and_then(Value::as_str),
        }))
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
