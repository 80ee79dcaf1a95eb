//! Notes to keep, the same for the tests and for the writer that is killed.

use std::time::Duration;

use edge::note::{Class, Moment, Note};
use serde_json::json;

/// What the station would say, told apart by `seq`.
pub fn note(class: Class, seq: u32) -> Note {
    let (file, body) = match class {
        Class::Picture => (
            "frame.qo",
            json!({ "part": 1, "of": 3, "min": 20.5, "max": 61.25 }),
        ),
        Class::Reading => (
            "thermal.qo",
            json!({ "anomaly": 0.0123, "cold": 0.0, "hot": 0.0142, "warm": 0.9858, "max": 48.2, "mean": 31.7 }),
        ),
        Class::Health => ("health.qo", json!({ "uptime": seq * 300, "depth": 3 })),
        Class::Alarm => (
            "alert.qo",
            json!({ "anomaly": 0.9, "x": 17, "y": 4, "dt": 21.5 }),
        ),
    };
    let mut body = body.as_object().expect("an object").clone();
    body.insert("seq".to_owned(), seq.into());
    Note {
        file: file.to_owned(),
        class,
        body,
        payload: (class == Class::Picture).then(|| (0..=255).collect()),
        urgent: class == Class::Alarm,
        boot: 77_000,
        seq,
        moment: Moment {
            uptime: Duration::from_millis(u64::from(seq) * 300_250),
            at: "2026-03-01T12:00:00Z".parse().ok(),
        },
    }
}
