//! Claims that run out: of a worker that died between sending and recording, of one that was only slow, of one
//! that was answered late by Postgres. Two services on one database, their loops and the clock turned by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use chrono::TimeDelta;
use cloud::Service;
use cloud::clock::Clock;
use cloud::deliver::{Lane, Worked};
use cloud::demo::stand_in::{Answer, Fault};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::outage::behind_a_proxy;
use super::world::until;
use crate::support::app::{TestApp, program, start};
use crate::support::database::database;
use crate::support::event::thermal;

/// Longer than any claim here.
const LONGER: TimeDelta = TimeDelta::minutes(2);

#[tokio::test]
async fn a_late_finish_is_refused_while_another_works_on_it() {
    let (gate, app) = app_with_gate().await;
    let first = tick(&app.service, "gate", &app.clock);
    gate.arrived(1).await;
    let second = taken_over(&app).await;
    let other = tick(&second, "gate", &app.clock);
    gate.arrived(2).await;

    // The slow one is told that this can never be delivered, and it no longer matters.
    gate.answer(0, 410);
    first.await.expect("the first ends");
    assert_eq!(
        state(&app).await,
        (
            "leased".into(),
            2,
            "the service stopped during the attempt".into()
        )
    );
    gate.answer(1, 200);
    assert_eq!(other.await.expect("the other ends").attempted, 1);
    check_delivered_by_the_second(&gate, &app).await;
    app.finish().await;
}

