//! Pictures as people and scripts get them.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use chrono::TimeDelta;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::frames::{MAX, MIN, list, part, pixels};
use super::{DEVICE, reading};
use crate::support::app::{PEOPLE, TestApp};

async fn ask(app: &TestApp, path: &str, tag: Option<&str>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::get(path).header("authorization", format!("Bearer {PEOPLE}"));
    if let Some(tag) = tag {
        request = request.header("if-none-match", tag);
    }
    let request = request.body(Body::empty()).expect("a request");
    let response = app
        .router
        .clone()
        .oneshot(request)
        .await
        .expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX)
        .await
        .expect("a body");
    (status, headers, body.to_vec())
}

/// Three frames, an hour apart, the newest an hour ago.
async fn three_frames() -> TestApp {
    let app = TestApp::new().await;
    let at = app.now() - TimeDelta::hours(3);
    for seq in 0..3_u32 {
        for piece in 1..=3 {
            let moment = at + TimeDelta::hours(i64::from(seq));
            app.take(&part(&format!("f{seq}-{piece}"), moment, seq, piece))
                .await;
        }
    }
    app.settle().await;
    app
}

#[tokio::test]
async fn frames_are_listed_newest_first_and_page_by_page() {
    let app = three_frames().await;
    let at = app.now() - TimeDelta::hours(3);
    let all = list(&app).await;
    let events = |list: &Value| -> Vec<String> {
        let frames = list["frames"].as_array().expect("frames");
        frames
            .iter()
            .map(|frame| frame["event"].as_str().expect("a uid").to_owned())
            .collect()
    };
    assert_eq!(events(&all), ["f2-1", "f1-1", "f0-1"]);
    let newest = &all["frames"][0];
    assert_eq!(
        (&newest["min"], &newest["max"]),
        (&json!(18.5), &json!(71.25))
    );
    assert_eq!(
        newest["at"].as_str().and_then(|at| at.parse().ok()),
        Some(at + TimeDelta::hours(2))
    );
    let base = format!("/api/v1/devices/{DEVICE}/frames");
    let (_, page) = app
        .get(&format!(
            "{base}?limit=1&before={}",
            newest["at"].as_str().expect("a time")
        ))
        .await;
    assert_eq!(events(&page), ["f1-1"]);
    for (path, status) in [
        ("?limit=0", 422),
        ("?limit=1001", 422),
        ("?limit=x", 400),
        ("?before=yesterday", 400),
        ("/nothing", 404),
        ("/f0-2", 404),
        ("/2026-03-01T12:00:00Z", 404),
        ("/f0-1.png?scale=0", 422),
        ("/f0-1.png?scale=41", 422),
    ] {
        assert_eq!(
            app.get(&format!("{base}{path}")).await.0.as_u16(),
            status,
            "{path}"
        );
    }
    assert_eq!(
        app.get("/api/v1/devices/dev:none/frames").await.0,
        StatusCode::NOT_FOUND
    );

    app.finish().await;
}

