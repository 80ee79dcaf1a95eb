//! How the recorded day's station writes notes, and how Notehub wraps one into an event.
//!
//! Fields, their order and their types are those of routed events: `when` whole seconds, `received` seconds with a
//! fraction, absent instead of empty. The event uid is made of the note's content as Notehub's is, so a note that
//! is uploaded twice has one uid; a note without a time gets a random one.

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

pub(super) const DEVICE: &str = "dev:864475044210001";
pub(super) const THERMAL: &str = "thermal.qo";
pub(super) const ALERT: &str = "alert.qo";

/// The labels of the station's model, in the order in which it writes them.
pub(super) const LABELS: [&str; 4] = ["anomaly", "cold", "hot", "warm"];

const SERIAL_NUMBER: &str = "boiler-room";
const SESSION: &str = "7c1f3a52-6c0e-4d39-9b1d-5f0a8f2f6d11";
pub(super) const SECOND_SESSION: &str = "b0c2d9e4-3a47-4a6f-8d52-0c9e6a1b7f30";

/// A note that is about to become an event.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) file: &'static str,
    pub(super) when: Option<i64>,
    pub(super) body: Map<String, Value>,
    /// From capture to receipt.
    pub(super) delay_us: i64,
}

impl Note {
    /// Some senders write numbers as text; Notehub passes them on as they are.
    pub(super) fn scores_as_text(&mut self) {
        for label in LABELS {
            let text = self.body[label].to_string();
            self.body.insert(label.to_owned(), Value::String(text));
        }
    }

    pub(super) fn event(&self, captured: i64, chance: &mut StdRng) -> Map<String, Value> {
        let uid = if let Some(when) = self.when {
            content_uid(when, self.file, &self.body)
        } else {
            let mut bytes = [0; 16];
            chance.fill_bytes(&mut bytes);
            Builder::from_random_bytes(bytes).into_uuid()
        };
        let received_us = captured * 1_000_000 + self.delay_us;
        envelope(
            uid,
            self.when,
            self.file,
            "note.add",
            &self.body,
            received_us,
        )
    }
}

/// The body of a `thermal.qo` note: scores, then what a person wants to know about the picture.
pub(super) fn scores_body(
    index: usize,
    of: usize,
    captured: i64,
    anomaly: u32,
    chance: &mut StdRng,
) -> Map<String, Value> {
    let [cold, hot, warm] = shares(index, of, 10_000 - anomaly);
    let score = |share: u32| json!(f64::from(share) / 1e4);
    // Tenths of a degree, so that no float noise gets into the note.
    let mean = 215 + (hot + warm) / 100 + chance.random_range(0..6);
    let rise = 18 + anomaly / 28 + chance.random_range(0..9);
    let tenths = |tenths: u32| json!(f64::from(tenths) / 10.0);
    let mut body = Map::new();
    let fields = [
        ("anomaly", score(anomaly)),
        ("cold", score(cold)),
        ("hot", score(hot)),
        ("warm", score(warm)),
        ("v", json!(1)),
        ("t", json!(captured)),
        ("seq", json!(41_200 + index)),
        ("boot", json!(7)),
        ("max", tenths(mean + rise)),
        ("mean", tenths(mean)),
    ];
    body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    // Where it is hot is only said once there is something to point at.
    if anomaly >= 3_000 {
        let place = [("x", json!(21)), ("y", json!(9)), ("dt", tenths(rise))];
        body.extend(place.map(|(key, value)| (key.to_owned(), value)));
    }
    body
}

/// Cold, hot and warm over the day, sharing what the anomaly leaves.
fn shares(index: usize, of: usize, rest: u32) -> [u32; 3] {
    let whole = u32::try_from(of).expect("a day has few notes");
    let turn = u32::try_from(index).expect("a day has few notes");
    // From cold at both ends of the day to hot in its middle.
    let phase = std::f64::consts::TAU * f64::from(turn) / f64::from(whole);
    let heat = 0.5 - 0.45 * phase.cos();
    let part = |share: f64| -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of at most ten thousand"
        )]
        let part = (f64::from(rest) * share) as u32;
        part
    };
    let cold = part((1.0 - heat) * (1.0 - heat));
    let hot = part(heat * heat);
    [cold, hot, rest - cold - hot]
}

pub(super) fn session_event(when: i64) -> Map<String, Value> {
    let body = object(json!({ "why": "periodic sync (TLS)" }));
    let uid = content_uid(when, "_session.qo", &body);
    let received_us = when * 1_000_000 + 412_507;
    let mut event = envelope(
        uid,
        Some(when),
        "_session.qo",
        "session.begin",
        &body,
        received_us,
    );
    let fields = json!({
        "tls": true, "bearer": "LTE-M", "rat": "emtc", "rssi": -71, "rsrp": -98, "rsrq": -11, "bars": 3,
        "voltage": 5.06, "temp": 31.5, "power_usb": true,
    });
    event.extend(object(fields));
    event
}

pub(super) fn health_event(when: i64) -> Map<String, Value> {
    let body = object(json!({
        "v": 1, "t": when, "uptime": 612_345, "spool": 0, "rejected": 2, "sensor_v": 3.29, "sensor_c": 38.4,
        "card_v": 5.05, "model": "boiler-room-7", "moved": false,
    }));
    let uid = content_uid(when, "health.qo", &body);
    let received_us = when * 1_000_000 + 2_733_118;
    envelope(uid, Some(when), "health.qo", "note.add", &body, received_us)
}

fn envelope(
    uid: Uuid,
    when: Option<i64>,
    file: &str,
    req: &str,
    body: &Map<String, Value>,
    received_us: i64,
) -> Map<String, Value> {
    let mut event = object(json!({ "event": uid.to_string(), "session": SESSION }));
    let mut add = |fields: Value| event.extend(object(fields));
    add(json!({
        "best_id": SERIAL_NUMBER, "device": DEVICE, "sn": SERIAL_NUMBER,
        "product": "product:com.example.plant:thermal", "app": "app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44",
        "fleets": ["fleet:3d1b6f0a-1c58-4a1c-8a6b-2f7de0a9b3c5"], "transport": "cell:emtc",
        "received": seconds(received_us), "req": req,
    }));
    if let Some(when) = when {
        add(json!({ "when": when }));
    }
    add(json!({
        "file": file, "body": body,
        "best_location_type": "tower", "best_lat": 43.073_787_5, "best_lon": -89.443_671_875,
        "best_location": "Shorewood Hills WI", "best_country": "US", "best_timezone": "America/Chicago",
        "tower_when": received_us / 1_000_000, "tower_lat": 43.073_787_5, "tower_lon": -89.443_671_875,
        "tower_country": "US", "tower_location": "Shorewood Hills WI", "tower_timezone": "America/Chicago",
        "tower_id": "310,410,17169,77315601",
    }));
    event
}

/// Made of what the note says and when: the version nibble is 8, as in Notehub's uids.
fn content_uid(when: i64, file: &str, body: &Map<String, Value>) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(DEVICE);
    hash.update(when.to_le_bytes());
    hash.update(file);
    hash.update(Value::Object(body.clone()).to_string());
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

fn seconds(microseconds: i64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds until 2255 are exact"
    )]
    let seconds = microseconds as f64;
    seconds / 1e6
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("written as an object: {other}"),
    }
}
