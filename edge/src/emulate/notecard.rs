//! A Notecard, byte by byte.
//!
//! `Notecard` is one card with two doors: serial over I2C (`OnI2c`) and a serial line, in memory (`Wire`) or on a real
//! pty (`Notecard::on_pty`). Behind them is one machine: `line` puts bytes together and answers, `execute` does requests,
//! `store` is what flash keeps, `sync` is when and how it goes to Notehub, `template` what records are made of, and
//! `fault` all that may go wrong.
//!
//! It has no thread of its own. What it does, it does when somebody looks, as of the time at which it would have been done;
//! only the sync belongs to a thread of the world's, which asks `Notecard::next_sync` when it is due. A host that breaks
//! a rule of the protocol is served as well as may be, and its `Violation` is kept for the test to find.

/// The requests, done.
mod execute;
/// What may go wrong.
mod fault;
/// Serial over I2C.
mod i2c;
/// Bytes and lines.
mod line;
/// What flash keeps.
mod store;
/// When and how it goes to Notehub.
mod sync;
/// What a template makes of a note.
mod template;
/// A serial line.
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

pub use self::fault::{Damage, Fault, Moment, Network};
pub use self::i2c::OnI2c;
pub use self::store::Queued;
pub use self::sync::{FromNotehub, Outcome, Outgoing, Sent};
pub use self::template::record_bytes;
pub use self::wire::{Pty, Wire};

use self::fault::Faults;
use self::line::{Door, Doors, Memory};
use self::store::Flash;
use self::sync::Radio;
use crate::clock::{Clock, Signal};

/// An emulated Notecard; all handles made from one share it.
#[derive(Debug, Clone)]
pub struct Notecard {
    card: Arc<Mutex<Card>>,
    clock: Clock,
    due_earlier: Signal,
}

/// What is particular to a card.
#[derive(Debug, Clone)]
pub struct Options {
    pub device: String,
    pub version: String,
    /// Bytes of flash for notes, of which 80 % can be used.
    pub storage: usize,
    /// How long a templated note may wait in RAM for flash, unless it was added with `verify`.
    pub cache: Duration,
    /// From a request to the first byte of its reply.
    pub latency: Duration,
    /// From power to the first request.
    pub boot: Duration,
}

/// A rule of the protocol that the host broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// In the card's clock.
    pub at: Duration,
    pub rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A transfer that wrote nothing.
    EmptyWrite,
    /// A write's first byte is not the number of those that follow.
    LengthByte,
    /// More than 253 bytes in a transfer.
    LongWrite,
    /// A read that was not asked for.
    UnaskedRead,
    /// A read of another length than was asked for.
    ReadLength,
    /// More was asked for than was known to wait.
    OverRead,
    /// Less than a millisecond between transfers.
    TransferSpacing,
    /// Less than 15 ms between looks that found nothing.
    PollSpacing,
    /// Two segments and more without a pause.
    Pacing,
    /// The input buffer of 1500 bytes overflowed, and bytes were lost.
    Overflow,
    /// A request before all of the last reply was fetched.
    Overlap,
}

/// What a card has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Requests that were done.
    pub done: u64,
    /// Replies given again to a repeated sequence number.
    pub replayed: u64,
    /// Requests that were done a second time because a restart had lost the memory of the first.
    pub forgotten: u64,
    /// Requests without a check or out of sequence, from a host that has checks: damage in the check itself.
    pub unguarded: u64,
    /// Requests that did not fit their check.
    pub damaged: u64,
    pub restarts: u64,
    /// Notes that were only in RAM when power went.
    pub lost_in_ram: u64,
    pub syncs: u64,
    pub failed_syncs: u64,
    pub notes_sent: u64,
    /// Bytes of notes, before compression.
    pub bytes_sent: u64,
}

/// What a restart takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restart {
    /// All but flash and the time.
    Reset,
    /// All but flash.
    Power,
}

#[derive(Debug)]
struct Card {
    options: Options,
    clock: Clock,
    flash: Flash,
    radio: Radio,
    memory: Memory,
    doors: Doors,
    attn: Attn,
    faults: Faults,
    tally: Tally,
    violations: Vec<Violation>,
    /// Without power, or not yet up.
    dark_until: Duration,
    booted: Duration,
    /// Whether its clock was set since it had power.
    knows_time: bool,
    /// The last request that was done, as nobody but this record of it remembers across restarts.
    last_done: Option<String>,
}

/// The ATTN pin and what goes with it.
#[derive(Debug, Default)]
struct Attn {
    /// What the host left when it went to sleep, and when that was.
    payload: Option<(Vec<u8>, Option<i64>)>,
    low_until: Option<Duration>,
    /// Notefiles whose changes raise the pin.
    watched: Vec<String>,
    changed: Vec<String>,
    off: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            device: "dev:864475040000000".to_owned(),
            version: "notecard-9.1.1".to_owned(),
            storage: 1 << 20,
            cache: Duration::ZERO,
            latency: Duration::from_millis(30),
            boot: Duration::from_secs(3),
        }
    }
}

