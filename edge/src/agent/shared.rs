//! What the two threads of the agent share: the spool between them, and what each knows that the other needs.
//!
//! Locks are held for as long as a value is read or written, or a note is put on disk; never while anybody waits.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::time::StationTime;
use crate::clock::{Clock, Signal};
use crate::config::Config;
use crate::config::live::Live;
use crate::health::Supervisor;
use crate::note::{Class, Moment, Note};
use crate::send::spool::{Id, Spool};

/// What the threads have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub clock: Clock,
    pub config: Config,
    pub supervisor: Supervisor,
    pub boot: u32,
    sequence: Arc<AtomicU32>,
    spool: Mutex<Spool>,
    facts: Mutex<Facts>,
    pub to_courier: Signal,
    pub to_watcher: Signal,
    pub stop: Arc<AtomicBool>,
}

/// What one thread has learned and the other needs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub time: StationTime,
    pub live: Live,
    pub card: Card,
    pub wanted: Wanted,
    /// The settings that the cloud was last told of.
    pub settings_told: String,
}

/// The Notecard, as it was last seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Card {
    pub version: Option<String>,
    /// Volts.
    pub voltage: Option<f64>,
    /// deg C.
    pub temperature: Option<f64>,
}

/// What somebody asked the watcher for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub snapshot: bool,
    /// A sign of life, for these reasons.
    pub health: Vec<String>,
}

/// How much waits, and what became of what could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    pub waiting: usize,
    pub dropped: u64,
}

impl Shared {
    pub fn new(
        config: Config,
        clock: Clock,
        supervisor: Supervisor,
        spool: Spool,
        boot: u32,
        settings_told: Option<String>,
    ) -> Self {
        let live = Live::of(&config);
        // Those of the configuration are nothing to tell of.
        let settings_told = settings_told.unwrap_or_else(|| live.told(&[]));
        Self {
            to_courier: clock.signal(),
            to_watcher: clock.signal(),
            clock,
            config,
            supervisor,
            boot,
            sequence: Arc::default(),
            spool: Mutex::new(spool),
            facts: Mutex::new(Facts {
                time: StationTime::default(),
                live,
                card: Card::default(),
                wanted: Wanted::default(),
                settings_told,
            }),
            stop: Arc::default(),
        }
    }

    pub fn uptime(&self) -> Duration {
        self.clock.uptime()
    }

    /// The moment that it is, as far as anybody knows.
    pub fn moment(&self) -> Moment {
        let (uptime, system) = (self.clock.uptime(), self.clock.now());
        self.facts().time.moment(uptime, system)
    }

    pub fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    pub fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the next note of this start.
    pub fn next_sequence(&self) -> u32 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// How many notes were made; it stays readable when the agent is gone.
    pub fn sequence(&self) -> Arc<AtomicU32> {
        self.sequence.clone()
    }

    /// Puts notes on disk, and wakes the courier. What the disk does not take waits in memory until it does.
    pub fn keep(&self, notes: impl IntoIterator<Item = Note>) {
        {
            let mut spool = self.spool();
            for note in notes {
                match spool.push(note) {
                    Ok(pushed) if pushed.dropped > 0 => tracing::warn!(
                        spool.dropped = pushed.dropped,
                        "the spool is full; what matters least was dropped"
                    ),
                    Ok(_) => {}
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        spool.unsaved = spool.unsaved(),
                        "the spool cannot be written; notes wait in memory"
                    ),
                }
            }
        }
        self.to_courier.notify();
    }

    /// What to hand over next.
    pub fn next(&self) -> Option<(Id, Note)> {
        self.spool().next()
    }

    /// It was handed over. Should the disk not take that, it will be handed over again, and be recognised.
    pub fn done(&self, id: Id) {
        if let Err(error) = self.spool().done(id) {
            tracing::warn!(
                error = format!("{error:#}"),
                "the spool does not take that a note was handed over; it may be handed over twice"
            );
        }
    }

    pub fn depth(&self) -> Depth {
        let spool = self.spool();
        Depth {
            waiting: spool.depth(),
            dropped: spool.dropped(),
        }
    }

    /// How many of this class wait.
    pub fn waiting(&self, class: Class) -> usize {
        self.spool().depth_of(class)
    }

    fn spool(&self) -> MutexGuard<'_, Spool> {
        self.spool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
