//! The overview: a verdict, and the stations that need somebody first.

use chrono::TimeDelta;
use serde_json::json;

use super::{fetch, fleet, page, run};
use crate::support::app::TestApp;
use crate::support::event::thermal;

/// Names of stations in the order in which they stand.
fn names(html: &str) -> Vec<&str> {
    let links = html.split("<a href=\"/stations/").skip(1);
    links
        .map(|link| link.split(['>', '<']).nth(1).expect("a name"))
        .collect()
}

fn verdict(html: &str) -> &str {
    html.split_once("<h1>")
        .expect("a heading")
        .1
        .split_once("</h1>")
        .expect("its end")
        .0
}

#[tokio::test]
async fn who_has_no_station_is_told_how_to_begin() {
    let app = TestApp::with("[server]\npublic_url = \"https://heat.example.com/\"").await;
    let html = page(&app, "/").await;
    assert_eq!(verdict(&html), "No station yet");
    assert!(
        html.contains("<code>https://heat.example.com/notehub</code>"),
        "{html}"
    );
}

#[tokio::test]
async fn the_verdict_and_the_order_say_what_is_pressing() {
    let app = TestApp::new().await;
    fleet(&app, 6, 2).await;
    assert_eq!(verdict(&page(&app, "/").await), "All quiet");
    for (device, anomaly) in [("dev:4", 0.9), ("dev:6", 0.8)] {
        app.take(&thermal(
            &format!("hot-{device}"),
            device,
            app.now() - TimeDelta::minutes(1),
            anomaly,
        ))
        .await;
    }
    app.settle().await;
    run(
        &app,
        "INSERT INTO incidents (rule, device, severity, event_uid, opened_at, opened_value, peak_value) VALUES
             ('silent', 'dev:2', 'warning', 'x', '2026-03-01T10:00:00Z', 90, 90), ('silent', 'dev:6', 'warning', 'x', '2026-03-01T10:00:00Z', 90, 90);
         INSERT INTO alerts (rule, device, state, memory) VALUES ('dwell', 'dev:5', 'pending', '{}')
             ON CONFLICT (device, rule) DO UPDATE SET state = 'pending'",
    )
    .await;
    let html = page(&app, "/").await;
    assert_eq!(verdict(&html), "2 firing, 1 silent, 1 pending");
    assert!(html.contains("<title>2 firing, 1 silent, 1 pending · Thermal Watch</title>"));
    assert!(
        html.contains("6 stations, 2 normal") && html.contains("4 open incidents"),
        "{html}"
    );
    // A device that sends events keeps the name that they tell.
    let order: Vec<_> = names(&html)
        .into_iter()
        .map(|name| &name[name.len() - 1..])
        .collect();
    assert_eq!(&order[2..], ["2", "5", "1", "3"]);
    // One that fires and is silent is said to be both.
    let [first, second] = [0, 1].map(|place| {
        html.split("<li class=\"card ")
            .nth(place + 1)
            .expect("a card")
    });
    let silent = |card: &str| card.contains("class=\"state silent\"");
    assert_eq!(
        [silent(first), silent(second)]
            .iter()
            .filter(|silent| **silent)
            .count(),
        1
    );

    let acknowledged = app
        .post_as_person("/api/v1/incidents/1/acknowledge", &json!({ "by": "<Ann>" }))
        .await;
    assert_eq!(acknowledged.0, 200);
    let html = page(&app, "/").await;
    assert!(html.contains("taken by &#60;Ann&#62;"), "{html}");
}

