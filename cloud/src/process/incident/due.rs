//! Who is to be told of an open incident, and when: asked as it opens, and whenever its `notice_due_at` has come.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::{Connection, PgConnection, PgPool};

use super::delta;
use super::hold;
use super::tell::{Key, Open, Teller};
use crate::deliver::outbox::{self, Notice};
use crate::live::{self, Change};
use crate::process::Taken;
use crate::process::alert::Alert;
use crate::process::alert::telling::{Held, Round, Standing, Telling, telling};
use crate::process::notice::Kind;
use crate::process::plan::{Plan, Recipient, Rule, Which};
use crate::process::silence;
use crate::process::transform::Transforms;

/// So many incidents are looked at in one transaction.
const AT_ONCE: i64 = 100;
/// One that cannot be told now is looked at again after so long.
const PUT_OFF: TimeDelta = TimeDelta::minutes(10);

/// An open incident of which it is to be decided whether it is told.
pub(super) struct Question<'a> {
    rule: &'a Rule,
    device: &'a str,
    acknowledged: bool,
    /// The last step that was told.
    escalation: i32,
    escalate_at: Option<DateTime<Utc>>,
    rule_told_at: Option<DateTime<Utc>>,
    /// Nothing was ever told of it, so there is nothing to look up.
    new: bool,
}

/// Everything that decides, and whom each kind of notice would go to.
pub(super) struct Asked<'a> {
    pub(super) standing: Standing,
    listeners: Listeners,
    silenced_by: Option<String>,
    question: Question<'a>,
}

/// The recipients of a rule, by what they are to be told next.
#[derive(Debug, Default)]
struct Listeners {
    /// Ought to know, and do not: those who are told first, and those it was escalated to.
    owed: BTreeSet<Key>,
    owed_escalation: BTreeSet<Key>,
    told: BTreeSet<Key>,
    next: BTreeSet<Key>,
    /// The step of `next`.
    next_step: Option<i32>,
}

impl<'a> Question<'a> {
    pub(super) fn of_new(
        rule: &'a Rule,
        device: &'a str,
        rule_told_at: Option<DateTime<Utc>>,
    ) -> Self {
        Self {
            rule,
            device,
            acknowledged: false,
            escalation: 0,
            escalate_at: None,
            rule_told_at,
            new: true,
        }
    }

    pub(super) async fn ask(
        self,
        connection: &mut PgConnection,
        teller: &Teller<'_>,
        incident: i64,
    ) -> anyhow::Result<Asked<'a>> {
        let (rule, now) = (self.rule, teller.now);
        let notices = if self.new {
            Vec::new()
        } else {
            outbox::notices(connection, incident).await?
        };
        let listeners = Listeners::of(rule, self.escalation, &notices);
        let reached = notices.iter().filter(|notice| notice.tells());
        let told_at = reached.map(|notice| notice.created_at).max();
        let mut standing = Standing {
            acknowledged: self.acknowledged,
            owed: !listeners.owed.is_empty() || !listeners.owed_escalation.is_empty(),
            told_at,
            rule_told_at: self.rule_told_at,
            escalate_at: listeners.escalate_at(rule, self.escalation, self.escalate_at, told_at),
            cooldown: delta(rule.config.cooldown),
            repeat: rule.config.repeat.map(delta),
            ..Standing::default()
        };
        let mut silenced_by = None;
        // Where there is nobody to tell, nothing is held back either.
        if !rule.recipients.is_empty() {
            standing.station_silent =
                hold::station_silent(connection, teller.plan, rule, self.device).await?;
            let silence =
                silence::over(&mut *connection, self.device, &rule.config.name, now).await?;
            if let Some(silence) = silence {
                standing.silenced_until = Some(silence.ends_at);
                silenced_by = Some(silence.words());
            }
        }
        Ok(Asked {
            standing,
            listeners,
            silenced_by,
            question: self,
        })
    }
}

impl Listeners {
    fn of(rule: &Rule, escalation: i32, notices: &[Notice]) -> Self {
        let reached: BTreeSet<Key> = notices
            .iter()
            .filter(|notice| notice.tells())
            .map(|notice| (notice.destination.clone(), notice.recipient.clone()))
            .collect();
        let steps = rule.recipients.iter().map(Recipient::step);
        let mut listeners = Self {
            next_step: steps.filter(|step| *step > escalation).min(),
            ..Self::default()
        };
        for recipient in &rule.recipients {
            let (key, step) = (recipient.key(), recipient.step());
            if Some(step) == listeners.next_step {
                listeners.next.insert(key);
            } else if step > escalation {
                // Their turn comes after that.
            } else if reached.contains(&key) {
                listeners.told.insert(key);
            } else if step > 0 {
                listeners.owed_escalation.insert(key);
            } else {
                listeners.owed.insert(key);
            }
        }
        listeners
    }

