//! The watcher: takes pictures, lets them be judged, and writes notes of what is decided.
//!
//! A cycle begins every interval and looks once or a few times, as `decide` wants; it ends in a reading or in none. The
//! watcher waits for its `eye` and for nothing else. What is remembered between two starts is written down when something
//! happens, not at each look: flash wears.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::eye::{Eye, Look};
use super::memory::{Memory, Remembered};
use super::shared::Shared;
use crate::config::Period;
use crate::decide::{self, Action, Decision, Observation, Outcome, Reading, Reason, State};
use crate::frame::Pixels;
use crate::health::Worker;
use crate::note::{Encoded, Health, Labels, Moment, Note, Origin};

/// Classifying, deciding and writing take less than this, whatever the disk does.
const WORK: Duration = Duration::from_mins(1);
/// The watchdog is fed at least so often while nothing is to be done.
const NAP: Duration = Duration::from_secs(30);
/// What is remembered is written down at least so often.
const REMEMBER: Duration = Duration::from_hours(6);

pub(super) struct Watcher {
    shared: Arc<Shared>,
    eye: Eye,
    labels: Labels,
    /// Enough of the model's digest to tell it from others.
    model: String,
    memory: Memory,
    state: State,
    health_at: Option<DateTime<Utc>>,
    picture_at: Option<DateTime<Utc>>,
    /// The cycle's frames so far, mended, and when they were captured: one of them will be the reading's.
    frames: Vec<(Moment, Box<Pixels>)>,
    /// The camera is not to be believed yet.
    warming: bool,
    next_health: Duration,
    next_picture: Duration,
    next_memory: Duration,
}

impl Watcher {
    pub fn new(shared: Arc<Shared>, eye: Eye, labels: Labels, memory: Memory) -> Self {
        let model = super::model_id(&eye.classifier);
        let remembered = memory.recall();
        let state = remembered.state.with_model(&model);
        Self {
            health_at: remembered.health_at,
            picture_at: remembered.picture_at,
            next_health: Duration::ZERO,
            // The first one of a start says where the camera looks.
            next_picture: Duration::ZERO,
            next_memory: REMEMBER,
            shared,
            eye,
            labels,
            model,
            memory,
            state,
            frames: Vec::new(),
            warming: false,
        }
    }

