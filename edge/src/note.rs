//! What is said of a frame (pure): bodies, templates, pictures in parts, in one versioned shape.
//!
//! `thermal.qo` is a reading; `alert.qo` is the same with a reason, and urgent; `frame.qo` is a picture in three parts;
//! `health.qo` is how the station is. Scores have four places, which is what was decided on. A body lacks `t` until it is
//! handed over, because a station often learns only then what time it was. Every value fits the type that its template
//! gives it, zeros are kept (the notes have to be added with `full`), and the names of the scores cannot collide with ours.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::decide::Reading;

mod label;
mod picture;
mod template;
mod usage;

pub use label::Labels;
pub use picture::{Encoded, PART_BYTES, PARTS};
pub use template::{Template, templates};
pub use usage::{Estimate, Usage};

/// The version of all bodies.
pub const VERSION: u8 = 1;

pub const THERMAL: &str = "thermal.qo";
pub const ALERT: &str = "alert.qo";
pub const FRAME: &str = "frame.qo";
pub const HEALTH: &str = "health.qo";

/// Longer texts are cut: a record of a template has room, but the radio is dear.
const LONGEST_TEXT: usize = 80;

/// How dear a note is when there is no room for all: what stands first is dropped first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    Picture,
    Reading,
    Health,
    Alarm,
}

/// A note as it waits for the Notecard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The notefile, such as `thermal.qo`.
    pub file: String,
    pub class: Class,
    /// All of the body but `t`, which is settled when the note is handed over.
    pub body: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<u8>>,
    /// To be sent at once, and not with the next scheduled sync.
    pub urgent: bool,
    /// Which start of the agent made it; with `seq` (and `part` in the body, for pictures) it is the note's identity.
    pub boot: u32,
    pub seq: u32,
    pub moment: Moment,
}

/// When something was captured, as far as anybody knew then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Of the agent, in that boot.
    pub uptime: Duration,
    /// None while neither the machine's nor the Notecard's clock was to be trusted.
    pub at: Option<DateTime<Utc>>,
}

/// Which note it is, and when its frame was captured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Origin {
    pub boot: u32,
    pub seq: u32,
    pub moment: Moment,
}

/// How the station is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    pub uptime: Duration,
    /// Notes that wait, that were dropped for want of room, and looks that showed nothing.
    pub spool: u32,
    pub dropped: u32,
    pub rejected: u32,
    /// Of the sensor: V, and deg C.
    pub sensor_voltage: Option<f32>,
    pub sensor_temperature: Option<f32>,
    /// Of the Notecard: V, and deg C.
    pub card_voltage: Option<f32>,
    pub card_temperature: Option<f32>,
    /// Enough of the model's digest to tell it from others.
    pub model: String,
    /// Pixels; None if it is where it was.
    pub moved: Option<f64>,
    pub fault: bool,
    /// Why this is said now.
    pub why: String,
    pub clock: ClockSource,
    pub interval: Duration,
    pub threshold: f64,
    /// When pictures are sent.
    pub frames: String,
}

/// Which clock `t` is from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClockSource {
    System,
    Notecard,
    #[default]
    None,
}

impl ClockSource {
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Notecard => "notecard",
            Self::None => "none",
        }
    }
}

impl Note {
    /// The reading of a cycle.
    pub fn thermal(labels: &Labels, reading: &Reading, origin: Origin) -> Self {
        let body = reading_body(labels, reading, origin);
        Self::new(THERMAL, Class::Reading, body, origin)
    }

    /// The same for somebody who should look at once. `why` is what `decide::Action` prints.
    pub fn alert(labels: &Labels, reading: &Reading, why: &str, origin: Origin) -> Self {
        let mut body = reading_body(labels, reading, origin);
        body.insert("why".to_owned(), text(why).into());
        Self {
            urgent: true,
            ..Self::new(ALERT, Class::Alarm, body, origin)
        }
    }

    /// A picture, in parts with the same `seq`. `urgent` ones accompany an alert.
    pub fn picture(encoded: &Encoded, urgent: bool, origin: Origin) -> [Self; PARTS] {
        let mut parts = encoded.parts().into_iter().zip(1..);
        std::array::from_fn(|_| {
            let (bytes, part): (Vec<u8>, u8) = parts.next().unwrap_or_default();
            let mut body = identity(origin);
            let fields = [
                ("part", json!(part)),
                ("of", json!(PARTS)),
                ("min", json!(encoded.min)),
                ("max", json!(encoded.max)),
            ];
            body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
            Self {
                payload: Some(bytes),
                urgent,
                ..Self::new(FRAME, Class::Picture, body, origin)
            }
        })
    }