    /// When the next step is due. As it is stored, or, if escalation was configured since, by the last notice.
    fn escalate_at(
        &self,
        rule: &Rule,
        escalation: i32,
        stored: Option<DateTime<Utc>>,
        told_at: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        self.next_step?;
        stored.or_else(|| next_after(rule, escalation, told_at?))
    }
}

/// When the step after this one is due, if this one is told at `at`.
fn next_after(rule: &Rule, escalation: i32, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let wait = rule.waits.get(usize::try_from(escalation).ok()?)?;
    Some(
        at.checked_add_signed(*wait)
            .unwrap_or(DateTime::<Utc>::MAX_UTC),
    )
}

impl Asked<'_> {
    /// Tells, or notes why not, and sets when to ask again. Returns whether anything was told.
    pub(super) async fn follow(
        self,
        connection: &mut PgConnection,
        teller: &Teller<'_>,
        mut open: Open,
        event: &Taken,
        verdict: Telling,
    ) -> anyhow::Result<bool> {
        let now = teller.now;
        let round = match verdict {
            Telling::Tell(round) => round,
            Telling::Held(round, held) => {
                self.hold(connection, open.id, round, held, now).await?;
                return Ok(false);
            }
            Telling::Nothing(until) => {
                hold::ask_again(connection, open.id, until).await?;
                return Ok(false);
            }
        };
        let Self {
            standing,
            listeners,
            question,
            ..
        } = self;
        if round.opening {
            for (kind, to) in [
                (Kind::Opened, &listeners.owed),
                (Kind::Escalated, &listeners.owed_escalation),
            ] {
                teller.tell(connection, &mut open, kind, event, to).await?;
            }
        }
        if round.reminder {
            let to = &listeners.told;
            teller
                .tell(connection, &mut open, Kind::Reminder, event, to)
                .await?;
        }
        let mut escalation = question.escalation;
        let mut escalate_at = standing.escalate_at;
        if let Some(step) = listeners.next_step.filter(|_| round.escalation) {
            tracing::info!(incident.id = open.id, step, "incident escalated");
            let to = &listeners.next;
            teller
                .tell(connection, &mut open, Kind::Escalated, event, to)
                .await?;
            escalation = step;
            escalate_at = next_after(question.rule, escalation, now);
        } else if round.opening && standing.told_at.is_none() && listeners.next_step.is_some() {
            escalate_at = next_after(question.rule, escalation, now);
        }
        let after = Standing {
            owed: false,
            told_at: Some(now),
            escalate_at,
            ..standing
        };
        let due_at = match telling(&after, now) {
            Telling::Nothing(at) => at,
            // Cannot be, as all of it was told just now; the next look would find it.
            Telling::Tell(_) | Telling::Held(..) => Some(now + TimeDelta::minutes(1)),
        };
        sqlx::query!(
            "UPDATE incidents SET notices = $2, last_notice_at = $3, notice_due_at = $4, escalation = $5, escalate_at = $6 WHERE id = $1",
            open.id,
            open.notices,
            now,
            due_at,
            escalation,
            escalate_at
        )
        .execute(connection)
        .await?;
        Ok(true)
    }

    /// Keeps why it is not told, and when to ask again.
    async fn hold(
        self,
        connection: &mut PgConnection,
        incident: i64,
        round: Round,
        held: Held,
        now: DateTime<Utc>,
    ) -> sqlx::Result<()> {
        let reason = match held {
            Held::Silenced(_) => self.silenced_by.unwrap_or_else(|| held.to_string()),
            _ => held.to_string(),
        };
        let notice = round.word();
        tracing::info!(incident.id = incident, notice, "held back: {reason}");
        hold::note(connection, incident, notice, &reason, held.until(), now).await?;
        hold::ask_again(connection, incident, held.until()).await
    }
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
    acknowledged_at: Option<DateTime<Utc>>,
    escalation: i32,
    escalate_at: Option<DateTime<Utc>>,
    rule_told_at: Option<DateTime<Utc>>,
    event_uid: String,
    file: Option<String>,
    captured_at: Option<DateTime<Utc>>,
    received_at: Option<DateTime<Utc>>,
    stored_at: Option<DateTime<Utc>>,
    raw: Option<String>,
    /// As it is stored: not all that was ever written need be understood.
    memory: Option<Value>,
}

