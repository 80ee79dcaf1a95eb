//! The service is away for longer than Notehub repeats; then everything is there, once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use chrono::TimeDelta;
use cloud::clock::Clock;
use edge::clock::Clock as EdgeClock;
use edge::emulate::notehub::{Notehub, Route, Station, Synced};
use edge::emulate::station::{Plan, What, play};
use edge::emulate::time::World;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::{history, pass, uids, uids_of};
use crate::agent::station::{Simulated, hours};
use crate::support::app::{TOKEN, TestApp, start};
use crate::support::database::database;
use crate::support::notehub_api::NotehubApi;

#[tokio::test]
async fn after_an_outage_of_hours_every_event_is_there_once_and_goes_its_way() {
    let (app, api) = super::bench("").await;
    // All was well until four hours ago; some of what Notehub has arrived.
    let mut all: Vec<Value> = Vec::new();
    for station in ["dev:1", "dev:2", "dev:3"] {
        all.extend(history(&app, station, 120, TimeDelta::minutes(5)));
    }
    // A hot spot, long over: nobody is to be alarmed by it.
    for event in &mut all {
        let age = app.now().timestamp() - event["when"].as_i64().expect("a time");
        if event["device"] == "dev:2" && (8 * 3600..9 * 3600).contains(&age) {
            event["body"]["anomaly"] = 0.9.into();
        }
    }
    for event in all
        .iter()
        .filter(|event| event["device"] == "dev:1")
        .take(72)
    {
        app.take(event).await;
    }
    api.holds(all.clone());
    let first = pass(&app).await;
    assert_eq!((first.tally.new, first.tally.rejected), (288, 0));
    assert!(first.tally.known >= 72, "{first:?}");
    assert!(first.requests <= 10, "a week takes few requests: {first:?}");
    assert_eq!(uids(&app).await, uids_of(&all));
    app.settle().await;
    assert_eq!(app.count("measurements WHERE series = 'warm'").await, 360);
    assert_eq!(app.ubidots.received().len(), 360, "each is forwarded once");
    assert_eq!(app.count("incidents").await, 0, "{:?}", app.texts());

    // From now on little is asked for: what is new, and the last minutes once more.
    app.pass(TimeDelta::minutes(6)).await;
    let again = pass(&app).await;
    assert_eq!((again.tally.new, again.requests), (0, 1));
    assert!(again.tally.known <= 9, "{again:?}");
    assert_eq!(app.count("events").await, 360);
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.finish().await;
}

#[tokio::test]
async fn a_large_fleet_is_fetched_within_what_notehub_grants() {
    let (app, api) = super::bench("").await;
    // A second in which a whole fleet reports, and a quiet week around it.
    let mut all = history(&app, "dev:quiet", 150, TimeDelta::hours(1));
    let burst = app.now() - TimeDelta::days(3);
    all.extend((0..5_200).map(|station| {
        let uid = format!("burst-{station}");
        crate::support::event::thermal(&uid, &format!("dev:{station}"), burst, 0.1)
    }));
    api.holds(all.clone());
    let summary = pass(&app).await;
    assert_eq!(app.count("events").await, 5_350);
    assert_eq!(uids(&app).await, uids_of(&all));
    // It came down to a window that only pages could get through.
    let pages: BTreeSet<_> = api
        .asked()
        .iter()
        .map(|asked| asked["pageNum"].clone())
        .collect();
    assert!(pages.contains("2"), "{pages:?}");
    assert!(summary.requests < 80, "{summary:?}");
    // Its own complaints would say if it was more than seven in any minute.
    assert_eq!(api.complaints(), Vec::<String>::new());
}

