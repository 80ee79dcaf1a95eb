//! What would become of an event, with nothing of it stored and nothing sent.
//!
//! Behind the page and the API where people try expressions, and behind `cloud try-route`. The cast: an `Attempt` is an
//! event and an expression to be tried as that of a route, a rule, the series, or nobody's; `Tried` says what came of it.
//! What is tried is compiled and judged by the same code as the real thing, so the answer is the real one.
//!
//! Promise: who tries a bad expression harms nobody. `TryOuts` has threads and worker processes of its own, runs one
//! attempt at a time and turns away those who would wait long; time, memory and output are limited as for all expressions.

/// A route, rule or series as it would be in effect.
mod subject;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::config::{Config, Transform};
use crate::deliver::destination::{Destination, Outbound, Preview};
use crate::error::Error;
use crate::process::alert::Step;
use crate::process::notice::Kind;
use crate::process::series::Point;
use crate::process::transform::{Outcome, TransformError, Transforms};
use crate::process::{Taken, alert};
use crate::receive::event;

pub use subject::Subject;

/// So many may wait for their turn; whoever comes then is asked to come again.
const MOST_WAITING: usize = 8;
/// And so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something to try.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub subject: Subject,
    pub event: Value,
    /// When the event was stored, if it is one that was.
    pub stored_at: Option<DateTime<Utc>>,
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    pub event: Taken,
    /// Why Notehub would be refused, were this what it posts.
    pub unreadable: Option<String>,
    /// Whether the route or rule looks at this event at all.
    pub takes: Option<bool>,
    /// What the expression made of the event.
    pub outcome: Outcome,
    /// Whether an error was found before anything ran.
    pub compiles: bool,
    pub points: Vec<Point>,
    pub verdict: Option<Verdict>,
    pub sends: Vec<Send>,
    /// Why what would be sent cannot be shown.
    pub problem: Option<String>,
}

/// What a rule makes of the event, judged as of its arrival.
#[derive(Debug)]
pub struct Verdict {
    pub value: Option<f64>,
    /// Had all been well before.
    pub when_well: Option<Step>,
    /// Had an incident been open.
    pub when_open: Option<Step>,
    /// How old it is by now, if that is too old for the rule.
    pub stale: Option<TimeDelta>,
    pub text: Option<Text>,
}

/// What people would be told. The incident would have a number of its own in place of 1.
#[derive(Debug)]
pub struct Text {
    pub kind: Kind,
    pub text: String,
    /// Why this is the default text and not the rule's own.
    pub failed: Option<TransformError>,
    pub failed_to_compile: bool,
}

/// One request as it would be made.
#[derive(Debug)]
pub struct Send {
    pub destination: String,
    /// The phone, if it is a text.
    pub to: Option<String>,
    pub preview: Preview,
}

