//! Postgres is killed, cut off and stalled under load: Notehub is told to come again, and nothing else.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use cloud::clock::Clock;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;
use sqlx::postgres::PgPoolOptions;

use super::load::Load;
use super::world::World;
use crate::support::app::{TestApp, start};
use crate::support::chaos::Chaos;
use crate::support::database::{TestDatabase, database, durable_server};
use crate::support::event::thermal;
use crate::support::program::Home;

#[tokio::test]
async fn postgres_killed_and_cut_off_under_load_loses_nothing() {
    let mut server = durable_server().await;
    let chaos = Chaos::before(&server.server.options("postgres")).await;
    let world = World::new().await;
    let home = Home::new(&world.config(Some(&chaos.url())));
    let program = home.serve().await;
    let load = Load::start(8, &[&program.url]);
    for (round, more) in [60, 1].into_iter().enumerate() {
        load.acknowledged(more).await;
        server.kill().await;
        load.turned_away(10 + 20 * round).await;
        server = server.restart().await;
        load.goes_to(&[&program.url]);
        load.acknowledged(10).await;
    }
    for more in [1, 30, 77, 2, 13] {
        load.acknowledged(more).await;
        chaos.cut();
        // The odd ones come back at once, and the rest when everybody has noticed.
        if more % 2 == 0 {
            load.turned_away(10).await;
        }
        chaos.restore();
        load.goes_to(&[&program.url]);
    }
    load.acknowledged(20).await;
    let seen = load.finish().await;
    // The service itself was there all the time.
    assert_eq!(seen.broken, 0, "requests without an answer");
    world.check(&server.server.url("postgres"), &seen).await;
    assert!(program.stop().await);
    server.server.stop().await.expect("the server stops");
}

#[tokio::test]
async fn while_postgres_stalls_requests_are_turned_away_in_time_and_stored_later() {
    let limit = "[server]\nrequest_timeout = \"300ms\"";
    let (app, chaos) = app_behind_a_proxy(limit).await;
    app.take(&thermal("before", "dev:1", app.now(), 0.1)).await;
    chaos.stall();
    let started = Instant::now();
    let answers = join_all((0..50).map(|number| post(&app, number))).await;
    for (status, answer) in answers {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );

    chaos.restore();
    // Turned away is not lost: some were with Postgres, and Notehub brings all of them again.
    for number in 0..50 {
        loop {
            let (status, answer) = post(&app, number).await;
            match status {
                StatusCode::OK => break,
                _ => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}"),
            }
        }
    }
    app.settle().await;
    assert_eq!(app.count("received_events").await, 51);
    assert_eq!(app.count("measurements").await, 51 * 4);
    assert_eq!(app.ubidots.received().len(), 51);
    app.finish().await;
}

#[tokio::test]
async fn what_comes_beyond_the_queue_is_turned_away_at_once() {
    /// The queue and what two writers hold already, and some more.
    const REQUESTS: i64 = 8_192 + 2 * 500 + 300;
    let limit = "[server]\nrequest_timeout = \"60s\"";
    let (app, chaos) = app_behind_a_proxy(limit).await;
    chaos.stall();
    let mut requests: FuturesUnordered<_> =
        (0..REQUESTS).map(|number| post(&app, number)).collect();
    // Nothing but a refusal can end a request now.
    for _ in 0..300 {
        let (status, answer) = requests.next().await.expect("an answer");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            answer["message"],
            "too many events are waiting to be stored; try again"
        );
    }
    chaos.restore();
    let mut stored = 0;
    while let Some((status, answer)) = requests.next().await {
        match status {
            StatusCode::OK => stored += 1,
            _ => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}"),
        }
    }
    assert!(stored >= 8_192, "{stored} were waiting");
    assert_eq!(app.count("received_events").await, stored);
    assert_eq!(app.count("pending_events").await, stored);
}

/// The service with everything it says to Postgres going through a proxy.
async fn app_behind_a_proxy(more: &str) -> (TestApp, Chaos) {
    let (database, chaos) = behind_a_proxy(database().await).await;
    (
        TestApp::on(database, more, Clock::manual(start())).await,
        chaos,
    )
}

pub async fn behind_a_proxy(mut database: TestDatabase) -> (TestDatabase, Chaos) {
    let chaos = Chaos::before(&database.options).await;
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_mins(1));
    database.pool = pool.connect_lazy(&chaos.url()).expect("a URL");
    (database, chaos)
}

async fn post(app: &TestApp, number: i64) -> (StatusCode, Value) {
    let when = app.now() - chrono::TimeDelta::seconds(number);
    let event = thermal(
        &format!("event-{number}"),
        &format!("dev:{}", number % 7),
        when,
        0.1,
    );
    app.post(event.to_string()).await
}
