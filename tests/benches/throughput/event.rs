//! Events as Notehub posts them, about 1 KB each, no two alike.
//!
//! The shape is the tutorial's event with every field a real one carries. An event is a pure function of its index:
//! 200 devices take turns, each with one note every five minutes, so a run of any length is a plausible history.
//! All fields have a fixed width: the load generator writes an event in under a microsecond and knows its length.

use std::fmt::Write;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

/// Enough devices that processing one at a time for each does not become the bottleneck by itself.
const DEVICES: u64 = 200;
const CADENCE_S: i64 = 300;
/// Events start this long ago, so that even the longest run stays in the past and within retention.
const HISTORY: TimeDelta = TimeDelta::days(30);

const MIDDLE: &str = r#","app":"app:7c2a5f0e-3b1d-4c8e-9a66-0d4f1e2b3c5a","product":"product:com.example.watch:thermal","fleets":["fleet:1b0f7a52-6c3d-4e8f-8a9b-2c4d6e8f0a1b"],"session":"9afdece2-9fd2-48ff-8e7d-5e66ce118b3c","sn":"roof-north","transport":"cell:lte:fdd","req":"note.add","file":"thermal.qo","updates":1,"best_location_type":"tower","best_lat":43.073787499999995,"best_lon":-89.44367187499999,"best_location":"Shorewood Hills WI","best_country":"US","best_timezone":"America/Chicago","tower_lat":43.073787499999995,"tower_lon":-89.44367187499999,"tower_country":"US","tower_location":"Shorewood Hills WI","tower_timezone":"America/Chicago","tower_id":"310,410,17169,77315601""#;

/// Writes the events of one history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    start: i64,
}

impl Events {
    pub(crate) fn ending(now: DateTime<Utc>) -> Self {
        Self {
            start: (now - HISTORY).timestamp(),
        }
    }

    pub(crate) fn uid(index: u64) -> Uuid {
        // Content-derived in reality, so spread evenly over the index of the primary key.
        let high = scatter(index);
        Uuid::from_u64_pair(high, scatter(high ^ index))
    }

    pub(crate) fn device(index: u64) -> String {
        format!("dev:864475{:09}", index % DEVICES)
    }

    pub(crate) fn when(self, index: u64) -> i64 {
        let turn = i64::try_from(index / DEVICES).unwrap_or(0);
        self.start + turn * CADENCE_S
    }

    fn body(index: u64) -> String {
        // Every value differs a little, as measured ones do, and none comes near the alarm threshold.
        let cold = 9_000 + scatter(index) % 1_000;
        format!(
            r#"{{"anomaly":0.0,"cold":0.{cold:04}50000000019,"hot":0.0,"warm":0.0{:03}}}"#,
            9_999 - cold
        )
    }

    /// Appends the whole event as JSON.
    pub(crate) fn write(self, index: u64, out: &mut String) {
        let when = self.when(index);
        let device = Self::device(index);
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            r#"{{"event":"{}","best_id":"{device}","device":"{device}"{MIDDLE},"received":{}.888508,"routed":{},"when":{when},"best_location_when":{when},"tower_when":{},"body":{}}}"#,
            Self::uid(index),
            when + 26,
            when + 31,
            when + 26,
            Self::body(index),
        );
    }
}

/// One step of splitmix64: spreads consecutive numbers over all 64 bits, each to a different one.
fn scatter(index: u64) -> u64 {
    let mut mixed = index.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
