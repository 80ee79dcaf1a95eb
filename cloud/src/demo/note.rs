//! How the recorded day's stations write notes, and how Notehub wraps one into an event.
//!
//! Fields, their order and their types are those of routed events: `when` whole seconds, `received` seconds with a
//! fraction, absent instead of empty. The event uid is made of the note's content as Notehub's is, so a note that
//! is uploaded twice has one uid; a note without a time gets a random one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::scene::{PARTS, Picture, SPOT, Scene};

pub(super) const THERMAL: &str = "thermal.qo";
pub(super) const ALERT: &str = "alert.qo";
pub(super) const FRAME: &str = "frame.qo";

/// What is the same in all notes of a station.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) device: &'static str,
    serial_number: &'static str,
    session: &'static str,
    pub(super) scene: Scene,
    boot: u32,
    /// Of its first note of the day.
    seq: usize,
    /// Seconds between two readings.
    every: u32,
    /// Of the Notecard, in V.
    voltage: f64,
    bars: u8,
}

/// The one that something happens to.
pub(super) const BOILER: Station = Station {
    device: "dev:864475044210001",
    serial_number: "boiler-room",
    session: "7c1f3a52-6c0e-4d39-9b1d-5f0a8f2f6d11",
    scene: Scene::Boiler,
    boot: 7,
    seq: 41_200,
    every: 300,
    voltage: 5.06,
    bars: 3,
};

/// The calm one, which saves its battery.
pub(super) const SWITCHBOARD: Station = Station {
    device: "dev:864475044210002",
    serial_number: "switchboard",
    session: "2e9b6f14-0d5a-4c7e-8a33-91c4f0b7d652",
    scene: Scene::Switchboard,
    boot: 2,
    seq: 9_800,
    every: 900,
    voltage: 3.94,
    bars: 2,
};

/// The labels of the station's model, in the order in which it writes them.
pub(super) const LABELS: [&str; 4] = ["anomaly", "cold", "hot", "warm"];

pub(super) const SECOND_SESSION: &str = "b0c2d9e4-3a47-4a6f-8d52-0c9e6a1b7f30";

/// A note that is about to become an event.
#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) station: &'static Station,
    pub(super) file: &'static str,
    pub(super) when: Option<i64>,
    pub(super) body: Map<String, Value>,
    pub(super) payload: Option<String>,
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
            content_uid(self.station, when, self.file, &self.body)
        } else {
            let mut bytes = [0; 16];
            chance.fill_bytes(&mut bytes);
            Builder::from_random_bytes(bytes).into_uuid()
        };
        let received_us = captured * 1_000_000 + self.delay_us;
        let about = About {
            uid,
            when: self.when,
            file: self.file,
            req: "note.add",
            received_us,
        };
        let mut event = envelope(self.station, &about, &self.body);
        if let Some(payload) = &self.payload {
            event.insert("payload".to_owned(), json!(payload));
        }
        event
    }
}

/// The body of a `thermal.qo` note: scores, then what a person wants to know about the picture.
pub(super) fn scores_body(
    station: &Station,
    (index, of): (usize, usize),
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
    // Where it is hot is only said once there is something to point at.
    let (x, y, dt) = if anomaly >= 3_000 {
        (json!(SPOT.0), json!(SPOT.1), tenths(rise))
    } else {
        (json!(-1), json!(-1), json!(0))
    };
    let fields = [
        ("anomaly", score(anomaly)),
        ("cold", score(cold)),
        ("hot", score(hot)),
        ("warm", score(warm)),
        ("v", json!(1)),
        ("t", json!(captured)),
        ("seq", json!(station.seq + index)),
        ("boot", json!(station.boot)),
        ("max", tenths(mean + rise)),
        ("mean", tenths(mean)),
        ("x", x),
        ("y", y),
        ("dt", dt),
        ("dwell", json!(0)),
    ];
    body.extend(fields.map(|(key, value)| (key.to_owned(), value)));
    body
}