#[tokio::test]
async fn a_late_finish_is_refused_after_another_has_delivered() {
    for late in [200, 410, 500] {
        let (gate, app) = app_with_gate().await;
        let first = tick(&app.service, "gate", &app.clock);
        gate.arrived(1).await;
        let second = taken_over(&app).await;
        gate.answer(1, 200);
        assert_eq!(
            tick(&second, "gate", &app.clock)
                .await
                .expect("the other ends")
                .attempted,
            1
        );
        check_delivered_by_the_second(&gate, &app).await;

        gate.answer(0, late);
        first.await.expect("the first ends");
        check_delivered_by_the_second(&gate, &app).await;
        assert_eq!(
            tick(&second, "gate", &app.clock)
                .await
                .expect("a tick")
                .attempted,
            0,
            "nothing is left to do"
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn a_text_sent_by_a_worker_that_died_is_looked_up_and_not_sent_again() {
    let app = TestApp::new().await;
    // Twilio has the text, and the worker dies before it hears so.
    app.twilio.plan(1, Fault::AcceptBut(Answer::Silence));
    app.take(&thermal("e1", "dev:1", app.now(), 0.9)).await;
    app.process().await;
    let first = tick(&app.service, "sms", &app.clock);
    app.twilio
        .arrivals()
        .wait_for(|texts| *texts == 1)
        .await
        .expect("a text");
    first.abort();
    assert!(first.await.is_err_and(|end| end.is_cancelled()));

    let second = taken_over(&app).await;
    assert_eq!(
        tick(&second, "sms", &app.clock)
            .await
            .expect("a tick")
            .attempted,
        1
    );
    assert_eq!((app.twilio.messages().len(), app.twilio.lookups()), (1, 1));
    let answers: Vec<(i32, String, String)> = attempts(&app, "notice = 'opened'").await;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert_eq!((answers[0].0, answers[0].1.as_str()), (1, "retry"));
    assert_eq!((answers[1].0, answers[1].1.as_str()), (2, "delivered"));
    assert!(
        answers[1].2.starts_with("found by look-up: "),
        "{answers:?}"
    );
    app.settle().await;
    assert_eq!(app.twilio.messages().len(), 1);
    app.finish().await;
}

/// More texts than Twilio lists on one page.
#[tokio::test]
async fn a_text_is_found_behind_many_later_ones() {
    const LATER: usize = 120;
    let app = TestApp::new().await;
    app.twilio.plan(1, Fault::AcceptBut(Answer::Silence));
    app.take(&thermal("e0", "dev:0", app.now(), 0.9)).await;
    app.process().await;
    let first = tick(&app.service, "sms", &app.clock);
    let mut texts = app.twilio.arrivals();
    texts.wait_for(|texts| *texts == 1).await.expect("a text");
    first.abort();
    for station in 1..=LATER {
        let (uid, device) = (format!("e{station}"), format!("dev:{station}"));
        app.take(&thermal(&uid, &device, app.now(), 0.9)).await;
    }
    app.settle().await;
    assert_eq!(app.twilio.messages().len(), 1 + LATER);

    let second = taken_over(&app).await;
    let worked = tick(&second, "sms", &app.clock).await.expect("a tick");
    assert_eq!(worked.attempted, 1);
    assert_eq!(
        (app.twilio.messages().len(), app.twilio.lookups()),
        (1 + LATER, 2)
    );
    app.finish().await;
}

#[tokio::test]
async fn a_text_that_a_dead_worker_did_not_get_to_send_is_sent_once() {
    let app = TestApp::new().await;
    app.twilio.plan(1, Fault::Refuse(Answer::Silence));
    app.take(&thermal("e1", "dev:1", app.now(), 0.9)).await;
    app.process().await;
    let first = tick(&app.service, "sms", &app.clock);
    until("the text is claimed", async || {
        app.count("deliveries WHERE notice = 'opened' AND state = 'leased'")
            .await
            == 1
    })
    .await;
    first.abort();
    assert!(first.await.is_err_and(|end| end.is_cancelled()));
    app.twilio.forget_faults();

    let second = taken_over(&app).await;
    assert_eq!(
        tick(&second, "sms", &app.clock)
            .await
            .expect("a tick")
            .attempted,
        1
    );
    assert_eq!((app.twilio.messages().len(), app.twilio.lookups()), (1, 1));
    app.settle().await;
    app.finish().await;
}

/// A process that was suspended, or that Postgres kept waiting, holds a claim that others think is lost. It must
/// not send: the one who takes over looks up a text that is not there yet, and so there would be two.
#[tokio::test]
async fn a_claim_that_was_answered_too_late_is_not_used() {
    let (database, chaos) = behind_a_proxy(database().await).await;
    let app = TestApp::on(database, "", Clock::manual(start())).await;
    app.take(&thermal("e1", "dev:1", app.now(), 0.9)).await;
    app.process().await;
    chaos.stall();
    let first = tick(&app.service, "sms", &app.clock);
    tokio::task::yield_now().await;
    app.clock.advance(LONGER);
    chaos.restore();
    assert_eq!(first.await.expect("the first ends").attempted, 0);
    assert_eq!(app.twilio.messages().len(), 0);
    let kept: (String, i32) =
        sqlx::query_as("SELECT state, attempts FROM deliveries WHERE notice = 'opened'")
            .fetch_one(&app.pool)
            .await
            .expect("a notice");
    assert_eq!(
        kept,
        ("due".into(), 0),
        "given back, with no attempt counted"
    );
    app.settle().await;
    assert_eq!((app.twilio.messages().len(), app.twilio.lookups()), (1, 0));
    app.finish().await;
}

/// A service with one delivery for the gate, which is due.
async fn app_with_gate() -> (Gate, TestApp) {
    let gate = Gate::start().await;
    let more = format!(
        r#"
        [[destination]]
        name = "gate"
        kind = "http"
        url = "{}"
        allow_private = true
        [[route]]
        name = "to-the-gate"
        destination = "gate"
        "#,
        gate.url
    );
    let app = TestApp::with(&more).await;
    app.take(&thermal("e1", "dev:1", app.now(), 0.1)).await;
    assert_eq!(app.process().await, 1);
    (gate, app)
}

/// Another service on the same database, which finds a claim that ran out, and only once it did.
async fn taken_over(app: &TestApp) -> Service {
    let config = app.service.app.config.clone();
    let second = Service::new(config, app.pool.clone(), app.clock.clone(), program())
        .expect("a second service");
    assert!(
        !second.watch.tick(app.now()).await.expect("the watch looks"),
        "the claim holds"
    );
    app.clock.advance(LONGER);
    assert!(
        second.watch.tick(app.now()).await.expect("the watch looks"),
        "the claim ran out"
    );
    second
}

fn tick(service: &Service, lane: &str, clock: &Clock) -> JoinHandle<Worked> {
    let lanes = service.app.lanes.iter();
    let lane: Lane = lanes
        .clone()
        .find(|one| one.name() == lane)
        .expect("such a lane")
        .clone();
    let now = clock.now();
    tokio::spawn(async move { lane.tick(now).await.expect("a tick") })
}

async fn state(app: &TestApp) -> (String, i32, String) {
    let query =
        "SELECT state, attempts, coalesce(reason, '') FROM deliveries WHERE route = 'to-the-gate'";
    sqlx::query_as(query)
        .fetch_one(&app.pool)
        .await
        .expect("a delivery")
}

/// Number, outcome and answer of each attempt.
async fn attempts(app: &TestApp, which: &str) -> Vec<(i32, String, String)> {
    let query = format!(
        "SELECT a.number, a.outcome, a.answer FROM attempts AS a JOIN deliveries AS d ON d.id = a.delivery_id WHERE d.{which} ORDER BY a.number"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .fetch_all(&app.pool)
        .await
        .expect("attempts")
}

async fn check_delivered_by_the_second(gate: &Gate, app: &TestApp) {
    assert_eq!(state(app).await, ("delivered".into(), 2, String::new()));
    let attempts = attempts(app, "route = 'to-the-gate'").await;
    let outcomes: Vec<_> = attempts
        .iter()
        .map(|(number, outcome, _)| (*number, outcome.as_str()))
        .collect();
    assert_eq!(outcomes, [(1, "retry"), (2, "delivered")]);
    let ids = gate.state.arrived.borrow().clone();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "the receiver can see that it is a repeat");
}

/// A destination that holds every request until the test answers it.
struct Gate {
    url: String,
    state: Arc<Held>,
}

struct Held {
    /// The id of each request.
    arrived: watch::Sender<Vec<String>>,
    /// By the number of the request.
    answers: watch::Sender<BTreeMap<usize, u16>>,
}

impl Gate {
    async fn start() -> Self {
        let state = Arc::new(Held {
            arrived: watch::Sender::default(),
            answers: watch::Sender::default(),
        });
        let router = Router::new().fallback(hold).with_state(Arc::clone(&state));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Waits until this many requests have come in all.
    async fn arrived(&self, number: usize) {
        let mut arrived = self.state.arrived.subscribe();
        arrived
            .wait_for(|ids| ids.len() >= number)
            .await
            .expect("the gate is open");
    }

    fn answer(&self, request: usize, status: u16) {
        self.state.answers.send_modify(|answers| {
            answers.insert(request, status);
        });
    }
}

async fn hold(State(state): State<Arc<Held>>, headers: HeaderMap) -> StatusCode {
    let id = headers["webhook-id"].to_str().expect("an id").to_owned();
    let mut number = 0;
    state.arrived.send_modify(|ids| {
        number = ids.len();
        ids.push(id);
    });
    let mut answers = state.answers.subscribe();
    let answers = answers
        .wait_for(|answers| answers.contains_key(&number))
        .await
        .expect("a test that answers");
    StatusCode::from_u16(answers[&number]).expect("a status")
}
