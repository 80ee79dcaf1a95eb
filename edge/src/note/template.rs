//! What the Notecard is told of the bodies, so that a note is a record of some bytes and not text.
//!
//! The type of each value is written as a number: 11 is one signed byte, 21 an unsigned one, 24 four unsigned ones, 12.1 a
//! float of two bytes, 14.1 of four; a text stands for texts, `true` for one bit.

use serde_json::{Map, Value, json};

use super::{ALERT, FRAME, HEALTH, LONGEST_TEXT, Labels, PART_BYTES, THERMAL};

const SIGNED_BYTE: f64 = 11.0;
const BYTE: f64 = 21.0;
const UNSIGNED: f64 = 24.0;
const HALF: f64 = 12.1;
const FLOAT: f64 = 14.1;

/// Of a record: a byte of flags, two that say where the variable part begins, time, location.
const RECORD: usize = 1 + 2 + 8 + 8;
/// Of a text: its length.
const TEXT: usize = 2;

/// The shape of the notes in one notefile, as `note.template` wants it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub file: &'static str,
    /// A type for each key.
    pub body: Value,
    /// The largest payload, bytes.
    pub length: Option<u32>,
}

/// For the four notefiles.
pub fn templates(labels: &Labels) -> [Template; 4] {
    let scores: Vec<(&str, Value)> = labels.keys().map(|key| (key, number(FLOAT))).collect();
    let reading = || {
        let fields = [
            ("max", HALF),
            ("mean", HALF),
            ("x", SIGNED_BYTE),
            ("y", SIGNED_BYTE),
            ("dt", HALF),
            ("dwell", HALF),
        ];
        let mut body = object(scores.clone());
        body.extend(identity());
        body.extend(object(fields.map(|(key, kind)| (key, number(kind)))));
        body
    };
    let mut alert = reading();
    alert.insert("why".to_owned(), text());
    [
        template(THERMAL, reading()),
        template(ALERT, alert),
        frame(),
        template(HEALTH, health()),
    ]
}

impl Template {
    /// Bytes of a note before it is compressed: what the Notecard stores, and what is sent at most.
    ///
    /// `texts` are the bytes of all its texts together.
    pub fn bytes(&self, texts: usize, payload: usize) -> usize {
        let fields = self.body.as_object();
        let values = fields.into_iter().flat_map(Map::values);
        let (mut bytes, mut bits) = (RECORD + texts + payload, 0_usize);
        for value in values {
            match value {
                Value::Bool(_) => bits += 1,
                Value::String(_) => bytes += TEXT,
                value => bytes += width(value.as_f64().unwrap_or_default()),
            }
        }
        bytes + bits.div_ceil(8)
    }
}

/// Bytes of a number of this type: the second digit, of which 5 to 8 stand for themselves too.
fn width(kind: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "types are small numbers"
    )]
    let whole = kind as usize;
    match whole {
        // A bare 1 is an integer of four bytes, 1.1 a float of eight.
        1 if kind > 1.0 => 8,
        1 => 4,
        _ => whole % 10,
    }
}

fn template(file: &'static str, body: Map<String, Value>) -> Template {
    Template {
        file,
        body: Value::Object(body),
        length: None,
    }
}

fn frame() -> Template {
    let mut body = identity();
    let fields = [("part", BYTE), ("of", BYTE), ("min", FLOAT), ("max", FLOAT)];
    body.extend(object(fields.map(|(key, kind)| (key, number(kind)))));
    Template {
        length: u32::try_from(PART_BYTES).ok(),
        ..template(FRAME, body)
    }
}

fn health() -> Map<String, Value> {
    let mut body = identity();
    body.extend(object([
        ("up", number(UNSIGNED)),
        ("spool", number(UNSIGNED)),
        ("dropped", number(UNSIGNED)),
        ("rejected", number(UNSIGNED)),
        ("vdd", number(HALF)),
        ("ta", number(HALF)),
        ("volt", number(HALF)),
        ("temp", number(HALF)),
        ("model", text()),
        ("moved", number(HALF)),
        ("fault", number(BYTE)),
        ("why", text()),
        ("clk", text()),
        ("every", number(UNSIGNED)),
        ("threshold", number(FLOAT)),
        ("frames", text()),
    ]));
    body
}

fn identity() -> Map<String, Value> {
    object([
        ("v", number(BYTE)),
        ("t", number(UNSIGNED)),
        ("seq", number(UNSIGNED)),
        ("boot", number(UNSIGNED)),
    ])
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    let fields = fields.into_iter();
    fields.map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A whole number where the type is one: the Notecard tells 11 from 11.1.
fn number(kind: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "types are small numbers")]
    if kind.fract() == 0.0 {
        json!(kind as i64)
    } else {
        json!(kind)
    }
}

/// How long it may become; firmware that knows only texts of a fixed length takes it as that.
fn text() -> Value {
    LONGEST_TEXT.to_string().into()
}
