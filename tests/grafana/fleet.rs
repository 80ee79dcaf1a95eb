//! A small fleet with something of everything: readings of a day, pictures, health, incidents, and deliveries that fail.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::demo::stand_in::{Answer, Fault};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::event::thermal;

/// The station that has everything.
pub(super) const BOILER: &str = "dev:864475040000001";
/// It has an incident that is open.
const PUMP: &str = "dev:864475040000002";
pub(super) const MIN: f64 = 18.5;
pub(super) const MAX: f64 = 71.25;

/// A picture with every pixel recognisable.
pub(super) fn pixels() -> Vec<u8> {
    let place = |place: u32| u8::try_from(place * 7 % 256).expect("a byte");
    (0..768).map(place).collect()
}

pub(super) fn decoded(uri: &str) -> Vec<u8> {
    let text = uri.strip_prefix("data:image/bmp;base64,").expect(uri);
    STANDARD.decode(text).expect("base64 without line ends")
}

/// A note of the agent.
fn note(device: &str, file: &str, at: DateTime<Utc>, seq: i64, more: &Value) -> Value {
    let mut event = thermal(&format!("{device}-{seq}-{}", more["part"]), device, at, 0.0);
    event["file"] = file.into();
    event["sn"] = if device == BOILER {
        "boiler-room"
    } else {
        "pump"
    }
    .into();
    let mut body = json!({ "v": 1, "t": at.timestamp(), "seq": seq, "boot": 7 });
    for (key, value) in more.as_object().expect("fields") {
        body[key] = value.clone();
    }
    event["body"] = body;
    event
}

fn reading(device: &str, at: DateTime<Utc>, seq: i64, anomaly: f64) -> Value {
    let more = json!({
        "anomaly": anomaly, "cold": 1.0 - anomaly, "warm": 0, "hot": 0,
        "max": 30.0 + 40.0 * anomaly, "mean": 22.0, "x": 21, "y": 9, "dt": 30.0 * anomaly, "dwell": 0,
    });
    note(device, "thermal.qo", at, seq, &more)
}

fn part(at: DateTime<Utc>, seq: i64, part: usize) -> Value {
    let more = json!({ "part": part, "of": 3, "min": MIN, "max": MAX });
    let mut event = note(BOILER, "frame.qo", at, seq, &more);
    let bytes = &pixels()[(part - 1) * 256..part * 256];
    event["payload"] = STANDARD.encode(bytes).into();
    event
}

/// The fleet, processed; of its deliveries to Ubidots one is dead and one waits for its next attempt.
pub(super) async fn app() -> TestApp {
    let app = TestApp::new().await;
    // Counters before the first scrape are nobody's.
    app.scrape().await;
    let now = app.now();
    for seq in 0..96 {
        let at = now - TimeDelta::minutes(15 * (96 - seq));
        // The boiler's incident begins two hours ago and ends; the pump's is open.
        let hot = f64::from(u8::from((88..92).contains(&seq)));
        app.take(&reading(BOILER, at, seq, 0.1 + 0.75 * hot)).await;
    }
    app.take(&reading(PUMP, now - TimeDelta::minutes(5), 0, 0.9))
        .await;
    let health = json!({
        "up": 90_000, "spool": 3, "dropped": 0, "rejected": 2, "vdd": 3.29, "ta": 31.5, "volt": 5.07, "temp": 33.0,
        "moved": 0, "fault": 0, "every": 15,
    });
    for hours in [20, 2] {
        let at = now - TimeDelta::hours(hours);
        app.take(&note(BOILER, "health.qo", at, 200 - hours, &health))
            .await;
    }
    for number in 1..=3 {
        app.take(&part(now - TimeDelta::hours(2), 300, number))
            .await;
    }
    // A note that comes once more under another uid, a part that cannot be read, a body that is no event.
    let mut again = reading(BOILER, now - TimeDelta::minutes(15), 95, 0.1);
    again["event"] = "again".into();
    app.take(&again).await;
    let mut broken = part(now - TimeDelta::hours(1), 301, 1);
    broken["payload"] = "AAAA".into();
    app.take(&broken).await;
    app.post("no event").await;
    app.process().await;
    app.ubidots.plan(1, Fault::Refuse(Answer::status(400)));
    app.ubidots.plan(1, Fault::Refuse(Answer::status(503)));
    app.deliver().await;
    for (state, least) in [("dead", 1), ("due", 1)] {
        let there = app
            .count(&format!("deliveries WHERE state = '{state}'"))
            .await;
        assert!(there >= least, "{state}: {there}");
    }
    app
}

impl TestApp {
    /// What Prometheus gets.
    pub(super) async fn scrape(&self) -> String {
        let request = axum::http::Request::get("/metrics").body(axum::body::Body::empty());
        let (status, text) = self.send(request).await;
        assert_eq!(status, 200);
        text.as_str().expect("text").to_owned()
    }
}
