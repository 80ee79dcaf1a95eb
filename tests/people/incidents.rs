//! The list of incidents, and the page of one: taken, commented, closed.

use axum::http::StatusCode;
use chrono::TimeDelta;
use cloud::demo::stand_in::{Answer, Fault};
use cloud::process::incident;
use serde_json::Value;

use super::{Visitor, somebody, users};
use crate::support::app::{PHONE, TestApp};
use crate::support::event::thermal;

/// An event named for its station, captured so many minutes ago.
fn note(app: &TestApp, uid: &str, device: &str, minutes: i64, anomaly: f64) -> Value {
    let mut event = thermal(
        uid,
        device,
        app.now() - TimeDelta::minutes(minutes),
        anomaly,
    );
    event["sn"] = format!("station {device}").into();
    event
}

#[tokio::test]
async fn a_link_in_a_text_leads_to_the_incident_and_one_tap_takes_it() {
    let app = TestApp::with(&users()).await;
    let mut hot = note(&app, "hot", "dev:1", 1, 0.9);
    hot["sn"] = "<script>alert(1)</script>\"'&".into();
    hot["body"]["x"] = 21.into();
    hot["body"]["y"] = 9.into();
    hot["body"]["dt"] = 23.4.into();
    app.take(&note(&app, "calm", "dev:1", 6, 0.1)).await;
    app.take(&hot).await;
    app.settle().await;

    let ann = Visitor::named(&app, "ann").await;
    let short = ann.get("/i/1").await;
    assert_eq!(
        (short.status, short.location.as_str()),
        (StatusCode::SEE_OTHER, "../incidents/1")
    );
    let page = ann.see("/incidents/1").await;
    page.has(&[
        "&#60;script&#62;alert(1)&#60;/script&#62;",
        "open, not taken",
        "fires above 0.7, clears below 0.5",
        "column 21, row 9, 23.4 °C above its surroundings",
        "<svg class=\"curve\"",
        "/stations/dev%3A1",
        &format!("Told {PHONE} by sms"),
        "CRITICAL ",
        "Opened at 0.9",
        "action=\"/incidents/1/acknowledge\"",
    ]);
    page.lacks(&["<script>alert", "twilio-secret-token"]);

    let taken = ann.does("/incidents/1/acknowledge", &[]).await;
    taken.has(&["It is yours. Reminders stop.", "open, taken", "ann took it"]);
    taken.lacks(&["action=\"/incidents/1/acknowledge\""]);
    assert_eq!(
        app.count("incidents WHERE acknowledged_by = 'ann'").await,
        1
    );
    // Who comes second is in the timeline, and it stays with the first.
    let people = Visitor::people(&app).await;
    let second = people.does("/incidents/1/acknowledge", &[]).await;
    second.has(&[
        "Somebody took it before you",
        "people took it",
        "open, taken",
    ]);
    assert_eq!(
        app.count("incidents WHERE acknowledged_by = 'ann'").await,
        1
    );

    app.take(&note(&app, "clear", "dev:1", 0, 0.1)).await;
    app.settle().await;
    let over = ann.does("/incidents/1/acknowledge", &[]).await;
    over.has(&[
        "It was over already.",
        "Over: the value is clear again",
        "All-clear to",
    ]);
    for missing in [
        "/incidents/2",
        "/incidents/2?done=taken",
        "/incidents/x",
        "/incidents/99999999999999999999",
    ] {
        let status = ann.get(missing).await.status;
        assert!(status.is_client_error(), "{missing}: {status}");
    }
    assert_eq!(
        ann.post("/incidents/2/acknowledge", &[]).await.status,
        StatusCode::NOT_FOUND
    );
    app.finish().await;
}

