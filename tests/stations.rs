//! What our own agent sends: when it was captured, what came twice, how long a state lasts, and faults.

mod frames;
mod shown;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::receive::event::{self, CapturedFrom};
use serde_json::{Value, json};

use crate::support::app::{TestApp, start};
use crate::support::event::thermal;

const DEVICE: &str = "dev:864475";
const BOOT: u32 = 3_000_000_007;

/// A note of the agent: handed to the Notecard at `when`, captured at `t`.
fn note(uid: &str, file: &str, when: DateTime<Utc>, t: i64, seq: u32, more: &Value) -> Value {
    let mut event = thermal(uid, DEVICE, when, 0.0);
    event["file"] = file.into();
    event["sn"] = "boiler-room".into();
    let mut body = json!({ "v": 1, "t": t, "seq": seq, "boot": BOOT });
    for (key, value) in more.as_object().expect("fields") {
        body[key] = value.clone();
    }
    event["body"] = body;
    event
}

/// A reading captured when it is handed over.
fn reading(uid: &str, at: DateTime<Utc>, seq: u32, anomaly: f64) -> Value {
    let more = json!({
        "anomaly": anomaly, "cold": 1.0 - anomaly, "warm": 0, "hot": 0,
        "max": 41.5, "mean": 22.0, "x": -1, "y": -1, "dt": 0, "dwell": 0,
    });
    note(uid, "thermal.qo", at, at.timestamp(), seq, &more)
}

async fn story(app: &TestApp, uid: &str) -> Value {
    let (status, story) = app.get(&format!("/api/v1/events/{uid}")).await;
    assert_eq!(status.as_u16(), 200, "{story}");
    story
}

/// Everything an event may lead to.
async fn effects(app: &TestApp) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "measurements",
        "delivery_contents",
        "incidents",
        "alerts",
        "frames",
        "frame_parts",
        "notes",
        "event_errors",
    ] {
        counts.push(app.count(table).await);
    }
    counts
}

#[tokio::test]
async fn readings_that_waited_for_days_are_measured_when_they_were_captured() {
    let app = TestApp::new().await;
    let captured: Vec<_> = (0..4)
        .map(|hour| app.now() - TimeDelta::days(3) + TimeDelta::hours(hour))
        .collect();
    // The Notecard stamps them all within seconds, in whatever order they come.
    for (seconds, seq) in [(20, 2_u32), (19, 0), (18, 3), (17, 1)] {
        let stamped = app.now() - TimeDelta::seconds(seconds);
        let mut event = reading(&format!("e{seq}"), stamped, seq, 0.1 * f64::from(seq));
        event["body"]["t"] = captured[seq as usize].timestamp().into();
        app.take(&event).await;
    }
    app.settle().await;
    let measured: Vec<(DateTime<Utc>, f64)> =
        sqlx::query_as("SELECT at, value FROM measurements WHERE series = 'anomaly' ORDER BY at")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    let values = (0..4).map(|seq| 0.1 * f64::from(seq));
    let expected: Vec<_> = captured.into_iter().zip(values).collect();
    assert_eq!(measured, expected);
    assert_eq!(story(&app, "e1").await["captured_from"], "note");
    // Ubidots hears of the same moments.
    let mut sent: Vec<_> = app
        .ubidots
        .received()
        .iter()
        .flat_map(|post| dots(&post.body))
        .collect();
    sent.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    let expected: Vec<_> = expected
        .iter()
        .map(|(at, value)| (at.timestamp_millis(), *value))
        .collect();
    assert_eq!(sent, expected);
    app.finish().await;
}

/// The anomaly dots of a post, which holds one or, when several travelled as one, a list.
fn dots(body: &Value) -> Vec<(i64, f64)> {
    let dot = |dot: &Value| Some((dot["timestamp"].as_i64()?, dot["value"].as_f64()?));
    match &body["anomaly"] {
        Value::Array(dots) => dots.iter().filter_map(dot).collect(),
        one => dot(one).into_iter().collect(),
    }
}

