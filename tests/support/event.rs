//! Events as Notehub posts them.

use chrono::{DateTime, Utc};
use cloud::demo::day::TUTORIAL_EVENT;
use serde_json::{Value, json};

/// The tutorial's own event, as text.
pub fn tutorial() -> &'static str {
    TUTORIAL_EVENT
}

/// An event of the tutorial's shape: a uid and a device of its own, captured at `when`, received two seconds later.
pub fn thermal(uid: &str, device: &str, when: DateTime<Utc>, anomaly: f64) -> Value {
    let mut event: Value =
        serde_json::from_str(TUTORIAL_EVENT).expect("the tutorial's event is JSON");
    event["event"] = uid.into();
    event["device"] = device.into();
    event["best_id"] = device.into();
    event["when"] = when.timestamp().into();
    event["received"] = json!(when.timestamp() as f64 + 2.25);
    event["body"] = json!({ "anomaly": anomaly, "cold": 0.0, "warm": 1.0 - anomaly, "hot": 0.0 });
    event
}

/// The note of the same moment that the station sends at once.
pub fn twin(thermal: &Value) -> Value {
    let mut event = thermal.clone();
    event["event"] = format!("{}-alert", thermal["event"].as_str().expect("a uid")).into();
    event["file"] = "alert.qo".into();
    event["received"] = json!(thermal["received"].as_f64().expect("a number") - 1.5);
    event
}
