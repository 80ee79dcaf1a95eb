//! The routed event as Notehub posts it, read leniently (pure).
//!
//! Anything may arrive: a JSONata route posts whatever its expression returns, numbers come as text, zero and empty fields
//! are left out, and new fields appear. What is needed to store an event is its uid, its device and its notefile; all else
//! has a reading for every shape, and the event is kept whole whatever is made of it here.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// How far the agent's clock may be ahead of the arrival of its note before it is not believed.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

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

/// Whose word `captured_at` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapturedFrom {
    /// The agent's (`t` in its note): a note may wait for days before the Notecard gets it.
    Note,
    /// The Notecard's (`when`).
    When,
    /// Notehub's (`received`), because the Notecard had no time yet.
    Received,
}

impl CapturedFrom {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
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
    let (captured_at, captured_from) = if let Some(captured) = fields.body.captured_at(received_at)
    {
        (captured, CapturedFrom::Note)
    } else if let Some(when) = moment(&fields.when) {
        (when, CapturedFrom::When)
    } else {
        (received_at, CapturedFrom::Received)
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
    number(value).and_then(at)
}

fn at(seconds: f64) -> Option<DateTime<Utc>> {
    const YEAR_2100: f64 = 4_102_444_800.0;
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
    body: Body,
}

/// What marks the body of a note as the agent's: all four are there, as numbers.
#[derive(Default)]
struct Body {
    v: Option<f64>,
    t: Option<f64>,
    seq: Option<f64>,
    boot: Option<f64>,
}

impl Body {
    /// When the agent says that it captured this, if it can be believed: it has no time before its clock was set (0), and
    /// nothing was captured before there was an agent, or after its note arrived.
    fn captured_at(&self, received_at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        const YEAR_2020: f64 = 1_577_836_800.0;
        let (Some(_), Some(t), Some(_), Some(_)) = (self.v, self.t, self.seq, self.boot) else {
            return None;
        };
        let captured = at(t).filter(|_| t >= YEAR_2020)?;
        (captured.signed_duration_since(received_at) <= CLOCK_SKEW).then_some(captured)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Key {
    Event,
    Device,
    File,
    When,
    Received,
    Body,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum BodyKey {
    V,
    T,
    Seq,
    Boot,
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
                Key::Body => fields.body = map.next_value()?,
                Key::Other => {
                    map.next_value::<Valid>()?;
                }
            }
        }
        Ok(Read::Object(Box::new(fields)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Read, A::Error> {
        Valid::default()
            .visit_seq(seq)
            .map(|_| Read::Other("an array"))
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

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BodyVisitor)
    }
}

/// Reads any value as a body; all but an object are bodies that say nothing.
struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Body, A::Error> {
        let mut body = Body::default();
        while let Some(key) = map.next_key()? {
            match key {
                BodyKey::V => body.v = map.next_value::<Valid>()?.number,
                BodyKey::T => body.t = map.next_value::<Valid>()?.number,
                BodyKey::Seq => body.seq = map.next_value::<Valid>()?.number,
                BodyKey::Boot => body.boot = map.next_value::<Valid>()?.number,
                BodyKey::Other => {
                    map.next_value::<Valid>()?;
                }
            }
        }
        Ok(body)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Body, A::Error> {
        Valid::default().visit_seq(seq).map(|_| Body::default())
    }

    fn visit_unit<E>(self) -> Result<Body, E> {
        Ok(Body::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Body, E> {
        Ok(Body::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Body, E> {
        Ok(Body::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Body, E> {
        Ok(Body::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Body, E> {
        Ok(Body::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Body, E> {
        Ok(Body::default())
    }
}

/// A value that is read to its end, with all its numbers, letters and levels, and of which nothing is kept but whether it
/// was a number itself. (`IgnoredAny` would let pass what no later reader can read.)
#[derive(Default)]
struct Valid {
    number: Option<f64>,
}

impl Valid {
    fn number(number: f64) -> Self {
        Self {
            number: Some(number),
        }
    }
}

impl<'de> Deserialize<'de> for Valid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self::default())
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

    #[expect(
        clippy::cast_precision_loss,
        reason = "no time and no version is that large"
    )]
    fn visit_i64<E>(self, number: i64) -> Result<Self, E> {
        Ok(Self::number(number as f64))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "no time and no version is that large"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<Self, E> {
        Ok(Self::number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self, E> {
        Ok(Self::number(number))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
}
