//! Pictures that come in three notes.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use super::{DEVICE, effects, note, reading, story};
use crate::support::app::TestApp;

pub(super) const MIN: f64 = 18.5;
pub(super) const MAX: f64 = 71.25;
const HOTTEST: usize = 9 * 32 + 21;

/// A picture with every pixel recognisable, and one hottest place.
pub(super) fn pixels() -> Vec<u8> {
    let mut pixels: Vec<u8> = (0..768_u32)
        .map(|place| u8::try_from(place * 7 % 250).expect("below 250"))
        .collect();
    pixels[HOTTEST] = 255;
    pixels
}

pub(super) fn part(uid: &str, at: DateTime<Utc>, seq: u32, part: usize) -> Value {
    let more = json!({ "part": part, "of": 3, "min": MIN, "max": MAX });
    let mut event = note(uid, "frame.qo", at, at.timestamp(), seq, &more);
    let bytes = &pixels()[(part - 1) * 256..part * 256];
    event["payload"] = STANDARD.encode(bytes).into();
    event
}

pub(super) async fn list(app: &TestApp) -> Value {
    let (status, list) = app.get(&format!("/api/v1/devices/{DEVICE}/frames")).await;
    assert_eq!(status, StatusCode::OK, "{list}");
    list
}

async fn stored(app: &TestApp) -> Vec<(DateTime<Utc>, String, i32, i32, f32, f32, Vec<u8>)> {
    sqlx::query_as("SELECT at, event_uid, width, height, min_c, max_c, pixels FROM frames ORDER BY at, event_uid")
        .fetch_all(&app.pool)
        .await
        .expect("rows")
}

#[tokio::test]
async fn three_notes_in_any_order_are_one_frame() {
    for (number, order) in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ]
    .iter()
    .enumerate()
    {
        let app = TestApp::new().await;
        let at = app.now() - TimeDelta::minutes(5);
        for &piece in order {
            app.take(&part(&format!("p{piece}"), at, 7, piece)).await;
            // One by one, and in another run all at once.
            if number % 2 == 0 {
                app.settle().await;
            }
        }
        app.settle().await;
        assert_eq!(
            stored(&app).await,
            [(at, "p1".into(), 32, 24, 18.5, 71.25, pixels())],
            "{order:?}"
        );
        let left = (
            app.count("frame_parts").await,
            app.count("measurements").await,
            app.count("event_errors").await,
        );
        assert_eq!(left, (0, 0, 0), "{order:?}");
        app.finish().await;
    }
}

#[tokio::test]
async fn parts_days_apart_and_doubled_are_one_frame_however_often_they_are_processed() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(5);
    for piece in [3, 1] {
        app.take(&part(&format!("p{piece}"), at, 7, piece)).await;
        app.settle().await;
    }
    let waiting = list(&app).await;
    assert_eq!(waiting["frames"], json!([]));
    assert_eq!(waiting["incomplete"][0]["seq"], 7);
    let parts = waiting["incomplete"][0]["parts"]
        .as_array()
        .expect("parts")
        .clone();
    assert_eq!(
        parts.iter().map(|part| &part["event"]).collect::<Vec<_>>(),
        ["p1", "p3"]
    );
    let (_, metrics) = app.get("/metrics").await;
    assert!(
        metrics
            .as_str()
            .is_some_and(|text| text.contains("\ncloud_frames_incomplete 1\n")),
        "{metrics}"
    );

    app.clock.advance(TimeDelta::hours(80));
    // Handed over once more: a repeat, even with other pixels in it.
    let mut again = part("p1-again", at, 7, 1);
    again["payload"] = STANDARD.encode([0; 256]).into();
    app.take(&again).await;
    app.take(&part("p2", at, 7, 2)).await;
    app.settle().await;
    let frame = [(at, "p1".to_owned(), 32, 24, 18.5, 71.25, pixels())];
    assert_eq!(stored(&app).await, frame);
    assert_eq!(story(&app, "p1-again").await["repeat_of"], "p1");
    let before = effects(&app).await;
    for uid in ["p2", "p1-again", "p1", "p3"] {
        app.post_as_person("/api/v1/replay", &json!({ "event": uid }))
            .await;
        app.settle().await;
        assert_eq!(effects(&app).await, before, "{uid}");
    }
    assert_eq!(stored(&app).await, frame);
    app.finish().await;
}

