//! Where a pass begins: after an interruption, with a position that is wrong, with clocks that differ, and among replicas.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use cloud::Service;
use cloud::receive::backfill::Did;
use serde_json::{Value, json};

use super::{backfill_of, bench, history, pass, pass_of, turn, uids, uids_of, wait};
use crate::support::app::{TestApp, program};
use crate::support::event::thermal;
use crate::support::notehub_api::{API_TOKEN, CLIENT, CLIENT_SECRET, PROJECT, Planned};

fn another(app: &TestApp) -> Service {
    let config = app.service.app.config.clone();
    Service::new(config, app.pool.clone(), app.clock.clone(), program()).expect("a service")
}

async fn set_position(app: &TestApp, at: DateTime<Utc>) {
    sqlx::query("UPDATE backfill_progress SET complete_until = $1")
        .bind(at)
        .execute(&app.pool)
        .await
        .expect("it is set");
}

/// As if they had never arrived.
async fn forget(app: &TestApp, uids: &[&str]) {
    for table in ["received_events", "pending_events"] {
        let query = sqlx::AssertSqlSafe(format!("DELETE FROM {table} WHERE uid = ANY ($1)"));
        let done = sqlx::query(query).bind(uids).execute(&app.pool).await;
        assert_eq!(
            done.expect("they are gone").rows_affected(),
            uids.len() as u64
        );
    }
}