#[tokio::test]
async fn notes_are_kept_and_what_is_wrong_stands_beside_them() {
    let app = TestApp::with(&users()).await;
    app.take(&note(&app, "hot", "dev:1", 1, 0.9)).await;
    app.settle().await;
    let ann = Visitor::named(&app, "ann").await;
    let noted = ann
        .does(
            "/incidents/1/note",
            &[("text", "  on my way\r\n<b>there</b> ")],
        )
        .await;
    noted.has(&[
        "Your note is in the timeline.",
        "ann wrote",
        "on my way\n&#60;b&#62;there",
    ]);
    for (text, problem) in [
        (" ", "Write something here."),
        (&*"<i>".repeat(334), "At most 1000 characters"),
        ("a\0b", "NUL"),
    ] {
        let refused = ann.post("/incidents/1/note", &[("text", text)]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        refused.has(&[
            problem,
            "id=\"note-problem\"",
            "aria-describedby=\"note-problem\"",
            "<details id=\"write\" class=\"action\" open>",
        ]);
        let kept = text.trim().replace('<', "&#60;").replace('>', "&#62;");
        refused.has(&[&format!("{kept}</textarea>")]);
    }
    assert_eq!(app.count("audit WHERE action = 'noted'").await, 1);
    assert_eq!(
        ann.post("/incidents/7/note", &[("text", "x")]).await.status,
        StatusCode::NOT_FOUND
    );

    let refused = ann.post("/incidents/1/close", &[("text", "")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.has(&["id=\"close-problem\"", "open, not taken"]);
    let closed = ann
        .does("/incidents/1/close", &[("text", "it was retired")])
        .await;
    closed.has(&[
        "Closed by hand",
        "it was retired",
        "ann closed it",
        ">over<",
    ]);
    closed.lacks(&["action=\"/incidents/1/close\""]);
    ann.does("/incidents/1/close", &[("text", "again")])
        .await
        .has(&["It was over already."]);
    app.finish().await;
}

#[tokio::test]
async fn viewers_see_all_of_it_and_change_nothing() {
    let app = TestApp::with(&users()).await;
    app.ubidots.plan(1, Fault::Refuse(Answer::status(400)));
    app.take(&note(&app, "hot", "dev:1", 1, 0.9)).await;
    app.settle().await;
    let vera = Visitor::named(&app, "vera").await;
    for path in [
        "/incidents",
        "/incidents/1",
        "/deliveries?state=dead",
        "/deliveries/replay",
        "/deliveries/errors",
    ] {
        let page = vera.see(path).await;
        page.lacks(&[
            "method=\"post\" action=\"/incidents",
            "method=\"post\" action=\"/silences",
            "method=\"post\" action=\"/deliveries",
        ]);
    }
    vera.see("/incidents/1").await.has(&["Your role is viewer"]);
    vera.see("/incidents").await.has(&["Your role is viewer"]);
    for path in [
        "/incidents/1/acknowledge",
        "/incidents/1/note",
        "/incidents/1/silence",
        "/incidents/1/close",
        "/silences",
        "/silences/1/end",
        "/deliveries/replay",
        "/deliveries/errors",
    ] {
        let refused = vera
            .post(
                path,
                &[
                    ("text", "x"),
                    ("reason", "x"),
                    ("time", "1h"),
                    ("part", "x"),
                ],
            )
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{path}");
        refused.has(&["operator"]);
        // Neither does a form that is not ours.
        let ann = Visitor {
            csrf: vera.csrf.clone(),
            ..Visitor::named(&app, "ann").await
        };
        assert_eq!(
            ann.post(path, &[]).await.status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
    assert_eq!(app.count("audit WHERE action <> 'signed in'").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn the_list_has_the_open_ones_first_and_pages_of_the_past_by_filter() {
    let app = TestApp::with(
        r#"
        [[rule]]
        name = "hot"
        files = ["thermal.qo"]
        value = "body.anomaly"
        fire_above = 0.7
        clear_below = 0.5
        severity = "warning"
        cooldown = "0s"
        notify = ["sms"]
        "#,
    )
    .await;
    // 33 that are over at one station, one at another, and one that is open.
    for number in 0..34 {
        let device = if number == 20 {
            "dev:rare"
        } else {
            "dev:often"
        };
        app.take(&note(&app, &format!("hot{number}"), device, 1, 0.9))
            .await;
        app.settle().await;
        app.take(&note(&app, &format!("calm{number}"), device, 0, 0.1))
            .await;
        app.settle().await;
        app.clock.advance(TimeDelta::minutes(10));
    }
    app.take(&note(&app, "open", "dev:open", 1, 0.95)).await;
    app.settle().await;
    let people = Visitor::people(&app).await;
    let rows = |page: &super::Page| page.text.matches("data-label=\"Station\"").count();
    let first = people.see("/incidents").await;
    first.has(&[
        "<strong>1</strong> open",
        "<strong>1</strong> not taken",
        "<strong>35</strong> opened in 7 days",
        "station dev:open: hot",
        "href=\"/incidents?before=5\"",
    ]);
    assert_eq!(rows(&first), 30);
    let second = people.see("/incidents?before=5").await;
    second.lacks(&["dev:open: hot", "Earlier ones"]);
    assert_eq!(rows(&second), 4);
    let rare = people
        .see("/incidents?device=dev%3Arare&rule=&severity=&from=&to=")
        .await;
    rare.has(&[
        "/incidents/21\"",
        "Nothing open that fits the filter.",
        "value=\"dev:rare\"",
        "Filter: on",
    ]);
    assert_eq!(rows(&rare), 1);
    for (query, count) in [
        ("rule=hot", 30),
        ("rule=cold", 0),
        ("severity=warning", 30),
        ("severity=critical", 0),
        ("from=2026-03-01&to=2026-03-01", 30),
        ("from=2026-03-02", 0),
        ("to=2026-02-28", 0),
        ("device=dev%3Aoften&before=3", 2),
        ("device=%00", 99),
        ("severity=mild", 99),
        ("before=x", 99),
        ("from=soon", 99),
    ] {
        let page = people.get(&format!("/incidents?{query}")).await;
        if count == 99 {
            assert!(page.status.is_client_error(), "{query}: {}", page.status);
        } else {
            assert_eq!(
                (page.status, rows(&page)),
                (StatusCode::OK, count),
                "{query}"
            );
        }
    }
    // Filters stay when the page is turned.
    people
        .see("/incidents?device=dev%3Aoften")
        .await
        .has(&["href=\"/incidents?device=dev%3Aoften&#38;before="]);
    incident::acknowledge(&app.pool, 35, &somebody(), app.now())
        .await
        .expect("it is taken");
    people
        .see("/incidents")
        .await
        .has(&["taken by somebody", "<strong>0</strong> not taken"]);
    app.finish().await;
}

#[tokio::test]
async fn what_came_back_to_each_notice_is_in_the_timeline() {
    let app = TestApp::new().await;
    app.twilio.plan(1, Fault::Refuse(Answer::status(503)));
    app.take(&note(&app, "hot", "dev:1", 1, 0.9)).await;
    app.settle().await;
    let people = Visitor::people(&app).await;
    people.see("/incidents/1").await.has(&[
        "to be tried again",
        "1 attempt, and what came back",
        "answered 503",
    ]);
    app.pass(TimeDelta::minutes(1)).await;
    let page = people.see("/incidents/1").await;
    page.has(&[
        ">sent<",
        "2 attempts, and what came back",
        "answered 503",
        "/deliveries/",
    ]);
    sqlx::query("INSERT INTO text_statuses (message_sid, status, delivery_id, at, error_code) SELECT 'SM1', 'undelivered', id, now(), 30003 FROM deliveries WHERE incident_id = 1")
        .execute(&app.pool)
        .await
        .expect("a report");
    people.see("/incidents/1").await.has(&[
        "did not arrive",
        "The carrier says: undelivered: ",
        "(30003)",
    ]);
    // A station without a picture, a rule that is gone, and hardly any values: all of it is said.
    page.has(&["There is no picture within a day"]);
    let mut app = app;
    app.restarted("[[rule]]\nname = \"other\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.hot\"\nfire_above = 2\nnotify = []");
    let people = Visitor::people(&app).await;
    people
        .see("/incidents/1")
        .await
        .has(&["no longer configured"]);
}
