//! What the agent made and what arrived, note by note.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Options;
use super::plan::{Plan, What};
use crate::emulate::notecard::Tally;
use crate::emulate::notehub::Notehub;
use crate::note::{ALERT, FRAME, HEALTH, PARTS, THERMAL};

/// One start of the agent.
#[derive(Debug, Clone)]
pub struct Start {
    pub boot: u32,
    /// Since the simulation began.
    pub at: Duration,
    /// How many notes it made.
    pub made: Arc<AtomicU32>,
}

/// The account of a simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ledger {
    pub days: f64,
    /// Starts of the agent, and notes that all of them made; a picture is one, in three parts.
    pub starts: usize,
    pub made: usize,
    /// Of these, `(boot, seq)` of which nothing or not all arrived at Notehub.
    pub missing: Vec<(u32, u32)>,
    /// Notes that arrived as two events, because power was cut between the handing over and the record of it.
    pub repeated: usize,
    /// By what they are, each once.
    pub readings: usize,
    pub alerts: Vec<String>,
    pub pictures: usize,
    pub health: usize,
    /// Readings that do not say when they were made.
    pub undated: usize,
    /// Events that Notehub has, its own included, and those that its route has not delivered.
    pub events: usize,
    pub unrouted: usize,
    /// What the last failure of the route was.
    pub last_failure: Option<String>,
    /// When the scene was hot, since the beginning.
    pub hot_spots: Vec<[Duration; 2]>,
    pub power_cuts: usize,
    /// What the drivers did that no camera and no Notecard bears.
    pub violations: Vec<String>,
    pub notecard: Tally,
}

/// What Notehub has of the agent's notes.
#[derive(Default)]
struct Arrived {
    /// By boot and seq, and by part (0 where there are none): how many times.
    parts: BTreeMap<(u32, u32), BTreeMap<u64, usize>>,
    files: BTreeMap<(u32, u32), String>,
    /// Why they were sent.
    alerts: Vec<String>,
    undated: usize,
    events: usize,
}

impl Arrived {
    fn of(notehub: &Notehub) -> Self {
        let mut arrived = Self::default();
        for event in notehub.events() {
            arrived.events += 1;
            arrived.take(&event);
        }
        arrived
    }

    fn take(&mut self, event: &Map<String, Value>) {
        let body = event.get("body").unwrap_or(&Value::Null);
        let number = |key: &str| body.get(key).and_then(Value::as_u64);
        let narrow = |key: &str| number(key).and_then(|number| u32::try_from(number).ok());
        let (Some(boot), Some(seq)) = (narrow("boot"), narrow("seq")) else {
            return;
        };
        let file = event
            .get("file")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let times = self.parts.entry((boot, seq)).or_default();
        *times.entry(number("part").unwrap_or(0)).or_default() += 1;
        if times.values().sum::<usize>() == 1 {
            if file == ALERT {
                let why = body.get("why").and_then(Value::as_str);
                self.alerts.push(why.unwrap_or_default().to_owned());
            }
            self.undated += usize::from(file == THERMAL && number("t") == Some(0));
        }
        self.files.insert((boot, seq), file.to_owned());
    }
}

