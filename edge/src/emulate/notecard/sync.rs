//! When and how the card goes to Notehub.
//!
//! A thread of the world's does the going: it waits for `Notecard::next_sync`, begins, carries the notes, and says how it
//! went. Notes leave the queue when a sync ends well; of one that does not, Notehub may have got some, and gets them again.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::fault::Network;
use super::store::{Arrived, Mode, Queued};
use super::{Card, Notecard};
use crate::clock::Signal;

/// The first penalty for a network that is not there; each further one is twice as long.
const PENALTY: Duration = Duration::from_secs(30);
const LONGEST_PENALTY: Duration = Duration::from_hours(1);
/// Minutes; nobody lives to see the difference.
const LONGEST_PERIOD: u64 = u32::MAX as u64;
/// Failures before the status calls it extended.
const EXTENDED: u32 = 2;

/// What a sync carries.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub session: u64,
    pub product: String,
    pub device: String,
    /// Serial number.
    pub sn: String,
    pub notes: Vec<Queued>,
    /// The network will break in the middle: what was carried by then has arrived, and the outcome is
    /// [`Outcome::Interrupted`].
    pub breaks: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Completed,
    /// It began, and did not end.
    Interrupted,
    /// Notehub could not be reached.
    NoService,
}

/// What Notehub had for the card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FromNotehub {
    pub notes: Vec<Sent>,
    /// All variables as they are now; None if they are as they were.
    pub environment: Option<BTreeMap<String, String>>,
}

/// A note for the card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sent {
    /// Such as `cmd.qi`.
    pub file: String,
    pub body: Map<String, Value>,
    pub payload: Option<Vec<u8>>,
}

/// Where the card stands with the network; lost when it restarts.
#[derive(Debug)]
pub(super) struct Radio {
    pub requested: Option<Duration>,
    /// When one was last asked for.
    pub asked: Option<Duration>,
    /// From here on, the schedule counts.
    pub anchor: Duration,
    first_waiting: Option<Duration>,
    session: Option<u64>,
    pub penalty_until: Duration,
    pub failures: u32,
    /// In the card's clock, and Unix s.
    pub completed: Option<(Duration, i64)>,
    pub trouble: Option<&'static str>,
}

impl Radio {
    pub fn new(now: Duration) -> Self {
        Self {
            requested: None,
            asked: None,
            anchor: now,
            first_waiting: None,
            session: None,
            penalty_until: now,
            failures: 0,
            completed: None,
            trouble: None,
        }
    }

    pub fn note_waits(&mut self, now: Duration) {
        self.first_waiting.get_or_insert(now);
    }

    pub fn request(&mut self, now: Duration) {
        self.requested.get_or_insert(now);
        self.asked = Some(now);
    }

    pub fn is_running(&self) -> bool {
        self.session.is_some()
    }

    fn fail(&mut self, now: Duration, trouble: &'static str) {
        let penalty = PENALTY.saturating_mul(1 << self.failures.min(16));
        self.penalty_until = now + penalty.min(LONGEST_PENALTY);
        self.failures += 1;
        self.trouble = Some(trouble);
        // What was due stays due.
        self.requested.get_or_insert(now);
    }

    /// How the last sync went or this one goes, with tags.
    pub fn status(&self, now: Duration) -> &'static str {
        if self.is_running() {
            "sending and receiving {sync-begin}"
        } else if now < self.penalty_until && self.failures >= EXTENDED {
            "waiting {extended-network-failure}"
        } else if let Some(trouble) = self.trouble {
            trouble
        } else if self.requested.is_some() {
            "starting {connecting}"
        } else if self.completed.is_some() {
            "completed {sync-end}"
        } else {
            "idle {idle}"
        }
    }
}

impl Notecard {
    /// Wakes whoever waits for a sync, when one is due earlier than it was.
    pub fn signal(&self) -> Signal {
        self.due_earlier.clone()
    }

    /// When to begin the next, in the card's clock; it may be past.
    pub fn next_sync(&self) -> Option<Duration> {
        self.card().next_sync()
    }

    /// As if somebody had asked for one.
    pub fn sync_now(&self) {
        self.with(|card| {
            let now = card.clock.uptime();
            card.radio.request(now);
        });
    }

    /// Begins one; None if there is no network, or nobody to sync with.
    pub fn begin_sync(&self) -> Option<Outgoing> {
        self.with(Card::begin_sync)
    }

    /// Ends the one that was begun. Of a session that a restart has ended already, nothing comes.
    pub fn finish_sync(&self, session: u64, outcome: Outcome, from_notehub: FromNotehub) {
        self.with(|card| card.finish_sync(session, outcome, from_notehub));
    }
}

