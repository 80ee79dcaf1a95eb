//! The routed event as Notehub posts it, read leniently (pure).
//!
//! Anything may arrive: a JSONata route posts whatever its expression returns, numbers come as text, zero and empty fields
//! are left out, and new fields appear. What is needed to store an event is its uid, its device and its notefile; all else
//! has a reading for every shape, and the event is kept whole whatever is made of it here.

use chrono::{DateTime, Utc};
use serde_json::Value;

/// The longest uid, device or notefile name that is believed; Notehub's own are under 60 characters.
const LONGEST_NAME: usize = 256;

/// An event that can be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub uid: String,
    pub device: String,
    pub file: String,
    pub captured_at: DateTime<Utc>,
    pub captured_from: CapturedFrom,
    pub received_at: DateTime<Utc>,
    /// The event as JSON text that Postgres accepts.
    pub raw: String,
}

/// Whose clock `captured_at` comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapturedFrom {
    /// The Notecard's (`when`).
    When,
    /// Notehub's (`received`), because the Notecard had no time yet.
    Received,
}

impl CapturedFrom {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::When => "when",
            Self::Received => "received",
        }
    }
}

/// Why a body is no routed event. The text goes into Notehub's route log and into `rejected`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unreadable {
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    #[error(
        "the body is JSON but no object: {0}; the Notehub route must send the event itself, with no transform of its own"
    )]
    NotAnObject(&'static str),
    #[error(
        "the event has no `{0}`; the Notehub route must send the event itself, with no transform of its own"
    )]
    Missing(&'static str),
    #[error("the event's `{0}` is not a text of 1 to {LONGEST_NAME} characters")]
    BadName(&'static str),
}

/// Reads a body. `now` stands in for a missing `received`.
pub fn parse(body: &[u8], now: DateTime<Utc>) -> Result<Event, Unreadable> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| Unreadable::NotJson(error.to_string()))?;
    let Value::Object(fields) = &value else {
        return Err(Unreadable::NotAnObject(shape(&value)));
    };
    let uid = name(fields, "event")?;
    let device = name(fields, "device")?;
    let file = name(fields, "file")?;
    let received_at = fields.get("received").and_then(moment).unwrap_or(now);
    let (captured_at, captured_from) = match fields.get("when").and_then(moment) {
        Some(when) => (when, CapturedFrom::When),
        None => (received_at, CapturedFrom::Received),
    };
    Ok(Event {
        uid,
        device,
        file,
        captured_at,
        captured_from,
        received_at,
        raw: storable(body, &value),
    })
}

fn name(fields: &serde_json::Map<String, Value>, key: &'static str) -> Result<String, Unreadable> {
    match fields.get(key) {
        None | Some(Value::Null) => Err(Unreadable::Missing(key)),
        Some(Value::String(text)) if text.is_empty() => Err(Unreadable::Missing(key)),
        Some(Value::String(text))
            if text.chars().count() <= LONGEST_NAME && !text.contains('\0') =>
        {
            Ok(text.clone())
        }
        Some(_) => Err(Unreadable::BadName(key)),
    }
}

/// Seconds since 1970, whole or with a fraction, as a number or as text. Zero means "not set", as it does in Notehub, and
/// so does what lies before 1970 or after 2100: such a clock was not set either.
pub fn moment(value: &Value) -> Option<DateTime<Utc>> {
    const YEAR_2100: f64 = 4_102_444_800.0;
    let seconds = number(value)?;
    if !(1.0..YEAR_2100).contains(&seconds) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "bounded above: 2100 in microseconds fits"
    )]
    DateTime::from_timestamp_micros((seconds * 1e6).round() as i64)
}

/// A finite number, or a text that is one: senders write both.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

/// The event's own text, unless it holds U+0000, which is valid JSON but which `jsonb` refuses: then each becomes U+FFFD.
fn storable(body: &[u8], value: &Value) -> String {
    const ESCAPED_NUL: &[u8] = br"\u0000";
    let text = if body
        .windows(ESCAPED_NUL.len())
        .any(|window| window == ESCAPED_NUL)
    {
        without_nul(value).to_string()
    } else {
        // It was parsed as JSON a moment ago, so it is UTF-8 and nothing is replaced here.
        String::from_utf8_lossy(body).into_owned()
    };
    debug_assert!(!text.contains('\0'));
    text
}

fn without_nul(value: &Value) -> Value {
    let clean = |text: &String| text.replace('\0', "\u{FFFD}");
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => Value::Array(items.iter().map(without_nul).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (clean(key), without_nul(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn shape(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
