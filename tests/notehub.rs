//! From synced notes to routed events.

mod answers;
mod events;
mod faults;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use edge::clock::Clock;
use edge::emulate::notehub::{Location, Notehub, Route, Station, Synced};
use edge::emulate::time::World;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::app::{TOKEN, TestApp, start};
use crate::support::receiver::{Answer, Receiver, Seen};

const DEVICE: &str = "dev:864475040000000";

/// Notehub in a world of its own, posting to a scripted service.
struct Bench {
    clock: Clock,
    notehub: Notehub,
    receiver: Receiver,
    /// Runs the receiver while the test's own thread waits.
    _runtime: Runtime,
}

fn bench(always: Answer) -> Bench {
    bench_with(always, |_| {})
}

fn bench_with(always: Answer, change: impl FnOnce(&mut Route)) -> Bench {
    let runtime = Runtime::new().expect("a runtime");
    let receiver = runtime.block_on(Receiver::start(always));
    let mut route = Route::new(&receiver.url("/notehub"), TOKEN);
    change(&mut route);
    let clock = Clock::simulated(World::new(start(), None).local());
    let notehub = Notehub::new(clock.clone(), 1, route, station());
    Bench {
        clock,
        notehub,
        receiver,
        _runtime: runtime,
    }
}

impl Bench {
    /// Lets time pass until nothing more is due.
    fn settle(&self) {
        while let Some(due) = self.notehub.next_due() {
            self.clock.sleep_until(due);
            assert!(self.notehub.tick() > 0, "what is due is done");
        }
    }

    fn seen(&self) -> Vec<Value> {
        self.receiver.take().iter().map(event).collect()
    }
}

fn event(seen: &Seen) -> Value {
    serde_json::from_str(&seen.body).expect("an event is JSON")
}

fn station() -> Station {
    Station {
        device: DEVICE.to_owned(),
        sn: "boiler-room-7".to_owned(),
        product: "product:com.example.plant:thermal".to_owned(),
        app: "app:0f9a2f5e-5f8a-4b52-9c3e-6a2b1f1d7c44".to_owned(),
        fleets: vec!["fleet:3d1b6f0a-1c58-4a1c-8a6b-2f7de0a9b3c5".to_owned()],
        location: Some(Location {
            lat: 43.073_787_5,
            lon: -89.443_671_875,
            name: "Shorewood Hills WI".to_owned(),
            country: "US".to_owned(),
            timezone: "America/Chicago".to_owned(),
            tower: "310,410,17169,77315601".to_owned(),
        }),
        transport: "cell:emtc".to_owned(),
    }
}

fn reading(seq: u32) -> Synced {
    Synced {
        file: "thermal.qo".to_owned(),
        note_id: String::new(),
        when: Some(start().timestamp() + i64::from(seq) * 300),
        body: json!({ "anomaly": 0.25, "cold": 0.25, "hot": 0.0, "warm": 0.5, "seq": seq, "boot": 77_000 }),
        payload: None,
    }
}

fn readings(count: u32) -> Vec<Synced> {
    (0..count).map(reading).collect()
}

#[test]
fn the_real_service_takes_every_event_once() {
    let runtime = Runtime::new().expect("a runtime");
    let (app, address) = runtime.block_on(async {
        let app = TestApp::new().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let router = app.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (app, address)
    });
    let mut route = Route::new(&format!("http://{address}/notehub"), TOKEN);
    route.system = true;
    let clock = Clock::simulated(World::new(start(), None).local());
    let notehub = Notehub::new(clock.clone(), 1, route, station());
    notehub.begin_session("periodic sync (TLS)");
    let mut notes = readings(20);
    notes.push(Synced {
        file: "frame.qo".to_owned(),
        body: json!({ "v": 1, "t": 0, "seq": 20, "boot": 77_000, "part": 1, "of": 3, "min": 20.0, "max": 61.5 }),
        payload: Some((0..=255).collect()),
        ..reading(20)
    });
    notes.push(Synced {
        when: None,
        ..reading(21)
    });
    notehub.receive(notes.clone());
    // The sync broke, and everything comes once more.
    notehub.receive(notes[..15].to_vec());
    notehub.end_session();
    let log = notehub.log();
    let uids: BTreeSet<_> = log.iter().map(|attempt| attempt.event.clone()).collect();
    assert_eq!(
        (log.len(), uids.len(), notehub.events().len()),
        (24, 24, 24)
    );
    for attempt in &log {
        assert_eq!(attempt.status, Some(200), "{attempt:?}");
        let answer: Value = serde_json::from_str(&attempt.text).expect("the answer is kept");
        assert_eq!(
            answer,
            json!({ "event": attempt.event, "status": "stored" })
        );
    }
    assert!(notehub.reroute(&log[3].event));
    let again = notehub.log().pop().expect("an attempt");
    assert!(again.text.contains("duplicate"), "{again:?}");
    runtime.block_on(async {
        app.clock.advance(TimeDelta::hours(2));
        app.settle().await;
        assert_eq!(app.count("events").await, 24);
        assert_eq!(app.count("rejected").await, 0);
        let (status, wrong) = (app.count("event_errors").await, app.count("devices").await);
        assert_eq!((status, wrong), (0, 1));
        app.finish().await;
    });
}

#[test]
fn a_route_with_the_wrong_token_is_told_so_and_asks_once() {
    let bench = bench_with(
        Answer::json(401, &json!({ "error": "wrong token" })),
        |route| {
            route.headers = vec![("X-Notehub-Token".to_owned(), "wrong".to_owned())];
        },
    );
    bench.notehub.receive(readings(1));
    bench.settle();
    let seen = bench.receiver.take();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("x-notehub-token"), Some("wrong"));
    assert_eq!(seen[0].header("authorization"), None);
    let log = bench.notehub.log();
    assert_eq!((log[0].failed, log[0].status), (true, Some(401)));
    assert_eq!(log[0].text, r#"{"error":"wrong token"}"#);
    let waited = bench.clock.uptime();
    assert!(waited < Duration::from_secs(1), "{waited:?}");
}