impl Notecard {
    /// A card that has power and is up. Its time, once it knows it, is the clock's.
    pub fn new(clock: Clock, options: Options) -> Self {
        let now = clock.uptime();
        let card = Card {
            options,
            clock: clock.clone(),
            flash: Flash::default(),
            radio: Radio::new(now),
            memory: Memory::default(),
            doors: Doors::default(),
            attn: Attn::default(),
            faults: Faults::default(),
            tally: Tally::default(),
            violations: Vec::new(),
            dark_until: now,
            booted: now,
            knows_time: false,
            last_done: None,
        };
        Self {
            card: Arc::new(Mutex::new(card)),
            due_earlier: clock.signal(),
            clock,
        }
    }

    fn card(&self) -> MutexGuard<'_, Card> {
        self.card.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets something happen to the card, and wakes whoever waits for the next sync if it comes earlier for it.
    fn with<T>(&self, happens: impl FnOnce(&mut Card) -> T) -> T {
        let mut card = self.card();
        let before = card.next_sync();
        let outcome = happens(&mut card);
        let after = card.next_sync();
        drop(card);
        let earlier = match (before, after) {
            (Some(before), Some(after)) => after < before,
            (None, after) => after.is_some(),
            (Some(_), None) => false,
        };
        if earlier {
            self.due_earlier.notify();
        }
        outcome
    }

    /// The card as a device on an emulated I2C bus.
    pub fn on_i2c(&self) -> OnI2c {
        OnI2c::new(self.clone())
    }

    /// A serial line in memory; None is one without a speed, as USB is.
    pub fn wire(&self, baud: Option<u32>) -> Wire {
        Wire::new(self.clone(), baud)
    }

    /// A serial line on a pty, served by a thread in real time. Only for a card with the system's clock.
    pub fn on_pty(&self) -> std::io::Result<Pty> {
        Pty::new(self.clone())
    }

    /// What was broken so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.card().violations.clone()
    }

    pub fn tally(&self) -> Tally {
        self.card().tally
    }

    /// The notes that wait, in the order in which they were added.
    pub fn queued(&self) -> Vec<Queued> {
        self.card().flash.queue.clone()
    }

    /// Until when the ATTN pin takes the host's power, if it does.
    pub fn host_off_until(&self) -> Option<Duration> {
        let card = self.card();
        let now = card.clock.uptime();
        card.attn.low_until.filter(|until| *until > now)
    }

    /// What Notehub's environment is; it is known to the card after the next sync unless it is put there so.
    pub fn set_variable(&self, name: &str, value: &str) {
        let mut card = self.card();
        let time = card.time();
        card.flash.set_variable(name, value, time);
    }

    /// Takes the power away for this long.
    pub fn cut_power(&self, off: Duration) {
        self.with(|card| {
            let now = card.clock.uptime();
            card.restart(now, off, Restart::Power);
        });
    }

    /// A brown-out of the clock alone: as after a start without a network.
    pub fn forget_time(&self) {
        self.card().knows_time = false;
    }

    /// What goes wrong with the next requests, one for each; None is nothing.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.card().faults.script.extend(faults);
    }

    /// From now on, something goes wrong with every request by this chance; 0 ends it.
    pub fn storm(&self, seed: u64, chance: f64) {
        self.card().faults.storm(seed, chance);
    }

    /// Whether notes find no room, whatever is free.
    pub fn set_full(&self, full: bool) {
        self.card().faults.full = full;
    }

    pub fn set_network(&self, network: Network) {
        self.with(|card| card.faults.network = network);
    }

    /// Does not acknowledge, or hear, anything for this long.
    pub fn set_deaf(&self, time: Duration) {
        let mut card = self.card();
        card.faults.deaf_until = card.clock.uptime() + time;
    }
}

impl Card {
    /// Unix s, if it is known.
    fn time(&self) -> Option<i64> {
        self.knows_time.then(|| self.clock.now().timestamp())
    }

    fn break_rule(&mut self, at: Duration, rule: Rule) {
        self.violations.push(Violation { at, rule });
    }

    fn hears(&self, at: Duration) -> bool {
        at >= self.dark_until && at >= self.faults.deaf_until
    }

    fn restart(&mut self, at: Duration, off: Duration, kind: Restart) {
        self.tally.restarts += 1;
        self.memory = Memory::default();
        self.doors = Doors::default();
        self.dark_until = at + off + self.options.boot;
        self.booted = self.dark_until;
        self.radio = Radio::new(self.dark_until);
        if kind == Restart::Power {
            self.knows_time = false;
            self.attn = Attn::default();
            let before = self.flash.queue.len();
            self.flash.queue.retain(|note| note.kept_from <= at);
            self.tally.lost_in_ram += (before - self.flash.queue.len()) as u64;
            // What a UART shows of it.
            self.doors
                .serial
                .say(self.dark_until, b"\r\n", Duration::ZERO);
        }
        if !self.flash.queue.is_empty() {
            self.radio.note_waits(self.dark_until);
        }
    }

    fn door(&mut self, which: Door) -> &mut line::Port {
        match which {
            Door::Serial => &mut self.doors.serial,
            Door::I2c => &mut self.doors.i2c,
        }
    }
}

/// An error reply's text.
fn error(text: &str, tags: &str) -> Value {
    Value::String(format!("{text} {tags}"))
}