#[tokio::test]
async fn a_frame_is_told_in_degrees_and_drawn() {
    let app = three_frames().await;
    let base = format!("/api/v1/devices/{DEVICE}/frames");
    let all = list(&app).await;
    let newest = &all["frames"][0];
    // The links lead there, by event; a moment does too.
    let (status, headers, body) = ask(&app, newest["href"].as_str().expect("a link"), None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        headers["cache-control"],
        "private, max-age=31536000, immutable"
    );
    let frame: Value = serde_json::from_slice(&body).expect("JSON");
    let rows = frame["celsius"].as_array().expect("rows");
    assert_eq!(
        (rows.len(), rows[0].as_array().map(Vec::len)),
        (24, Some(32))
    );
    for (place, &level) in pixels().iter().enumerate() {
        let celsius = rows[place / 32][place % 32].as_f64().expect("a number");
        let expected = MIN + f64::from(level) / 255.0 * (MAX - MIN);
        assert!(
            (celsius - expected).abs() <= 0.005,
            "{place}: {celsius}, not {expected}"
        );
    }
    assert_eq!(
        frame["hottest"],
        json!({ "x": 21, "y": 9, "celsius": 71.25 })
    );
    let (_, by_moment, same) = ask(&app, &format!("{base}/2026-03-01T11:00:00Z"), None).await;
    assert_eq!(by_moment["cache-control"], "private, max-age=60");
    assert_eq!(same, body);

    let png = newest["png"].as_str().expect("a link");
    let (status, headers, body) = ask(&app, png, None).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["content-type"], "image/png");
    let picture = png::Decoder::new(std::io::Cursor::new(&body))
        .read_info()
        .expect("a PNG")
        .info()
        .size();
    assert_eq!(picture, (384, 288));
    assert!(body.len() < 100_000, "{} bytes", body.len());
    let tag = headers["etag"].to_str().expect("a tag").to_owned();
    let (status, _, nothing) = ask(&app, png, Some(&tag)).await;
    assert_eq!((status, nothing.len()), (StatusCode::NOT_MODIFIED, 0));
    let (status, _, plain) = ask(&app, &format!("{png}?mark=false&scale=4"), Some(&tag)).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(plain, body);
    let unsigned = Request::get(png).body(Body::empty());
    assert_eq!(app.send(unsigned).await.0, StatusCode::UNAUTHORIZED);
    app.finish().await;
}

#[tokio::test]
async fn what_the_alarm_was_about_is_marked_and_not_what_is_hottest() {
    let app = three_frames().await;
    let newest = list(&app).await["frames"][0].clone();
    let (href, png) = (
        newest["href"].as_str().expect("a link"),
        newest["png"].as_str().expect("a link"),
    );
    let (_, _, before) = ask(&app, png, None).await;
    let at = newest["at"]
        .as_str()
        .expect("a time")
        .parse()
        .expect("a time");
    let mut alert = reading("alarm", at, 900, 0.9);
    alert["file"] = "alert.qo".into();
    alert["body"]["x"] = 3.into();
    alert["body"]["y"] = 17.into();
    app.take(&alert).await;
    app.settle().await;
    let (_, _, body) = ask(&app, href, None).await;
    let frame: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        (&frame["suspect"]["x"], &frame["suspect"]["y"]),
        (&json!(3), &json!(17))
    );
    assert_eq!(frame["hottest"]["x"], 21);
    let (_, _, after) = ask(&app, png, None).await;
    assert_ne!(before, after, "another place is marked");
    app.finish().await;
}

#[tokio::test]
async fn an_incident_shows_the_picture_nearest_to_it() {
    let app = TestApp::new().await;
    let opened = app.now() - TimeDelta::minutes(30);
    let mut hot = reading("hot", opened, 100, 0.9);
    hot["body"]["x"] = 21.into();
    app.take(&hot).await;
    app.settle().await;
    let frame = async || app.get("/api/v1/incidents").await.1["incidents"][0]["frame"].clone();
    assert_eq!(frame().await, Value::Null);
    let mut expected = Vec::new();
    for (name, minutes) in [
        ("old", -3_000_i32),
        ("day", -1_000),
        ("before", -9),
        ("after", 2),
        ("later", 20),
    ] {
        for piece in 1..=3 {
            let at = opened + TimeDelta::minutes(minutes.into());
            app.take(&part(
                &format!("{name}{piece}"),
                at,
                minutes.unsigned_abs(),
                piece,
            ))
            .await;
        }
        app.settle().await;
        expected.push(frame().await["event"].clone());
    }
    assert_eq!(
        expected,
        [
            json!(null),
            json!("day1"),
            json!("before1"),
            json!("after1"),
            json!("after1")
        ]
    );
    let (status, _, _) = ask(&app, frame().await["png"].as_str().expect("a link"), None).await;
    assert_eq!(status, StatusCode::OK);
    app.finish().await;
}