impl Due {
    fn at_this_moment(self, rule: Which, now: DateTime<Utc>) -> anyhow::Result<(Open, Taken)> {
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
            value: serde_json::from_str(&raw).context("its event is no JSON")?,
            raw,
        };
        let alert: Option<Alert> = self.memory.map(serde_json::from_value).transpose().context(
            "the memory of its alert (alerts.memory) is of a form that this version does not know",
        )?;
        let alert = alert.unwrap_or_default();
        let (value, at, peak) = match rule {
            Which::Rule(_) => (
                alert.last_value.unwrap_or(self.opened_value),
                alert.last_at.unwrap_or(self.opened_at),
                self.peak_value,
            ),
            Which::Silence => {
                let hours = super::silent::hours(self.opened_at, now);
                (hours, now, hours)
            }
        };
        let open = Open {
            id: self.id,
            rule,
            opened_at: self.opened_at,
            peak,
            value,
            at,
            notices: self.notices,
        };
        Ok((open, event))
    }

    /// Tells what is due, or finds out when to ask again.
    async fn tell(self, connection: &mut PgConnection, teller: &Teller<'_>) -> anyhow::Result<()> {
        let (id, device, now) = (self.id, self.device.clone(), teller.now);
        let rule = teller.plan.which(&self.rule);
        let Some((which, rule)) = rule.and_then(|which| Some((which, teller.plan.of(which)?)))
        else {
            // Its end is near: see `forget_removed_rules`. Until then it takes no other's place.
            hold::ask_again(connection, id, Some(now + PUT_OFF)).await?;
            return Ok(());
        };
        let question = Question {
            rule,
            device: &device,
            acknowledged: self.acknowledged_at.is_some(),
            escalation: self.escalation,
            escalate_at: self.escalate_at,
            rule_told_at: self.rule_told_at,
            new: false,
        };
        let asked = question.ask(connection, teller, id).await?;
        let verdict = telling(&asked.standing, now);
        let (open, event) = self.at_this_moment(which, now)?;
        if !asked
            .follow(connection, teller, open, &event, verdict)
            .await?
        {
            return Ok(());
        }
        sqlx::query!(
            "UPDATE alerts SET last_notice_at = $3 WHERE device = $1 AND rule = $2",
            device,
            rule.config.name,
            now
        )
        .execute(&mut *connection)
        .await?;
        live::announce(connection, &Change::Incident(id)).await?;
        Ok(())
    }
}

/// Makes the notices whose time has come: openings that were held back, escalations and reminders. Returns how many
/// incidents it looked at. One that cannot be told is put off and holds up no other.
pub async fn notices_due(
    pool: &PgPool,
    plan: &Arc<Plan>,
    transforms: &Transforms,
    now: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let mut transaction = pool.begin().await?;
    let due = sqlx::query_as!(
        Due,
        r#"SELECT i.id, i.rule, i.device, i.opened_at, i.peak_value, i.opened_value, i.notices, i.acknowledged_at, i.escalation, i.escalate_at,
                  i.event_uid, e.file AS "file?", e.captured_at AS "captured_at?", e.received_at AS "received_at?", e.stored_at AS "stored_at?",
                  e.raw::text AS raw, a.memory AS "memory?", a.last_notice_at AS "rule_told_at?"
             FROM incidents AS i
             LEFT JOIN received_events AS e ON e.uid = i.event_uid
             LEFT JOIN alerts AS a ON a.device = i.device AND a.rule = i.rule
            WHERE i.notice_due_at <= $1 AND i.resolved_at IS NULL
            ORDER BY i.notice_due_at LIMIT $2
              FOR UPDATE OF i SKIP LOCKED"#,
        now,
        AT_ONCE
    )
    .fetch_all(&mut *transaction)
    .await?;
    let count = due.len();
    let teller = Teller {
        plan,
        transforms,
        now,
    };
    for due in due {
        let id = due.id;
        let mut savepoint = transaction.begin().await?;
        match due.tell(&mut savepoint, &teller).await {
            Ok(()) => savepoint.commit().await?,
            Err(error) => {
                // If the connection is lost this fails, and all of it is done again.
                savepoint.rollback().await?;
                tracing::error!(
                    incident.id = id,
                    error = format!("{error:#}"),
                    "notices of this incident not made; tried again in ten minutes"
                );
                hold::ask_again(&mut transaction, id, Some(now + PUT_OFF)).await?;
            }
        }
    }
    transaction.commit().await?;
    Ok(count)
}