#[tokio::test]
async fn pictures_of_one_moment_and_of_other_starts_are_not_mixed() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(5);
    for piece in 1..=3 {
        for (name, boot, seq, device) in [
            ("a", 1, 7, DEVICE),
            ("b", 2, 7, DEVICE),
            ("c", 1, 8, DEVICE),
            ("d", 1, 7, "dev:2"),
        ] {
            let mut event = part(&format!("{name}{piece}"), at, seq, piece);
            event["body"]["boot"] = boot.into();
            event["device"] = device.into();
            event["body"]["max"] = (MAX + f64::from(boot)).into();
            if (name, piece) != ("c", 2) {
                app.take(&event).await;
            }
        }
    }
    // Behind a gateway, two nodes may even agree on everything but their names.
    for node in ["x", "y"] {
        for piece in 1..=3 {
            let mut event = part(&format!("{node}{piece}"), at, 9, piece);
            event["file"] = format!("{node}#frame.qo").into();
            app.take(&event).await;
        }
    }
    app.settle().await;
    let frames: Vec<_> = stored(&app)
        .await
        .into_iter()
        .map(|frame| (frame.1, frame.5))
        .collect();
    let expected = [
        ("a1", 72.25),
        ("b1", 73.25),
        ("d1", 72.25),
        ("x1", 71.25),
        ("y1", 71.25),
    ];
    assert_eq!(frames, expected.map(|(uid, max)| (uid.to_owned(), max)));
    assert_eq!(app.count("frame_parts").await, 2);
    app.finish().await;
}

#[tokio::test]
async fn parts_that_do_not_agree_are_left_apart_with_an_error() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(5);
    for piece in 1..=3 {
        let mut event = part(&format!("p{piece}"), at, 7, piece);
        if piece == 2 {
            event["body"]["min"] = 12.0.into();
        }
        app.take(&event).await;
    }
    app.settle().await;
    assert_eq!(
        (app.count("frames").await, app.count("frame_parts").await),
        (0, 3)
    );
    assert_eq!(
        app.count("event_errors WHERE part = 'frame' AND code = 'DISAGREES'")
            .await,
        3
    );
    let before = effects(&app).await;
    app.post_as_person("/api/v1/replay", &json!({ "errors": { "part": "frame" } }))
        .await;
    app.settle().await;
    assert_eq!(effects(&app).await, before);
    app.finish().await;
}

/// Parts that are none, each in another way and with another identity.
fn spoilt(at: DateTime<Utc>) -> Vec<Value> {
    let mut bad = Vec::new();
    let mut spoil = |change: &dyn Fn(&mut Value)| {
        let seq = u32::try_from(100 + bad.len()).expect("a few");
        let mut event = part(&format!("bad{seq}"), at, seq, 1);
        change(&mut event);
        bad.push(event);
    };
    for of in [
        json!(0),
        json!(1),
        json!(4),
        json!(-3),
        json!(1e18),
        json!("x"),
        json!(null),
        json!([3]),
    ] {
        spoil(&|event| event["body"]["of"] = of.clone());
    }
    for number in [
        json!(0),
        json!(4),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(null),
        json!({}),
    ] {
        spoil(&|event| event["body"]["part"] = number.clone());
    }
    for (min, max) in [
        (json!(30), json!(20)),
        (json!(null), json!(20)),
        (json!(-300), json!(20)),
        (json!(20), json!(1e30)),
        (json!("NaN"), json!("NaN")),
    ] {
        spoil(&|event| {
            event["body"]["min"] = min.clone();
            event["body"]["max"] = max.clone();
        });
    }
    for payload in [
        json!(null),
        json!(""),
        json!("not base64"),
        json!(7),
        json!(STANDARD.encode([0; 255])),
        json!(STANDARD.encode([0; 257])),
        json!(STANDARD.encode([0; 768])),
        json!("A".repeat(200_000)),
    ] {
        spoil(&|event| event["payload"] = payload.clone());
    }
    spoil(&|event| {
        event.as_object_mut().expect("fields").remove("payload");
    });
    for key in ["v", "seq", "boot"] {
        spoil(&|event| event["body"][key] = "x".into());
    }
    bad
}