/// Tries one at a time, apart from the real work.
#[derive(Debug)]
pub struct TryOuts {
    transforms: Transforms,
    waiting: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl TryOuts {
    pub fn new(config: &Transform, worker_exe: PathBuf) -> Self {
        Self {
            transforms: Transforms::new(config, worker_exe),
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    pub async fn run(
        &self,
        config: &Config,
        attempt: Attempt,
        now: DateTime<Utc>,
    ) -> Result<Tried, Error> {
        const BUSY: &str = "others are trying expressions that take long";
        let busy = || Error::Unavailable(BUSY.into());
        let waiting = self
            .waiting
            .clone()
            .try_acquire_owned()
            .map_err(|_| busy())?;
        let turn = tokio::time::timeout(PATIENCE, self.turn.clone().acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(|_| busy())?;
        drop(waiting);
        // The turn ends with the work, even when nobody waits for the answer any more.
        try_out(config, &self.transforms, attempt, now, turn)
            .await
            .map_err(|error| {
                tracing::error!(error = format!("{error:#}"), "nothing was tried");
                Error::Unavailable("the expression could not be tried".into())
            })
    }
}

/// Tries one. `turn` is dropped when the expression has ended.
pub async fn try_out(
    config: &Config,
    transforms: &Transforms,
    attempt: Attempt,
    now: DateTime<Utc>,
    turn: impl std::marker::Send + 'static,
) -> anyhow::Result<Tried> {
    let (compiler, whole) = (transforms.clone(), attempt);
    let (mut tried, bodies) = transforms
        .on_thread(move || {
            let tried = subject::judge(&compiler, whole, now);
            drop(turn);
            tried
        })
        .await?;
    match previews(config, bodies, &tried.event, now) {
        Ok(sends) => tried.sends = sends,
        Err(error) => tried.problem = Some(format!("{error:#}")),
    }
    Ok(tried)
}

/// A body for a destination, before it is dressed as a request.
#[derive(Debug)]
struct Body {
    destination: String,
    to: Option<String>,
    incident_id: Option<i64>,
    text: String,
}

fn previews(
    config: &Config,
    bodies: Vec<Body>,
    event: &Taken,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<Send>> {
    let one = |body: Body| {
        let configured = config
            .destination(&body.destination)
            .with_context(|| format!("there is no destination `{}`", body.destination))?;
        let preview = Destination::new(configured)?.preview(&Outbound {
            id: uuid::Uuid::nil(),
            event_uid: Some(event.uid.clone()).filter(|uid| !uid.is_empty()),
            incident_id: body.incident_id,
            device: event.device.clone(),
            created_at: now,
            attempt: 1,
            ambiguous_before: None,
            body: body.text,
        });
        Ok(Send {
            destination: body.destination,
            to: body.to,
            preview,
        })
    };
    bodies.into_iter().map(one).collect()
}

/// The event as `process` would have it, and why `receive` would not, if so.
fn taken(
    value: Value,
    stored_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> (Taken, Option<String>) {
    let raw = value.to_string();
    let parsed = event::parse(raw.as_bytes(), now);
    let text = |key: &str| {
        let text = value.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let unreadable = parsed.as_ref().err().map(ToString::to_string);
    let parsed = parsed.unwrap_or_else(|_| event::Event {
        uid: text("event"),
        device: text("device"),
        file: text("file"),
        captured_at: now,
        captured_from: event::CapturedFrom::Received,
        received_at: now,
        raw: raw.clone(),
    });
    let event = Taken {
        uid: parsed.uid,
        device: parsed.device,
        file: parsed.file,
        captured_at: parsed.captured_at,
        received_at: parsed.received_at,
        stored_at: stored_at.unwrap_or(parsed.received_at),
        queued_at: now,
        again: false,
        repeat_of: None,
        // As it came: what is sent without a transform is this, byte for byte.
        raw,
        value,
    };
    (event, unreadable)
}

/// Where an error was found, for people: line and column from 1, and the line around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How many characters there are up to it, and with it.
    pub until: usize,
    pub line: usize,
    pub column: usize,
    pub before: String,
    /// The character at fault; a blank where the expression ended too early.
    pub at: String,
    pub after: String,
}

/// Of what surrounds a mistake on a line of generated length, so much is shown on either side.
const AROUND: usize = 200;

impl Place {
    /// `position` is how many characters had been read when the error was found, so the last of them is at fault.
    pub fn of(expression: &str, position: usize) -> Self {
        let all: Vec<char> = expression.chars().collect();
        let last = all.len().saturating_sub(1);
        let mut index = position.saturating_sub(1).min(last);
        // What is missing at the end is missing behind the last word, not behind empty lines.
        if position >= all.len() {
            while index > 0 && all[index].is_whitespace() {
                index -= 1;
            }
        }
        let start = all[..index]
            .iter()
            .rposition(|c| *c == '\n')
            .map_or(0, |at| at + 1);
        let end = all[index..]
            .iter()
            .position(|c| *c == '\n')
            .map_or(all.len(), |at| index + at);
        let line = 1 + all[..index].iter().filter(|c| **c == '\n').count();
        let some = |part: &[char]| part.iter().collect::<String>();
        Self {
            until: index + 1,
            line,
            column: index - start + 1,
            before: some(&all[start.max(index.saturating_sub(AROUND))..index]),
            at: all
                .get(index)
                .filter(|c| **c != '\n')
                .map_or(" ".into(), char::to_string),
            after: some(
                all.get(index + 1..end.min(index + AROUND))
                    .unwrap_or_default(),
            ),
        }
    }
}

/// The moment that a rule judges an event by, and the moment it would have been judged at.
fn moments(event: &Taken) -> (DateTime<Utc>, DateTime<Utc>) {
    let at = alert::moment(event.captured_at, event.received_at, event.stored_at);
    (at, event.stored_at.max(event.received_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, position: usize, expected: (usize, usize, &str, &str, &str)) {
        let place = Place::of(expression, position);
        let found = (
            place.line,
            place.column,
            place.before.as_str(),
            place.at.as_str(),
            place.after.as_str(),
        );
        assert_eq!(found, expected);
    }

    #[test]
    fn places() {
        check("a + + b", 5, (1, 5, "a + ", "+", " b"));
        check(
            "{\n  \"ä\": body.}\n}",
            15,
            (2, 13, "  \"ä\": body.", "}", ""),
        );
        check("(a\n\n", 4, (1, 2, "(", "a", ""));
        check("a", 0, (1, 1, "", "a", ""));
        check("", 3, (1, 1, "", " ", ""));
        check("a\n\nb", 2, (1, 2, "a", " ", ""));
    }
}