impl Ledger {
    pub(super) fn new(
        options: &Options,
        plan: &Plan,
        starts: &[Start],
        notehub: &Notehub,
        notecard: Tally,
        violations: Vec<String>,
    ) -> Self {
        let arrived = Arrived::of(notehub);
        let made: Vec<(u32, u32)> = starts
            .iter()
            .flat_map(|start| {
                let made = start.made.load(Ordering::Relaxed);
                (0..made).map(|seq| (start.boot, seq))
            })
            .collect();
        let is_whole = |note: &(u32, u32)| {
            let parts = arrived.parts.get(note).map_or(0, BTreeMap::len);
            let file = arrived.files.get(note).map(String::as_str);
            parts >= if file == Some(FRAME) { PARTS } else { 1 }
        };
        let count = |wanted: &str| {
            arrived
                .files
                .values()
                .filter(|file| *file == wanted)
                .count()
        };
        Self {
            alerts: arrived.alerts.clone(),
            days: options.days,
            starts: starts.len(),
            missing: made
                .iter()
                .filter(|note| !is_whole(note))
                .copied()
                .collect(),
            made: made.len(),
            repeated: arrived
                .parts
                .values()
                .flat_map(BTreeMap::values)
                .map(|times| times - 1)
                .sum(),
            readings: count(THERMAL),
            undated: arrived.undated,
            pictures: count(FRAME),
            health: count(HEALTH),
            events: arrived.events,
            unrouted: notehub.given_up().len(),
            last_failure: notehub.last_failure().map(|attempt| match attempt.status {
                Some(status) => format!("{status} {}", attempt.text),
                None => attempt.text,
            }),
            hot_spots: plan.hot_spots(),
            power_cuts: plan
                .happenings()
                .iter()
                .filter(|happening| matches!(happening.what, What::PowerCut { .. }))
                .count(),
            violations,
            notecard,
        }
    }

    /// Nothing is missing, every reading has its time, and nobody broke a rule.
    pub fn is_good(&self) -> bool {
        self.missing.is_empty()
            && self.violations.is_empty()
            && self.unrouted == 0
            && self.undated == 0
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = |good: bool| if good { "✓" } else { "✗" };
        let alerts = if self.alerts.is_empty() {
            "none".to_owned()
        } else {
            self.alerts.join(", ")
        };
        let plural = if (self.days - 1.0).abs() < f64::EPSILON {
            ""
        } else {
            "s"
        };
        writeln!(f, "What {} day{plural} came to", self.days)?;
        writeln!(
            f,
            "  starts of the agent            {:>7}  ({} power cuts)",
            self.starts, self.power_cuts
        )?;
        writeln!(f, "  notes made                     {:>7}", self.made)?;
        writeln!(
            f,
            "  missing at Notehub             {:>7} {}",
            self.missing.len(),
            mark(self.missing.is_empty())
        )?;
        writeln!(f, "  readings, each once            {:>7}", self.readings)?;
        writeln!(
            f,
            "  of these without their time    {:>7} {}",
            self.undated,
            mark(self.undated == 0)
        )?;
        writeln!(
            f,
            "  pictures, each in {PARTS} parts      {:>7}",
            self.pictures
        )?;
        writeln!(f, "  signs of life                  {:>7}", self.health)?;
        writeln!(
            f,
            "  alerts                         {:>7}  ({alerts})",
            self.alerts.len()
        )?;
        writeln!(
            f,
            "  handed over again              {:>7}  (after power cuts; `cloud` knows them by boot and seq)",
            self.repeated
        )?;
        writeln!(f, "  events at Notehub              {:>7}", self.events)?;
        writeln!(
            f,
            "  of these not routed            {:>7} {}",
            self.unrouted,
            mark(self.unrouted == 0)
        )?;
        writeln!(
            f,
            "  bytes of notes over the air    {:>7}  ({:.1} MB a year at this rate)",
            self.notecard.bytes_sent,
            self.notecard.bytes_sent as f64 / self.days * 365.25 / 1e6
        )?;
        writeln!(
            f,
            "  rules of hardware broken       {:>7} {}",
            self.violations.len(),
            mark(self.violations.is_empty())
        )?;
        if let Some(failure) = self.last_failure.as_ref().filter(|_| self.unrouted > 0) {
            writeln!(f, "    not routed, at last because: {failure}")?;
        }
        for violation in self.violations.iter().take(10) {
            writeln!(f, "    {violation}")?;
        }
        for (boot, seq) in self.missing.iter().take(10) {
            writeln!(f, "    missing: note {seq} of start {boot}")?;
        }
        Ok(())
    }
}
