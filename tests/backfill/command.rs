//! `cloud backfill`, and the loop of the running service.

use std::time::Duration;

use cloud::clock::Clock;
use serde_json::{Value, json};

use crate::support::app::{PEOPLE, TOKEN};
use crate::support::database::{TestDatabase, database};
use crate::support::event::thermal;
use crate::support::notehub_api::{API_TOKEN, NotehubApi, Planned};
use crate::support::program::Home;

/// Events of the last hours, in the time of this machine, and Notehub in the same.
async fn bench(count: i64) -> (NotehubApi, TestDatabase, Home) {
    let api = NotehubApi::start(&Clock::System).await;
    api.grants_any_number();
    let now = Clock::System.now();
    let event = |number: i64| {
        let at = now - chrono::TimeDelta::minutes(5 * (count - number) + 2);
        thermal(&format!("e{number}"), "dev:1", at, 0.1)
    };
    api.holds((0..count).map(event).collect::<Vec<Value>>());
    let database = database().await;
    let home = Home::new(&config(&api, Some(&database.url)));
    (api, database, home)
}

fn config(api: &NotehubApi, database: Option<&str>) -> String {
    let database = database.map_or(String::new(), |url| {
        format!("[database]\nurl = \"{url}\"\n")
    });
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n{database}[access]\nnotehub_tokens = [\"{TOKEN}\"]\npeople_token = \"{PEOPLE}\"\n{}rate_limit = \"none\"\n",
        api.section()
    )
}

async fn stored(database: &TestDatabase) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM events")
        .fetch_one(&database.pool)
        .await
        .expect("a count")
}

#[tokio::test]
async fn the_command_fetches_tells_how_it_goes_and_ends() {
    let (api, database, home) = bench(100).await;
    let output = home.run(&["backfill"]).await;
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains(" is stored: 100 new"), "{out}");
    assert!(err.contains("stored until"), "{err}");
    assert_eq!(stored(&database).await, 100);
    let output = home.run(&["backfill", "--since", "3h"]).await;
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && out.contains("0 new, 3"), "{out}");

    // Killed in the middle, and once more.
    sqlx::query("TRUNCATE received_events, pending_events")
        .execute(&database.pool)
        .await
        .expect("empty");
    api.is_slow_above(3_600, 5_000);
    api.then(Planned::Nothing);
    for _ in 0..12 {
        api.then(Planned::Nothing);
    }
    api.then(Planned::Silence);
    let asked = api.asked().len();
    let mut child = home
        .command(&["backfill", "--since", "1d"])
        .spawn()
        .expect("it starts");
    while api.asked().len() < asked + 14 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().await.expect("it is killed");
    // The lease of who was killed would run out by itself.
    sqlx::query("UPDATE backfill_progress SET leased_until = now()")
        .execute(&database.pool)
        .await
        .expect("it ran out");
    let output = home.run(&["backfill", "--since", "1d"]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stored(&database).await, 100);
    assert_eq!(api.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn the_command_says_what_somebody_has_to_mend() {
    let (api, _database, home) = bench(1).await;
    api.then(Planned::error(401, &format!("no such token: {API_TOKEN}")));
    let output = home.run(&["backfill"]).await;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("check notehub.token") && !said.contains(API_TOKEN),
        "{said}"
    );

    let empty = Home::new("[database]\nurl = \"postgres://nobody@localhost/nothing\"\n");
    let output = empty.run(&["backfill"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("set notehub.project"), "{said}");
    let output = empty.run(&["backfill", "--since", "yesterday"]).await;
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test]
async fn the_service_fetches_by_itself_and_keeps_its_secrets() {
    let (api, database, home) = bench(20).await;
    api.then(Planned::error(500, &format!("oops {API_TOKEN}")).with("retry-after", "0"));
    // A first start meets a failure; the second one begins at once.
    let program = home.serve().await;
    let log = || std::fs::read_to_string(home.logs()).expect("a log");
    while !log().contains("status 500") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(program.stop().await);
    let program = home.serve().await;
    while stored(&database).await < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let client = cloud::demo::local_client().expect("a client");
    let ask = async |path: &str| {
        let url = format!("{}{path}", program.url);
        let answer = client
            .get(url)
            .bearer_auth(PEOPLE)
            .send()
            .await
            .expect("an answer");
        answer.text().await.expect("a body")
    };
    let metrics = loop {
        let metrics = ask("/metrics").await;
        if metrics.contains("cloud_backfill_events_total{status=\"new\"} 20") {
            break metrics;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let state = ask("/api/v1/backfill").await;
    assert!(program.stop().await);
    for text in [&metrics, &state, &log()] {
        assert!(!text.contains(API_TOKEN), "{text}");
    }
    // The next one need not wait for a lease.
    let lease: Option<uuid::Uuid> = sqlx::query_scalar("SELECT lease FROM backfill_progress")
        .fetch_one(&database.pool)
        .await
        .expect("a row");
    assert_eq!(lease, None);
    assert_eq!(json!(api.complaints()), json!([]));
}
