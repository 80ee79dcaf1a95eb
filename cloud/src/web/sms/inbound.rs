//! What a person asks for by text, done once and answered.
//!
//! Owns `inbound_texts`. The text is written first, by Twilio's id for it, in the transaction of what it asks for: who
//! brings it again, even at the same moment, waits for that and gets the same answer, and nothing is done twice.
//!
//! Only the numbers that a destination of the account texts may ask for anything, and each only about incidents that it
//! was told of or that its rules would tell it of; all others are "no such incident" to it. A number can be forged by who
//! has the means, so there is nothing here that could not be taken back on the page.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use super::answer::{self, Incident, Stations};
use super::command::{Command, Time, USUAL_SILENCE};
use super::{Admitted, Refused, message_sid};
use crate::App;
use crate::audit::{Actor, Via};
use crate::config::{Config, SILENT};
use crate::process::{incident, silence};

/// Twilio refuses to send longer ones.
const LONGEST: usize = 1_600;
/// A machine that answers texts by itself gets our help once in this time, or the two would talk for ever.
const HELP_AGAIN_AFTER: TimeDelta = TimeDelta::minutes(10);
const MOST_OPEN: i64 = 20;
const MOST_NAMES: i64 = 3;
const NO_REASON: &str = "by text";

/// A person with a phone.
#[derive(Debug)]
struct Sender {
    number: String,
    actor: Actor,
    /// The rules whose notices go to this number.
    rules: Vec<String>,
}

/// What is answered, and about which incident.
struct Reply {
    text: Option<String>,
    incident: Option<i64>,
}

impl Reply {
    /// Only words.
    fn of(text: String) -> Self {
        Self {
            text: Some(text),
            incident: None,
        }
    }

    fn about(incident: i64, text: String) -> Self {
        Self {
            text: Some(text),
            incident: Some(incident),
        }
    }

    const NONE: Self = Self {
        text: None,
        incident: None,
    };
}

