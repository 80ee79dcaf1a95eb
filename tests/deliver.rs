//! From due deliveries to a destination's answer: lanes, retries, breakers, replay.

use chrono::TimeDelta;
use cloud::demo::stand_in::{Answer, Fault};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::event::thermal;
use crate::support::receiver::{self, Receiver};

async fn state(app: &TestApp) -> (String, i32, Option<String>) {
    sqlx::query_as("SELECT state, attempts, reason FROM deliveries WHERE route IS NOT NULL")
        .fetch_one(&app.pool)
        .await
        .expect("one delivery")
}

#[tokio::test]
async fn tried_again_until_it_is_delivered_with_every_attempt_on_record() {
    let app = TestApp::new().await;
    app.ubidots.plan(3, Fault::Refuse(Answer::status(503)));
    app.take(&thermal("e", "dev:1", app.now(), 0.1)).await;
    app.settle().await;
    let (now, attempts, reason) = state(&app).await;
    assert_eq!((now.as_str(), attempts), ("due", 1));
    assert!(
        reason
            .as_deref()
            .is_some_and(|reason| reason.contains("503")),
        "{reason:?}"
    );
    app.pass(TimeDelta::minutes(10)).await;
    assert_eq!(state(&app).await, ("delivered".into(), 4, None));
    let tries: Vec<(i32, String, Option<i32>)> =
        sqlx::query_as("SELECT number, outcome, status FROM attempts ORDER BY number")
            .fetch_all(&app.pool)
            .await
            .expect("attempts");
    let outcomes: Vec<_> = tries
        .iter()
        .map(|(number, outcome, status)| (*number, outcome.as_str(), *status))
        .collect();
    assert_eq!(
        outcomes,
        [
            (1, "retry", Some(503)),
            (2, "retry", Some(503)),
            (3, "retry", Some(503)),
            (4, "delivered", Some(200))
        ]
    );
    let waits: Vec<i64> = sqlx::query_scalar("SELECT extract(epoch FROM started_at - lag(ended_at) OVER (ORDER BY number))::bigint FROM attempts ORDER BY number OFFSET 1")
        .fetch_all(&app.pool)
        .await
        .expect("waits");
    assert!(waits.is_sorted(), "each wait is longer: {waits:?}");
    app.finish().await;
}

