//! What Notehub could not deliver, fetched afterwards from a strict stand-in of its API.

mod command;
mod outage;
mod position;
mod troubles;

use std::collections::BTreeSet;

use chrono::TimeDelta;
use cloud::receive::backfill::{Backfill, Did, Summary, Turn};
use serde_json::Value;

use crate::support::app::{TestApp, start};
use crate::support::database::database;
use crate::support::event::thermal;
use crate::support::notehub_api::NotehubApi;
use cloud::clock::Clock;

/// The service and Notehub in one time.
async fn bench(more: &str) -> (TestApp, NotehubApi) {
    let clock = Clock::manual(start());
    let api = NotehubApi::start(&clock).await;
    let app = TestApp::on(database().await, &format!("{}{more}", api.section()), clock).await;
    (app, api)
}

fn backfill_of(app: &TestApp) -> &Backfill {
    app.service
        .backfill
        .as_ref()
        .expect("a project is configured")
}

/// Turns of one pass, with time passing between them as it must.
async fn pass(app: &TestApp) -> Summary {
    pass_of(app, backfill_of(app)).await
}

async fn pass_of(app: &TestApp, backfill: &Backfill) -> Summary {
    for _ in 0..1_000 {
        let turn = turn(app, backfill).await;
        match turn.did {
            Did::Ended(summary) => return summary,
            Did::Failed(problem) => panic!("{problem:?}"),
            Did::Asked(_) | Did::Waited(_) => wait(app, turn.next),
        }
    }
    panic!("the pass comes to no end");
}

async fn turn(app: &TestApp, backfill: &Backfill) -> Turn {
    backfill
        .turn(app.now())
        .await
        .expect("the database answers")
}

fn wait(app: &TestApp, until: chrono::DateTime<chrono::Utc>) {
    app.clock
        .advance((until - app.now()).max(TimeDelta::milliseconds(1)));
}

/// Events of a station, one every `step`, the last one `step` before now.
fn history(app: &TestApp, device: &str, count: i32, step: TimeDelta) -> Vec<Value> {
    let event = |number: i32| {
        let uid = format!("{device}-{number}");
        thermal(&uid, device, app.now() - step * (count - number), 0.1)
    };
    (0..count).map(event).collect()
}

async fn uids(app: &TestApp) -> BTreeSet<String> {
    let uids: Vec<String> = sqlx::query_scalar("SELECT uid FROM events")
        .fetch_all(&app.pool)
        .await
        .expect("events");
    uids.into_iter().collect()
}

fn uids_of(events: &[Value]) -> BTreeSet<String> {
    let uid = |event: &Value| event["event"].as_str().expect("a uid").to_owned();
    events.iter().map(uid).collect()
}
