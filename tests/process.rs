//! From stored events to what follows from them, once, whatever happens.

use chrono::TimeDelta;
use cloud::process::plan::Plan;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::event::{thermal, twin};

fn route(name: &str, transform: &str) -> String {
    format!(
        "[[route]]\nname = \"{name}\"\nfiles = [\"thermal.qo\"]\ntransform = '''{transform}'''\ndestination = \"ubidots\"\n"
    )
}

async fn error(app: &TestApp, uid: &str) -> Option<String> {
    sqlx::query_scalar("SELECT error FROM events WHERE uid = $1")
        .bind(uid)
        .fetch_one(&app.pool)
        .await
        .expect("the event is there")
}

#[tokio::test]
async fn an_expression_that_fails_harms_nothing_else_and_runs_again_once_mended() {
    let bad = [
        route("good", r#"{"a": 1}"#),
        route("fails", r#"$error("not today")"#),
        route("types", r#"body.anomaly & 1 + "x""#),
    ]
    .concat();
    let mut app = TestApp::with(&bad).await;
    app.take(&thermal("e", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    let told = error(&app, "e").await.expect("an error");
    assert!(
        told.contains("route fails") && told.contains("not today") && told.contains("route types"),
        "{told}"
    );
    assert_eq!(app.ubidots.received().len(), 1);
    assert_eq!(app.count("measurements").await, 4);

    // Mended, and replayed.
    app.restarted(
        &[
            route("good", r#"{"a": 1}"#),
            route("fails", r#"{"b": 2}"#),
            route("types", r#"{"c": 3}"#),
        ]
        .concat(),
    );
    assert_eq!(
        app.post_as_person(
            "/api/v1/replay",
            &json!({ "errors": { "part": "route fails" } })
        )
        .await
        .1,
        json!({ "replayed": 1 })
    );
    app.settle().await;
    assert_eq!(error(&app, "e").await, None);
    let mut sent: Vec<_> = app
        .ubidots
        .received()
        .into_iter()
        .map(|received| received.raw)
        .collect();
    sent.sort();
    assert_eq!(
        sent,
        [r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#],
        "what was delivered is not delivered again"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_expression_that_never_ends_is_stopped_and_then_left_alone() {
    let endless = route("loops", "($f := function($x) { $f($x + 1) }; $f(0))");
    let app = TestApp::with(&format!(
        "[transform]\ntimeout = \"50ms\"\n{}{}",
        route("good", r#"{"a": 1}"#),
        endless
    ))
    .await;
    for number in 0..10 {
        app.take(&thermal(
            &format!("e{number}"),
            "dev:1",
            app.now() + TimeDelta::seconds(number),
            0.1,
        ))
        .await;
    }
    app.settle().await;
    let codes: Vec<(String, i64)> =
        sqlx::query_as("SELECT code, count(*) FROM event_errors WHERE part = 'route loops' GROUP BY code ORDER BY code").fetch_all(&app.pool).await.expect("rows");
    assert_eq!(codes, [("SUSPENDED".into(), 7), ("TIMEOUT".into(), 3)]);
    assert_eq!(app.ubidots.received().len(), 10);
    app.finish().await;
}

#[tokio::test]
async fn a_slow_expression_holds_no_batch_for_long() {
    let endless = route("slow", "($f := function($x) { $f($x + 1) }; $f(0))");
    let app = TestApp::with(&format!("[transform]\ntimeout = \"1100ms\"\n{endless}")).await;
    for number in 0..10 {
        let at = app.now() + TimeDelta::seconds(number);
        app.take(&thermal(&format!("e{number}"), "dev:1", at, 0.1))
            .await;
    }
    app.service
        .app
        .processor
        .tick(app.now())
        .await
        .expect("a batch");
    // The first used up the time of the batch; the others went back into the queue.
    let counts = (
        app.count("processed_events").await,
        app.count("pending_events").await,
    );
    assert_eq!(counts, (1, 9));
}

#[tokio::test]
async fn nothing_and_do_not_route_send_nothing_and_are_no_errors() {
    let routes = [
        route("nothing", "body.missing"),
        route("skips", "body.anomaly < 0.5 ? $doNotRoute() : {\"a\": 1}"),
    ]
    .concat();
    let app = TestApp::with(&routes).await;
    app.take(&thermal("e1", "dev:1", app.now(), 0.1)).await;
    app.take(&thermal(
        "e2",
        "dev:1",
        app.now() + TimeDelta::seconds(5),
        0.6,
    ))
    .await;
    app.settle().await;
    assert_eq!(
        (error(&app, "e1").await, error(&app, "e2").await),
        (None, None)
    );
    assert_eq!(app.ubidots.received().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn replaying_everything_twice_changes_nothing() {
    let app = TestApp::new().await;
    for minute in 0..30 {
        let anomaly = if minute == 20 { 0.9 } else { 0.1 };
        let event = thermal(
            &format!("e{minute}"),
            &format!("dev:{}", minute % 3),
            app.now() - TimeDelta::minutes(40 - minute),
            anomaly,
        );
        app.take(&event).await;
        app.take(&twin(&event)).await;
    }
    app.settle().await;
    let counts = async || {
        let mut counts = Vec::new();
        for table in [
            "received_events",
            "measurements",
            "deliveries",
            "attempts",
            "incidents",
            "alerts",
            "event_errors",
        ] {
            counts.push(app.count(table).await);
        }
        (counts, app.texts().len(), app.ubidots.received().len())
    };
    let before = counts().await;
    // It all came at once, so the alarm was over before it was sent: one text tells both.
    assert_eq!((before.1, before.2), (1, 30));
    for _ in 0..2 {
        let window =
            json!({ "events": { "from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z" } });
        assert_eq!(
            app.post_as_person("/api/v1/replay", &window).await.1,
            json!({ "replayed": 60 })
        );
        app.settle().await;
        assert_eq!(counts().await, before);
    }
    app.finish().await;
}

#[tokio::test]
async fn many_at_once_see_each_event_once_and_each_device_in_order() {
    // The rule's count needs the samples of a device in order: hot, hot, cold, again and again, is never three hot in a row.
    let rule = "[[rule]]\nname = \"three\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.anomaly\"\nfire_above = 0.7\ncount = \"3 of 3\"\nnotify = [\"sms\"]";
    let app = TestApp::with(rule).await;
    let mut posts = Vec::new();
    for number in 0..1_200_i64 {
        let anomaly = if number / 20 % 3 == 2 { 0.1 } else { 0.9 };
        posts.push(thermal(
            &format!("e{number}"),
            &format!("dev:{}", number % 20),
            app.now() - TimeDelta::seconds(2_000 - number),
            anomaly,
        ));
    }
    // They arrive in any order; all are stored before any is processed.
    for chunk in posts.chunks_mut(100).rev() {
        chunk.reverse();
        futures_util::future::join_all(chunk.iter().map(|event| app.take(event))).await;
    }
    let processors = (0..4).map(|_| async {
        let mut done = 0;
        // Zero also means that the others hold what is left.
        while app.count("pending_events").await > 0 {
            done += app
                .service
                .app
                .processor
                .tick(app.now())
                .await
                .expect("processed");
        }
        done
    });
    let done: usize = futures_util::future::join_all(processors)
        .await
        .into_iter()
        .sum();
    assert_eq!(done, 1_200);
    assert_eq!(
        (
            app.count("measurements").await,
            app.count("processed_events").await
        ),
        (4_800, 1_200)
    );
    assert_eq!(
        app.count("incidents").await,
        0,
        "a device's samples were seen out of order"
    );
    let last: Vec<Value> = sqlx::query_scalar("SELECT memory FROM alerts")
        .fetch_all(&app.pool)
        .await
        .expect("alerts");
    assert_eq!(last.len(), 20);
    app.finish().await;
}

#[tokio::test]
async fn a_series_of_ones_own() {
    let app = TestApp::with(
        "[series]\ntransform = '{\"share\": {\"hot\": body.hot, \"sum\": body.cold + body.warm}}'",
    )
    .await;
    app.take(&thermal("e", "dev:1", app.now(), 0.25)).await;
    app.settle().await;
    let series: Vec<(String, f64)> =
        sqlx::query_as("SELECT series, value FROM measurements ORDER BY series")
            .fetch_all(&app.pool)
            .await
            .expect("rows");
    assert_eq!(
        series,
        [("share.hot".into(), 0.0), ("share.sum".into(), 0.75)]
    );
    app.finish().await;
}

#[tokio::test]
async fn routes_and_rules_take_the_events_they_are_about() {
    let scoped = r#"
        [[route]]
        name = "fleet"
        fleets = ["fleet:a"]
        devices = ["boiler-*"]
        transform = '{"fleet": 1}'
        destination = "ubidots"
        [[route]]
        name = "off"
        enabled = false
        destination = "ubidots""#;
    let app = TestApp::with(scoped).await;
    for (uid, sn, fleet, file) in [
        ("in", "boiler-1", "fleet:a", "x#thermal.qo"),
        ("fleet", "boiler-1", "fleet:b", "thermal.qo"),
        ("name", "motor-1", "fleet:a", "thermal.qo"),
        ("db", "boiler-1", "fleet:a", "x.db"),
    ] {
        let mut event = thermal(uid, "dev:1", app.now(), 0.1);
        event["sn"] = sn.into();
        event["fleets"] = json!([fleet]);
        event["file"] = file.into();
        app.take(&event).await;
    }
    app.settle().await;
    let routed: Vec<String> = sqlx::query_scalar("SELECT event_uid FROM deliveries")
        .fetch_all(&app.pool)
        .await
        .expect("rows");
    assert_eq!(routed, ["in"]);
    app.finish().await;
}

#[tokio::test]
async fn an_event_whose_effects_the_database_refuses_is_set_aside_alone() {
    let app = TestApp::new().await;
    // Stands for whatever a database may object to.
    sqlx::query("ALTER TABLE measurements ADD CONSTRAINT no_thirteen CHECK (value <> 0.13)")
        .execute(&app.pool)
        .await
        .expect("altered");
    for (number, anomaly) in [0.1, 0.13, 0.2, 0.3].into_iter().enumerate() {
        app.take(&thermal(
            &format!("e{number}"),
            &format!("dev:{number}"),
            app.now(),
            anomaly,
        ))
        .await;
    }
    app.settle().await;
    assert_eq!(app.count("processed_events").await, 4);
    assert_eq!(
        (
            app.count("measurements").await,
            app.ubidots.received().len()
        ),
        (12, 3)
    );
    let told = error(&app, "e1").await.expect("an error");
    assert!(
        told.contains("process: DATABASE") && told.contains("no_thirteen"),
        "{told}"
    );
    // Once the obstacle is gone, a replay makes up for it.
    sqlx::query("ALTER TABLE measurements DROP CONSTRAINT no_thirteen")
        .execute(&app.pool)
        .await
        .expect("altered");
    app.post_as_person("/api/v1/replay", &json!({ "event": "e1" }))
        .await;
    app.settle().await;
    assert_eq!(
        (
            app.count("measurements").await,
            app.ubidots.received().len(),
            error(&app, "e1").await
        ),
        (16, 4, None)
    );
    app.finish().await;
}

#[tokio::test]
async fn every_bad_expression_is_reported_with_its_place() {
    let app = TestApp::new().await;
    let text = [
        route("one", "{\"a\": }"),
        route("two", "body.("),
        route("three", "$nosuch("),
    ]
    .concat();
    let config =
        format!("[[destination]]\nname = \"ubidots\"\nkind = \"ubidots\"\ntoken = \"t\"\n{text}");
    let config = cloud::config::Config::parse(&config).expect("the configuration itself is good");
    let bad = Plan::compile(&config, &app.service.app.processor.transforms)
        .expect_err("none of them compiles");
    assert_eq!(bad.len(), 3);
    assert!(
        bad.iter()
            .all(|expression| expression.error.position.is_some()),
        "{bad:?}"
    );
    assert!(bad[0].to_string().contains("one"), "{}", bad[0]);
}
