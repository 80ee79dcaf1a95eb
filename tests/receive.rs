//! `POST /notehub`: what is taken, what is refused, and what is kept either way.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use cloud::receive::event::{self, CapturedFrom};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::app::{TOKEN, TestApp, start};
use crate::support::event::{thermal, tutorial};

#[tokio::test]
async fn the_tutorials_event_becomes_rows_a_ubidots_post_and_no_text() {
    let app = TestApp::new().await;
    let (status, answer) = app.post(tutorial()).await;
    assert_eq!(
        (status, answer),
        (
            StatusCode::OK,
            json!({ "event": "5ffa7e24-c559-40a0-8228-46ff8426b387", "status": "stored" })
        )
    );
    app.settle().await;

    let received = app.ubidots.received();
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].device_label, "dev-864475");
    let expected = r#"{"cold":{"value":0.9985000000000002,"timestamp":1644340339000},"warm":{"value":0.0015,"timestamp":1644340339000},"hot":{"value":0,"timestamp":1644340339000},"anomaly":{"value":0,"timestamp":1644340339000}}"#;
    assert_eq!(received[0].raw, expected);
    assert_eq!(app.texts(), Vec::<String>::new());

    let event = sqlx::query_as::<_, (String, String, DateTime<Utc>, String, Value, Option<DateTime<Utc>>, Option<String>)>(
        "SELECT device, file, captured_at, captured_from, body, processed_at, error FROM events WHERE uid = '5ffa7e24-c559-40a0-8228-46ff8426b387'",
    )
    .fetch_one(&app.pool)
    .await
    .expect("the event is there");
    assert_eq!(event.0, "dev:864475");
    assert_eq!(event.1, "thermal.qo");
    assert_eq!(
        (event.2.timestamp(), event.3.as_str()),
        (1_644_340_339, "when")
    );
    assert_eq!(
        event.4,
        json!({ "anomaly": 0.0, "cold": 0.998_500_000_000_000_2, "hot": 0.0, "warm": 0.0015 })
    );
    assert!(event.5.is_some() && event.6.is_none());
    let measurements: Vec<(String, f64)> = sqlx::query_as(
        "SELECT series, value FROM measurements WHERE device = 'dev:864475' ORDER BY series",
    )
    .fetch_all(&app.pool)
    .await
    .expect("measurements");
    assert_eq!(
        measurements,
        [
            ("anomaly".into(), 0.0),
            ("cold".into(), 0.998_500_000_000_000_2),
            ("hot".into(), 0.0),
            ("warm".into(), 0.0015)
        ]
    );
    let place: (Option<f64>, Option<String>, Option<String>) = sqlx::query_as(
        "SELECT best_lat, best_location, best_timezone FROM devices WHERE uid = 'dev:864475'",
    )
    .fetch_one(&app.pool)
    .await
    .expect("the device");
    assert_eq!(
        place,
        (
            Some(43.073_787_499_999_995),
            Some("Shorewood Hills WI".into()),
            Some("America/Chicago".into())
        )
    );
    app.finish().await;
}

