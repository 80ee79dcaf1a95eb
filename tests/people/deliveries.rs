//! Deliveries: what waits, fails or died and why, one with its request and answers, and again one or all.

use axum::http::StatusCode;
use chrono::TimeDelta;
use cloud::demo::stand_in::{Answer, Fault};
use uuid::Uuid;

use super::{Page, Visitor, users};
use crate::support::app::TestApp;
use crate::support::event::thermal;

async fn ids(app: &TestApp, which: &'static str) -> Vec<Uuid> {
    let query = format!("SELECT id FROM deliveries WHERE {which} ORDER BY created_at, id");
    let query = sqlx::AssertSqlSafe(query);
    sqlx::query_scalar(query)
        .fetch_all(&app.pool)
        .await
        .expect("ids")
}

fn rows(page: &Page) -> usize {
    page.text.matches("data-label=\"To\"").count()
}

async fn take(app: &TestApp, uid: &str, device: &str) {
    app.take(&thermal(uid, device, app.now(), 0.1)).await;
    app.settle().await;
}

#[tokio::test]
async fn what_died_shows_the_request_and_the_answer_and_is_sent_again() {
    let app = TestApp::with(&users()).await;
    let told = r#"{"message":"<b>no</b> such token ubidots-secret-token"}"#;
    app.ubidots.plan(1, Fault::Refuse(Answer::body(400, told)));
    take(&app, "e<1>", "dev:1").await;
    let id = ids(&app, "state = 'dead'").await[0];
    let ann = Visitor::named(&app, "ann").await;
    let list = ann.see("/deliveries?state=dead").await;
    list.has(&[
        &format!("/deliveries/{id}"),
        "route ",
        "answered 400",
        "1 died in 24 h",
        "Replay all of a window",
    ]);
    let page = ann.see(&format!("/deliveries/{id}")).await;
    page.has(&[
        "answered 400",
        "status 400",
        "&#60;b&#62;no&#60;/b&#62;",
        "Nothing by itself; it can be sent again by hand",
        "/api/v1/events/e%3C1%3E",
        "POST http://",
        "x-auth-token: ***",
        "&#34;anomaly&#34;",
    ]);
    page.lacks(&["ubidots-secret-token", "<b>no</b>"]);
    let again = ann.does(&format!("/deliveries/{id}/replay"), &[]).await;
    again.has(&[
        "It is due again",
        "replayed on request",
        "It is sent as soon as it is its turn",
    ]);
    let twice = ann.does(&format!("/deliveries/{id}/replay"), &[]).await;
    twice.has(&["It was waiting to be sent already."]);
    app.settle().await;
    ann.see(&format!("/deliveries/{id}")).await.has(&[
        "Nothing: it arrived",
        "status 200",
        "It arrived already",
    ]);
    assert_eq!(app.ubidots.received().len(), 1);
    assert_eq!(
        app.count("audit WHERE person = 'ann' AND via = 'page' AND action = 'replayed'")
            .await,
        2
    );
    for missing in [Uuid::nil().to_string(), "x".into(), "errors2".into()] {
        assert_eq!(
            ann.get(&format!("/deliveries/{missing}")).await.status,
            StatusCode::NOT_FOUND,
            "{missing}"
        );
        assert_eq!(
            ann.post(&format!("/deliveries/{missing}/replay"), &[])
                .await
                .status,
            StatusCode::NOT_FOUND
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn the_exact_request_of_a_text_has_no_secrets() {
    let app = TestApp::new().await;
    app.take(&thermal("hot", "dev:1", app.now(), 0.9)).await;
    app.settle().await;
    let people = Visitor::people(&app).await;
    let id = ids(&app, "incident_id IS NOT NULL").await[0];
    let page = people.see(&format!("/deliveries/{id}")).await;
    page.has(&[
        "Notice (opened) to sms",
        "/incidents/1\"",
        "***",
        "Messages.json",
    ]);
    page.lacks(&["twilio-secret-token"]);
    app.finish().await;
}

#[tokio::test]
async fn a_window_of_the_dead_is_counted_first_and_then_sent_again() {
    let app = TestApp::with(&users()).await;
    app.ubidots.plan(3, Fault::Refuse(Answer::status(400)));
    for number in 0..3 {
        take(&app, &format!("e{number}"), "dev:1").await;
        app.clock.advance(TimeDelta::minutes(10));
    }
    let ann = Visitor::named(&app, "ann").await;
    ann.see("/deliveries/replay")
        .await
        .has(&["3 dead deliveries", "ubidots: 3"]);
    let part = ann
        .see("/deliveries/replay?destination=ubidots&from=2026-03-01T12%3A05&to=")
        .await;
    part.has(&[
        "2 dead deliveries",
        "value=\"2026-03-01T12:05\"",
        "value=\"2026-03-01T12:05:00+00:00\"",
    ]);
    ann.see("/deliveries/replay?destination=sms")
        .await
        .has(&["0 dead deliveries", "nothing to replay"]);
    for (query, problem) in [
        ("from=now", "from-problem"),
        ("to=x", "to-problem"),
        ("from=2026-03-02&to=2026-03-01", "to-problem"),
    ] {
        let refused = ann.get(&format!("/deliveries/replay?{query}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        refused.has(&[&format!("id=\"{problem}\"")]);
        refused.lacks(&["Send all of them again"]);
    }
    let fields = [
        ("destination", "ubidots"),
        ("from", "2026-03-01T12:05:00+00:00"),
        ("to", "2026-03-01T13:00:00+00:00"),
    ];
    let again = ann.does("/deliveries/replay", &fields).await;
    again.has(&["2 deliveries are due again.", "Waiting for ubidots"]);
    assert_eq!(rows(&again), 2);
    app.settle().await;
    ann.does("/deliveries/replay", &fields)
        .await
        .has(&["Nothing was dead there any more."]);
    assert_eq!(app.ubidots.received().len(), 2);
    assert_eq!(app.count("deliveries WHERE state = 'dead'").await, 1);
    let subject = "dead deliveries to ubidots from 2026-03-01T12:05:00Z to 2026-03-01T13:00:00Z";
    assert_eq!(
        app.count(&format!("audit WHERE subject = '{subject}'"))
            .await,
        2
    );
}

#[tokio::test]
async fn each_view_has_its_own_and_pages_of_it() {
    let app = TestApp::new().await;
    for number in 0..60 {
        let device = if number == 5 { "dev:rare" } else { "dev:often" };
        app.take(&thermal(
            &format!("e{number:02}"),
            device,
            app.now() + TimeDelta::seconds(number),
            0.1,
        ))
        .await;
    }
    app.settle().await;
    app.ubidots.plan(1_000, Fault::Refuse(Answer::status(503)));
    for number in 0..3 {
        take(&app, &format!("f{number}"), "dev:often").await;
    }
    let people = Visitor::people(&app).await;
    let health = people.see("/deliveries").await;
    health.has(&["3 failing", "<dd>60</dd>", "answered 503"]);
    assert_eq!(rows(&health), 3);
    let count = async |query: &str| {
        let page = people.see(&format!("/deliveries?{query}")).await;
        let next = page
            .text
            .split("href=\"")
            .find(|part| part.contains("after="));
        let next = next.map(|part| {
            part.split('"')
                .next()
                .unwrap_or_default()
                .replace("&#38;", "&")
        });
        (rows(&page), next)
    };
    for (query, expected) in [
        ("state=failing", 3),
        ("state=waiting&destination=sms", 0),
        ("state=dead", 0),
        ("state=delivered&device=dev%3Arare", 1),
        ("state=all&device=dev%3Arare", 1),
        ("state=all&destination=sms", 0),
        (
            "state=delivered&from=2026-03-01T12%3A00&to=2026-03-01T12%3A01",
            50,
        ),
        ("state=delivered&to=2026-03-01T11%3A00", 0),
        ("state=waiting&device=dev%3Arare", 0),
    ] {
        assert_eq!(count(query).await.0, expected, "{query}");
    }
    // Every one once, page after page.
    let (mut seen, mut query) = (0, Some("/deliveries?state=all".to_owned()));
    while let Some(path) = query {
        let (rows, next) = count(path.trim_start_matches("/deliveries?")).await;
        seen += rows;
        query = next;
    }
    assert_eq!(seen, 63);
    for bad in [
        "state=lost",
        "after=x",
        "after=1.x",
        "after=99999999999999999999.00000000000000000000000000000000",
        "from=x",
        "device=%00",
    ] {
        let status = people.get(&format!("/deliveries?{bad}")).await.status;
        assert!(status.is_client_error(), "{bad}: {status}");
    }
    // Five failures in a row: the destination is spared, and the page says until when.
    for number in 3..6 {
        take(&app, &format!("f{number}"), "dev:often").await;
    }
    people
        .see("/deliveries")
        .await
        .has(&["spared: breaker open", "Nothing is sent before"]);
    let waits = ids(&app, "state = 'due'").await;
    people
        .see(&format!("/deliveries/{}", waits[waits.len() - 1]))
        .await
        .has(&["The destination fails and is spared"]);
    app.ubidots.forget_faults();
    app.pass(TimeDelta::minutes(15)).await;
    people
        .see("/deliveries")
        .await
        .has(&["Nothing waits.", ">sending<"]);
    app.finish().await;
}

#[tokio::test]
async fn events_with_errors_are_listed_by_part_and_processed_again() {
    let route = |transform: &str| {
        format!(
            "[[route]]\nname = \"fails\"\nfiles = [\"thermal.qo\"]\ntransform = '{transform}'\ndestination = \"ubidots\"\n"
        )
    };
    let mut app = TestApp::with(&route("$error(\"<i>not today</i>\")")).await;
    for number in 0..60 {
        app.take(&thermal(
            &format!("e{number:02}"),
            "dev:1",
            app.now() + TimeDelta::seconds(number),
            0.1,
        ))
        .await;
    }
    app.settle().await;
    {
        let people = Visitor::people(&app).await;
        let page = people.see("/deliveries/errors").await;
        page.has(&[
            "route fails",
            "60 events",
            "&#60;i&#62;not today",
            "/api/v1/events/e59",
            "More",
        ]);
        page.lacks(&["<i>not today", "/api/v1/events/e09\""]);
        let next = page
            .text
            .split("href=\"")
            .find(|part| part.contains("before="))
            .expect("a next page");
        let next = next
            .split('"')
            .next()
            .expect("a link")
            .replace("&#38;", "&");
        let rest = people.see(&next).await;
        rest.has(&["/api/v1/events/e09\"", "/api/v1/events/e00\""]);
        rest.lacks(&["/api/v1/events/e10\"", ">More<"]);
        people
            .see("/deliveries/errors?part=rule+other")
            .await
            .lacks(&["/api/v1/events/"]);
        for bad in ["before=x", "part=%00"] {
            let status = people
                .get(&format!("/deliveries/errors?{bad}"))
                .await
                .status;
            assert!(
                bad.starts_with("part") || status.is_client_error(),
                "{bad}: {status}"
            );
        }
        let none = people.post("/deliveries/errors", &[]).await;
        assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    app.restarted(&route("{\"a\": 1}"));
    let people = Visitor::people(&app).await;
    people
        .does("/deliveries/errors", &[("event", "e00")])
        .await
        .has(&["One event is processed again."]);
    app.settle().await;
    assert_eq!(app.count("event_errors").await, 59);
    people
        .does("/deliveries/errors", &[("part", "route fails")])
        .await
        .has(&["59 events are processed again."]);
    app.settle().await;
    people
        .see("/deliveries/errors")
        .await
        .has(&["No event carries an error."]);
    assert_eq!(app.ubidots.received().len(), 60);
    app.finish().await;
}

#[tokio::test]
async fn what_was_withdrawn_did_not_fail_and_is_not_sent_again() {
    let app = TestApp::new().await;
    app.twilio.plan(1_000, Fault::Refuse(Answer::status(503)));
    let at = app.now() - TimeDelta::minutes(2);
    app.take(&thermal("hot", "dev:1", at, 0.9)).await;
    app.settle().await;
    let people = Visitor::people(&app).await;
    people
        .does(
            "/incidents/1/silence",
            &[("time", "1h"), ("reason", "roof")],
        )
        .await
        .has(&[">withdrawn<", "withdrawn: silenced by people: roof"]);
    people
        .see("/deliveries?state=dead")
        .await
        .has(&["<span class=\"state\">withdrawn</span>"]);
    people
        .see("/deliveries")
        .await
        .lacks(&["died in 24 h", "Latest trouble"]);
    people
        .see("/deliveries/replay")
        .await
        .has(&["0 dead deliveries"]);
    let window = [("destination", "sms"), ("from", ""), ("to", "")];
    people
        .does("/deliveries/replay", &window)
        .await
        .has(&["Nothing was dead there any more."]);
    app.finish().await;
}