    pub fn health(health: &Health, origin: Origin) -> Self {
        let mut body = identity(origin);
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let measured = |value: Option<f32>| half(f64::from(value.unwrap_or(0.0)));
        let fields = [
            ("up", json!(seconds(health.uptime))),
            ("spool", json!(health.spool)),
            ("dropped", json!(health.dropped)),
            ("rejected", json!(health.rejected)),
            ("vdd", measured(health.sensor_voltage)),
            ("ta", measured(health.sensor_temperature)),
            ("volt", measured(health.card_voltage)),
            ("temp", measured(health.card_temperature)),
            ("model", text(&health.model).into()),
            ("moved", half(health.moved.unwrap_or(0.0))),
            ("fault", json!(u8::from(health.fault))),
            ("why", text(&health.why).into()),
            ("clk", health.clock.name().into()),
            ("every", json!(seconds(health.interval))),
            ("threshold", json!((health.threshold * 1e4).round() / 1e4)),
            ("frames", text(&health.frames).into()),
        ];
        body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
        Self::new(HEALTH, Class::Health, body, origin)
    }

    /// The whole body, as the note is handed over by this start of the agent, now.
    ///
    /// `t` is when it was captured: as known then; else, if it was in the same start, as it follows from what the time is
    /// now; else 0.
    pub fn body_at(&self, boot: u32, now: Moment) -> Map<String, Value> {
        let then = self.moment.at.or_else(|| {
            let passed = now.uptime.checked_sub(self.moment.uptime)?;
            let passed = chrono::TimeDelta::from_std(passed).ok()?;
            let now = now.at.filter(|_| boot == self.boot)?;
            now.checked_sub_signed(passed)
        });
        let seconds = then.and_then(|then| u32::try_from(then.timestamp()).ok());
        let mut body = Map::new();
        let t = || ("t".to_owned(), seconds.unwrap_or(0).into());
        for (key, value) in &self.body {
            body.extend((key == "seq").then(t));
            body.insert(key.clone(), value.clone());
        }
        if !body.contains_key("t") {
            body.extend([t()]);
        }
        body
    }

    fn new(file: &str, class: Class, body: Map<String, Value>, origin: Origin) -> Self {
        Self {
            file: file.to_owned(),
            class,
            body,
            payload: None,
            urgent: false,
            boot: origin.boot,
            seq: origin.seq,
            moment: origin.moment,
        }
    }
}

/// What all bodies begin with.
fn identity(origin: Origin) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("v".to_owned(), VERSION.into());
    body.insert("seq".to_owned(), origin.seq.into());
    body.insert("boot".to_owned(), origin.boot.into());
    body
}

fn reading_body(labels: &Labels, reading: &Reading, origin: Origin) -> Map<String, Value> {
    let sight = &reading.sight;
    let scores = labels.names().zip(labels.keys());
    let mut body: Map<String, Value> = scores
        .map(|(name, key)| (key.to_owned(), json!(sight.score(name))))
        .collect();
    body.extend(identity(origin));
    let coordinate = |value: Option<usize>| -> Value {
        let value = value.and_then(|value| i8::try_from(value).ok());
        value.unwrap_or(-1).into()
    };
    let fields = [
        ("max", half(f64::from(sight.max))),
        ("mean", half(f64::from(sight.mean))),
        ("x", coordinate(sight.place.map(|place| place.column))),
        ("y", coordinate(sight.place.map(|place| place.row))),
        ("dt", half(f64::from(sight.delta_t.unwrap_or(0.0)))),
        ("dwell", half(reading.dwell)),
    ];
    body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    body
}

/// To hundredths, and within what a float of 16 bits can hold. What is no number is 0: a note has no room for it, and
/// whoever measures has refused it long before.
fn half(value: f64) -> Value {
    const LARGEST: f64 = 65504.0;
    let value = if value.is_finite() { value } else { 0.0 };
    json!((value.clamp(-LARGEST, LARGEST) * 100.0).round() / 100.0 + 0.0)
}

/// Short, and without what a line of text has no place for.
fn text(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short = String::new();
    for c in line {
        if short.len() + c.len_utf8() > LONGEST_TEXT {
            break;
        }
        short.push(c);
    }
    short
}
