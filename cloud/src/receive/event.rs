//! The routed event as Notehub posts it, read leniently (pure).
//!
//! Anything may arrive: a JSONata route posts whatever its expression returns, numbers come as text, zero and empty fields
//! are left out, and new fields appear. What is needed to store an event is its uid, its device and its notefile; all else
//! has a reading for every shape, and the event is kept whole whatever is made of it here.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
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
    let read: Read =
        serde_json::from_slice(body).map_err(|error| Unreadable::NotJson(error.to_string()))?;
    let fields = match read {
        Read::Object(fields) => fields,
        Read::Other(shape) => return Err(Unreadable::NotAnObject(shape)),
    };
    let uid = name(fields.event, "event")?;
    let device = name(fields.device, "device")?;
    let file = name(fields.file, "file")?;
    let received_at = moment(&fields.received).unwrap_or(now);
    let (captured_at, captured_from) = match moment(&fields.when) {
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
        raw: storable(body),
    })
}

fn name(value: Value, key: &'static str) -> Result<String, Unreadable> {
    match value {
        Value::Null => Err(Unreadable::Missing(key)),
        Value::String(text) if text.is_empty() => Err(Unreadable::Missing(key)),
        Value::String(text) if text.chars().count() <= LONGEST_NAME && !text.contains('\0') => {
            Ok(text)
        }
        _ => Err(Unreadable::BadName(key)),
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
fn storable(body: &[u8]) -> String {
    const ESCAPED_NUL: &[u8] = br"\u0000";
    // It was read as JSON a moment ago, so it is UTF-8 and nothing is replaced here.
    let text = String::from_utf8_lossy(body);
    let escaped = body
        .windows(ESCAPED_NUL.len())
        .any(|window| window == ESCAPED_NUL);
    match escaped.then(|| serde_json::from_str(&text)) {
        Some(Ok(value)) => without_nul(&value).to_string(),
        _ => text.into_owned(),
    }
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

/// A body that is valid JSON throughout, of which only what is needed was kept: events come by the thousand, and the
/// tree of one that nobody looks at costs more than all else that is done with it here.
enum Read {
    Object(Box<Fields>),
    Other(&'static str),
}

#[derive(Default)]
struct Fields {
    event: Value,
    device: Value,
    file: Value,
    when: Value,
    received: Value,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Event,
    Device,
    File,
    When,
    Received,
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut fields = Fields::default();
        // Of a name that stands twice the last one counts, as in Postgres.
        while let Some(key) = map.next_key()? {
            match key {
                Key::Event => fields.event = map.next_value()?,
                Key::Device => fields.device = map.next_value()?,
                Key::File => fields.file = map.next_value()?,
                Key::When => fields.when = map.next_value()?,
                Key::Received => fields.received = map.next_value()?,
                Key::Other => {
                    map.next_value::<Valid>()?;
                }
            }
        }
        Ok(Read::Object(Box::new(fields)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Read, A::Error> {
        Valid.visit_seq(seq).map(|_| Read::Other("an array"))
    }

    fn visit_unit<E>(self) -> Result<Read, E> {
        Ok(Read::Other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Read, E> {
        Ok(Read::Other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Read, E> {
        Ok(Read::Other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Read, E> {
        Ok(Read::Other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Read, E> {
        Ok(Read::Other("a number"))
    }

    fn visit_str<E>(self, _: &str) -> Result<Read, E> {
        Ok(Read::Other("a text"))
    }
}

/// A value that is read to its end, with all its numbers, letters and levels, and not kept. (`IgnoredAny` would let pass
/// what no later reader can read.)
struct Valid;

impl<'de> Deserialize<'de> for Valid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Valid {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}
