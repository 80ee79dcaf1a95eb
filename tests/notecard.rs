//! The Notecard's client over an emulated Notecard, by every way there is to one: I2C, UART and USB.

mod faults;
mod notes;
mod random;
mod requests;
mod rules;
mod syncs;

use std::time::Duration;

use chrono::{DateTime, Utc};
use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::notecard::{self as emulated, Options};
use edge::emulate::time::World;
use edge::send::i2c::{ADDRESS, SerialOverI2c};
use edge::send::notecard::{Notecard, NotecardError, Settings};
use edge::send::request::Request;
use edge::send::request::hub::{HubSet, Mode};
use edge::send::request::note::{NoteAdd, NoteAdded};
use edge::send::serial::Serial;
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    I2c,
    Uart,
    Usb,
}

const WAYS: [Way; 3] = [Way::I2c, Way::Uart, Way::Usb];

/// Long enough for whatever one fault costs.
const PATIENT: Duration = Duration::from_mins(4);

fn start() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// A client and a card, in a world of their own.
struct Bench {
    clock: Clock,
    card: emulated::Notecard,
    client: Notecard,
}

impl Bench {
    fn new(way: Way) -> Self {
        Self::with(way, Options::default(), Settings::default())
    }

    fn with(way: Way, options: Options, settings: Settings) -> Self {
        let clock = Clock::simulated(World::new(start(), None).local());
        let card = emulated::Notecard::new(clock.clone(), options);
        let client = client(way, &clock, &card, settings);
        Self {
            clock,
            card,
            client,
        }
    }

    /// Without doubt about the answer.
    fn ask<R: Request>(&mut self, request: &R) -> R::Reply {
        match self.timed(request, PATIENT) {
            (Ok(reply), _) => reply,
            (Err(error), _) => panic!("{error}"),
        }
    }

    /// Never longer than its deadline.
    fn timed<R: Request>(
        &mut self,
        request: &R,
        deadline: Duration,
    ) -> (Result<R::Reply, NotecardError>, Duration) {
        let began = self.clock.uptime();
        let reply = self.client.transact(request, deadline);
        let took = self.since(began);
        assert!(took <= deadline, "it took {took:?} of {deadline:?}");
        (reply, took)
    }

    fn since(&self, began: Duration) -> Duration {
        self.clock.uptime().saturating_sub(began)
    }

    fn add(&mut self, seq: u64) -> NoteAdded {
        self.ask(&note(seq))
    }

    /// The numbers of the notes that wait, in their order.
    fn waiting(&self) -> Vec<u64> {
        let queued = self.card.queued();
        let seq = |note: &emulated::Queued| note.body["seq"].as_u64().expect("a number");
        queued.iter().map(seq).collect()
    }

    fn assert_kept_the_rules(&self) {
        assert_eq!(self.card.violations(), []);
    }
}

fn client(way: Way, clock: &Clock, card: &emulated::Notecard, settings: Settings) -> Notecard {
    match way {
        Way::I2c => {
            let bus = Bus::new(clock.clone(), 100_000.0);
            bus.attach(ADDRESS, card.on_i2c());
            Notecard::new(SerialOverI2c::new(bus, ADDRESS), clock.clone(), settings)
        }
        Way::Uart => {
            let wire = Serial::emulated(card.wire(Some(9600)));
            Notecard::new(wire, clock.clone(), settings)
        }
        Way::Usb => Notecard::new(Serial::emulated(card.wire(None)), clock.clone(), settings),
    }
}

/// A note that can be told from all others.
fn note(seq: u64) -> NoteAdd {
    NoteAdd {
        file: "thermal.qo".to_owned(),
        body: Some(object(serde_json::json!({ "seq": seq, "anomaly": 0.7001 }))),
        ..NoteAdd::default()
    }
}

fn hub_set() -> HubSet {
    HubSet {
        product: Some("com.example.people:thermal".to_owned()),
        mode: Some(Mode::Periodic),
        outbound: Some(30),
        inbound: Some(720),
        sn: Some("boiler".to_owned()),
        ..HubSet::default()
    }
}
