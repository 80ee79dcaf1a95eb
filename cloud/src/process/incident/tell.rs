//! What a notice says and to whom it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;

use crate::config::{self, Wording};
use crate::deliver::outbox::{self, NewDelivery};
use crate::process::alert::rounded;
use crate::process::notice::{self, Facts, HotSpot, Kind};
use crate::process::plan::{Plan, Recipient, Rule, Which};
use crate::process::route::delivery_id;
use crate::process::transform::{Outcome, TransformError, Transforms};
use crate::process::{Taken, record};

/// A recipient: the destination, and whom it reaches there.
pub(super) type Key = (String, Option<String>);

/// An incident at the moment of a notice.
pub(crate) struct Open {
    pub(crate) id: i64,
    pub(crate) rule: Which,
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
    /// Enqueues one notice for each of these recipients that the rule still has. It counts as a round if there are any.
    pub(super) async fn tell(
        &self,
        connection: &mut PgConnection,
        open: &mut Open,
        kind: Kind,
        event: &Taken,
        to: &BTreeSet<Key>,
    ) -> anyhow::Result<()> {
        let Some(rule) = self.plan.of(open.rule) else {
            return Ok(());
        };
        let recipients: Vec<_> = rule
            .recipients
            .iter()
            .filter(|recipient| to.contains(&recipient.key()))
            .collect();
        if recipients.is_empty() {
            return Ok(());
        }
        let mut text = self.text(connection, rule, open, kind, event).await?;
        if let Some(link) = self.plan.link(open.id) {
            text = notice::with_link(text, &link);
        }
        open.notices += 1;
        let round = open.notices.to_string();
        let deliveries: Vec<_> = recipients
            .into_iter()
            .map(|recipient| {
                let (destination, number) = recipient.key();
                let body = body(&rule.config, recipient, &text, open, kind, event);
                let parts = [
                    "notice",
                    &open.id.to_string(),
                    &round,
                    &destination,
                    number.as_deref().unwrap_or_default(),
                ];
                NewDelivery {
                    id: delivery_id(&parts),
                    event_uid: Some(event.uid.clone()),
                    incident_id: Some(open.id),
                    route: None,
                    destination,
                    device: event.device.clone(),
                    notice: Some(kind.word()),
                    body: body.to_string(),
                }
            })
            .collect();
        outbox::enqueue(connection, &deliveries, self.now).await?;
        Ok(())
    }

    /// Tells the end to those who heard of it.
    pub(super) async fn all_clear(
        &self,
        connection: &mut PgConnection,
        mut open: Open,
        event: &Taken,
        told: &BTreeSet<Key>,
    ) -> anyhow::Result<()> {
        let before = open.notices;
        self.tell(connection, &mut open, Kind::Resolved, event, told)
            .await?;
        if open.notices > before {
            sqlx::query!(
                "UPDATE incidents SET notices = $2, last_notice_at = $3 WHERE id = $1",
                open.id,
                open.notices,
                self.now
            )
            .execute(connection)
            .await?;
        }
        Ok(())
    }

    /// The text of a notice: the rule's own, or, if it has none or it fails, the default one.
    async fn text(
        &self,
        connection: &mut PgConnection,
        rule: &Rule,
        open: &Open,
        kind: Kind,
        event: &Taken,
    ) -> anyhow::Result<String> {
        let now = self.now;
        if let Some(message) = &rule.message {
            let input = message_input(&rule.config, open, kind, event);
            let (plan, which) = (self.plan.clone(), open.rule);
            let outcome = self
                .transforms
                .on_thread(move || {
                    let message = plan.of(which)?.message.as_ref()?;
                    Some(message.run(&input, now))
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
        let heard_last = match rule.config.wording {
            Wording::Silence => last_score(connection, &event.device).await?,
            _ => None,
        };
        let heard_last = heard_last.as_deref();
        Ok(default_words(&rule.config, open, kind, event, heard_last))
    }
}

/// What a rule's own message sees: the event, and the incident beside it as `alert`.
pub(crate) fn message_input(rule: &config::Rule, open: &Open, kind: Kind, event: &Taken) -> Value {
    let mut input = event.value.clone();
    if let Value::Object(fields) = &mut input {
        fields.insert("alert".into(), described(rule, open, event));
        fields["alert"]["notice"] = kind.word().into();
    }
    input
}

/// The text of a notice whose rule has none of its own. `heard_last` is what a silent station said last.
pub(crate) fn default_words(
    rule: &config::Rule,
    open: &Open,
    kind: Kind,
    event: &Taken,
    heard_last: Option<&str>,
) -> String {
    let why = event.body().get("why").and_then(Value::as_str);
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
        why: match rule.wording {
            Wording::Silence => heard_last,
            _ => why,
        },
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
            json!({ "notice": kind.word(), "text": text, "incident": described(rule, open, event) })
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

/// What a station that is silent said last of its anomaly, if it ever did.
async fn last_score(connection: &mut PgConnection, device: &str) -> sqlx::Result<Option<String>> {
    let last = sqlx::query_scalar!(
        "SELECT value FROM measurements WHERE device = $1 AND series = 'anomaly' ORDER BY at DESC LIMIT 1",
        device
    )
    .fetch_optional(connection)
    .await?;
    Ok(last.map(|score| format!("last anomaly {}", rounded(score))))
}