#[tokio::test]
async fn what_is_no_part_says_why_and_harms_nothing() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(5);
    let bad = spoilt(at);
    for event in &bad {
        app.take(event).await;
    }
    // Beside them good ones: flat, and without padding.
    for piece in 1..=3 {
        let mut event = part(&format!("good{piece}"), at, 7, piece);
        event["body"]["max"] = MIN.into();
        event["payload"] = STANDARD_NO_PAD.encode([0; 256]).into();
        app.take(&event).await;
    }
    // And a note of others that only has the name.
    let mut other = reading("other", at, 8, 0.1);
    other["file"] = "frame.qo".into();
    app.take(&other).await;
    app.settle().await;
    let count = i64::try_from(bad.len()).expect("a few");
    let errors = app
        .count("event_errors WHERE part = 'frame' AND code = 'BAD_PART'")
        .await;
    assert_eq!((errors, app.count("event_errors").await), (count, count));
    assert_eq!(
        (app.count("frames").await, app.count("frame_parts").await),
        (1, 0)
    );
    assert_eq!(
        app.count("measurements WHERE event_uid <> 'other'").await,
        0
    );
    assert_eq!(
        app.count("measurements WHERE event_uid = 'other'").await,
        14
    );
    let (status, frame) = app
        .get(&format!("/api/v1/devices/{DEVICE}/frames/good1"))
        .await;
    assert_eq!(
        (status, &frame["celsius"][23][31]),
        (StatusCode::OK, &json!(18.5))
    );
    app.finish().await;
}

#[tokio::test]
async fn incomplete_pictures_are_bounded_and_replaying_brings_them_back() {
    let app = TestApp::new().await;
    let at = app.now();
    for seq in 0..50_u32 {
        let at = app.now() - TimeDelta::hours(60) + TimeDelta::hours(i64::from(seq));
        app.take(&part(&format!("p{seq}-1"), at, seq, 1)).await;
        app.take(&part(&format!("p{seq}-2"), at, seq, 2)).await;
    }
    let other = {
        let mut event = part("other", app.now(), 1, 1);
        event["device"] = "dev:2".into();
        event
    };
    app.take(&other).await;
    app.settle().await;
    let left = || app.count("frame_parts WHERE device = 'dev:864475'");
    assert_eq!(left().await, 64);
    assert_eq!(
        app.count("frame_parts WHERE device = 'dev:864475' AND seq < 18")
            .await,
        0
    );
    assert_eq!(
        app.count("frame_parts").await,
        65,
        "another device has room of its own"
    );
    app.clock.advance(TimeDelta::minutes(1));
    // The last part of one that had to go, and then its others again.
    app.take(&part("p3-3", at - TimeDelta::hours(57), 3, 3))
        .await;
    app.settle().await;
    assert_eq!(
        (
            app.count("frames").await,
            app.count("frame_parts WHERE seq = 3").await
        ),
        (0, 1)
    );
    let from = at - TimeDelta::hours(57);
    let window = json!({ "events": { "from": from, "to": from + TimeDelta::minutes(1) } });
    app.post_as_person("/api/v1/replay", &window).await;
    app.settle().await;
    assert_eq!(app.count("frames WHERE seq = 3").await, 1);
    assert!(left().await <= 64);
    app.finish().await;
}