/// Does what a text asks for, if its sender is known, and returns the answer as TwiML.
pub async fn take(app: &App, request: &Admitted) -> Result<String, Refused> {
    let sid = message_sid(request)?;
    let from = request.field("From").ok_or(Refused::Field("From"))?;
    let Some(sender) = Sender::known(app, &request.account, from) else {
        metrics::counter!("cloud_texts_received_total", "command" => "stranger").increment(1);
        tracing::warn!(
            from = masked(from),
            "a text from a number that is in no `to` was not answered"
        );
        return Ok(answer::NOTHING.to_owned());
    };
    let body = request.field("Body").unwrap_or_default().replace('\0', " ");
    let body: String = body.chars().take(LONGEST).collect();
    // Set when Twilio has answered already, whatever word its owner chose for that.
    let command = match request.field("OptOutType") {
        Some(_) => Command::Carrier,
        None => Command::parse(&body),
    };
    let now = app.clock.now();

    let mut transaction = app.pool.begin().await?;
    let fresh = sqlx::query!(
        r#"INSERT INTO inbound_texts (message_sid, at, sender, body, command, answer) VALUES ($1, $2, $3, $4, $5, $6)
           ON CONFLICT (message_sid) DO NOTHING"#,
        sid,
        now,
        sender.number,
        body,
        command.word(),
        answer::NOTHING
    )
    .execute(&mut *transaction)
    .await?
    .rows_affected()
        == 1;
    if !fresh {
        let before = sqlx::query_scalar!(
            "SELECT answer FROM inbound_texts WHERE message_sid = $1",
            sid
        )
        .fetch_one(&mut *transaction)
        .await?;
        tracing::info!(
            message.sid = sid,
            "a text came again and got the answer that it had"
        );
        return Ok(before);
    }
    let reply = follow(&mut transaction, app, &sender, &command, now).await?;
    let twiml = reply
        .text
        .map_or_else(|| answer::NOTHING.to_owned(), |text| answer::twiml(&text));
    sqlx::query!(
        "UPDATE inbound_texts SET answer = $2, incident_id = $3 WHERE message_sid = $1",
        sid,
        twiml,
        reply.incident
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    metrics::counter!("cloud_texts_received_total", "command" => command.word()).increment(1);
    tracing::info!(
        message.sid = sid,
        person = masked(&sender.actor.name),
        command = command.word(),
        incident.id = reply.incident,
        "text"
    );
    Ok(twiml)
}

impl Sender {
    fn known(app: &App, account: &str, from: &str) -> Option<Self> {
        let number = e164(from)?;
        let name = name(&app.config, account, &number)?;
        let plan = &app.processor.plan;
        let rules = plan.watched().filter(|rule| {
            let numbers = rule.recipients.iter().map(|recipient| recipient.key().1);
            numbers.flatten().any(|told| told == number)
        });
        Some(Self {
            rules: rules.map(|rule| rule.config.name.clone()).collect(),
            actor: Actor {
                name,
                via: Via::Sms,
            },
            number,
        })
    }
}

/// Whose number it is, by name or else by the number, if a destination of the account texts it.
fn name(config: &Config, account: &str, number: &str) -> Option<String> {
    let mut known = config
        .phones()
        .map(|(_, twilio)| twilio)
        .filter(|twilio| twilio.account_sid == account && twilio.to.iter().any(|to| to == number))
        .peekable();
    known.peek()?;
    let named = known.find_map(|twilio| twilio.names.get(number));
    Some(named.cloned().unwrap_or_else(|| number.to_owned()))
}

/// A number in international form, without what people put between the digits.
fn e164(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix('+')?;
    let between = |letter: char| matches!(letter, ' ' | '-' | '.' | '(' | ')');
    let digits: String = digits.chars().filter(|letter| !between(*letter)).collect();
    let good = (7..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| format!("+{digits}"))
}

/// Enough of a number to know one's own by; a name is shown as it is.
fn masked(number: &str) -> String {
    if !number.starts_with('+') {
        return number.chars().take(20).collect();
    }
    let letters = number.chars().count();
    let shown = number.chars().skip(letters.saturating_sub(2).max(3));
    let head: String = number.chars().take(3).collect();
    format!("{head}…{}", shown.collect::<String>())
}

async fn follow(
    connection: &mut PgConnection,
    app: &App,
    sender: &Sender,
    command: &Command,
    now: DateTime<Utc>,
) -> sqlx::Result<Reply> {
    match command {
        Command::Acknowledge { incident, remark } => {
            acknowledge(connection, sender, *incident, remark.as_deref(), now).await
        }
        Command::Silence {
            incident,
            time,
            reason,
        } => {
            let reason = reason.as_deref().unwrap_or(NO_REASON);
            silence(connection, sender, *incident, (*time, reason), now).await
        }
        Command::Status { incident: Some(id) } => {
            let Some(found) = find(connection, sender, *id).await? else {
                return no_such(connection, sender, *id).await;
            };
            Ok(Reply::about(*id, linked(app, found.status(), *id)))
        }
        Command::Status { incident: None } => {
            let (open, more) = open(connection, sender).await?;
            let stations = stations(connection).await?;
            Ok(Reply::of(answer::overview(&open, more, &stations)))
        }
        Command::Unknown if helped(connection, sender, now).await? => Ok(Reply::NONE),
        Command::Help | Command::Unknown => {
            let (open, _) = open(connection, sender).await?;
            let understood = *command == Command::Help;
            Ok(Reply::of(answer::help(understood, &open)))
        }
        Command::Carrier => Ok(Reply::NONE),
    }
}

async fn acknowledge(
    connection: &mut PgConnection,
    sender: &Sender,
    id: Option<i64>,
    remark: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<Reply> {
    let waits = |one: &Incident| one.told && one.acknowledged_at.is_none();
    let words = (answer::NOTHING_WAITS, "ACK");
    let found = match meant(connection, sender, id, waits, words).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    if let Some(remark) = remark {
        incident::remark(&mut *connection, found.id, remark, &sender.actor, now).await?;
    }
    if let Some(at) = found.resolved_at {
        return Ok(Reply::about(found.id, found.over(at, remark.is_some())));
    }
    incident::acknowledge(&mut *connection, found.id, &sender.actor, now).await?;
    let text = found.acknowledged(&sender.actor.name, remark.is_some());
    Ok(Reply::about(found.id, text))
}

async fn silence(
    connection: &mut PgConnection,
    sender: &Sender,
    id: Option<i64>,
    (time, reason): (Time, &str),
    now: DateTime<Utc>,
) -> sqlx::Result<Reply> {
    let words = (answer::NOTHING_TO_MUTE, "SILENCE");
    let found = match meant(connection, sender, id, |one| one.told, words).await? {
        Ok(found) => found,
        Err(reply) => return Ok(reply),
    };
    let length = match time {
        Time::Given(length) => length.min(silence::LONGEST),
        Time::Missing => USUAL_SILENCE,
        Time::Unclear => return Ok(Reply::of(answer::unclear_time(found.id))),
    };
    let actor = &sender.actor;
    silence::start_for_incident(&mut *connection, found.id, length, reason, actor, now).await?;
    let text = found.silenced(now + length, time == Time::Missing);
    Ok(Reply::about(found.id, text))
}

/// The incident that is named, or else the only open one that fits; the error is what to answer if there is none, or if
/// there are several.
async fn meant(
    connection: &mut PgConnection,
    sender: &Sender,
    id: Option<i64>,
    fits: impl Fn(&Incident) -> bool,
    (nothing, order): (&str, &str),
) -> sqlx::Result<Result<Incident, Reply>> {
    if let Some(id) = id {
        return Ok(match find(connection, sender, id).await? {
            Some(found) => Ok(found),
            None => Err(no_such(connection, sender, id).await?),
        });
    }
    let (mut open, _) = open(connection, sender).await?;
    open.retain(fits);
    Ok(match open.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Reply::of(nothing.to_owned())),
        several => Err(Reply::of(answer::which(several, order))),
    })
}

