//! A station of the fleet: what it says between two moments, in events as Notehub posts them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::demo::scene::{PARTS, SPOT, Scene};
use serde_json::{Value, json};

/// Shorewood Hills, as the tutorial's.
const PLACE: &str = "Shorewood Hills WI";

#[derive(Debug, Clone)]
pub struct Station {
    pub device: &'static str,
    pub name: &'static str,
    pub scene: Scene,
    /// When it first and last said something.
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub every: TimeDelta,
    pub place: Option<&'static str>,
    /// When something was hot, for how long, and how high its score went.
    pub episodes: Vec<(DateTime<Utc>, TimeDelta, f64)>,
}

impl Station {
    pub fn new(
        device: &'static str,
        name: &'static str,
        scene: Scene,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Self {
        Self {
            device,
            name,
            scene,
            from,
            until,
            every: TimeDelta::minutes(5),
            place: Some(PLACE),
            episodes: Vec::new(),
        }
    }

    /// Everything it says from `from` on and before `until`, in order.
    pub fn events(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Value> {
        let mut events = Vec::new();
        let step = self.every.num_seconds();
        let first = (from.timestamp() + step - 1) / step;
        for number in first.. {
            let Some(at) = DateTime::from_timestamp(number * step, 0).filter(|at| *at < until)
            else {
                break;
            };
            if self.from <= at && at <= self.until {
                events.extend(self.moment(at, number));
            }
        }
        // One that is new has at least said that it is there.
        if events.is_empty() && (from..until).contains(&self.from) {
            events.extend(self.moment(self.from, first));
        }
        events
    }

    /// A reading, and what belongs to it.
    pub fn moment(&self, at: DateTime<Utc>, number: i64) -> Vec<Value> {
        let body = self.reading(at, number);
        let score = body["anomaly"].as_f64().unwrap_or_default();
        let began = |episode: &(DateTime<Utc>, TimeDelta, f64)| {
            let since = at - episode.0;
            (TimeDelta::zero() <= since && since < self.every) && score > 0.7
        };
        let alarming = self.episodes.iter().any(began);
        let mut events = vec![self.event("thermal.qo", at, &body)];
        if alarming {
            let mut alert = body.clone();
            alert["why"] = json!("anomaly");
            events.push(self.event("alert.qo", at, &alert));
        }
        let per_day = TimeDelta::days(1).num_seconds() / self.every.num_seconds();
        if alarming || number % (per_day / 12).max(1) == 0 || score > 0.7 && number % 2 == 0 {
            events.extend(self.picture(at, &body));
        }
        if number % (per_day / 4).max(1) == 0 || at == self.from {
            events.push(self.health(at, &body));
            events.push(self.session(at));
        }
        events
    }

    /// The body of a reading; the same for the same moment.
    fn reading(&self, at: DateTime<Utc>, number: i64) -> Value {
        let shake = |salt| shake(number, salt);
        let hour = f64::from(u32::try_from(at.timestamp() % 86_400).expect("a day")) / 3_600.0;
        let day = 0.5 - 0.5 * (std::f64::consts::TAU * (hour - 4.0) / 24.0).cos();
        let grown = self.episodes.iter().map(|(begin, length, peak)| {
            let (since, length) = ((at - *begin).as_seconds_f64(), length.as_seconds_f64());
            // Grows for an hour before, stays high, and falls within a quarter of an hour.
            let rise = (1.0 + since / 3_600.0).clamp(0.0, 1.0).powi(2);
            let fall = (1.0 - (since - length) / 900.0).clamp(0.0, 1.0);
            peak * rise.min(fall)
        });
        let grown = grown.fold(0.0, f64::max);
        let anomaly = (grown + 0.03 * shake(1)).min(1.0);
        let rest = 1.0 - anomaly;
        let (cold, hot) = (rest * (1.0 - day) * (1.0 - day), rest * day * day);
        let mean = 20.0 + 7.0 * day + 2.0 * grown + shake(2);
        let rise = 3.0 + 6.0 * day + 34.0 * grown + shake(3);
        let places = |value: f64, scale: f64| json!((value * scale).round() / scale);
        let spot = anomaly >= 0.3;
        json!({
            "anomaly": places(anomaly, 1e4), "cold": places(cold, 1e4), "hot": places(hot, 1e4),
            "warm": places(rest - cold - hot, 1e4), "v": 1, "t": at.timestamp(), "seq": number % 1_000_000, "boot": 3,
            "max": places(mean + rise, 100.0), "mean": places(mean, 100.0),
            "x": if spot { json!(SPOT.0) } else { json!(-1) }, "y": if spot { json!(SPOT.1) } else { json!(-1) },
            "dt": if spot { places(rise, 100.0) } else { json!(0) }, "dwell": 0,
        })
    }

    fn picture(&self, at: DateTime<Utc>, reading: &Value) -> Vec<Value> {
        let number = |key: &str| reading[key].as_f64().unwrap_or_default();
        let grain = u32::try_from(reading["seq"].as_u64().unwrap_or_default()).unwrap_or_default();
        let picture = self
            .scene
            .picture(number("mean"), number("max"), number("anomaly"), grain);
        let parts = picture.parts().zip(1..).map(|(bytes, part)| {
            let body = json!({
                "v": 1, "t": reading["t"], "seq": reading["seq"], "boot": 3, "part": part, "of": PARTS,
                "min": picture.min, "max": picture.max,
            });
            let mut event = self.event("frame.qo", at, &body);
            event["event"] = format!("{}-{part}", event["event"].as_str().unwrap_or_default()).into();
            event["payload"] = STANDARD.encode(bytes).into();
            event
        });
        parts.collect()
    }

    fn health(&self, at: DateTime<Utc>, reading: &Value) -> Value {
        let body = json!({
            "v": 1, "t": at.timestamp(), "seq": reading["seq"], "boot": 3, "up": (at - self.from).num_seconds() + 40,
            "spool": 0, "dropped": 0, "rejected": 1, "vdd": 3.29, "ta": 36.5, "volt": 4.02, "temp": 27.5,
            "model": "3f9a1c04b7e2", "moved": 0, "fault": 0, "why": if at == self.from { "start" } else { "regular" },
            "clk": "notecard", "every": self.every.num_seconds(), "threshold": 0.7, "frames": "alerts, 2h",
        });
        self.event("health.qo", at, &body)
    }

    /// What Notehub adds when the Notecard calls.
    fn session(&self, at: DateTime<Utc>) -> Value {
        let mut event = self.event("_session.qo", at, &json!({ "why": "periodic sync (TLS)" }));
        let more = json!({
            "req": "session.begin", "bearer": "LTE-M", "rat": "emtc", "rssi": -79, "rsrp": -104, "rsrq": -12, "bars": 2,
            "voltage": 4.02, "temp": 27.5,
        });
        for (key, value) in more.as_object().expect("fields") {
            event[key] = value.clone();
        }
        event
    }

    fn event(&self, file: &str, at: DateTime<Utc>, body: &Value) -> Value {
        let when = at.timestamp();
        let mut event = json!({
            "event": format!("{}-{file}-{when}", self.device), "session": "7c1f3a52-6c0e-4d39-9b1d-5f0a8f2f6d11",
            "best_id": self.name, "device": self.device, "sn": self.name, "product": "product:com.example.plant:thermal",
            "fleets": ["fleet:3d1b6f0a-1c58-4a1c-8a6b-2f7de0a9b3c5"], "transport": "cell:emtc", "req": "note.add",
            "received": json!(at.timestamp_millis() as f64 / 1e3 + 2.25), "when": when, "file": file, "body": body,
            "best_timezone": "America/Chicago",
        });
        if let Some(place) = self.place {
            event["best_lat"] = json!(43.073_787_5);
            event["best_lon"] = json!(-89.443_671_875);
            event["best_location"] = json!(place);
            event["best_location_type"] = json!("tower");
            event["best_country"] = json!("US");
        }
        event
    }
}

/// From 0 to 1, the same for the same number and salt.
fn shake(number: i64, salt: u32) -> f64 {
    let low = u32::try_from(number.rem_euclid(1 << 31)).expect("31 bits");
    let mut mixed = low.wrapping_mul(0x9E37_79B1) ^ salt.wrapping_mul(0x85EB_CA77);
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
        mixed ^= mixed >> 12;
    }
    f64::from(mixed % 1_000) / 1e3
}