#[tokio::test]
async fn given_up_after_three_days_kept_and_replayed() {
    let app = TestApp::new().await;
    app.ubidots.plan(1_000, Fault::Refuse(Answer::status(500)));
    app.take(&thermal("e", "dev:1", app.now(), 0.1)).await;
    for _ in 0..24 * 4 {
        app.clock.advance(TimeDelta::hours(1));
        app.settle().await;
    }
    let (now, attempts, reason) = state(&app).await;
    assert_eq!((now.as_str(), attempts), ("dead", 11), "{reason:?}");

    app.ubidots.forget_faults();
    let (_, dead) = app.get("/api/v1/deliveries?state=dead").await;
    let id = dead["deliveries"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(
        app.post_as_person("/api/v1/replay", &json!({ "delivery": id }))
            .await
            .1,
        json!({ "replayed": 1 })
    );
    app.settle().await;
    assert_eq!(state(&app).await, ("delivered".into(), 12, None));
    app.finish().await;
}

#[tokio::test]
async fn what_is_refused_is_dead_at_once_and_a_window_of_them_is_replayed() {
    let app = TestApp::new().await;
    app.ubidots.plan(3, Fault::Refuse(Answer::status(400)));
    for number in 0..5 {
        app.take(&thermal(
            &format!("e{number}"),
            "dev:1",
            app.now() + TimeDelta::seconds(number),
            0.1,
        ))
        .await;
        app.settle().await;
    }
    assert_eq!(
        (
            app.count("deliveries WHERE state = 'dead'").await,
            app.ubidots.received().len()
        ),
        (3, 2)
    );
    let window = |to: &str| json!({ "dead": { "destination": "ubidots", "from": "2026-03-01T00:00:00Z", "to": to } });
    assert_eq!(
        app.post_as_person("/api/v1/replay", &window("2026-03-01T11:00:00Z"))
            .await
            .1,
        json!({ "replayed": 0 })
    );
    assert_eq!(
        app.post_as_person("/api/v1/replay", &window("2026-03-01T13:00:00Z"))
            .await
            .1,
        json!({ "replayed": 3 })
    );
    app.settle().await;
    assert_eq!(app.ubidots.received().len(), 5);
    for bad in [
        json!({}),
        json!({ "event": "e", "delivery": "x" }),
        json!({ "everything": true }),
        json!({ "delivery": "no-uuid" }),
        json!({ "event": "a\u{0}b" }),
    ] {
        assert!(
            app.post_as_person("/api/v1/replay", &bad)
                .await
                .0
                .is_client_error(),
            "{bad}"
        );
    }
    app.finish().await;
}

fn http(name: &str, url: &str) -> String {
    format!(
        "[[destination]]\nname = \"{name}\"\nkind = \"http\"\nurl = \"{url}\"\nallow_private = true\ntimeout = \"300ms\"\n"
    )
}

#[tokio::test]
async fn a_destination_that_hangs_delays_only_its_own_lane() {
    let hanging = Receiver::start(receiver::Answer::Hang).await;
    let routes = "[[route]]\nname = \"slow\"\ndestination = \"slow\"\n[[route]]\nname = \"quick\"\ntransform = '{\"a\": 1}'\ndestination = \"ubidots\"\n";
    let app = TestApp::with(&format!("{}{routes}", http("slow", &hanging.url("/slow")))).await;
    for number in 0..20 {
        app.take(&thermal(
            &format!("e{number}"),
            "dev:1",
            app.now() + TimeDelta::seconds(number),
            0.1,
        ))
        .await;
    }
    app.process().await;
    let [quick, .., slow] = app.service.app.lanes.as_slice() else {
        panic!("three lanes")
    };
    assert_eq!((quick.name(), slow.name()), ("ubidots", "slow"));
    // The slow lane is at it all the while.
    let (slow_worked, quick_worked) = tokio::join!(slow.tick(app.now()), quick.tick(app.now()));
    assert_eq!(quick_worked.expect("delivered").attempted, 20);
    assert_eq!(slow_worked.expect("tried").attempted, 20);
    assert_eq!(app.ubidots.received().len(), 20);
    let slow_ones: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT state, outcome FROM deliveries JOIN attempts ON delivery_id = id WHERE destination = 'slow'").fetch_all(&app.pool).await.expect("rows");
    assert_eq!(slow_ones, [("due".into(), "retry".into())]);
}

#[tokio::test]
async fn an_open_breaker_costs_no_attempts_and_closes_by_itself() {
    let app = TestApp::new().await;
    app.ubidots.plan(10_000, Fault::Refuse(Answer::status(503)));
    for number in 0..200 {
        app.take(&thermal(
            &format!("e{number}"),
            &format!("dev:{number}"),
            app.now(),
            0.1,
        ))
        .await;
    }
    app.settle().await;
    app.pass(TimeDelta::minutes(30)).await;
    let most: i32 = sqlx::query_scalar("SELECT max(attempts) FROM deliveries")
        .fetch_one(&app.pool)
        .await
        .expect("a number");
    let all: i64 = sqlx::query_scalar("SELECT sum(attempts) FROM deliveries")
        .fetch_one(&app.pool)
        .await
        .expect("a number");
    assert!(
        most <= 5 && all < 200,
        "{all} attempts, at most {most} of one, for 200 deliveries to a place that is down"
    );
    app.ubidots.forget_faults();
    app.pass(TimeDelta::hours(3)).await;
    assert_eq!(app.ubidots.received().len(), 200);
    app.finish().await;
}

#[tokio::test]
async fn a_backlog_to_ubidots_travels_merged_within_its_limits() {
    let mut app = TestApp::new().await;
    for number in 0..150 {
        app.take(&thermal(
            &format!("e{number}"),
            "dev:1",
            app.now() - TimeDelta::minutes(number),
            0.1,
        ))
        .await;
    }
    app.process().await;
    // The same destination with Ubidots' own limit.
    let limited = format!(
        "[[destination]]\nname = \"limited\"\nkind = \"ubidots\"\nbase_url = \"{}\"\ntoken = \"ubidots-secret-token\"\nrate_limit = \"4/s\"\n[[route]]\nname = \"ubidots\"\ndestination = \"limited\"",
        app.ubidots.url()
    );
    sqlx::query("UPDATE delivery_states SET destination = 'limited'")
        .execute(&app.pool)
        .await
        .expect("updated");
    app.restarted(&limited);
    app.deliver().await;
    assert_eq!(app.count("deliveries WHERE state = 'delivered'").await, 150);
    assert!(
        app.ubidots.requests() <= 4,
        "{} requests",
        app.ubidots.requests()
    );
    assert_eq!(app.ubidots.dots(), 600);
    assert!(
        app.ubidots
            .received()
            .iter()
            .all(|received| received.raw.len() <= 10_000)
    );
    assert_eq!(
        app.count("attempts WHERE outcome = 'delivered'").await,
        150,
        "each has its own attempt"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_ambiguous_text_is_looked_up_before_it_is_repeated() {
    for taken_in in [true, false] {
        let app = TestApp::new().await;
        let answer = Answer::status(500);
        app.twilio.plan(
            1,
            if taken_in {
                Fault::AcceptBut(answer)
            } else {
                Fault::Refuse(answer)
            },
        );
        app.take(&thermal("hot", "dev:1", app.now(), 0.9)).await;
        app.settle().await;
        app.pass(TimeDelta::minutes(2)).await;
        assert_eq!(app.texts().len(), 1, "taken in: {taken_in}");
        assert_eq!(app.twilio.lookups(), 1);
        assert_eq!(
            app.count(
                "deliveries WHERE notice = 'opened' AND state = 'delivered' AND attempts = 2"
            )
            .await,
            1
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn an_incident_is_told_to_an_http_destination_signed_and_with_its_facts() {
    let hook = Receiver::start(receiver::Answer::status(204)).await;
    let rule = "[[rule]]\nname = \"anomaly\"\nfiles = [\"thermal.qo\"]\nvalue = \"body.anomaly\"\nfire_above = 0.7\nnotify = [\"hook\"]";
    let secret = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
    let destination =
        http("hook", &hook.url("/hook")) + format!("signing_secrets = [\"{secret}\"]\n").as_str();
    let app = TestApp::with(&format!("{destination}{rule}")).await;
    app.take(&thermal("hot", "dev:1", app.now(), 0.9)).await;
    app.settle().await;
    let requests = hook.seen();
    assert_eq!(requests.len(), 1);
    let body: Value = serde_json::from_str(&requests[0].body).expect("JSON");
    assert_eq!(
        (
            &body["notice"],
            &body["incident"]["rule"],
            &body["incident"]["value"]
        ),
        (&json!("opened"), &json!("anomaly"), &json!(0.9))
    );
    assert!(requests[0].header("webhook-signature").is_some());
    app.finish().await;
}
