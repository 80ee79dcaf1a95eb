//! What frames mean over time (pure).
//!
//! A *cycle* looks at one frame, and at some more if the first is suspicious; it ends in a *reading*, or in none. Readings
//! open and end an *episode* (something is not as it was learned), feed the *dwell* rules (a state lasts too long) and
//! tell whether the camera was *moved*; looks that showed nothing become a *fault* of the sensor when they go on.
//!
//! There is no clock here: every observation carries its moment, and the state keeps a time line of its own, which goes
//! on over restarts as far as anybody knows how long they took. The state is small and can be written down after every
//! observation; whoever runs once and is switched off continues where it left off. A reading is above the threshold
//! exactly if N of M frames were, and every decision says why.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::classify::Classification;
use crate::frame::{Pixels, Place, statistics};
use crate::note::Moment;

mod cycle;
mod dwell;
mod episode;
mod fault;
mod moved;
mod reason;
mod settings;
mod timeline;
mod warm_up;

pub use reason::{Action, Alert, Health, Reason};
pub use settings::{Confirm, Dwell, Moved, Settings, WarmUp, Worse};

use timeline::Passed;

/// What is remembered from one observation to the next.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Which model the scores are of; what another one taught is forgotten.
    model: String,
    timeline: timeline::Timeline,
    cycle: cycle::Cycle,
    episode: Option<episode::Open>,
    dwell: dwell::Dwelling,
    moved: moved::Movement,
    fault: fault::Faults,
    warm_up: warm_up::Warming,
}

/// One look through the camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// Which start of the agent `moment.uptime` belongs to.
    pub boot: u32,
    pub moment: Moment,
    /// How long the sensor has had power; `Duration::MAX` if it always has.
    pub powered: Duration,
    pub seen: Seen,
}

/// What it came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    Frame(Sight),
    /// So many pixels are broken that nothing can be said of the scene.
    SensorFault {
        bad_pixels: usize,
    },
    /// No frame at all.
    Failed {
        why: String,
    },
}

/// A frame and what the model says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// By label, in the model's order.
    pub scores: Vec<(String, f32)>,
    pub place: Option<Place>,
    /// deg C.
    pub delta_t: Option<f32>,
    /// Score by threshold.
    pub ratio: Option<f32>,
    /// Pixels: rows, columns.
    pub shift: Option<[f32; 2]>,
    /// Of the mended frame, deg C.
    pub max: f32,
    pub mean: f32,
    /// Of the sensor itself, deg C.
    pub ambient: Option<f32>,
}

/// What follows from an observation.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    pub reason: Reason,
    /// Notes beside the reading's own, in this order.
    pub actions: Vec<Action>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The cycle is not over: look again after this time.
    LookAgain { after: Duration },
    /// The cycle is over, and this is what to tell.
    Reading(Reading),
    /// The cycle is over, and there is nothing to tell.
    NoReading,
}

/// What a cycle says of the scene.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The N-th highest of the cycle's frames by anomaly.
    pub sight: Sight,
    /// To four places: what is decided on and what is sent are the same.
    pub anomaly: f64,
    /// Which of the cycle's frames it is, from 0: whose picture to send.
    pub frame: usize,
    /// How many frames the cycle had.
    pub frames: usize,
    /// Whether an episode is open after it.
    pub in_episode: bool,
    /// Hours in the state whose dwell rule has fired; 0 if none has.
    pub dwell: f64,
    /// How far the camera seems to have been moved, pixels, if it was; known to be too small rather than too large.
    pub moved: Option<f64>,
    /// The sensor's own temperature changes too fast for its temperatures to be true.
    pub drifting: bool,
}

/// A score as it is decided on and sent: to four places, and never a negative zero.
///
/// Decided on these, 0.7 that was a float32 (0.69999999) is 0.7, and so not above 0.7.
pub fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4 + 0.0
}

impl Sight {
    /// `pixels` are the mended ones.
    pub fn of(classification: &Classification, pixels: &Pixels, ambient: Option<f32>) -> Self {
        let statistics = statistics(pixels);
        Self {
            scores: classification.scores.clone(),
            place: classification.place,
            delta_t: classification.delta_t,
            ratio: classification.ratio,
            shift: classification.shift,
            max: statistics.max,
            mean: statistics.mean,
            ambient,
        }
    }

    /// The score under this label, rounded; 0 if the model has no such label.
    pub fn score(&self, label: &str) -> f64 {
        let found = self.scores.iter().find(|(name, _)| name == label);
        found.map_or(0.0, |(_, score)| rounded(*score))
    }

    /// The most likely state. None if the anomaly leaves nothing to tell states apart by.
    fn state(&self, anomaly: &str) -> Option<&str> {
        let states = self.scores.iter().filter(|(name, _)| name != anomaly);
        let best = states.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (best.1 > 0.0).then_some(&best.0)
    }

    /// Whether all of it can be calculated with, and written down.
    fn is_sound(&self) -> bool {
        let optional = [self.delta_t, self.ratio, self.ambient];
        let mut values = (self.scores.iter().map(|(_, score)| *score))
            .chain([self.max, self.mean])
            .chain(optional.into_iter().flatten())
            .chain(self.shift.into_iter().flatten());
        values.all(f32::is_finite)
    }
}

