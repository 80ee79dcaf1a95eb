//! The service is asked to stop: it answers what it has taken in hand, ends in time, and leaves no claim behind.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::load::{Load, Posted, Seen};
use super::world::{World, count, until};
use crate::support::app::TOKEN;
use crate::support::chaos::Chaos;
use crate::support::database::database;
use crate::support::event::thermal;
use crate::support::program::{Home, Program};
use crate::support::receiver::Answer;

#[tokio::test]
async fn a_stop_under_load_loses_nothing_and_leaves_no_claim() {
    let database = database().await;
    let world = World::new().await;
    let home = Home::new(&world.config(Some(&database.url)));
    let mut program = home.serve().await;
    let load = Load::start(8, &[&program.url]);
    for more in [1, 80, 30] {
        load.acknowledged(more).await;
        assert!(program.stop().await, "it ends well");
        assert_eq!(
            count(&database.pool, "delivery_states WHERE state = 'leased'").await,
            0
        );
        program = home.serve().await;
        load.goes_to(&[&program.url]);
    }
    let seen = load.finish().await;
    world.check(&database.url, &seen).await;
    assert!(program.stop().await);
}

#[tokio::test]
async fn requests_in_flight_are_answered_before_it_stops() {
    let database = database().await;
    let world = World::new().await;
    let home = Home::new(&world.config(Some(&database.url)));
    let program = home.serve().await;
    let now = cloud::clock::Clock::System.now();
    let event = |number: i64| {
        thermal(
            &format!("event-{number}"),
            "dev:1",
            now - chrono::TimeDelta::minutes(number),
            0.1,
        )
    };
    let mut in_flight = Vec::new();
    for number in 0..5 {
        in_flight.push(InFlight::begin(&program, event(number)).await);
    }
    // One client never says the rest.
    let mut silent = InFlight::begin(&program, event(5)).await;

    program.terminate();
    // Nobody can connect any more: it has heard the signal.
    until("it stops listening", async || {
        TcpStream::connect(address(&program)).await.is_err()
    })
    .await;
    for request in &mut in_flight {
        let answer = request.finish().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let answer = silent.answer().await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("\r\nretry-after:"),
        "{answer}"
    );
    assert!(program.ended().await, "it ends well");
    assert_eq!(count(&database.pool, "received_events").await, 5);
}

#[tokio::test]
async fn a_destination_that_hangs_delays_the_stop_by_its_time_limit_at_most() {
    let database = database().await;
    let world = World::new().await;
    world.hook.always(Answer::Hang);
    let home = Home::new(&world.config(Some(&database.url)));
    let program = home.serve().await;
    let when = cloud::clock::Clock::System.now();
    let event = thermal("event-0", "dev:1", when, 0.1);
    let mut request = InFlight::begin(&program, event).await;
    assert!(request.finish().await.starts_with("HTTP/1.1 200"));
    until("the destination is reached", async || {
        !world.hook.seen().is_empty()
    })
    .await;

    let started = Instant::now();
    assert!(program.stop().await, "it ends well");
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
    let state: (String, i32, Option<String>) =
        sqlx::query_as("SELECT state, attempts, reason FROM deliveries WHERE route = 'archive'")
            .fetch_one(&database.pool)
            .await
            .expect("a delivery");
    assert_eq!((state.0.as_str(), state.1), ("due", 1), "{state:?}");
    assert!(
        state
            .2
            .is_some_and(|reason| reason.ends_with("no answer within the time limit"))
    );

    // A minute later, with the destination well again.
    world.hook.always(Answer::status(200));
    sqlx::query("UPDATE delivery_states SET due_at = now() WHERE state = 'due'")
        .execute(&database.pool)
        .await
        .expect("an update");
    let program = home.serve().await;
    let when = chrono::DateTime::from_timestamp(when.timestamp(), 0).expect("a time");
    let posted = Posted {
        uid: "event-0".into(),
        device: "dev:1".into(),
        file: "thermal.qo".into(),
        when,
        glows: false,
    };
    world
        .check(
            &database.url,
            &Seen {
                posted: vec![posted],
                turned_away: 0,
                broken: 0,
            },
        )
        .await;
    assert_eq!(world.hook.seen().len(), 2);
    assert!(program.stop().await);
}

#[tokio::test]
async fn a_stop_while_postgres_hangs_ends_all_the_same() {
    let database = database().await;
    let chaos = Chaos::before(&database.options).await;
    let world = World::new().await;
    let config = world
        .config(Some(&chaos.url()))
        .replace("\"2s\"", "\"400ms\"")
        .replace("\"3s\"", "\"300ms\"");
    let home = Home::new(&config);
    let program = home.serve().await;
    let when = cloud::clock::Clock::System.now();
    let mut request = InFlight::begin(&program, thermal("event-0", "dev:1", when, 0.1)).await;
    chaos.stall();
    let answer = request.finish().await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    program.terminate();
    let ended = timeout(Duration::from_secs(15), program.ended()).await;
    assert!(ended.expect("it ends"), "it ends well");
}

/// A request that the service has begun to read, and whose rest has not been sent yet.
struct InFlight {
    stream: TcpStream,
    body: String,
}

impl InFlight {
    /// Sends everything but the body, and waits for the word that it is wanted: a handler is at work by then.
    async fn begin(program: &Program, event: Value) -> Self {
        let body = event.to_string();
        let mut stream = TcpStream::connect(address(program))
            .await
            .expect("a connection");
        let head = format!(
            "POST /notehub HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
            body.len()
        );
        stream
            .write_all(head.as_bytes())
            .await
            .expect("the head is sent");
        let mut go_on = [0; 25];
        stream
            .read_exact(&mut go_on)
            .await
            .expect("an interim answer");
        assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, body }
    }

    async fn finish(&mut self) -> String {
        self.stream
            .write_all(self.body.as_bytes())
            .await
            .expect("the body is sent");
        self.answer().await
    }

    /// Reads until the answer's head is there.
    async fn answer(&mut self) -> String {
        let mut text = String::new();
        let mut buffer = [0; 1024];
        while !text.contains("\r\n\r\n") {
            let length = timeout(Duration::from_secs(20), self.stream.read(&mut buffer)).await;
            let length = length.expect("an answer in time").expect("an answer");
            assert!(
                length > 0,
                "the connection was closed without an answer: {text:?}"
            );
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        text
    }
}

fn address(program: &Program) -> SocketAddr {
    let address = program.url.strip_prefix("http://").expect("an http URL");
    address.parse().expect("an address")
}