#[tokio::test]
async fn an_interruption_loses_nothing_and_the_next_goes_on_from_there() {
    let (app, api) = bench("").await;
    let all = history(&app, "dev:1", 1_900, TimeDelta::minutes(5));
    api.holds(all.clone());
    api.is_slow_above(8 * 3600, 5_000);
    // Some requests are answered, and in the next one the service is killed.
    let mut requests = 0;
    while requests < 12 {
        let turn = turn(&app, backfill_of(&app)).await;
        requests += usize::from(matches!(turn.did, Did::Asked(_)));
        wait(&app, turn.next);
    }
    let stored = app.count("events").await;
    assert!((100..1_900).contains(&stored), "{stored}");
    api.then(Planned::Silence);
    {
        let mut turn = pin!(backfill_of(&app).turn(app.now()));
        let asked = api.asked().len();
        while api.asked().len() == asked {
            let polled =
                std::future::poll_fn(|context| Poll::Ready(turn.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "{polled:?}");
            tokio::task::yield_now().await;
        }
    }
    let second = another(&app);
    let before = api.asked().len();
    // Its lease runs out, since nobody gave it back.
    app.clock.advance(TimeDelta::minutes(4));
    let summary = pass_of(&app, second.backfill.as_ref().expect("a project")).await;
    assert_eq!(uids(&app).await, uids_of(&all));
    assert!(
        summary.tally.known < 20,
        "what was done is not done again: {summary:?}"
    );
    let first = api.asked()[before]["startDate"]
        .parse::<i64>()
        .expect("a time");
    let week_ago = (app.now() - TimeDelta::days(7)).timestamp();
    assert!(first > week_ago + 24 * 3600, "it does not begin anew");
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.process().await;
}

#[tokio::test]
async fn a_position_that_cannot_be_true_is_none() {
    let (app, api) = bench("").await;
    let all = history(&app, "dev:1", 60, TimeDelta::hours(1));
    api.holds(all.clone());
    pass(&app).await;
    for wrong in ["2199-01-01T00:00:00Z", "1970-01-01T00:00:00Z"] {
        forget(&app, &["dev:1-7"]).await;
        set_position(&app, wrong.parse().expect("a time")).await;
        app.clock.advance(TimeDelta::minutes(6));
        let summary = pass(&app).await;
        assert_eq!(summary.tally.new, 1, "{wrong}: {summary:?}");
        // And it is right again from then on.
        app.clock.advance(TimeDelta::minutes(6));
        assert_eq!(pass(&app).await.requests, 1, "{wrong}");
    }
    assert_eq!(uids(&app).await, uids_of(&all));
    app.process().await;
}

/// Why the position is a time.
#[tokio::test]
async fn a_cursor_that_notehub_does_not_know_silently_begins_anew() {
    let (app, api) = bench("").await;
    api.holds(history(&app, "dev:1", 10, TimeDelta::minutes(5)));
    let ask = async |cursor: &str| -> Vec<String> {
        let url = format!(
            "{}/v1/projects/{PROJECT}/events-cursor?limit=3&cursor={cursor}",
            api.url()
        );
        let answer = cloud::demo::local_client()
            .expect("a client")
            .get(url)
            .bearer_auth(API_TOKEN)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let answer: Value =
            serde_json::from_str(&answer.text().await.expect("a body")).expect("JSON");
        let events = answer["events"].as_array().expect("a list").iter();
        events
            .map(|event| event["event"].as_str().expect("a uid").to_owned())
            .collect()
    };
    assert_eq!(
        ask("dev:1-4").await,
        ["dev:1-4", "dev:1-5", "dev:1-6"],
        "the cursor's own event comes first"
    );
    assert_eq!(ask("forgotten").await, ["dev:1-0", "dev:1-1", "dev:1-2"]);
    assert_eq!(api.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn clocks_that_differ_miss_nothing() {
    for hours in [-5, -1, 1, 5] {
        let (app, api) = bench("").await;
        api.is_ahead(TimeDelta::hours(hours));
        let mut all = Vec::new();
        for round in 0..6 {
            // Taken by Notehub just now, by its own clock.
            let at = app.now() + TimeDelta::hours(hours) - TimeDelta::seconds(2);
            let mut event = thermal(&format!("{hours}-{round}"), "dev:1", at, 0.1);
            event["received"] = json!(at.timestamp() as f64 + 0.5);
            all.push(event);
            api.holds(all.clone());
            pass(&app).await;
            app.clock.advance(TimeDelta::minutes(7));
        }
        pass(&app).await;
        app.clock.advance(TimeDelta::minutes(7));
        pass(&app).await;
        assert_eq!(uids(&app).await, uids_of(&all), "{hours}");
        app.process().await;
    }
}

#[tokio::test]
async fn a_notehub_that_does_not_say_what_time_it_is_is_believed_to_have_ours() {
    let (app, api) = bench("").await;
    api.hides_its_time();
    let all = history(&app, "dev:1", 10, TimeDelta::minutes(5));
    api.holds(all.clone());
    pass(&app).await;
    assert_eq!(uids(&app).await, uids_of(&all));
    app.process().await;
}

#[tokio::test]
async fn a_project_with_nothing_in_it_is_quickly_through() {
    let (app, api) = bench("").await;
    let summary = pass(&app).await;
    assert_eq!((summary.tally.sum(), app.count("events").await), (0, 0));
    assert!(summary.requests <= 4, "{summary:?}");
    let (status, state) = app.get("/api/v1/backfill").await;
    assert_eq!(status, StatusCode::OK);
    assert!(state["backfill"]["caught_up_at"].is_string(), "{state}");
    assert!(state["backfill"].get("lease").is_none(), "{state}");
    let (_, metrics) = app.get("/metrics").await;
    let metrics = metrics.as_str().expect("text").to_owned();
    let behind = metrics
        .lines()
        .find_map(|line| line.strip_prefix("cloud_backfill_behind_seconds "));
    assert_eq!(
        behind.map(|text| text.parse::<f64>().expect("a number") < 120.0),
        Some(true),
        "{metrics}"
    );
    // It is not due before its time.
    let waits = turn(&app, backfill_of(&app)).await;
    assert_eq!(waits.did, Did::Waited("not due yet"));
    assert_eq!(api.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn a_wish_goes_back_but_not_beyond_what_is_kept() {
    let (app, api) = bench("first = \"1h\"\n[retention]\nevents = \"30d\"\n").await;
    let mut all = history(&app, "dev:1", 40, TimeDelta::days(1));
    api.holds(all.clone());
    assert_eq!(
        pass(&app).await.tally.new,
        0,
        "the first pass goes back an hour"
    );
    let from = app.now() - TimeDelta::days(5);
    let (status, answer) = app
        .post_as_person("/api/v1/backfill", &json!({ "from": from }))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        app.count(
            "audit WHERE action = 'asked for missed events' AND person <> '' AND via = 'api'"
        )
        .await,
        1,
        "who wished for it is on record"
    );
    assert_eq!(pass(&app).await.tally.new, 5);
    let waits = turn(&app, backfill_of(&app)).await;
    assert_eq!(
        waits.did,
        Did::Waited("not due yet"),
        "the wish is fulfilled"
    );
    let from = app.now() - TimeDelta::days(3_000);
    app.post_as_person("/api/v1/backfill", &json!({ "from": from }))
        .await;
    pass(&app).await;
    assert_eq!(
        app.count("events").await,
        29,
        "nothing comes back that would be deleted"
    );
    // What was passed over by a later wish is not taken for done.
    set_position(&app, app.now() - TimeDelta::days(10)).await;
    forget(&app, &["dev:1-32", "dev:1-38"]).await;
    backfill_of(&app)
        .go_back_to(app.now() - TimeDelta::days(3))
        .await;
    assert_eq!(pass(&app).await.tally.new, 1);
    app.clock.advance(TimeDelta::minutes(6));
    assert_eq!(pass(&app).await.tally.new, 1);
    all.drain(..11);
    assert_eq!(uids(&app).await, uids_of(&all));
    assert_eq!(api.complaints(), Vec::<String>::new());
    let (status, _) = app
        .post_as_person("/api/v1/backfill", &json!({ "form": null }))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    app.process().await;
}

#[tokio::test]
async fn of_several_replicas_one_asks_at_a_time() {
    let (app, api) = bench("").await;
    let all = history(&app, "dev:1", 1_000, TimeDelta::minutes(9));
    api.holds(all.clone());
    api.is_slow_above(12 * 3600, 5_000);
    let second = another(&app);
    let both = [
        backfill_of(&app),
        second.backfill.as_ref().expect("a project"),
    ];
    let mut ended = [0, 0];
    let mut waited = 0;
    while ended.iter().sum::<i32>() < 2 {
        let mut next = Vec::new();
        // At once, as two machines would.
        let turns = futures_util::future::join_all(both.map(|one| one.turn(app.now()))).await;
        for (which, turn) in turns.into_iter().enumerate() {
            let turn = turn.expect("the database answers");
            match turn.did {
                Did::Ended(_) => ended[which] += 1,
                Did::Waited(_) => waited += 1,
                Did::Asked(_) => {}
                Did::Failed(problem) => panic!("{problem:?}"),
            }
            next.push(turn.next);
        }
        wait(&app, next.into_iter().min().expect("two turns"));
    }
    assert_eq!(uids(&app).await, uids_of(&all));
    assert!(waited > 10, "{waited}");
    // The second looks through little more than what is new since.
    assert!(api.asked().len() < 60, "{}", api.asked().len());
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.process().await;
}

#[tokio::test]
async fn an_oauth_client_is_granted_access_and_again_when_it_ends() {
    let (app, api) = bench("").await;
    let all = history(&app, "dev:1", 10, TimeDelta::minutes(5));
    api.holds(all.clone());
    let section = format!(
        "[notehub]\napi_url = \"{}\"\nproject = \"{PROJECT}\"\nclient_id = \"{CLIENT}\"\nclient_secret = ",
        api.url()
    );
    let mut app = app;
    app.restarted(&format!("{section}\"{CLIENT_SECRET}\""));
    assert_eq!(pass(&app).await.tally.new, 10);
    app.clock.advance(TimeDelta::minutes(6));
    pass(&app).await;
    assert_eq!(api.grants(), 1);
    app.clock.advance(TimeDelta::minutes(40));
    pass(&app).await;
    assert_eq!(api.grants(), 2);
    app.restarted(&format!("{section}\"a-secret-that-is-wrong\""));
    app.clock.advance(TimeDelta::minutes(1));
    let Did::Failed(problem) = turn(&app, backfill_of(&app)).await.did else {
        panic!("it is refused");
    };
    assert!(
        problem.needs_somebody && problem.text.contains("client_id"),
        "{problem:?}"
    );
    assert!(!problem.text.contains("a-secret"), "{problem:?}");
    app.process().await;
}