/// Takes in one observation.
pub fn observe(
    settings: &Settings,
    mut state: State,
    observation: Observation,
) -> (State, Decision) {
    let Observation {
        boot,
        moment,
        powered,
        seen,
    } = observation;
    let passed = state.timeline.pass(boot, moment);
    state.cycle.forget_if_stale(settings, passed);
    let seen = match seen {
        Seen::Frame(sight) if !sight.is_sound() => Seen::Failed {
            why: "the frame's numbers are not finite".to_owned(),
        },
        seen => seen,
    };
    let decision = match seen {
        Seen::Frame(sight) => state.look(settings, passed, powered, sight),
        Seen::SensorFault { bad_pixels } => {
            state.failed(settings, &format!("{bad_pixels} bad pixels"))
        }
        Seen::Failed { why } => state.failed(settings, &why),
    };
    (state, decision)
}

impl State {
    /// Goes on with this model: what is known of the states and the place of another one is forgotten.
    ///
    /// An open episode stays open, so that its end is told.
    #[must_use]
    pub fn with_model(self, model: &str) -> Self {
        if self.model == model {
            return self;
        }
        Self {
            model: model.to_owned(),
            cycle: cycle::Cycle::default(),
            dwell: dwell::Dwelling::default(),
            moved: moved::Movement::default(),
            ..self
        }
    }

    /// Whether something is not as it was learned.
    pub fn in_episode(&self) -> bool {
        self.episode.is_some()
    }

    /// How far the camera seems to have been moved, pixels, if it was.
    pub fn moved(&self) -> Option<f64> {
        self.moved.moved()
    }

    /// Why the sensor counts as broken, if it does.
    pub fn fault(&self) -> Option<&str> {
        self.fault.told()
    }

    /// Looks that showed nothing, since the state began.
    pub fn rejected(&self) -> u32 {
        self.fault.rejected
    }

    fn look(
        &mut self,
        settings: &Settings,
        passed: Passed,
        powered: Duration,
        sight: Sight,
    ) -> Decision {
        let mut actions = Vec::new();
        actions.extend(self.fault.recover(self.timeline.lived));
        let drift = self
            .warm_up
            .drift(self.timeline.lived, passed, sight.ambient);
        if let Some((reason, after)) = warm_up::wait(&settings.warm_up, powered, drift) {
            return Decision {
                outcome: Outcome::LookAgain { after },
                reason,
                actions,
            };
        }
        self.cycle.add(sight);
        if let Some(reason) = self.cycle.open_question(settings, self.in_episode()) {
            let after = settings.confirm.every;
            return Decision {
                outcome: Outcome::LookAgain { after },
                reason,
                actions,
            };
        }
        let drifting = drift.is_some_and(|drift| drift > settings.warm_up.drift);
        self.conclude(settings, drifting, actions)
    }

    /// A look showed nothing: look again soon, but not for ever.
    fn failed(&mut self, settings: &Settings, why: &str) -> Decision {
        let lived = self.timeline.lived;
        let mut actions = Vec::new();
        actions.extend(self.fault.fail(settings, lived, why));
        self.cycle.failed += 1;
        if self.cycle.failed < settings.confirm.of {
            return Decision {
                outcome: Outcome::LookAgain {
                    after: settings.confirm.every,
                },
                reason: Reason::Failed {
                    why: why.to_owned(),
                },
                actions,
            };
        }
        if self.cycle.says_something(settings) {
            return self.conclude(settings, false, actions);
        }
        let reason = if self.cycle.is_empty() {
            Reason::Failed {
                why: why.to_owned(),
            }
        } else {
            Reason::Interrupted {
                why: why.to_owned(),
            }
        };
        self.cycle = cycle::Cycle::default();
        Decision {
            outcome: Outcome::NoReading,
            reason,
            actions,
        }
    }

    /// The cycle's frames are enough: the reading, and what it changes.
    fn conclude(
        &mut self,
        settings: &Settings,
        drifting: bool,
        mut actions: Vec<Action>,
    ) -> Decision {
        let lived = self.timeline.lived;
        let count = self.cycle.count(settings);
        let cycle = std::mem::take(&mut self.cycle);
        let (frame, frames, sight) = cycle.chosen(settings);

        if let Some(shift) = sight.shift {
            actions.extend(self.moved.step(&settings.moved, shift));
        }
        let (reason, alert) = episode::step(settings, &mut self.episode, &count, &sight, lived);
        let unbroken = self.timeline.read(settings.interval * settings.longest_gap);
        let state = sight.state(&settings.anomaly);
        let dwelt = self.dwell.step(&settings.dwell, state, lived, unbroken);
        let moved = self.moved();
        let alerts = alert.into_iter().chain(dwelt);
        actions.extend(alerts.map(|why| Action::Alert {
            picture: why.needs_picture(),
            moved: moved.is_some(),
            why,
        }));
        let reading = Reading {
            anomaly: sight.score(&settings.anomaly),
            sight,
            frame,
            frames,
            in_episode: self.in_episode(),
            dwell: self.dwell.hours(lived),
            moved,
            drifting,
        };
        Decision {
            outcome: Outcome::Reading(reading),
            reason,
            actions,
        }
    }
}