/// Nobody watches for silence here, as with a station whose only note came years late: nothing bad is known of it.
#[tokio::test]
async fn nobody_says_of_a_station_that_is_not_heard_that_it_is_normal() {
    let app = TestApp::new().await;
    app.take(&thermal("last", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    app.clock.advance(TimeDelta::days(7));
    app.take(&thermal("fresh", "dev:2", app.now(), 0.1)).await;
    app.settle().await;
    let html = page(&app, "/").await;
    assert!(
        html.contains("2 stations, 2 normal") || html.contains("2 stations, all normal"),
        "{html}"
    );
    app.clock.advance(TimeDelta::minutes(1));
    let html = page(&app, "/").await;
    assert!(
        html.contains("2 stations, 1 normal, 1 not heard for a week"),
        "{html}"
    );
    assert!(html.contains(r#"<span class="state unheard">"#), "{html}");
    assert_eq!(names(&page(&app, "/?state=unheard").await), ["dev:1"]);
    let station = page(&app, "/stations/dev:1").await;
    assert!(station.contains("unheard"), "{station}");
    app.finish().await;
}

#[tokio::test]
async fn a_card_tells_scores_picture_power_and_signal() {
    let app = TestApp::new().await;
    let mut event = thermal("e1", "dev:1", app.now() - TimeDelta::minutes(70), 0.93);
    event["sn"] = "boiler <room>".into();
    event["body"] = json!({ "anomaly": 0.93, "cold": 0.01, "steam": 0.04, "hot": 0.02, "max": 84.25, "seq": 0, "v": 1 });
    app.take(&event).await;
    let mut session = thermal("s1", "dev:1", app.now() - TimeDelta::minutes(30), 0.0);
    session["file"] = "_session.qo".into();
    session["sn"] = "boiler <room>".into();
    session["body"] = json!({ "why": "periodic" });
    (session["voltage"], session["bars"], session["rssi"]) = (4.015.into(), 3.into(), (-71).into());
    app.take(&session).await;
    // Older, and so it says nothing new.
    let mut older = session.clone();
    (older["event"], older["voltage"], older["bars"]) = ("s0".into(), 3.1.into(), 1.into());
    older["when"] = (app.now() - TimeDelta::hours(3)).timestamp().into();
    app.take(&older).await;
    app.settle().await;
    let html = page(&app, "/").await;
    for part in [
        "boiler &#60;room&#62;",
        "84.2 °C",
        "Battery 4.01 V",
        "Signal 3 of 4 bars",
        "anomaly 0.93",
        "steam 0.04",
        "No picture yet",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(
        !html.contains("seq 0") && !html.contains("<room>"),
        "{html}"
    );
    assert!(html.contains("The last 24 hours: anomaly 0.93 at most, anomaly 0.93 now, cold 0.01 now, hot 0.02 now, steam 0.04 now"), "{html}");

    // What the agent's own sign of life says counts as well, where it is known.
    let mut health = session.clone();
    (health["event"], health["file"]) = ("h1".into(), "health.qo".into());
    health["when"] = (app.now() - TimeDelta::minutes(5)).timestamp().into();
    for (uid, volt) in [("h1", 3.72), ("h2", 0.0)] {
        health["event"] = uid.into();
        health["body"] = json!({ "volt": volt, "up": 60 });
        app.take(&health).await;
    }
    app.settle().await;
    let html = page(&app, "/").await;
    assert!(
        html.contains("Battery 3.72 V") && html.contains("Signal 3 of 4 bars"),
        "{html}"
    );
}

#[tokio::test]
async fn one_finds_stations_in_a_large_fleet() {
    let app = TestApp::new().await;
    fleet(&app, 130, 1).await;
    run(
        &app,
        "UPDATE devices SET serial_number = 'a<b>%_\"', best_location = 'Île d''Yeu' WHERE uid = 'dev:7';
         INSERT INTO alerts (rule, device, state, memory) VALUES ('anomaly', 'dev:99', 'pending', '{}')",
    )
    .await;
    let first = page(&app, "/").await;
    assert_eq!(names(&first).len(), 48);
    assert_eq!(names(&first)[0], "boiler-0099");
    assert!(first.contains("Page 1 of 3") && first.contains("href=\"/?page=2\""));
    assert_eq!(names(&page(&app, "/?page=3").await).len(), 130 - 96);
    assert_eq!(names(&page(&app, "/?page=9").await).len(), 0);
    assert_eq!(names(&page(&app, "/?page=-5").await).len(), 48);
    for (query, found) in [
        ("q=0042", 1),
        ("q=BOILER", 129),
        ("q=%25_", 1),
        ("q=%C3%8Ele", 1),
        ("q=fleet:north", 130),
        ("q=nowhere", 0),
        ("state=pending", 1),
        ("state=firing", 0),
        ("state=nonsense", 130),
        ("q=boiler&state=normal", 128),
    ] {
        let html = page(&app, &format!("/?{query}")).await;
        assert_eq!(names(&html).len(), found.min(48), "{query}");
        assert_eq!(verdict(&html), "1 pending", "{query}");
    }
    let hostile = page(&app, "/?q=%22%3E%3Cscript%3E&state=pending").await;
    assert!(
        !hostile.contains("<script>") && hostile.contains("value=\"&#34;&#62;&#60;script&#62;\""),
        "{hostile}"
    );
    let found = page(&app, "/?q=%25_&page=1").await;
    assert!(found.contains("a&#60;b&#62;%_&#34;"), "{found}");
}

/// What a browser fetches before anybody scrolls, as it travels: the page, style, script, icon, and the pictures that are
/// near enough to be loaded.
async fn weight(app: &TestApp, near: usize) -> usize {
    let answer = fetch(app, "/", true).await;
    let html = page(app, "/").await;
    let mut total = answer.body.len();
    let addresses = |attribute: &str| -> Vec<String> {
        let parts = html.split(attribute).skip(1);
        parts
            .map(|part| {
                part.split('"')
                    .next()
                    .expect("an address")
                    .replace("&#38;", "&")
            })
            .collect()
    };
    let assets: std::collections::BTreeSet<_> = addresses("href=\"/static")
        .into_iter()
        .chain(addresses("src=\"/static"))
        .collect();
    assert!(assets.len() >= 3, "{assets:?}");
    for asset in assets {
        total += fetch(app, &format!("/static{asset}"), true)
            .await
            .body
            .len();
    }
    let pictures = addresses("<img src=\"/api");
    assert!(pictures.len() >= near, "{}", pictures.len());
    for picture in pictures.iter().take(near) {
        let answer = fetch(app, &format!("/api{picture}"), true).await;
        assert_eq!(answer.headers["content-type"], "image/png");
        total += answer.body.len();
    }
    total
}

#[tokio::test]
async fn the_first_page_is_light() {
    // Noise compresses worst: a real scene is smoother.
    let frames = "INSERT INTO frames (device, at, event_uid, width, height, min_c, max_c, pixels, file, boot, seq)
        SELECT uid, last_seen, 'f' || uid, 32, 24, 18, 71, (SELECT decode(string_agg(lpad(to_hex((120 + 60 * sin(n / 32 / 5.0) * cos(n % 32 / 6.0) + random() * 12)::integer), 2, '0'), ''), 'hex') FROM generate_series(0, 767) AS n WHERE uid <> ''), 'frame.qo', 1, 1 FROM devices";
    // So many that a browser loads all pictures of a screen and of some more.
    for (stations, near) in [(1_000, 40), (48, 12)] {
        let app = TestApp::new().await;
        fleet(&app, stations, 24).await;
        run(&app, frames).await;
        let weight = weight(&app, near).await;
        assert!(weight < 100_000, "{stations} stations: {weight} bytes");
    }
}
