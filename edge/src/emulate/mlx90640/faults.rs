//! What can go wrong with the camera, switched while it is at work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::capture::calibration::Words;
use crate::clock::Clock;

/// A handle on one emulated camera.
#[derive(Debug, Clone)]
pub struct Faults {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
pub(super) struct State {
    /// As the camera shows it.
    pub eeprom: Box<Words>,
    /// Until when it answers nobody.
    pub silent_until: Duration,
    /// When power comes back, and everything begins anew.
    pub restart_at: Option<Duration>,
    pub frozen_until: Duration,
    pub unready_until: Duration,
    /// What share of the words is garbled on their way, and until when.
    pub garbled: (f64, Duration),
    /// Volts.
    pub vdd: f64,
    /// Of the RAM, by index.
    pub words: BTreeMap<usize, WordFault>,
    /// So many readings of the RAM still are interrupted by a sub-page.
    pub interruptions: u32,
    pub counters: Counters,
    pub violations: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordFault {
    /// It stays the same whatever there is to see.
    Stuck(u16),
    /// It is off by so much.
    Off(i16),
}

/// What the camera was asked, and what it did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub reads: u64,
    pub writes: u64,
    /// Accesses that were not acknowledged.
    pub refused: u64,
    /// Sub-pages that were measured and landed in the RAM.
    pub subpages: u64,
    /// Readings of the RAM during which one landed.
    pub torn: u64,
    /// How often it was switched on.
    pub starts: u64,
}

impl Faults {
    pub(super) fn new(clock: Clock, eeprom: Box<Words>, vdd: f64) -> Self {
        Self {
            clock,
            state: Arc::new(Mutex::new(State {
                eeprom,
                silent_until: Duration::ZERO,
                restart_at: None,
                frozen_until: Duration::ZERO,
                unready_until: Duration::ZERO,
                garbled: (0.0, Duration::ZERO),
                vdd,
                words: BTreeMap::new(),
                interruptions: 0,
                counters: Counters::default(),
                violations: Vec::new(),
            })),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn after(&self, time: Duration) -> Duration {
        self.clock.uptime().saturating_add(time)
    }

    /// It acknowledges nothing for so long; [`Duration::MAX`] is as if it were not there.
    pub fn silence(&self, time: Duration) {
        let until = self.after(time);
        self.state().silent_until = until;
    }

    /// Its power is cut, and comes back after so long.
    pub fn cut_power(&self, time: Duration) {
        let at = self.after(time);
        self.state().restart_at = Some(at);
    }

    /// No sub-page comes for so long.
    pub fn freeze(&self, time: Duration) {
        let until = self.after(time);
        self.state().frozen_until = until;
    }

    /// Sub-pages that are measured within this time come with the mark of no data instead of conditions.
    pub fn unready(&self, time: Duration) {
        let until = self.after(time);
        self.state().unready_until = until;
    }

    /// Each word that is read within this time is, by this chance, any word.
    pub fn garble(&self, share: f64, time: Duration) {
        let until = self.after(time);
        self.state().garbled = (share, until);
    }

    /// From now on.
    pub fn set_vdd(&self, volts: f64) {
        self.state().vdd = volts;
    }

    /// What is wrong with a word of the RAM from now on: a pixel's, or from 768 on one of the camera's conditions. None
    /// mends it.
    pub fn set_word(&self, index: usize, fault: Option<WordFault>) {
        let mut state = self.state();
        match fault {
            Some(fault) => state.words.insert(index, fault),
            None => state.words.remove(&index),
        };
    }

    /// A sub-page lands in the middle of each of the next readings of the RAM.
    pub fn interrupt(&self, readings: u32) {
        self.state().interruptions = readings;
    }

    /// Damages the EEPROM, or mends it: what the camera measures stays the same.
    pub fn change_eeprom(&self, change: impl FnOnce(&mut Words)) {
        change(&mut self.state().eeprom);
    }

    pub fn counters(&self) -> Counters {
        self.state().counters
    }

    /// What no driver may do, in words.
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }
}