    /// Until the agent stops.
    pub fn run(mut self) {
        self.shared.supervisor.ready();
        let mut begun = self.shared.uptime();
        while !self.shared.is_stopping() {
            let next = match self.look_and_tell() {
                Outcome::LookAgain { after } => {
                    let next = self.shared.uptime() + after;
                    if self.warming {
                        // Cycles are counted from the first one that can come to something.
                        begun = next;
                    }
                    next
                }
                Outcome::Reading(_) | Outcome::NoReading => {
                    // On a grid, so that a long cycle moves none of those that follow.
                    let interval = self.interval();
                    let passed = self.shared.uptime().saturating_sub(begun).as_nanos();
                    let steps = (passed / interval.as_nanos().max(1)) + 1;
                    begun += interval.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX));
                    begun
                }
            };
            if !self.wait_until(next) {
                // The interval changed: the next cycle is due by the new one.
                begun = self.shared.uptime();
            }
        }
        self.remember();
    }

    /// One cycle. A start is nothing to tell of: signs of life and pictures go on from those of the starts before.
    pub fn once(mut self) {
        let config = &self.shared.config;
        let pictures = config.decide.frames.every.map(Period::get);
        self.next_health = self.due(self.health_at, Some(config.health.every.get()));
        self.next_picture = self.due(self.picture_at, pictures);
        while let Outcome::LookAgain { after } = self.look_and_tell() {
            let until = self.shared.uptime() + after;
            self.wait_until(until);
            if self.shared.is_stopping() {
                break;
            }
        }
        self.attend();
        self.remember();
    }

    /// The uptime at which something is due again that was last done then.
    fn due(&self, last: Option<DateTime<Utc>>, every: Option<Duration>) -> Duration {
        let now = self.shared.uptime();
        let (Some(last), Some(every)) = (last, every) else {
            return now;
        };
        // While nobody knows the time, nothing is due: that would be every time.
        let passed = self
            .shared
            .moment()
            .at
            .map_or(0, |at| (at - last).num_seconds());
        let passed = Duration::from_secs(u64::try_from(passed).unwrap_or(0));
        now + every.saturating_sub(passed)
    }

    /// Waits, attending to what is asked meanwhile. False if the interval is another one now.
    fn wait_until(&mut self, until: Duration) -> bool {
        let interval = self.interval();
        loop {
            self.attend();
            if self.interval() < interval {
                return false;
            }
            let now = self.shared.uptime();
            if now >= until || self.shared.is_stopping() {
                return true;
            }
            let nap = until.saturating_sub(now).min(NAP);
            self.progress(nap);
            self.shared.to_watcher.wait(nap);
        }
    }

    /// Does what the cloud asked for, and gives the regular sign of life.
    fn attend(&mut self) {
        let wanted = std::mem::take(&mut self.shared.facts().wanted);
        if wanted.snapshot {
            self.snapshot();
        }
        let now = self.shared.uptime();
        if now >= self.next_memory {
            self.remember();
        }
        // Of a camera that was not looked through yet, or warms up, there is nothing to tell.
        if !self.eye.is_failing() && (self.eye.conditions().is_none() || self.warming) {
            self.shared.facts().wanted.health.extend(wanted.health);
            return;
        }
        let mut why = wanted.health;
        let urgent = !why.is_empty();
        if now >= self.next_health {
            let first = self.next_health == Duration::ZERO;
            why.push(if first { "start" } else { "regular" }.to_owned());
            self.next_health = now + self.shared.config.health.every.get();
            self.health_at = self.shared.moment().at.or(self.health_at);
        }
        if !why.is_empty() {
            self.tell_health(&why.join("; "), urgent);
        }
    }

    /// Looks once, decides, and writes the notes that follow.
    fn look_and_tell(&mut self) -> Outcome {
        self.progress(self.shared.config.camera.deadline.get() + WORK);
        let settings = self.settings();
        let moment = self.shared.moment();
        let Look { seen, pixels } = self.eye.look();
        if let Some(alarm) = self.eye.take_alarm() {
            self.tell_health(alarm, true);
        }
        if let Some(pixels) = pixels {
            self.frames.push((moment, pixels));
        }
        let observation = Observation {
            boot: self.shared.boot,
            moment,
            powered: self.eye.station.powered(&self.shared.clock),
            seen,
        };
        let state = std::mem::take(&mut self.state);
        let (state, decision) = decide::observe(&settings, state, observation);
        self.state = state;
        tracing::debug!(decision.reason = %decision.reason, "decided");
        self.warming = matches!(
            decision.reason,
            Reason::WarmingUp { .. } | Reason::Drifting { .. }
        );
        if self.warming {
            self.frames.clear();
        }
        self.tell(&decision, moment);
        if !decision.actions.is_empty() {
            self.remember();
        }
        self.progress(WORK);
        if !matches!(decision.outcome, Outcome::LookAgain { .. }) {
            self.frames.clear();
        }
        decision.outcome
    }

    fn tell(&mut self, decision: &Decision, moment: Moment) {
        let Decision {
            outcome,
            reason,
            actions,
        } = decision;
        let reading = match outcome {
            Outcome::Reading(reading) => Some(reading),
            _ => None,
        };
        let chosen = reading.and_then(|reading| self.frame_of(reading));
        // A reading is of the moment of its frame, and not of the look that confirmed it.
        let moment = chosen.map_or(moment, |(moment, _)| *moment);
        let encoded = chosen.map(|(_, pixels)| Encoded::of(pixels));
        let mut notes = Vec::new();
        let mut picture = None;
        for action in actions {
            tracing::warn!(decision.action = %action, decision.reason = %reason, "told at once");
            match (action, reading) {
                (Action::Alert { picture: with, .. }, Some(reading)) => {
                    let origin = self.origin(moment);
                    let why = action.to_string();
                    notes.push(Note::alert(&self.labels, reading, &why, origin));
                    if *with && self.shared.facts().live.frames.with_alerts {
                        picture = Some(true);
                    }
                }
                // An alert without a reading does not exist; what is to be told of the station has its own note.
                _ => {
                    notes.push(self.health_note(&action.to_string(), true));
                }
            }
        }
        if let Some(reading) = reading {
            let origin = self.origin(moment);
            notes.push(Note::thermal(&self.labels, reading, origin));
            self.say_status(reading);
            if picture.is_none() && self.picture_is_due() {
                picture = Some(false);
            }
            if let (Some(urgent), Some(encoded)) = (picture, encoded) {
                let origin = self.origin(moment);
                notes.extend(Note::picture(&encoded, urgent, origin));
            }
        }
        self.shared.keep(notes);
    }

    /// The frame that a reading is of, counted from the end: a cycle may have begun before this start.
    fn frame_of(&self, reading: &Reading) -> Option<&(Moment, Box<Pixels>)> {
        let from_end = reading.frames.saturating_sub(reading.frame).max(1);
        let index = self.frames.len().checked_sub(from_end);
        index.map_or_else(|| self.frames.last(), |index| self.frames.get(index))
    }

    fn picture_is_due(&mut self) -> bool {
        let Some(every) = self.shared.facts().live.frames.every else {
            return false;
        };
        let now = self.shared.uptime();
        let due = now >= self.next_picture;
        if due {
            self.next_picture = now + every.get();
            self.picture_at = self.shared.moment().at.or(self.picture_at);
        }
        due
    }

    /// A picture for somebody who asked, whatever is decided of it.
    fn snapshot(&mut self) {
        self.progress(self.shared.config.camera.deadline.get() + WORK);
        let moment = self.shared.moment();
        match self.eye.look().pixels {
            Some(pixels) => {
                let origin = self.origin(moment);
                self.shared
                    .keep(Note::picture(&Encoded::of(&pixels), true, origin));
            }
            None => self.tell_health("no picture: the camera gives none", true),
        }
    }

    fn tell_health(&self, why: &str, urgent: bool) {
        self.shared.keep([self.health_note(why, urgent)]);
    }

    fn health_note(&self, why: &str, urgent: bool) -> Note {
        let facts = self.shared.facts().clone();
        let depth = self.shared.depth();
        let conditions = self.eye.conditions();
        let count = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "volts and deg C")]
        let narrow = |value: Option<f64>| value.map(|value| value as f32);
        let health = Health {
            uptime: self.shared.uptime(),
            spool: count(depth.waiting as u64),
            dropped: count(depth.dropped),
            rejected: self.state.rejected(),
            sensor_voltage: conditions.map(|conditions| conditions.vdd),
            sensor_temperature: conditions.and_then(|conditions| conditions.ambient),
            card_voltage: narrow(facts.card.voltage),
            card_temperature: narrow(facts.card.temperature),
            model: self.model.clone(),
            moved: self.state.moved(),
            fault: self.state.fault().is_some() || self.eye.is_restored(),
            why: why.to_owned(),
            clock: facts.time.source(),
            interval: facts.live.interval,
            threshold: facts.live.threshold,
            frames: facts.live.frames.to_string(),
        };
        Note {
            urgent,
            ..Note::health(&health, self.origin(self.shared.moment()))
        }
    }

    fn origin(&self, moment: Moment) -> Origin {
        Origin {
            boot: self.shared.boot,
            seq: self.shared.next_sequence(),
            moment,
        }
    }

    fn interval(&self) -> Duration {
        self.shared.facts().live.interval
    }

    fn settings(&self) -> decide::Settings {
        let live = self.shared.facts().live.clone();
        self.shared.config.decisions(&live)
    }

    fn say_status(&self, reading: &Reading) {
        let depth = self.shared.depth();
        let line = format!(
            "anomaly {:.4}, hottest {:.1} C, {} notes wait",
            reading.anomaly, reading.sight.max, depth.waiting
        );
        tracing::info!(
            reading.anomaly = reading.anomaly,
            reading.max_c = reading.sight.max,
            reading.frames = reading.frames,
            spool.waiting = depth.waiting,
            "reading"
        );
        self.shared.supervisor.status(&line);
    }

    fn remember(&mut self) {
        self.next_memory = self.shared.uptime() + REMEMBER;
        let remembered = Remembered {
            state: self.state.clone(),
            health_at: self.health_at,
            picture_at: self.picture_at,
        };
        if let Err(error) = self.memory.remember(&remembered) {
            tracing::warn!(
                error = format!("{error:#}"),
                "what is going on could not be written down; after a restart it begins anew"
            );
        }
    }

    fn progress(&self, next_within: Duration) {
        let slack = WORK;
        self.shared
            .supervisor
            .progress(Worker::Watcher, self.shared.uptime(), next_within + slack);
    }
}
