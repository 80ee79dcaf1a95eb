//! The page of a station, its pictures and its events.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use chrono::TimeDelta;
use serde_json::json;
use tower::ServiceExt as _;

use super::{ago, fetch, fleet, page, run};
use crate::support::app::TestApp;
use crate::support::event::thermal;

const PAGE: &str = "/stations/dev%3A1";

/// A station that was hot, with a picture and a sign of life.
async fn station() -> TestApp {
    let app = TestApp::new().await;
    for (minutes, anomaly) in [(50, 0.1), (45, 0.9), (40, 0.3)] {
        let at = app.now() - TimeDelta::minutes(minutes);
        let mut event = thermal(&format!("e{minutes}"), "dev:1", at, anomaly);
        event["body"]["max"] = (60.0 + anomaly).into();
        event["body"]["mean"] = 31.5.into();
        app.take(&event).await;
    }
    for hours in [3, 30] {
        let at = app.now() - TimeDelta::hours(hours);
        for part in 1..=3 {
            let mut event = thermal(&format!("f{hours}-{part}"), "dev:1", at, 0.0);
            event["file"] = "frame.qo".into();
            event["body"] = json!({ "v": 1, "t": at.timestamp(), "boot": 1, "seq": hours, "part": part, "of": 3, "min": 18.5, "max": 71.25 });
            event["payload"] = base64::engine::general_purpose::STANDARD
                .encode([7; 256])
                .into();
            app.take(&event).await;
        }
    }
    let mut health = thermal("h1", "dev:1", app.now() - TimeDelta::hours(2), 0.0);
    health["file"] = "health.qo".into();
    health["body"] =
        json!({ "up": 7_260, "spool": 3, "model": "<boiler-7>", "volt": 3.85, "moved": 0 });
    app.take(&health).await;
    app.settle().await;
    app
}

#[tokio::test]
async fn a_station_is_told_as_it_is() {
    let app = station().await;
    let html = page(&app, PAGE).await;
    for part in [
        "data-names=\"anomaly,cold,warm,hot\"",
        "data-names=\"max,mean\"",
        "<a href=\"/incidents/1\">anomaly #1</a>",
        "<span class=\"state normal\">normal</span></h1>",
        "3.85 V",
        "<dt>Running for</dt><dd>2 h 1 min</dd>",
        "<dt>Notes that wait</dt><dd>3</dd>",
        "&#60;boiler-7&#62;",
        "above 0.7, clear at 0.5",
        "https://www.openstreetmap.org/?mlat=43.07",
        "/stations/dev%3A1/events/e40",
        "data-at=\"2026-03-01T09:00:00Z\"",
        "<td class=\"number\" data-label=\"Highest\">0.900</td>",
        "<td class=\"number\" data-label=\"Highest\">60.9 °C</td>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert_eq!(
        html.matches("data-href=").count(),
        1,
        "one picture in 24 hours"
    );
    let week = page(&app, &format!("{PAGE}?range=7d")).await;
    assert_eq!(week.matches("data-href=").count(), 2);
    assert!(week.contains("<a href=\"/stations/dev%3A1?range=7d\" aria-current=\"true\">"));
    let chosen = page(&app, &format!("{PAGE}?range=7d&frame=f30%2D1")).await;
    assert!(
        chosen.contains("id=\"picture\" src=\"/api/v1/devices/dev%3A1/frames/f30%2D1.png"),
        "{chosen}"
    );
    // Also one that is not in the range.
    let chosen = page(&app, &format!("{PAGE}?range=6h&frame=f30%2D1")).await;
    assert!(
        chosen.contains("id=\"picture\" src=\"/api/v1/devices/dev%3A1/frames/f30%2D1.png"),
        "{chosen}"
    );
    app.finish().await;
}