async fn no_such(connection: &mut PgConnection, sender: &Sender, id: i64) -> sqlx::Result<Reply> {
    let (open, _) = open(connection, sender).await?;
    Ok(Reply::of(answer::no_such(id, &open)))
}

fn linked(app: &App, text: String, id: i64) -> String {
    match app.processor.plan.link(id) {
        Some(link) => crate::process::notice::with_link(text, &link),
        None => text,
    }
}

/// An incident that is this number's business, held so that it stays as it is told.
async fn find(
    connection: &mut PgConnection,
    sender: &Sender,
    id: i64,
) -> sqlx::Result<Option<Incident>> {
    let found = sqlx::query_as!(
        Incident,
        r#"SELECT i.id, coalesce(d.serial_number, i.device) AS "name!", i.rule, i.severity, i.opened_at, i.resolved_at, i.acknowledged_at,
                  i.acknowledged_by, i.peak_value, (a.memory ->> 'last_value')::float8 AS last_value, d.best_timezone AS "timezone?",
                  EXISTS (SELECT FROM delivery_contents AS c WHERE c.incident_id = i.id AND c.body ->> 'to' = $2) AS "told!"
             FROM incidents AS i
             LEFT JOIN devices AS d ON d.uid = i.device
             LEFT JOIN alerts AS a ON a.device = i.device AND a.rule = i.rule
            WHERE i.id = $1
              FOR UPDATE OF i"#,
        id,
        sender.number
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.filter(|incident| incident.told || sender.rules.contains(&incident.rule)))
}

/// The open incidents that are this number's business, the gravest and newest first, and whether there are more.
async fn open(
    connection: &mut PgConnection,
    sender: &Sender,
) -> sqlx::Result<(Vec<Incident>, bool)> {
    let mut open = sqlx::query_as!(
        Incident,
        r#"SELECT o.id AS "id!", coalesce(d.serial_number, o.device) AS "name!", o.rule AS "rule!", o.severity AS "severity!",
                  o.opened_at AS "opened_at!", o.resolved_at, o.acknowledged_at, o.acknowledged_by, o.peak_value AS "peak_value!",
                  NULL::float8 AS last_value, d.best_timezone AS "timezone?", o.told AS "told!"
             FROM (SELECT i.*, EXISTS (SELECT FROM delivery_contents AS c WHERE c.incident_id = i.id AND c.body ->> 'to' = $2) AS told
                     FROM incidents AS i WHERE i.resolved_at IS NULL) AS o
             LEFT JOIN devices AS d ON d.uid = o.device
            WHERE o.told OR o.rule = ANY ($1)
            ORDER BY array_position(ARRAY['critical', 'warning', 'info'], o.severity), o.id DESC
            LIMIT $3"#,
        &sender.rules as _,
        sender.number,
        MOST_OPEN + 1
    )
    .fetch_all(connection)
    .await?;
    let most = usize::try_from(MOST_OPEN).unwrap_or(usize::MAX);
    let more = open.len() > most;
    open.truncate(most);
    Ok((open, more))
}

async fn stations(connection: &mut PgConnection) -> sqlx::Result<Stations> {
    let counts = sqlx::query!(
        r#"SELECT (SELECT count(*) FROM devices) AS "all!",
                  (SELECT count(*) FROM incidents WHERE rule = $1 AND resolved_at IS NULL) AS "silent!""#,
        SILENT
    )
    .fetch_one(&mut *connection)
    .await?;
    // Who fell silent last is whom somebody may not have heard of yet.
    let names = sqlx::query_scalar!(
        r#"SELECT coalesce(d.serial_number, i.device) AS "name!" FROM incidents AS i LEFT JOIN devices AS d ON d.uid = i.device
            WHERE i.rule = $1 AND i.resolved_at IS NULL ORDER BY i.opened_at DESC, i.device LIMIT $2"#,
        SILENT,
        MOST_NAMES
    )
    .fetch_all(connection)
    .await?;
    Ok(Stations {
        all: counts.all,
        silent: counts.silent,
        names,
    })
}

/// Whether this number got our help for something unknown just now. The text at hand is not counted.
async fn helped(
    connection: &mut PgConnection,
    sender: &Sender,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM inbound_texts WHERE sender = $1 AND at > $2 AND command = 'unknown' AND answer <> $3) AS "helped!""#,
        sender.number,
        now - HELP_AGAIN_AFTER,
        answer::NOTHING
    )
    .fetch_one(connection)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_people_write_them() {
        for text in ["+15005550009", " +1 (500) 555-0009 ", "+1.500.555.0009"] {
            assert_eq!(e164(text).as_deref(), Some("+15005550009"), "{text}");
        }
        for text in [
            "15005550009",
            " 15005550009",
            "whatsapp:+15005550009",
            "+1500",
            "+1500555000x",
            "",
        ] {
            assert_eq!(e164(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_in_the_log() {
        assert_eq!(masked("+15005550009"), "+15…09");
        assert_eq!(masked("+1"), "+1…");
        assert_eq!(masked(""), "");
        assert_eq!(masked("Ann"), "Ann");
    }
}