impl Card {
    pub fn next_sync(&self) -> Option<Duration> {
        let (hub, radio) = (&self.flash.hub, &self.radio);
        if radio.is_running() || hub.mode == Mode::Off {
            return None;
        }
        let mut due = radio.requested;
        let scheduled = matches!(hub.mode, Mode::Periodic | Mode::Continuous);
        // Without both times, it behaves as if there were none.
        if scheduled && hub.outbound > 0 && hub.inbound > 0 {
            let minutes = |minutes: u64| Duration::from_mins(minutes.min(LONGEST_PERIOD));
            let inbound = radio.anchor.saturating_add(minutes(hub.inbound));
            due = Some(due.map_or(inbound, |due| due.min(inbound)));
            if let Some(first) = radio.first_waiting {
                let outbound = next_multiple(radio.anchor, minutes(hub.outbound), first);
                due = due.map(|due| due.min(outbound));
            }
        }
        due.map(|due| due.max(radio.penalty_until).max(self.dark_until))
    }

    fn begin_sync(&mut self) -> Option<Outgoing> {
        let now = self.clock.uptime();
        if self.radio.is_running() || !self.hears(now) {
            return None;
        }
        if self.flash.hub.product.is_empty() {
            self.radio.fail(now, "no product {product-noexist}");
            self.tally.failed_syncs += 1;
            return None;
        }
        if self.faults.network == Network::Down {
            self.radio.fail(now, "waiting {network-down}");
            self.tally.failed_syncs += 1;
            return None;
        }
        self.flash.numbers += 1;
        let session = self.flash.numbers;
        self.radio.session = Some(session);
        self.radio.requested = None;
        let leaves = |note: &&Queued| !note.is_local();
        Some(Outgoing {
            session,
            product: self.flash.hub.product.clone(),
            device: self.options.device.clone(),
            sn: self.flash.hub.sn.clone(),
            notes: self.flash.queue.iter().filter(leaves).cloned().collect(),
            breaks: self.faults.network == Network::Flaky,
        })
    }

    fn finish_sync(&mut self, session: u64, outcome: Outcome, from_notehub: FromNotehub) {
        if self.radio.session != Some(session) {
            return;
        }
        let now = self.clock.uptime();
        self.radio.session = None;
        match outcome {
            Outcome::Completed => {}
            Outcome::Interrupted | Outcome::NoService => {
                let trouble = match outcome {
                    Outcome::NoService => "waiting {host-unreachable}",
                    _ => "broken off {sync-error}",
                };
                self.radio.fail(now, trouble);
                self.tally.failed_syncs += 1;
                return;
            }
        }
        self.knows_time = true;
        let time = self.clock.now().timestamp();
        self.complete(session, now, time);
        self.take_in(from_notehub, time);
    }

    fn complete(&mut self, session: u64, now: Duration, time: i64) {
        self.flash.ever_synced = true;
        // Numbers rise: what was added since has a higher one than the session.
        let gone = |note: &Queued| note.number < session && !note.is_local();
        for note in self.flash.queue.extract_if(.., |note| gone(note)) {
            self.tally.notes_sent += 1;
            self.tally.bytes_sent += note.bytes as u64;
        }
        self.tally.syncs += 1;
        let radio = &mut self.radio;
        radio.anchor = now;
        radio.failures = 0;
        radio.trouble = None;
        radio.penalty_until = now;
        radio.completed = Some((now, time));
        radio.first_waiting = (!self.flash.queue.is_empty()).then_some(now);
    }

    fn take_in(&mut self, from_notehub: FromNotehub, time: i64) {
        for note in from_notehub.notes {
            if self.attn.watched.contains(&note.file) {
                self.attn.changed.push(note.file.clone());
            }
            let arrived = Arrived {
                body: note.body,
                payload: note.payload,
                time: Some(time),
            };
            let queue = self.flash.arrived.entry(note.file).or_default();
            queue.push_back(arrived);
        }
        if let Some(environment) = from_notehub.environment {
            let lower = |(name, value): (String, String)| (name.to_ascii_lowercase(), value);
            let environment: BTreeMap<_, _> = environment.into_iter().map(lower).collect();
            if environment != self.flash.environment {
                self.flash.environment = environment;
                self.flash.environment_touched(Some(time));
            }
        }
    }
}

/// The first moment of a schedule at or after which something waits.
fn next_multiple(anchor: Duration, period: Duration, first: Duration) -> Duration {
    let since = first.saturating_sub(anchor).as_secs_f64();
    let periods = (since / period.as_secs_f64()).ceil().max(1.0);
    anchor.saturating_add(Duration::from_secs_f64(
        (period.as_secs_f64() * periods).min(1e12),
    ))
}