#[tokio::test]
async fn the_default_route_sends_what_the_tutorials_expression_does_for_notes_of_others() {
    let tutorial = cloud::config::TUTORIAL_TRANSFORM;
    let route = format!(
        "[[route]]\nname = \"ubidots\"\nfiles = [\"thermal.qo\"]\ntransform = '''{tutorial}'''\ndestination = \"ubidots\""
    );
    let mut sent = Vec::new();
    for more in ["", &route] {
        let app = TestApp::with(more).await;
        for (number, body) in [
            json!({ "anomaly": 0.1, "cold": 0.9, "warm": 0.0, "hot": 0 }),
            json!({ "anomaly": "0.1", "cold": 0.9, "t": 21.5 }),
            json!({ "anomaly": 0.1, "cold": 0.9, "warm": 0.0, "hot": 0, "v": 1, "t": 0, "seq": 1, "boot": 5 }),
        ]
        .into_iter()
        .enumerate()
        {
            let mut event = thermal(&format!("e{number}"), DEVICE, app.now() - TimeDelta::minutes(3), 0.1);
            event["body"] = body;
            if number == 1 {
                event.as_object_mut().expect("fields").remove("when");
            }
            app.take(&event).await;
        }
        app.process().await;
        let bodies: Vec<String> = sqlx::query_scalar(
            "SELECT body::text FROM deliveries WHERE route = 'ubidots' ORDER BY event_uid",
        )
        .fetch_all(&app.pool)
        .await
        .expect("rows");
        sent.push(bodies);
    }
    assert_eq!(sent[0].len(), 3);
    assert_eq!(sent[0], sent[1]);
}

#[test]
fn which_moment_is_believed() {
    let now = start();
    let (when, received) = (now.timestamp() - 40, now.timestamp() - 30);
    let read = |body: Value| {
        let event = json!({ "event": "e", "device": "d", "file": "thermal.qo", "when": when, "received": received, "body": body });
        let event = event::parse(event.to_string().as_bytes(), now).expect("an event");
        (event.captured_at.timestamp(), event.captured_from)
    };
    let body = |t: Value| json!({ "v": 1, "t": t, "seq": 0, "boot": 0, "anomaly": 0.5 });
    for t in [1_577_836_800, when - 86_400 * 9, when, received + 300] {
        assert_eq!(read(body(t.into())), (t, CapturedFrom::Note), "{t}");
    }
    for t in [
        json!(0),
        json!(-5),
        json!(1_577_836_799),
        json!(received + 301),
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(when.to_string()),
        json!(null),
        json!({ "t": when }),
        json!([when]),
        json!(true),
    ] {
        assert_eq!(read(body(t.clone())), (when, CapturedFrom::When), "{t}");
    }
    // Only a note that has all four, as numbers, is the agent's.
    for key in ["v", "t", "seq", "boot"] {
        for other in [json!("7"), json!(null), json!([7]), json!({ "n": 7 })] {
            let mut body = body((when - 60).into());
            body[key] = other.clone();
            assert_eq!(read(body).1, CapturedFrom::When, "{key} {other}");
        }
        let mut body = body((when - 60).into());
        body.as_object_mut().expect("fields").remove(key);
        assert_eq!(read(body).1, CapturedFrom::When, "{key}");
    }
    for body in [
        json!(null),
        json!([1, 2]),
        json!("t"),
        json!(7),
        json!(7.5),
        json!(-7),
        json!(true),
    ] {
        assert_eq!(read(body).1, CapturedFrom::When);
    }
    // Deeper down it is not meant.
    let deep = json!({ "inner": { "v": 1, "t": when - 60, "seq": 1, "boot": 1 } });
    assert_eq!(read(deep).1, CapturedFrom::When);
}

