//! Several services on one database: started at once, fed at once, two of them killed; and what keeps a station's
//! events in order among them.

use std::process::Stdio;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::Service;
use cloud::database::MIGRATOR;
use futures_util::future::join_all;

use super::load::Load;
use super::world::{World, count, until};
use crate::support::app::{TestApp, program};
use crate::support::database::unmigrated_database;
use crate::support::event::thermal;
use crate::support::program::Home;

#[tokio::test]
async fn services_that_start_at_once_share_the_work() {
    let database = unmigrated_database().await;
    let world = World::new().await;
    let config = world.config(Some(&database.url));
    let homes = [Home::new(&config), Home::new(&config), Home::new(&config)];

    // The very first start is killed amid the migrations, which is nobody else's trouble.
    let mut first = homes[0]
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let begun = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let begun = async || {
        sqlx::query_scalar::<_, bool>(begun)
            .fetch_one(&database.pool)
            .await
            .expect("an answer")
    };
    until("the migrations begin", begun).await;
    first.kill().await.expect("it is killed");

    let (one, two, three) = tokio::join!(homes[0].serve(), homes[1].serve(), homes[2].serve());
    assert_eq!(
        count(&database.pool, "_sqlx_migrations WHERE success").await,
        MIGRATOR.iter().count() as i64
    );
    let load = Load::start(8, &[&one.url, &two.url, &three.url]);
    load.acknowledged(100).await;
    // Two die, each when a text has just arrived, and the last one takes over what they had claimed.
    let mut texts = world.twilio.arrivals();
    load.goes_to(&[&one.url, &two.url, &three.url]);
    texts.changed().await.expect("a text");
    three.kill().await;
    load.goes_to(&[&one.url, &two.url]);
    texts.changed().await.expect("a text");
    two.kill().await;
    load.goes_to(&[&one.url]);
    load.acknowledged(50).await;
    let seen = load.finish().await;
    world.check(&database.url, &seen).await;
    assert!(one.stop().await);
}

#[tokio::test]
async fn a_station_is_judged_in_order_however_many_work_on_it() {
    const STATIONS: i32 = 16;
    const MOMENTS: i32 = 40;
    let rule = r#"
        [[rule]]
        name = "anomaly"
        value = "body.anomaly"
        fire_above = 0.7
        clear_below = 0.5
    "#;
    let app = TestApp::with(rule).await;
    let moment = |number: i32| app.now() - TimeDelta::minutes((MOMENTS - number).into());
    // Every station glows at every other moment, and tells it in no order.
    for number in 0..MOMENTS {
        let number = number * 7 % MOMENTS;
        let anomaly = if number % 2 == 0 { 0.9 } else { 0.1 };
        let posts = (0..STATIONS).map(|station| {
            let uid = format!("{station}-{number}");
            thermal(&uid, &format!("dev:{station}"), moment(number), anomaly)
        });
        let posts: Vec<_> = posts.collect();
        join_all(posts.iter().map(|event| app.take(event))).await;
    }
    let second = another(&app);
    let workers = [&app.service, &second, &app.service, &second].map(async |service| {
        while count(&app.pool, "pending_events").await > 0 {
            service
                .app
                .processor
                .tick(app.now())
                .await
                .expect("events are processed");
        }
    });
    join_all(workers).await;

    let incidents: Vec<(String, DateTime<Utc>, Option<DateTime<Utc>>)> = sqlx::query_as(
        "SELECT device, opened_at, resolved_at FROM incidents ORDER BY device, opened_at",
    )
    .fetch_all(&app.pool)
    .await
    .expect("incidents");
    let mut expected = Vec::new();
    for station in 0..STATIONS {
        for number in (0..MOMENTS).step_by(2) {
            expected.push((
                format!("dev:{station}"),
                moment(number),
                Some(moment(number + 1)),
            ));
        }
    }
    expected.sort();
    assert_eq!(incidents, expected);
    assert_eq!(app.count("event_errors").await, 0);
    app.finish().await;
}

#[tokio::test]
async fn a_station_that_another_works_on_is_left_alone_and_holds_up_no_other() {
    let app = TestApp::with("").await;
    let hold = "SELECT shard FROM process_shards WHERE shard = shard_of('dev:1') FOR UPDATE";
    let other_shard = "SELECT 'dev:' || n FROM generate_series(2, 99) AS n WHERE shard_of('dev:' || n) <> shard_of('dev:1') LIMIT 1";
    let other: String = sqlx::query_scalar(other_shard)
        .fetch_one(&app.pool)
        .await
        .expect("a station");
    app.take(&thermal("held", "dev:1", app.now(), 0.1)).await;
    app.take(&thermal("free", &other, app.now(), 0.1)).await;

    let mut another = app.pool.begin().await.expect("a transaction");
    let _: i16 = sqlx::query_scalar(hold)
        .fetch_one(&mut *another)
        .await
        .expect("a shard");
    assert_eq!(app.process().await, 1);
    let left: String = sqlx::query_scalar("SELECT uid FROM pending_events")
        .fetch_one(&app.pool)
        .await
        .expect("an event");
    assert_eq!(left, "held");
    // It ends without having done anything, as when it is killed.
    another.rollback().await.expect("the other ends");
    app.settle().await;
    assert_eq!(app.ubidots.received().len(), 2);
    app.finish().await;
}

fn another(app: &TestApp) -> Service {
    let config = app.service.app.config.clone();
    Service::new(config, app.pool.clone(), app.clock.clone(), program()).expect("a second service")
}
