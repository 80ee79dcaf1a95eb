//! A station's parts, each in the test's hands.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::agent::{Agent, Setup};
use edge::classify::{Classifier, Runtime};
use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::mlx90640::{Camera, Faults, Kind, Make, Seen, synthetic};
use edge::emulate::notecard::{FromNotehub, Notecard, Options, Outcome};
use edge::emulate::time::World;
use edge::frame::PIXELS;
use edge::hardware::{Emulated, Station};
use edge::health::{Supervisor, Told};
use edge::model::DEMONSTRATION;
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;

use super::station::{config, hours};

/// A station that is in nobody's hands but the test's.
pub struct Hands {
    pub clock: Clock,
    pub camera: Faults,
    pub notecard: Notecard,
    pub station: Station,
    pub supervisor: Supervisor,
    pub state: tempfile::TempDir,
}

impl Hands {
    pub fn new() -> Self {
        let start = "2026-03-01T12:00:00Z".parse().expect("a time");
        let clock = Clock::simulated(World::new(start, None).local());
        let bus = Bus::new(clock.clone(), 100_000.0);
        let source = |_: Duration| Seen {
            pixels: Box::new([31.0; PIXELS]),
            die: 30.0,
        };
        let (camera, faults) = Camera::new(
            Make::new(synthetic(&Kind::new(9))),
            Box::new(source),
            clock.clone(),
        )
        .expect("a camera");
        bus.attach(0x33, camera);
        let notecard = Notecard::new(clock.clone(), Options::default());
        bus.attach(0x17, notecard.on_i2c());
        Self {
            clock,
            camera: faults,
            notecard,
            station: Station::Emulated(Box::new(Emulated {
                bus,
                serial: None,
                synchronised: Arc::default(),
                powered: hours(1),
            })),
            supervisor: Supervisor::new(Told::Nobody(Mutex::default())),
            state: tempfile::tempdir().expect("a folder"),
        }
    }

    pub fn agent(&self) -> Agent {
        Agent::new(Setup {
            config: config(""),
            clock: self.clock.clone(),
            station: self.station.clone(),
            state_dir: self.state.path().to_owned(),
            classifier: Classifier::load(DEMONSTRATION, &Runtime::Embedded)
                .expect("the model loads"),
            supervisor: self.supervisor.clone(),
            chance: ChaCha8Rng::seed_from_u64(1),
        })
        .expect("an agent")
    }

    /// Lets the Notecard sync, after which it knows the time.
    pub fn sync(&self) {
        let outgoing = self.notecard.begin_sync().expect("a sync");
        let environment = FromNotehub::default();
        self.notecard
            .finish_sync(outgoing.session, Outcome::Completed, environment);
    }

    pub fn files(&self) -> Vec<String> {
        self.notecard
            .queued()
            .into_iter()
            .map(|note| note.file)
            .collect()
    }
}