#[test]
fn of_what_stands_twice_the_last_counts_and_all_of_it_must_be_json() {
    let now = start();
    let early = now.timestamp() - 600;
    let read = |text: &str| event::parse(text.as_bytes(), now);
    let body = |t: i64| format!(r#"{{"v":1,"t":{t},"seq":1,"boot":1}}"#);
    let names = r#""event":"e","device":"d","file":"f""#;
    let twice = format!(
        "{{{names},\"body\":{},\"body\":{}}}",
        body(early - 60),
        body(early)
    );
    let event = read(&twice).expect("an event");
    assert_eq!(
        (event.captured_at.timestamp(), event.captured_from),
        (early, CapturedFrom::Note)
    );
    let undone = format!("{{{names},\"body\":{},\"body\":[]}}", body(early));
    assert_eq!(
        read(&undone).expect("an event").captured_from,
        CapturedFrom::Received
    );
    let again = format!(r#"{{{names},"body":{{"v":1,"t":5,"t":{early},"seq":1,"boot":1}}}}"#);
    assert_eq!(
        read(&again).expect("an event").captured_at.timestamp(),
        early
    );
    for bad in ["1e999", "[1,]", "{\"x\":1e999}", "tru", "\"\\ud800\""] {
        for key in ["t", "other"] {
            let text = format!(r#"{{{names},"body":{{"v":1,"seq":1,"{key}":{bad}}}}}"#);
            assert!(read(&text).is_err(), "{text}");
        }
    }
}

#[tokio::test]
async fn a_note_handed_over_twice_takes_effect_once() {
    let app = TestApp::new().await;
    // What is counted before anybody looked is not kept.
    app.get("/metrics").await;
    let at = app.now() - TimeDelta::minutes(10);
    app.take(&reading("first", at, 7, 0.9)).await;
    app.settle().await;
    let before = effects(&app).await;
    assert_eq!((app.texts().len(), app.ubidots.received().len()), (1, 1));

    // The same note again, stamped anew; a lie in it changes nothing either.
    let mut again = reading("second", at, 7, 0.1);
    again["when"] = app.now().timestamp().into();
    again["received"] = app.now().timestamp().into();
    assert_eq!(app.take(&again).await, "stored");
    app.settle().await;
    assert_eq!(effects(&app).await, before);
    assert_eq!((app.texts().len(), app.ubidots.received().len()), (1, 1));
    assert_eq!(story(&app, "second").await["repeat_of"], "first");
    assert_eq!(story(&app, "first").await["repeat_of"], Value::Null);
    assert_eq!(story(&app, "first").await["repeats"], json!(["second"]));
    assert_eq!(
        story(&app, "second").await["body"]["anomaly"],
        0.1,
        "kept as it came"
    );
    let (_, metrics) = app.get("/metrics").await;
    let counted = metrics
        .as_str()
        .expect("text")
        .lines()
        .any(|line| line.starts_with("cloud_process_repeats_total "));
    assert!(counted, "{metrics}");

    // Processed again in every order, nothing changes.
    for uid in ["second", "first", "second"] {
        app.post_as_person("/api/v1/replay", &json!({ "event": uid }))
            .await;
        app.settle().await;
        assert_eq!(effects(&app).await, before);
    }
    let window =
        json!({ "events": { "from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z" } });
    app.post_as_person("/api/v1/replay", &window).await;
    app.settle().await;
    assert_eq!(effects(&app).await, before);
    assert_eq!(story(&app, "second").await["repeat_of"], "first");
    assert_eq!(app.ubidots.received().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn what_differs_in_one_thing_is_another_note() {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::minutes(10);
    let event = reading("e0", at, 7, 0.1);
    let mut others = vec![event.clone(); 6];
    others[0]["body"]["seq"] = 8.into();
    others[1]["body"]["boot"] = 8.into();
    others[2]["file"] = "alert.qo".into();
    others[3]["device"] = "dev:2".into();
    others[4]["body"]["part"] = 2.into();
    // Not the agent's: what has no number of its own is never a repeat.
    others[5]["body"]["seq"] = "7".into();
    app.take(&event).await;
    for (number, other) in others.iter_mut().enumerate() {
        other["event"] = format!("e{}", number + 1).into();
        app.take(other).await;
    }
    app.settle().await;
    assert_eq!(app.count("events WHERE repeat_of IS NOT NULL").await, 0);
    assert_eq!(app.count("notes").await, 6);
    app.finish().await;
}

#[tokio::test]
async fn of_many_that_wait_together_the_first_to_arrive_counts_whoever_processes() {
    let app = TestApp::new().await;
    for number in 0..60_u32 {
        let at = app.now() - TimeDelta::minutes(90 - i64::from(number));
        for copy in 0..5_i64 {
            // What arrives later has the smaller uid, so that order of uids would be wrong.
            let mut event = reading(&format!("n{number}-{}", 5 - copy), at, number, 0.1);
            event["device"] = format!("dev:{}", number % 7).into();
            event["received"] = (app.now().timestamp() - 60 + copy).into();
            app.take(&event).await;
        }
    }
    let processors = (0..4).map(|_| async {
        while app.count("pending_events").await > 0 {
            app.service
                .app
                .processor
                .tick(app.now())
                .await
                .expect("processed");
        }
    });
    futures_util::future::join_all(processors).await;
    assert_eq!(app.count("notes").await, 60);
    assert_eq!(
        app.count("processed_events WHERE repeat_of IS NULL AND uid LIKE '%-5'")
            .await,
        60
    );
    assert_eq!(
        app.count("processed_events WHERE repeat_of = regexp_replace(uid, '.$', '5')")
            .await,
        240
    );
    assert_eq!(app.count("measurements WHERE series = 'anomaly'").await, 60);
    app.settle().await;
    assert_eq!(app.ubidots.received().len(), 60);
    app.finish().await;
}

#[tokio::test]
async fn who_is_set_aside_does_not_keep_the_note_from_taking_effect() {
    let app = TestApp::new().await;
    sqlx::query("ALTER TABLE measurements ADD CONSTRAINT no_thirteen CHECK (value <> 0.13)")
        .execute(&app.pool)
        .await
        .expect("altered");
    let at = app.now() - TimeDelta::minutes(10);
    app.take(&reading("bad", at, 7, 0.13)).await;
    app.settle().await;
    assert_eq!(app.count("notes").await, 0);
    app.take(&reading("good", at, 7, 0.2)).await;
    app.settle().await;
    assert_eq!(app.count("measurements WHERE event_uid = 'good'").await, 14);
    sqlx::query("ALTER TABLE measurements DROP CONSTRAINT no_thirteen")
        .execute(&app.pool)
        .await
        .expect("altered");
    app.post_as_person("/api/v1/replay", &json!({ "event": "bad" }))
        .await;
    app.settle().await;
    assert_eq!(story(&app, "bad").await["repeat_of"], "good");
    app.finish().await;
}

#[tokio::test]
async fn a_state_that_lasts_too_long_is_told_with_its_hours_and_ends() {
    let app = TestApp::new().await;
    let dwelling = |uid: &str, file: &str, minutes: i64, seq, hours: f64, why: &str| {
        let at = app.now() - TimeDelta::minutes(minutes);
        let mut event = reading(uid, at, seq, 0.05);
        event["file"] = file.into();
        event["body"]["dwell"] = hours.into();
        if file == "alert.qo" {
            event["body"]["why"] = why.into();
        }
        event
    };
    app.take(&dwelling("before", "thermal.qo", 40, 1, 0.0, ""))
        .await;
    app.take(&dwelling("alert", "alert.qo", 35, 2, 0.55, "dwell warm"))
        .await;
    app.take(&dwelling("twin", "thermal.qo", 35, 3, 0.55, ""))
        .await;
    app.settle().await;
    assert_eq!(
        app.texts(),
        ["WARNING boiler-room: warm for 0.6 h, Shorewood Hills WI, 1 Mar 05:25 CST #1"]
    );
    app.take(&dwelling("later", "thermal.qo", 15, 4, 0.9, ""))
        .await;
    app.take(&dwelling("over", "alert.qo", 5, 5, 0.0, "dwell warm over"))
        .await;
    app.settle().await;
    assert_eq!(
        app.texts()[1],
        "RESOLVED warning boiler-room: warm over, 0.9 h at most, Shorewood Hills WI, 1 Mar 05:25-05:55 CST #1"
    );
    // Notes that do not speak of it decide nothing.
    let state: String = sqlx::query_scalar("SELECT state FROM alerts WHERE rule = 'dwell'")
        .fetch_one(&app.pool)
        .await
        .expect("a row");
    assert_eq!(state, "normal");
    assert_eq!(app.count("incidents").await, 1);
    app.finish().await;
}

#[tokio::test]
async fn a_fault_is_told_with_its_reason_and_ends() {
    let app = TestApp::new().await;
    let health = |uid: &str, minutes: i64, seq, fault: i64, why: &str| {
        let at = app.now() - TimeDelta::minutes(minutes);
        let more = json!({
            "up": 86_400, "spool": 3, "dropped": 0, "rejected": 1, "vdd": 3.29, "ta": 38.4, "volt": 5.05, "temp": 31.0,
            "model": "boiler-7", "moved": 0, "fault": fault, "why": why, "clk": 1, "every": 300, "threshold": 0.7, "frames": "alert",
        });
        note(uid, "health.qo", at, at.timestamp(), seq, &more)
    };
    app.take(&health("well", 40, 1, 0, "start")).await;
    app.settle().await;
    assert_eq!(app.texts(), Vec::<String>::new());
    app.take(&health("ill", 30, 2, 1, "camera: no answer"))
        .await;
    app.settle().await;
    app.take(&health("mended", 10, 3, 0, "daily")).await;
    app.settle().await;
    assert_eq!(
        app.texts(),
        [
            "WARNING boiler-room: fault: camera: no answer, Shorewood Hills WI, 1 Mar 05:30 CST #1",
            "RESOLVED warning boiler-room: fault over, Shorewood Hills WI, 1 Mar 05:30-05:50 CST #1",
        ]
    );
    app.finish().await;
}

#[tokio::test]
async fn stations_of_others_are_judged_by_their_scores_alone() {
    let app = TestApp::new().await;
    for minute in 0..5 {
        let at = app.now() - TimeDelta::minutes(30 - minute);
        let mut event = thermal(&format!("e{minute}"), DEVICE, at, 0.1);
        if minute == 3 {
            event["file"] = "health.qo".into();
            event["body"] = json!({ "voltage": 3.2 });
        }
        app.take(&event).await;
    }
    app.settle().await;
    let rules: Vec<String> = sqlx::query_scalar("SELECT DISTINCT rule FROM alerts")
        .fetch_all(&app.pool)
        .await
        .expect("rows");
    assert_eq!(rules, ["anomaly"]);
    assert_eq!(
        (app.count("event_errors").await, app.count("notes").await),
        (0, 0)
    );
    app.finish().await;
}

#[tokio::test]
async fn a_hot_spot_that_is_none_is_not_in_the_text() {
    let app = TestApp::new().await;
    app.take(&reading("hot", app.now() - TimeDelta::minutes(1), 1, 0.9))
        .await;
    app.settle().await;
    assert_eq!(
        app.texts(),
        ["CRITICAL boiler-room: anomaly 0.9 above 0.7, Shorewood Hills WI, 1 Mar 05:59 CST #1"]
    );
    app.finish().await;
}