#[tokio::test]
async fn every_range_can_be_linked_and_what_cannot_be_is_told() {
    let app = station().await;
    for range in ["6h", "24h", "7d", "30d", "1y", "all"] {
        let html = page(&app, &format!("{PAGE}?range={range}")).await;
        assert!(html.contains(&format!("data-name=\"{range}\"")), "{range}");
        assert!(!html.contains("Nothing was measured"), "{range}");
    }
    let html = page(&app, &format!("{PAGE}?from=2026-02-01&to=2026-02-03T12:00")).await;
    assert!(
        html.contains("from=2026-02-03T12:00:00Z&#38;to=2026-02-06T00:00:00Z"),
        "{html}"
    );
    assert!(
        html.contains("Nothing was measured in this time.") && html.contains("show that day"),
        "{html}"
    );
    for bad in ["range=5h", "from=soon", "from=2026-02-02&to=2026-02-01"] {
        let answer = fetch(&app, &format!("{PAGE}?{bad}"), false).await;
        assert_eq!(answer.status, 422, "{bad}");
        assert!(
            answer.text().contains("<h1>That did not work</h1>"),
            "{bad}"
        );
    }
    for missing in [
        "/stations/dev%3A9",
        "/stations/dev%3A9/events",
        "/stations/dev%3A9/events/e40",
        "/stations/dev%3A1/events/e9",
    ] {
        let answer = fetch(&app, missing, false).await;
        assert_eq!(answer.status, 404, "{missing}");
        assert!(answer.text().contains("<h1>Not found</h1>"), "{missing}");
    }
    // An event is found at its own station alone.
    app.take(&thermal("other", "dev:2", app.now(), 0.1)).await;
    app.settle().await;
    assert_eq!(
        fetch(&app, "/stations/dev%3A1/events/other", false)
            .await
            .status,
        404
    );
    assert_eq!(
        fetch(&app, "/stations/dev%3A2/events/other", false)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn names_that_mean_harm_are_only_text() {
    let app = TestApp::new().await;
    let hostile = "dev:<script>alert('1')</script>\"/../?#&";
    let mut event = thermal(
        "<img src=x>",
        hostile,
        app.now() - TimeDelta::minutes(1),
        0.9,
    );
    event["sn"] = "\"><script>boiler</script>".into();
    event["best_location"] = "</title><script>".into();
    event["body"] = json!({ "anomaly": 0.9, "<b>": 0.5, "a\"b,c": 0.25, "text": "</pre><script>" });
    app.take(&event).await;
    app.settle().await;
    let overview = page(&app, "/").await;
    let link = overview
        .split("<a href=\"/stations/")
        .nth(1)
        .expect("a link")
        .split('"')
        .next()
        .expect("an address");
    let station = page(&app, &format!("/stations/{link}")).await;
    let events = page(&app, &format!("/stations/{link}/events")).await;
    let address = events
        .split(&format!("/stations/{link}/events/"))
        .nth(1)
        .expect("an event")
        .split('"')
        .next()
        .expect("an address")
        .to_owned();
    let one = page(&app, &format!("/stations/{link}/events/{address}")).await;
    for (name, html) in [
        ("overview", overview.as_str()),
        ("station", &station),
        ("events", &events),
        ("event", &one),
    ] {
        for bad in ["<script>", "<b>:", "<img src=x>", "</pre><script"] {
            assert!(!html.contains(bad), "{bad} in {name}: {html}");
        }
        assert!(html.contains("&#62;&#60;script&#62;boiler"), "{name}");
    }
    let (status, series) = app.get(&format!("/api/v1/devices/{link}/series")).await;
    assert_eq!((status.as_u16(), &series["device"]), (200, &json!(hostile)));
}

#[tokio::test]
async fn an_event_is_shown_with_all_that_came_of_it() {
    let app = station().await;
    let html = page(&app, "/stations/dev%3A1/events/e45").await;
    for part in [
        "<a href=\"/incidents/1\">anomaly #1</a>",
        "<span class=\"state delivered\">delivered</span>",
        "<td>anomaly</td><td class=\"number\">0.9</td>",
        "&#34;anomaly&#34;: 0.9",
        "by <code>when</code>",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    let mut bad = thermal("bad", "dev:1", app.now() - TimeDelta::minutes(1), 0.1);
    bad["body"] = json!({ "v": 1, "t": 5, "boot": 1, "seq": 77, "part": 9, "of": 3 });
    bad["file"] = "frame.qo".into();
    app.take(&bad).await;
    app.settle().await;
    let html = page(&app, "/stations/dev%3A1/events/bad").await;
    assert!(
        html.contains("What went wrong") && html.contains("frame: "),
        "{html}"
    );
    let list = page(&app, PAGE).await;
    assert!(list.contains("1 error"), "{list}");
}

#[tokio::test]
async fn events_are_paged_to_the_first() {
    let app = TestApp::new().await;
    fleet(&app, 1, 1).await;
    let at = ago(&app, 2);
    run(
        &app,
        &format!(
            "INSERT INTO received_events SELECT 'n' || lpad(n::text, 4, '0'), 'dev:1', 'a.qo', '{at}'::timestamptz + (n / 7) * interval '1 s', 'when', '{at}', '{at}', '{{}}' FROM generate_series(1, 120) AS n;
             INSERT INTO processed_events (device, captured_at, uid, processed_at) SELECT device, captured_at, uid, stored_at FROM received_events WHERE file = 'a.qo'"
        ),
    )
    .await;
    let mut seen = Vec::new();
    let mut query = String::new();
    loop {
        let html = page(&app, &format!("/stations/dev%3A1/events{query}")).await;
        seen.extend(html.split("<code>n").skip(1).map(|one| one[..4].to_owned()));
        let Some((_, next)) = html.split_once("rel=\"next\" href=\"") else {
            break;
        };
        query = next
            .split('"')
            .next()
            .expect("an address")
            .replace("&#38;", "&");
    }
    assert_eq!(seen.len(), 120);
    assert!(seen.is_sorted_by(|a, b| a > b), "{seen:?}");
}

#[tokio::test]
async fn viewers_see_all_of_it() {
    let app = TestApp::with(&crate::accounts::users()).await;
    app.take(&thermal(
        "e1",
        "dev:1",
        app.now() - TimeDelta::minutes(1),
        0.1,
    ))
    .await;
    app.settle().await;
    let sign_in = Request::post("/sign-in")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("name=vera&secret=staple+of+the+viewer&next=/"));
    let signed_in = app
        .router
        .clone()
        .oneshot(sign_in.expect("a request"))
        .await
        .expect("an answer");
    let cookie = signed_in.headers()["set-cookie"].clone();
    for path in [
        "/",
        PAGE,
        "/stations/dev%3A1/events",
        "/stations/dev%3A1/events/e1",
        "/api/v1/devices/dev%3A1/series",
        "/api/v1/devices/dev%3A1/series.csv",
    ] {
        let status = async |request: axum::http::request::Builder| {
            app.send(request.body(Body::empty())).await.0.as_u16()
        };
        let stranger = status(Request::get(path)).await;
        assert!([303, 401].contains(&stranger), "{path}: {stranger}");
        assert_eq!(
            status(Request::get(path).header("cookie", cookie.clone())).await,
            200,
            "{path}"
        );
    }
}
