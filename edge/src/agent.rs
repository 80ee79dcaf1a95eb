//! The agent at work: from the camera to the Notecard, for a year, with nobody near.
//!
//! Two threads and a spool between them. The `watcher` looks through its `eye` and writes notes; the `courier` hands them
//! over and brings back what the cloud wants. `shared` is what they have in common, `time` what time it is, `memory` what outlives
//! a restart. The watcher never waits for the Notecard, and nothing that was decided is lost while the Notecard is away.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::rngs::ChaCha8Rng;

use crate::capture::eeprom::Kept;
use crate::classify::Classifier;
use crate::clock::{Clock, Signal};
use crate::config::Config;
use crate::config::live::Live;
use crate::hardware::Station;
use crate::health::Supervisor;
use crate::model::ANOMALY;
use crate::note::{Labels, templates};
use crate::send::spool::{self, Limits, Spool};

mod courier;
mod eye;
mod memory;
mod shared;
/// What time it is at the station.
pub mod time;
mod watcher;

use courier::Courier;
use eye::Eye;
use memory::{Memory, Remembered};
use shared::Shared;
use watcher::Watcher;

/// So many digits of a model's digest tell it from others.
const ID_DIGITS: usize = 8;

/// What an agent is made of.
#[derive(Debug)]
pub struct Setup {
    pub config: Config,
    pub clock: Clock,
    pub station: Station,
    pub state_dir: PathBuf,
    pub classifier: Classifier,
    pub supervisor: Supervisor,
    /// For the first number of a start, where none is kept.
    pub chance: ChaCha8Rng,
}

/// An agent that is ready to run.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    station: Station,
    classifier: Classifier,
    labels: Labels,
    state_dir: PathBuf,
    memory: Memory,
    remembered: Remembered,
}

/// Ends an agent from outside.
#[derive(Debug, Clone)]
pub struct Stop {
    stop: Arc<AtomicBool>,
    wake: [Signal; 2],
}

impl Stop {
    /// Lets it finish what it is at, hand over what waits, and end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        for signal in &self.wake {
            signal.notify();
        }
    }
}

/// A worker alone is no agent.
struct StopOnPanic(Stop);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl Agent {
    /// Opens the spool and counts the start. Whatever hardware there is, is found later, or waited for.
    pub fn new(setup: Setup) -> anyhow::Result<Self> {
        let Setup {
            config,
            clock,
            station,
            state_dir,
            classifier,
            supervisor,
            mut chance,
        } = setup;
        std::fs::create_dir_all(&state_dir).with_context(|| {
            format!(
                "cannot make the state folder {}; set `state_dir` to one that can be written",
                state_dir.display()
            )
        })?;
        let labels = Labels::new(classifier.labels())?;
        check_labels(&config, classifier.labels())?;
        for (name, key) in labels.renamed() {
            tracing::warn!(label = name, key, "the label is sent under another name");
        }
        let limits = Limits {
            bytes: config.spool.most_bytes,
            notes: config.spool.most_notes,
        };
        let spool = Spool::open(&state_dir.join("spool"), limits)?;
        let boot = spool::next_boot(&state_dir, &mut chance).unwrap_or_else(|error| {
            // A disk that takes nothing is no reason to be blind; a number that nobody else has is all that it takes.
            tracing::error!(error = format!("{error:#}"), "starts cannot be counted");
            spool::random_boot(&mut chance)
        });
        let memory = Memory::new(&state_dir);
        let remembered = memory.recall();
        let told = remembered.settings_told.clone();
        let shared = Shared::new(config, clock, supervisor, spool, boot, told);
        tracing::info!(
            agent.boot = boot,
            spool.waiting = shared.depth().waiting,
            "start"
        );
        Ok(Self {
            shared: Arc::new(shared),
            station,
            classifier,
            labels,
            state_dir,
            memory,
            remembered,
        })
    }

    pub fn stop(&self) -> Stop {
        Stop {
            stop: self.shared.stop.clone(),
            wake: [
                self.shared.to_courier.clone(),
                self.shared.to_watcher.clone(),
            ],
        }
    }

    /// Which start of the agent this is.
    pub fn boot(&self) -> u32 {
        self.shared.boot
    }

    /// How many notes this start has made; it can be read on when the agent is gone.
    pub fn made(&self) -> Arc<AtomicU32> {
        self.shared.sequence()
    }

    /// Runs until it is stopped. A worker that panics ends the whole, so that whoever supervises it starts it anew.
    pub fn run(self) {
        let (clock, supervisor) = (self.shared.clock.clone(), self.shared.supervisor.clone());
        let stop = self.stop();
        let (watcher, courier) = self.workers();
        let alarm = StopOnPanic(stop.clone());
        let courier = clock.spawn("courier", move || {
            let _alarm = alarm;
            courier.run();
        });
        // Caught only to wait for the other worker, which may be in the middle of writing.
        let watched = catch_unwind(AssertUnwindSafe(|| watcher.run()));
        supervisor.stopping();
        stop.stop();
        for ended in [watched, courier.join()] {
            if let Err(panic) = ended {
                resume_unwind(panic);
            }
        }
    }

    /// One cycle, for a timer or a machine that is switched on for it: the Notecard is asked for time and settings, a
    /// reading is made, and what waits is handed over. Then the Notecard may cut the machine's power for a time.
    ///
    /// Whether everything was handed over.
    pub fn once(self, sleep: Option<Duration>) -> bool {
        let shared = self.shared.clone();
        let (watcher, mut courier) = self.workers();
        courier.step();
        watcher.once();
        let handed_over = courier.last_step(sleep);
        handed_over && shared.depth().waiting == 0
    }

    fn workers(self) -> (Watcher, Courier) {
        let courier = Courier::new(
            self.shared.clone(),
            self.station.clone(),
            templates(&self.labels).into(),
        );
        let eye = Eye::new(
            self.station,
            self.classifier,
            self.shared.clock.clone(),
            self.shared.config.camera.clone(),
            Kept::new(&self.state_dir),
            self.remembered.eeprom_told,
        );
        let watcher = Watcher::new(self.shared, eye, self.labels, self.memory, self.remembered);
        (watcher, courier)
    }
}

/// Rules of labels that the model does not have can never fire.
pub fn check_labels(config: &Config, labels: &[String]) -> anyhow::Result<()> {
    for label in config.decisions(&Live::of(config)).unknown_labels(labels) {
        let known = labels.join(", ");
        ensure!(
            label != ANOMALY,
            "the model has no score `{ANOMALY}`, only {known}; nothing would ever be an alarm. Name its scores in [model] \
             labels, or train one with `edge train`"
        );
        // The usual rules may be of states that this machine does not have.
        ensure!(
            config.dwell.is_none(),
            "[[dwell]]: the model has no label {label:?}; it has {known}"
        );
    }
    Ok(())
}

/// Enough of what identifies a model to tell it from others.
pub fn model_id(classifier: &Classifier) -> String {
    let digest = &classifier.checked().sha256;
    digest.chars().take(ID_DIGITS).collect()
}
