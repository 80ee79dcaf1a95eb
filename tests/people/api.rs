//! The same by the API: filters and pages, deeds with a name under them, and what is refused.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::TimeDelta;
use cloud::demo::stand_in::{Answer, Fault};
use serde_json::{Value, json};

use crate::support::app::{PEOPLE, TestApp};
use crate::support::event::thermal;

async fn delete(app: &TestApp, path: &str) -> (StatusCode, Value) {
    let request = Request::delete(path).header("authorization", format!("Bearer {PEOPLE}"));
    app.send(request.body(Body::empty())).await
}

#[tokio::test]
async fn an_incident_is_read_with_its_timeline_and_answered() {
    let app = TestApp::new().await;
    app.twilio.plan(1, Fault::Refuse(Answer::status(503)));
    app.take(&thermal(
        "hot",
        "dev:1",
        app.now() - TimeDelta::minutes(1),
        0.9,
    ))
    .await;
    app.settle().await;
    app.pass(TimeDelta::minutes(1)).await;
    let post = async |path: &str, body: Value| {
        app.post_as_person(&format!("/api/v1/incidents/{path}"), &body)
            .await
    };
    let (status, noted) = post("1/note", json!({ "text": "on my way", "by": "Ada" })).await;
    assert_eq!(
        (status, noted),
        (StatusCode::OK, json!({ "incident": 1, "status": "noted" }))
    );
    let (status, silenced) = post(
        "1/silence",
        json!({ "for": "2h", "reason": "roof", "by": "Ada" }),
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        silenced,
        json!({ "incident": 1, "silence": 1, "until": "2026-03-01T14:01:00Z" })
    );
    for (path, body) in [
        ("1/note", json!({ "text": "x" })),
        ("1/note", json!({ "text": "", "by": "Ada" })),
        ("1/note", json!({ "text": "a\u{0}b", "by": "Ada" })),
        ("1/note", json!({ "text": "x".repeat(1_001), "by": "Ada" })),
        (
            "1/silence",
            json!({ "for": "2", "reason": "roof", "by": "Ada" }),
        ),
        (
            "1/silence",
            json!({ "for": "31d", "reason": "roof", "by": "Ada" }),
        ),
        (
            "1/silence",
            json!({ "for": "1h", "reason": " ", "by": "Ada" }),
        ),
        ("1/silence", json!({ "reason": "roof", "by": "Ada" })),
        ("1/acknowledge", json!({ "by": "x".repeat(101) })),
        ("1/acknowledge", json!({})),
        ("1/close", json!({ "by": "Ada" })),
        ("1/close", json!({ "by": "Ada", "reason": "" })),
    ] {
        assert_eq!(
            post(path, body.clone()).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{path} {body}"
        );
    }
    for path in ["7/note", "7/silence", "7/acknowledge", "7/close"] {
        let body = json!({ "by": "Ada", "text": "x", "reason": "x", "for": "1h" });
        assert_eq!(post(path, body).await.0, StatusCode::NOT_FOUND, "{path}");
    }

    let (_, whole) = app.get("/api/v1/incidents/1").await;
    assert_eq!(
        (&whole["incident"]["rule"], &whole["incident"]["value"]),
        (&json!("anomaly"), &json!(0.9))
    );
    let entries = whole["timeline"].as_array().expect("a timeline");
    let kinds: Vec<_> = entries
        .iter()
        .map(|entry| entry["what"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        kinds,
        ["opened", "told", "person", "silenced", "silence_over"]
    );
    assert_eq!(entries[2]["text"], "on my way");
    let tries = whole["tries"].as_array().expect("tries");
    assert_eq!(
        tries.iter().map(|one| &one["status"]).collect::<Vec<_>>(),
        [&json!(503), &json!(201)]
    );
    assert_eq!(tries[0]["delivery"], entries[1]["delivery"]);

    let (status, closed) = post("1/close", json!({ "reason": "retired", "by": "Ada" })).await;
    assert_eq!(
        (status, &closed["status"]),
        (StatusCode::OK, &json!("closed"))
    );
    assert_eq!(
        post("1/close", json!({ "reason": "again", "by": "Ada" }))
            .await
            .0,
        StatusCode::NOT_FOUND
    );
    for path in ["/api/v1/incidents/7", "/api/v1/incidents/x"] {
        assert!(app.get(path).await.0.is_client_error(), "{path}");
    }
}

#[tokio::test]
async fn incidents_and_deliveries_are_read_page_by_page() {
    let app = TestApp::with("[[rule]]\nname = \"hot\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.anomaly\"\nfire_above = 0.7\nnotify = []\n[[route]]\nname = \"all\"\nfiles = [\"thermal.qo\"]\ndestination = \"ubidots\"\ntransform = '{\"a\": 1}'\n").await;
    app.ubidots.plan(4, Fault::Refuse(Answer::status(400)));
    for number in 0..7 {
        app.take(&thermal(
            &format!("e{number}"),
            &format!("dev:{number}"),
            app.now(),
            0.9,
        ))
        .await;
        app.settle().await;
        app.clock.advance(TimeDelta::minutes(1));
    }
    let (mut seen, mut query) = (Vec::new(), String::new());
    loop {
        let (_, page) = app.get(&format!("/api/v1/incidents?limit=3{query}")).await;
        let rows = page["incidents"].as_array().expect("incidents");
        seen.extend(rows.iter().map(|row| row["id"].as_i64().expect("an id")));
        match page["next"].as_i64() {
            Some(next) => query = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(seen, [7, 6, 5, 4, 3, 2, 1]);
    let count = async |query: &str| {
        app.get(&format!("/api/v1/incidents?{query}")).await.1["incidents"]
            .as_array()
            .map(Vec::len)
    };
    for (query, expected) in [
        ("device=dev:3", 1),
        ("rule=hot&severity=critical", 7),
        ("rule=cold", 0),
        ("open=true&from=2026-03-01T12:05:00Z", 2),
        ("open=false", 0),
        ("to=2026-03-01T12:02:00Z", 2),
    ] {
        assert_eq!(count(query).await, Some(expected), "{query}");
    }

    for (query, expected) in [
        ("state=dead", 4),
        ("state=delivered", 3),
        ("", 7),
        ("state=waiting", 0),
    ] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = app
                .get(&format!("/api/v1/deliveries?limit=2&{query}{after}"))
                .await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let rows = page["deliveries"].as_array().expect("deliveries");
            seen.extend(rows.iter().map(|row| row["id"].to_string()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!((count, seen.len()), (expected, expected), "{query}");
    }
    let (_, dead) = app.get("/api/v1/deliveries?state=dead&device=dev:0").await;
    assert_eq!(dead["deliveries"].as_array().map(Vec::len), Some(1));
    let id = dead["deliveries"][0]["id"].as_str().expect("an id");
    let (_, whole) = app.get(&format!("/api/v1/deliveries/{id}")).await;
    assert_eq!(
        (&whole["body"], &whole["tries"][0]["status"]),
        (&json!("{\"a\":1}"), &json!(400))
    );
    let (_, health) = app.get("/api/v1/destinations").await;
    let ubidots = &health["destinations"][1];
    assert_eq!(
        (
            &ubidots["destination"],
            &ubidots["delivered"],
            &ubidots["dead"],
            &ubidots["breaker"]
        ),
        (&json!("ubidots"), &json!(3), &json!(4), &json!("closed"))
    );
    for bad in [
        "incidents?limit=0",
        "incidents?limit=1001",
        "incidents?severity=mild",
        "incidents?open=perhaps",
        "incidents?from=1492-10-12",
        "deliveries?limit=-1",
        "deliveries?state=lost",
        "deliveries?after=1",
        "deliveries/x",
        "silences?in_force=x",
    ] {
        let status = app.get(&format!("/api/v1/{bad}")).await.0;
        assert!(status.is_client_error(), "{bad}: {status}");
    }
}

#[tokio::test]
async fn silences_are_made_listed_and_ended() {
    let app = TestApp::new().await;
    app.take(&thermal("e", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    let start = async |body: Value| app.post_as_person("/api/v1/silences", &body).await;
    for bad in [
        json!({ "for": "1h", "reason": "x", "by": "Ada" }),
        json!({ "device": "dev:2", "for": "1h", "reason": "x", "by": "Ada" }),
        json!({ "rule": "unknown", "for": "1h", "reason": "x", "by": "Ada" }),
        json!({ "device": "dev:1", "for": "1h", "reason": "x" }),
        json!({ "device": "dev:1", "for": "0s", "reason": "x", "by": "Ada" }),
        json!({ "device": "dev:1", "for": "1h", "by": "Ada" }),
        json!({ "device": "a\u{0}b", "for": "1h", "reason": "x", "by": "Ada" }),
    ] {
        assert_eq!(
            start(bad.clone()).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{bad}"
        );
    }
    let (status, made) = start(
        json!({ "device": "dev:1", "rule": "anomaly", "for": "30d", "reason": "x", "by": "Ada" }),
    )
    .await;
    assert_eq!(
        (status, made),
        (
            StatusCode::CREATED,
            json!({ "silence": 1, "until": "2026-03-31T12:00:00Z" })
        )
    );
    let (_, listed) = app.get("/api/v1/silences").await;
    assert_eq!(
        (
            &listed["silences"][0]["author"],
            &listed["silences"][0]["in_force"]
        ),
        (&json!("Ada"), &json!(true))
    );
    assert_eq!(
        delete(&app, "/api/v1/silences/1").await.0,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        delete(&app, "/api/v1/silences/1?by=Bob").await,
        (StatusCode::OK, json!({ "silence": 1, "status": "ended" }))
    );
    assert_eq!(
        delete(&app, "/api/v1/silences/1?by=Bob").await.0,
        StatusCode::NOT_FOUND
    );
    let (_, over) = app.get("/api/v1/silences?in_force=false").await;
    assert_eq!(over["silences"][0]["ended_by"], "Bob");
    app.finish().await;
}