/// The picture that a reading was made of, in three notes.
pub(super) fn picture(reading: &Note) -> Vec<Note> {
    let number = |key: &str| reading.body[key].as_f64().unwrap_or_default();
    let scene = reading.station.scene;
    let grain = u32::try_from(reading.body["seq"].as_u64().unwrap_or_default()).unwrap_or_default();
    let picture: Picture = scene.picture(number("mean"), number("max"), number("anomaly"), grain);
    let parts = picture.parts().zip(1_i64..).map(|(bytes, part)| {
        let of_reading = |key: &str| reading.body[key].clone();
        let body = object(json!({
            "v": 1, "t": of_reading("t"), "seq": of_reading("seq"), "boot": of_reading("boot"),
            "part": part, "of": PARTS, "min": picture.min, "max": picture.max,
        }));
        Note {
            file: FRAME,
            body,
            payload: Some(STANDARD.encode(bytes)),
            delay_us: reading.delay_us + 700_000 * part,
            ..reading.clone()
        }
    });
    parts.collect()
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

pub(super) fn session_event(station: &Station, when: i64) -> Map<String, Value> {
    let body = object(json!({ "why": "periodic sync (TLS)" }));
    let file = "_session.qo";
    let about = About {
        uid: content_uid(station, when, file, &body),
        when: Some(when),
        file,
        req: "session.begin",
        received_us: when * 1_000_000 + 412_507,
    };
    let mut event = envelope(station, &about, &body);
    let fields = json!({
        "tls": true, "bearer": "LTE-M", "rat": "emtc", "rssi": -71, "rsrp": -98, "rsrq": -11, "bars": station.bars,
        "voltage": station.voltage, "temp": 31.5, "power_usb": station.voltage > 4.5,
    });
    event.extend(object(fields));
    event
}

/// The station's daily word on itself, with all that the agent says there.
pub(super) fn health_event(station: &Station, when: i64) -> Map<String, Value> {
    let body = object(json!({
        "v": 1, "t": when, "seq": station.seq, "boot": station.boot, "up": 612_345, "spool": 0, "dropped": 0,
        "rejected": 2, "vdd": 3.29, "ta": 38.4, "volt": station.voltage, "temp": 31.5, "model": "3f9a1c04b7e2",
        "moved": 0, "fault": 0, "why": "regular", "clk": "notecard", "every": station.every, "threshold": 0.7,
        "frames": "alerts, 3h",
    }));
    let file = "health.qo";
    let about = About {
        uid: content_uid(station, when, file, &body),
        when: Some(when),
        file,
        req: "note.add",
        received_us: when * 1_000_000 + 2_733_118,
    };
    envelope(station, &about, &body)
}

/// What Notehub knows of a note beside its body.
struct About {
    uid: Uuid,
    when: Option<i64>,
    file: &'static str,
    req: &'static str,
    received_us: i64,
}

fn envelope(station: &Station, about: &About, body: &Map<String, Value>) -> Map<String, Value> {
    let received_us = about.received_us;
    let mut event = object(json!({ "event": about.uid.to_string(), "session": station.session }));
    let mut add = |fields: Value| event.extend(object(fields));
    add(json!({
        "best_id": station.serial_number, "device": station.device, "sn": station.serial_number,
        "product": "product:com.example.plant:thermal", "app": "app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44",
        "fleets": ["fleet:3d1b6f0a-1c58-4a1c-8a6b-2f7de0a9b3c5"], "transport": "cell:emtc",
        "received": seconds(received_us), "req": about.req,
    }));
    if let Some(when) = about.when {
        add(json!({ "when": when }));
    }
    add(json!({
        "file": about.file, "body": body,
        "best_location_type": "tower", "best_lat": 43.073_787_5, "best_lon": -89.443_671_875,
        "best_location": "Shorewood Hills WI", "best_country": "US", "best_timezone": "America/Chicago",
        "tower_when": received_us / 1_000_000, "tower_lat": 43.073_787_5, "tower_lon": -89.443_671_875,
        "tower_country": "US", "tower_location": "Shorewood Hills WI", "tower_timezone": "America/Chicago",
        "tower_id": "310,410,17169,77315601",
    }));
    event
}

/// Made of what the note says and when: the version nibble is 8, as in Notehub's uids.
fn content_uid(station: &Station, when: i64, file: &str, body: &Map<String, Value>) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(station.device);
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
