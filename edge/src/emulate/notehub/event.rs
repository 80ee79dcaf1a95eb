//! Events: what Notehub says of a note and of the session in which it came (pure).
//!
//! Fields stand in the order in which Notehub writes them, and what is empty is left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use rand::{Rng, RngExt};
use serde_json::{Map, Value, json};

use super::Synced;
use super::uid::{content_uid, random_uid};

/// What Notehub knows of a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Station {
    /// `dev:` and the IMEI.
    pub device: String,
    /// Serial number; may be empty.
    pub sn: String,
    /// `product:…`
    pub product: String,
    /// `app:` and a UUID: the project.
    pub app: String,
    /// `fleet:` and a UUID each.
    pub fleets: Vec<String>,
    /// Of the cell tower; None before there was a connection that told.
    pub location: Option<Location>,
    /// How it connects, such as `cell:emtc`.
    pub transport: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// Degrees.
    pub lat: f64,
    pub lon: f64,
    /// The nearest place, such as `Shorewood Hills WI`.
    pub name: String,
    /// Two letters.
    pub country: String,
    /// Such as `America/Chicago`.
    pub timezone: String,
    /// `mcc,mnc,lac,cellid`.
    pub tower: String,
}

/// A connection of the device.
#[derive(Debug)]
pub struct Session {
    uid: String,
    /// Unix s.
    began: i64,
    notes: u64,
    bytes: u64,
    /// Events that were new.
    pub routed: u64,
    radio: Radio,
}

/// What the modem says of its connection.
#[derive(Debug)]
struct Radio {
    /// dBm, dBm, dB.
    rssi: i32,
    rsrp: i32,
    rsrq: i32,
    bars: u32,
    /// V, deg C.
    voltage: f64,
    temperature: f64,
}

impl Session {
    pub fn begin(now: i64, chance: &mut impl Rng) -> Self {
        let rssi = -chance.random_range(55..95);
        Self {
            uid: random_uid(chance),
            began: now,
            notes: 0,
            bytes: 0,
            routed: 0,
            radio: Radio {
                rssi,
                rsrp: rssi - 27,
                rsrq: -chance.random_range(7..15),
                bars: (rssi + 105).unsigned_abs() / 12,
                voltage: f64::from(chance.random_range(494..510)) / 100.0,
                temperature: f64::from(chance.random_range(200..400)) / 10.0,
            },
        }
    }

    pub fn count(&mut self, note: &Synced) {
        self.notes += 1;
        let payload = note.payload.as_ref().map_or(0, Vec::len);
        self.bytes += (note.body.to_string().len() + payload) as u64;
    }
}

pub fn of_note(
    station: &Station,
    session: &Session,
    note: Synced,
    now: DateTime<Utc>,
    chance: &mut impl Rng,
) -> Map<String, Value> {
    let uid = content_uid(&station.device, &note).unwrap_or_else(|| random_uid(chance));
    let mut event = envelope(station, session, &uid, now, chance);
    event.add("req", "note.add");
    event.add("when", note.when.unwrap_or(0));
    event.add("file", note.file);
    event.add("note", note.note_id);
    event.add("body", note.body);
    event.add("payload", note.payload.map(|bytes| STANDARD.encode(bytes)));
    event.place(station, session);
    event.0
}

pub fn session_begin(
    station: &Station,
    session: &Session,
    why: &str,
    environment: Map<String, Value>,
    now: DateTime<Utc>,
    chance: &mut impl Rng,
) -> Map<String, Value> {
    let mut event = about_session(station, session, "session.begin", why, now, chance);
    event.add("environment", environment);
    event.0
}

pub fn session_end(
    station: &Station,
    session: &Session,
    now: DateTime<Utc>,
    chance: &mut impl Rng,
) -> Map<String, Value> {
    let mut event = about_session(
        station,
        session,
        "session.end",
        "session completed",
        now,
        chance,
    );
    // What a TLS session costs beside its notes.
    let (sent, received) = (session.bytes + 1400, 3100_u64);
    for (name, value) in [
        ("hub_last_work_done", now.timestamp().unsigned_abs()),
        (
            "hub_duration_secs",
            (now.timestamp() - session.began).unsigned_abs(),
        ),
        ("hub_events_routed", session.routed),
        ("hub_rcvd_bytes", sent),
        ("hub_sent_bytes", received),
        ("hub_tls_sessions", 1),
        ("hub_rcvd_notes", session.notes),
        ("card_rcvd_bytes", received),
        ("card_sent_bytes", sent),
        ("card_tls_sessions", 1),
        ("card_sent_notes", session.notes),
    ] {
        event.add(name, value);
    }
    event.0
}

fn about_session(
    station: &Station,
    session: &Session,
    req: &str,
    why: &str,
    now: DateTime<Utc>,
    chance: &mut impl Rng,
) -> Fields {
    let uid = random_uid(chance);
    let mut event = envelope(station, session, &uid, now, chance);
    event.add("req", req);
    event.add("when", now.timestamp());
    event.add("file", "_session.qo");
    event.add("body", json!({ "why": why }));
    event.place(station, session);
    event.add("platform", true);
    event.add("tls", true);
    let radio = &session.radio;
    let cellular = station.transport.strip_prefix("cell:");
    event.add("rat", cellular.unwrap_or_default());
    event.add("rssi", radio.rssi);
    event.add("rsrp", radio.rsrp);
    event.add("rsrq", radio.rsrq);
    event.add("bars", radio.bars);
    event.add("voltage", radio.voltage);
    event.add("temp", radio.temperature);
    event.add("power_usb", true);
    event
}

fn envelope(
    station: &Station,
    session: &Session,
    uid: &str,
    now: DateTime<Utc>,
    chance: &mut impl Rng,
) -> Fields {
    let mut event = Fields(Map::new());
    event.add("event", uid);
    event.add("session", &*session.uid);
    event.add("session_began", session.began);
    let named = !station.sn.is_empty();
    event.add(
        "best_id",
        if named {
            &*station.sn
        } else {
            &*station.device
        },
    );
    event.add("device", &*station.device);
    event.add("sn", &*station.sn);
    event.add("product", &*station.product);
    event.add("app", &*station.app);
    event.add("fleets", station.fleets.clone());
    event.add("transport", &*station.transport);
    event.add("received", received(now, chance));
    event
}

/// Unix s with microseconds: simulated time has none of its own.
fn received(now: DateTime<Utc>, chance: &mut impl Rng) -> f64 {
    (now.timestamp_micros() + chance.random_range(1..1000)) as f64 / 1e6
}

/// An event as it is being made.
struct Fields(Map<String, Value>);

impl Fields {
    /// What is empty is left out.
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(value) => value.as_f64() == Some(0.0),
            Value::String(value) => value.is_empty(),
            Value::Array(value) => value.is_empty(),
            // A body without fields is a body.
            Value::Object(value) => value.is_empty() && name != "body",
        };
        if !empty {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn place(&mut self, station: &Station, session: &Session) {
        let Some(location) = &station.location else {
            return;
        };
        self.add("best_location_type", "tower");
        self.add("best_location_when", session.began);
        self.add("best_lat", location.lat);
        self.add("best_lon", location.lon);
        self.add("best_location", &*location.name);
        self.add("best_country", &*location.country);
        self.add("best_timezone", &*location.timezone);
        self.add("tower_when", session.began);
        self.add("tower_lat", location.lat);
        self.add("tower_lon", location.lon);
        self.add("tower_country", &*location.country);
        self.add("tower_location", &*location.name);
        self.add("tower_timezone", &*location.timezone);
        self.add("tower_id", &*location.tower);
    }
}