#[tokio::test]
async fn a_duplicate_is_answered_as_one_and_changes_nothing() {
    let app = TestApp::new().await;
    let event = thermal("e1", "dev:1", app.now(), 0.1);
    assert_eq!(app.take(&event).await, "stored");
    assert_eq!(app.take(&event).await, "duplicate");
    app.settle().await;
    assert_eq!(app.take(&event).await, "duplicate");
    app.settle().await;
    assert_eq!(
        (
            app.count("received_events").await,
            app.count("deliveries").await,
            app.count("measurements").await
        ),
        (1, 1, 4)
    );
    assert_eq!(app.ubidots.received().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn of_many_at_once_with_one_uid_exactly_one_is_new() {
    let app = TestApp::new().await;
    let event = thermal("same", "dev:1", app.now(), 0.1);
    let answers = futures_util::future::join_all((0..64).map(|_| app.take(&event))).await;
    assert_eq!(
        answers.iter().filter(|status| *status == "stored").count(),
        1,
        "{answers:?}"
    );
    assert_eq!(
        answers
            .iter()
            .filter(|status| *status == "duplicate")
            .count(),
        63
    );
}

#[tokio::test]
async fn what_is_no_event_is_kept_and_refused_with_its_reason() {
    let app = TestApp::new().await;
    let deep = format!("{}1{}", "[".repeat(3_000), "]".repeat(3_000));
    let cases: &[(&[u8], &str)] = &[
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"{\"event\":\"\xff\"}", "is not JSON"),
        (b"null", "no object: null"),
        (b"7", "no object: a number"),
        (b"\"&Body=hot&\"", "no object: a text"),
        (b"[{\"event\":\"e\"}]", "no object: an array"),
        (b"{}", "no `event`"),
        (br#"{"event":"","device":"d","file":"f"}"#, "no `event`"),
        (br#"{"event":"e","file":"f"}"#, "no `device`"),
        (br#"{"event":"e","device":"d"}"#, "no `file`"),
        (
            br#"{"event":7,"device":"d","file":"f"}"#,
            "`event` is not a text",
        ),
        (
            br#"{"event":"e","device":["d"],"file":"f"}"#,
            "`device` is not a text",
        ),
        (
            br#"{"event":"a\u0000b","device":"d","file":"f"}"#,
            "`event` is not a text",
        ),
        (
            br#"{"event":"e","device":"d","file":"f","body":{"x":1e999}}"#,
            "is not JSON",
        ),
        (deep.as_bytes(), "is not JSON"),
    ];
    for (body, reason) in cases {
        let (status, answer) = app.post(body.to_vec()).await;
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]);
        assert_eq!(
            status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{shown}: {answer}"
        );
        assert!(
            answer["message"]
                .as_str()
                .is_some_and(|message| message.contains(reason)),
            "{shown}: {answer}"
        );
    }
    let kept: Vec<(String, String)> =
        sqlx::query_as("SELECT reason, body FROM rejected ORDER BY id")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    assert_eq!(kept.len(), cases.len());
    assert_eq!(kept[6].1, "\"&Body=hot&\"");
    assert_eq!(app.count("received_events").await, 0);
}

#[tokio::test]
async fn odd_but_usable_events_are_taken() {
    let app = TestApp::new().await;
    let now = app.now().timestamp();
    let events = [
        json!({ "event": "bare", "device": "dev:1", "file": "x.qo" }),
        json!({ "event": "strings", "device": "dev:3", "file": "thermal.qo", "when": now.to_string(), "received": format!("{now}.5"), "body": { "anomaly": "0.2", "cold": " 1.5 " } }),
        json!({ "event": "no-when", "device": "dev:1", "file": "thermal.qo", "received": now, "body": { "anomaly": 0.1 } }),
        json!({ "event": "zero-when", "device": "dev:1", "file": "thermal.qo", "when": 0, "received": now - 1, "body": null }),
        json!({ "event": "odd-when", "device": "dev:1", "file": "thermal.qo", "when": { "a": 1 }, "received": "soon", "body": [1, "2", { "x": 3 }] }),
        json!({ "event": "nul\u{0}free", "device": "dev:1", "file": "f" }),
        json!({ "event": "nul", "device": "dev:1", "file": "x.qo", "body": { "text": "a\u{0}b", "k\u{0}": 1 }, "new_field": { "kept": true } }),
        json!({ "event": "long", "device": "d".repeat(256), "file": "f", "body": { "n": 1e300, "m": -1e-300 } }),
        json!({ "event": "many", "device": "dev:2", "file": "x.qo", "body": (0..2_000).map(|n| (format!("k{n}"), json!(n))).collect::<serde_json::Map<_, _>>() }),
    ];
    for event in &events {
        let (status, answer) = app.post(event.to_string()).await;
        let expected = if event["event"]
            .as_str()
            .is_some_and(|uid| uid.contains('\0'))
        {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        assert_eq!(status, expected, "{event}: {answer}");
    }
    app.process().await;
    let from: Vec<(String, String, DateTime<Utc>)> =
        sqlx::query_as("SELECT uid, captured_from, captured_at FROM events WHERE uid = ANY ('{strings,no-when,zero-when,odd-when}') ORDER BY uid").fetch_all(&app.pool).await.expect("rows");
    let at = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
    assert_eq!(
        from,
        [
            ("no-when".into(), "received".into(), at(now)),
            ("odd-when".into(), "received".into(), at(now)),
            ("strings".into(), "when".into(), at(now)),
            ("zero-when".into(), "received".into(), at(now - 1)),
        ]
    );
    let text: Value = sqlx::query_scalar("SELECT raw FROM events WHERE uid = 'nul'")
        .fetch_one(&app.pool)
        .await
        .expect("a row");
    assert_eq!(
        text["body"],
        json!({ "text": "a\u{FFFD}b", "k\u{FFFD}": 1 })
    );
    assert_eq!(text["new_field"], json!({ "kept": true }));
    assert_eq!(
        app.count("measurements WHERE event_uid = 'many'").await,
        256
    );
    assert_eq!(
        app.count("measurements WHERE event_uid = 'strings'").await,
        2
    );
    assert_eq!(app.count("event_errors WHERE part = 'process'").await, 0);
}

#[tokio::test]
async fn only_with_a_token_and_either_of_two() {
    let app = TestApp::new().await;
    let event = thermal("e1", "dev:1", app.now(), 0.1).to_string();
    let with = |name: &'static str, value: String| {
        Request::post("/notehub")
            .header(name, value)
            .body(Body::from(event.clone()))
    };
    for (name, value, expected) in [
        ("x-other", "x".to_owned(), StatusCode::UNAUTHORIZED),
        ("authorization", TOKEN.to_owned(), StatusCode::UNAUTHORIZED),
        (
            "authorization",
            "Bearer wrong".to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        (
            "authorization",
            format!("Bearer {TOKEN}x"),
            StatusCode::UNAUTHORIZED,
        ),
        (
            "authorization",
            "Bearer ".to_owned(),
            StatusCode::UNAUTHORIZED,
        ),
        (
            "authorization",
            format!("Bearer {}", crate::support::app::PEOPLE),
            StatusCode::UNAUTHORIZED,
        ),
        ("authorization", format!("Bearer {TOKEN}"), StatusCode::OK),
        (
            "authorization",
            "bearer notehub-token-that-comes-next".to_owned(),
            StatusCode::OK,
        ),
        ("x-notehub-token", TOKEN.to_owned(), StatusCode::OK),
    ] {
        assert_eq!(
            app.send(with(name, value.clone())).await.0,
            expected,
            "{name}: {value}"
        );
    }
    assert_eq!(
        app.count("rejected").await,
        0,
        "a stranger's body is not kept"
    );
    for path in [
        "/api/v1/devices",
        "/api/v1/events/e1",
        "/api/v1/incidents",
        "/api/v1/deliveries",
    ] {
        assert_eq!(
            app.send(Request::get(path).body(Body::empty())).await.0,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
        let notehub = Request::get(path)
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::empty());
        assert_eq!(
            app.send(notehub).await.0,
            StatusCode::UNAUTHORIZED,
            "{path} with Notehub's token"
        );
        assert_eq!(app.get(path).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(
        app.send(Request::get("/nowhere").body(Body::empty()))
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        app.send(Request::get("/notehub").body(Body::empty()))
            .await
            .0,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_body_is_capped_while_it_is_read() {
    let app = TestApp::with("[server]\nbody_limit = \"2KiB\"").await;
    let mut event = thermal("big", "dev:1", app.now(), 0.1);
    event["padding"] = "x".repeat(3_000).into();
    assert_eq!(
        app.post(event.to_string()).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    // One that never ends is refused as soon as it is over the limit.
    let endless = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 512]));
    assert_eq!(
        app.post(Body::from_stream(endless)).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    // One that breaks off is no event, and is repeated by whoever sent it.
    let broken = futures_util::stream::iter([Ok("{\"event\""), Err(std::io::Error::other("gone"))]);
    assert_eq!(
        app.post(Body::from_stream(broken)).await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        app.count("received_events").await + app.count("rejected").await,
        0
    );
}

/// Any JSON value, up to some depth.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((".{0,8}", inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_parser_takes_any_bytes(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = event::parse(&body, start());
    }

    #[test]
    fn the_parser_reads_any_shape_of_a_field(when in any_json(), received in any_json(), body in any_json(), extra in any_json()) {
        let now = start();
        let event = json!({ "event": "e", "device": "d", "file": "f", "when": when, "received": received, "body": body, "extra": extra });
        let event = event::parse(event.to_string().as_bytes(), now).expect("the names are good");
        prop_assert!(!event.raw.contains("\\u0000") && !event.raw.contains('\0'));
        prop_assert!(event.captured_at > DateTime::UNIX_EPOCH && event.captured_at < now + TimeDelta::days(365 * 80));
        if event.captured_from == CapturedFrom::Received {
            prop_assert_eq!(event.captured_at, event.received_at);
        }
        prop_assert!(serde_json::from_str::<Value>(&event.raw).is_ok());
    }

    #[test]
    fn seconds_with_a_fraction_keep_their_microseconds(micros in 1_000_000_i64..4_000_000_000_000_000) {
        let seconds = json!(micros as f64 / 1e6);
        let read = event::moment(&seconds).expect("in range");
        prop_assert!((read.timestamp_micros() - micros).abs() <= 1);
    }
}