/// The service behind a port that can be shut.
async fn shuttable(app: &Arc<TestApp>) -> (String, Arc<AtomicBool>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let is_away = Arc::new(AtomicBool::new(false));
    let (app, away) = (app.clone(), is_away.clone());
    let router = Router::new().fallback(move |request: Request| {
        let (app, away) = (app.clone(), away.clone());
        async move {
            if away.load(Ordering::SeqCst) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let Ok(response) = app.router.clone().oneshot(request).await;
            response
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}/notehub"), is_away)
}

#[test]
fn what_notehub_gave_up_is_fetched_and_nothing_twice() {
    let runtime = Runtime::new().expect("a runtime");
    let (app, api, url, is_away) = runtime.block_on(async {
        let clock = Clock::manual(start());
        let api = NotehubApi::start(&clock).await;
        let app = Arc::new(TestApp::on(database().await, &api.section(), clock).await);
        let (url, is_away) = shuttable(&app).await;
        (app, api, url, is_away)
    });
    let world = EdgeClock::simulated(World::new(start(), None).local());
    let notehub = Notehub::new(world.clone(), 1, Route::new(&url, TOKEN), station());
    let note = |seq: i64| Synced {
        file: "thermal.qo".to_owned(),
        note_id: String::new(),
        when: Some(start().timestamp() + seq * 300),
        body: json!({ "anomaly": 0.25, "cold": 0.25, "warm": 0.5, "hot": 0.0, "seq": seq, "boot": 7, "v": 1, "t": start().timestamp() + seq * 300 }),
        payload: None,
    };
    for seq in 0..100 {
        // Away for three hours in the middle.
        is_away.store((30..66).contains(&seq), Ordering::SeqCst);
        notehub.receive(vec![note(seq)]);
        let next = world.uptime() + std::time::Duration::from_secs(300);
        while let Some(due) = notehub.next_due().filter(|due| *due < next) {
            world.sleep_until(due);
            notehub.tick();
        }
        world.sleep_until(next);
    }
    let lost = notehub.given_up();
    assert!(
        lost.len() > 30,
        "Notehub's retries are exhausted: {}",
        lost.len()
    );
    let held = notehub.clone();
    api.holds_what(move || events_of(&held));
    runtime.block_on(async {
        app.clock.advance(TimeDelta::seconds(100 * 300 + 120));
        assert_eq!(
            app.count("events").await,
            100 - i64::try_from(lost.len()).expect("a count")
        );
        let summary = pass(&app).await;
        assert_eq!(summary.tally.new as usize, lost.len(), "{summary:?}");
        // Sessions are Notehub's own business, as the route does not send them either.
        assert!(summary.tally.skipped > 0, "{summary:?}");
        app.settle().await;
        assert_eq!(app.count("events").await, 100);
        assert_eq!(
            app.count("measurements WHERE series = 'anomaly'").await,
            100
        );
        // A person presses the button for one of them all the same.
        is_away.store(false, Ordering::SeqCst);
    });
    assert!(notehub.reroute(&lost[0]));
    assert!(
        notehub
            .log()
            .pop()
            .expect("an attempt")
            .text
            .contains("duplicate")
    );
    runtime.block_on(async {
        assert_eq!(api.complaints(), Vec::<String>::new());
        app.settle().await;
        app.finish().await;
    });
}

/// The real agent on emulated hardware, against a service that is away for longer than Notehub repeats.
#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_station_loses_no_reading_to_an_outage() {
    let clock = Clock::manual(start());
    let api = NotehubApi::start(&clock).await;
    let app = Arc::new(TestApp::on(database().await, &api.section(), clock).await);
    let (url, _) = shuttable(&app).await;
    let plan = Plan::new([
        (hours(2), What::Route { reachable: false }),
        (hours(5), What::Route { reachable: true }),
    ]);
    let simulated = Simulated::new(0.25, plan, [&url, TOKEN], app.now());
    let options = simulated.options.clone();
    let (ledger, notehub) =
        tokio::task::spawn_blocking(move || play(options, &mut |_| {}).expect("the hours pass"))
            .await
            .expect("it ends");
    assert!(
        ledger.unrouted > 20,
        "Notehub gave up what it could not deliver: {ledger}"
    );
    app.settle().await;
    let readings = "SELECT count(DISTINCT (body ->> 'boot', body ->> 'seq')) FROM events WHERE file = 'thermal.qo'";
    let count = async || -> i64 {
        let count = sqlx::query_scalar(readings).fetch_one(&app.pool).await;
        count.expect("a count")
    };
    let made = i64::try_from(ledger.readings).expect("a count");
    let before = count().await;
    assert!(before < made, "{before} of {made}");

    api.holds_what(move || events_of(&notehub));
    let summary = pass(&app).await;
    assert_eq!(summary.tally.new as usize, ledger.unrouted, "{summary:?}");
    app.settle().await;
    assert_eq!(count().await, made, "nothing is lost");
    assert_eq!(app.count("measurements WHERE series = 'mean'").await, made);
    assert_eq!(api.complaints(), Vec::<String>::new());
    app.finish().await;
}

fn events_of(notehub: &Notehub) -> Vec<Value> {
    let value = |event: Arc<Map<String, Value>>| Value::Object((*event).clone());
    notehub.events().into_iter().map(value).collect()
}

fn station() -> Station {
    Station {
        device: "dev:864475040000000".to_owned(),
        sn: "boiler-room-7".to_owned(),
        product: "product:com.example.plant:thermal".to_owned(),
        app: "app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44".to_owned(),
        fleets: Vec::new(),
        location: None,
        transport: "cell:emtc".to_owned(),
    }
}
