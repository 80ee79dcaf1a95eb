//! The alert machine: what one more sample means for one rule on one device.
//!
//! The cast: a [`Condition`] is a rule reduced to what decides; a [`Sample`] is its value at one moment;
//! an [`Alert`] is what is remembered between samples (stored as JSON per rule and device); [`step`] takes
//! all three and `now`, and says what the sample did and why. Nothing here reads a clock or touches a table.
//!
//! Promises:
//! - Only a new moment decides. Moments are ordered by event time; a repeat, a late or a too old sample changes
//!   nothing, so work may be repeated and notes may arrive in any order. (The price: a breach that arrives after
//!   a later moment was decided opens nothing.)
//! - Notes of the same moment (`thermal.qo` and `alert.qo`) are one sample, and the more alarming value counts.
//! - Between `Opened` and `Resolved` there is exactly one incident, whatever the value does and whoever edits the rule.
//! - Moments are counted, not minutes: a station that reports daily can still satisfy "2 of 3".

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

mod condition;
mod cooldown;
pub mod telling;

pub use condition::{Condition, rounded};
pub use cooldown::{NoReminder, Notify, Reminder, opening_notice, reminder};

/// How far a station's clock may run ahead of the arrival before we stop believing it.
/// Within it, two notes of one moment keep their common time although they arrived seconds apart.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// The value of a rule at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Event time, bounded by arrival; see [`moment`].
    pub at: DateTime<Utc>,
    pub value: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    #[default]
    Normal,
    /// There are breaches among the last moments, but not yet enough, or not for long enough.
    Pending,
    /// An incident is open and the last moment was a breach.
    Firing,
    /// An incident is open, but the last moment was no breach.
    Recovering,
}

/// What is remembered between samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alert {
    pub state: State,
    /// The condition all of this was judged by.
    pub fingerprint: u64,
    /// The last moments, oldest first, at most `of` of them.
    pub window: Vec<Seen>,
    /// Pending: since when the count is met. Firing: since when it was met, or the value came back.
    /// Recovering: since when the value is clear, if it is.
    pub since: Option<DateTime<Utc>>,
    /// The most extreme value, in the direction of firing, since the alert left normal.
    pub peak: Option<f64>,
    pub last_at: Option<DateTime<Utc>>,
    pub last_value: Option<f64>,
    /// Where the last moment started from, so that a worse note of that same moment can be judged in its place.
    pub before: Spell,
}

/// One moment as judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub at: DateTime<Utc>,
    pub breach: bool,
}

/// The part of an alert that a moment replaces as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spell {
    pub state: State,
    pub since: Option<DateTime<Utc>>,
    pub peak: Option<f64>,
}

/// What a sample did. `Opened` and `Resolved` begin and finish an incident; from `Opened` on, `Alert::peak` is the
/// incident's peak, and it may rise with `Worse` and `Relapsed`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// Nothing changed, there is nothing to store.
    Ignored(Ignored),
    /// A new moment without a transition.
    Held {
        state: State,
        value: f64,
    },
    Pending {
        value: f64,
        breaches: u32,
        times: u32,
    },
    /// Pending went back to normal without an incident.
    Lapsed {
        value: f64,
    },
    Opened {
        value: f64,
        breached_since: DateTime<Utc>,
        /// May lie beyond `value`, from the time when the condition did not yet hold for long enough.
        peak: f64,
    },
    /// Still firing, and further out than ever in this incident.
    Worse {
        peak: f64,
    },
    Recovering {
        value: f64,
    },
    /// Recovering went back to firing: the same incident.
    Relapsed {
        value: f64,
        peak: f64,
    },
    Resolved {
        value: f64,
        clear_since: DateTime<Utc>,
        peak: f64,
    },
}

/// Why a sample decided nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// This moment is decided, and not by a milder value.
    SameMoment,
    /// A later moment is decided already.
    Late {
        decided: DateTime<Utc>,
    },
    /// Older than the rule's `max_age`. It neither opens nor clears: only fresh news may end an incident.
    TooOld {
        age: TimeDelta,
    },
    NotANumber,
}

/// Judges one sample. The alert returned with `Ignored` is the one passed in.
///
/// A rule that was edited is recognised by its fingerprint. What was pending starts anew under the new condition;
/// an open incident stays open and is judged by it. `now` before `sample.at` (a clock stepped back) counts as fresh.
pub fn step(
    condition: &Condition,
    alert: &Alert,
    sample: Sample,
    now: DateTime<Utc>,
) -> (Alert, Step) {
    let (at, value) = (sample.at, rounded(sample.value));
    let sample = Sample { at, value };
    if let Some(reason) = ignored(condition, alert, sample, now) {
        return (alert.clone(), Step::Ignored(reason));
    }

    let fingerprint = condition.fingerprint();
    let mut next = alert.clone();
    if next.fingerprint != fingerprint {
        next.restart(fingerprint);
    }
    if next.last_at == Some(at) {
        next.enter(next.before);
    } else {
        next.before = next.spell();
    }
    next.see(condition, sample);

    let spell = judge(condition, next.spell(), &next.window, sample);
    let step = transition(condition, alert, &next, spell, sample);
    next.enter(spell);
    if matches!(step, Step::Resolved { .. }) {
        // What belonged to the closed incident may not help to open the next one.
        next.window.retain(|seen| seen.at == at);
        // People were told, so a worse note of this moment cannot undo it, only begin again.
        next.before = Spell::default();
    }
    next.last_at = Some(at);
    next.last_value = Some(value);
    (next, step)
}

/// The moment of a frame: when it was captured, unless the station's clock claims to be ahead of its note's arrival.
/// A clock gone wild could otherwise make every later sample look late.
pub fn moment(
    captured_at: DateTime<Utc>,
    received_at: DateTime<Utc>,
    stored_at: DateTime<Utc>,
) -> DateTime<Utc> {
    let arrival = received_at.min(stored_at);
    if captured_at.signed_duration_since(arrival) > CLOCK_SKEW {
        arrival
    } else {
        captured_at
    }
}

impl Alert {
    fn spell(&self) -> Spell {
        Spell {
            state: self.state,
            since: self.since,
            peak: self.peak,
        }
    }

    fn enter(&mut self, spell: Spell) {
        let normal = spell.state == State::Normal;
        self.state = spell.state;
        self.since = spell.since.filter(|_| !normal);
        self.peak = spell.peak.filter(|_| !normal);
    }

    /// The rule was edited: nothing counted under the old condition counts under the new one, but an open incident stays.
    fn restart(&mut self, fingerprint: u64) {
        self.fingerprint = fingerprint;
        self.window.clear();
        let spell = match self.state {
            State::Normal | State::Pending => Spell::default(),
            State::Firing => self.spell(),
            State::Recovering => Spell {
                since: None,
                ..self.spell()
            },
        };
        self.enter(spell);
        self.before = spell;
    }

    fn see(&mut self, condition: &Condition, sample: Sample) {
        self.window.retain(|seen| seen.at != sample.at);
        let breach = condition.breached(sample.value);
        self.window.push(Seen {
            at: sample.at,
            breach,
        });
        let excess = self.window.len().saturating_sub(condition.of as usize);
        self.window.drain(..excess);
    }
}

impl State {
    /// Whether an incident is open.
    pub fn is_open(self) -> bool {
        matches!(self, State::Firing | State::Recovering)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            State::Normal => "normal",
            State::Pending => "pending",
            State::Firing => "firing",
            State::Recovering => "recovering",
        }
    }
}

fn ignored(
    condition: &Condition,
    alert: &Alert,
    sample: Sample,
    now: DateTime<Utc>,
) -> Option<Ignored> {
    let Sample { at, value } = sample;
    if !value.is_finite() {
        return Some(Ignored::NotANumber);
    }
    let age = now.signed_duration_since(at);
    if age > condition.max_age {
        return Some(Ignored::TooOld { age });
    }
    let decided = alert.last_at?;
    if at < decided {
        return Some(Ignored::Late { decided });
    }
    let milder = alert
        .last_value
        .is_some_and(|last| !condition.worse(value, last));
    (at == decided && milder).then_some(Ignored::SameMoment)
}

fn judge(condition: &Condition, from: Spell, window: &[Seen], sample: Sample) -> Spell {
    let Sample { at, value } = sample;
    let breach = condition.breached(value);
    let peak = Some(from.peak.map_or(value, |peak| condition.worst(peak, value)));
    match from.state {
        State::Normal | State::Pending => {
            let breaches = breaches(window);
            if breaches == 0 {
                return Spell::default();
            }
            let since = (breaches >= condition.times).then(|| from.since.unwrap_or(at));
            // A mild moment opens nothing, even when the count still stands: its text would contradict itself.
            let state = if breach && lasted(since, at, condition.hold) {
                State::Firing
            } else {
                State::Pending
            };
            Spell { state, since, peak }
        }
        State::Firing | State::Recovering if breach => {
            let since = if from.state == State::Firing {
                from.since
            } else {
                Some(at)
            };
            Spell {
                state: State::Firing,
                since,
                peak,
            }
        }
        State::Firing | State::Recovering => {
            let clear_since = from.since.filter(|_| from.state == State::Recovering);
            // Between the thresholds is not clear: it restarts the wait.
            let since = condition.cleared(value).then(|| clear_since.unwrap_or(at));
            let state = if lasted(since, at, condition.clear_hold) {
                State::Normal
            } else {
                State::Recovering
            };
            Spell { state, since, peak }
        }
    }
}

/// Names the change from the alert as stored (not as rewound for a twin) to the spell that follows.
fn transition(
    condition: &Condition,
    stored: &Alert,
    next: &Alert,
    spell: Spell,
    sample: Sample,
) -> Step {
    let value = sample.value;
    let peak = spell.peak.unwrap_or(value);
    let since = spell.since.unwrap_or(sample.at);
    match (stored.state, spell.state) {
        (State::Normal | State::Pending, State::Firing) => Step::Opened {
            value,
            breached_since: since,
            peak,
        },
        (State::Firing | State::Recovering, State::Normal) => Step::Resolved {
            value,
            clear_since: since,
            peak,
        },
        (State::Normal, State::Pending) => Step::Pending {
            value,
            breaches: breaches(&next.window),
            times: condition.times,
        },
        (State::Pending, State::Normal) => Step::Lapsed { value },
        (State::Firing, State::Recovering) => Step::Recovering { value },
        (State::Recovering, State::Firing) => Step::Relapsed { value, peak },
        (State::Firing, State::Firing)
            if stored
                .peak
                .is_none_or(|before| condition.worse(peak, before)) =>
        {
            Step::Worse { peak }
        }
        (_, state) => Step::Held { state, value },
    }
}

fn breaches(window: &[Seen]) -> u32 {
    window.iter().map(|seen| u32::from(seen.breach)).sum()
}

fn lasted(since: Option<DateTime<Utc>>, at: DateTime<Utc>, wanted: TimeDelta) -> bool {
    since.is_some_and(|since| at.signed_duration_since(since) >= wanted)
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Ignored(reason) => write!(f, "ignored: {reason}"),
            Step::Held { state, value } => write!(f, "still {state} at {value}"),
            Step::Pending {
                value,
                breaches,
                times,
            } => write!(f, "pending at {value}: breach {breaches} of {times}"),
            Step::Lapsed { value } => write!(f, "back to normal at {value} before it fired"),
            Step::Opened {
                value,
                breached_since,
                ..
            } => write!(f, "opened at {value}: condition met since {breached_since}"),
            Step::Worse { peak } => write!(f, "worse: new peak {peak}"),
            Step::Recovering { value } => write!(f, "recovering at {value}: no breach any more"),
            Step::Relapsed { value, peak } => {
                write!(f, "firing again at {value}, peak {peak}: the same incident")
            }
            Step::Resolved {
                value,
                clear_since,
                peak,
            } => {
                write!(
                    f,
                    "resolved at {value}: clear since {clear_since}, peak {peak}"
                )
            }
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ignored::SameMoment => f.write_str("this moment is already decided"),
            Ignored::Late { decided } => write!(f, "late, {decided} is already decided"),
            Ignored::TooOld { age } => write!(f, "too old, {} s exceed max_age", age.num_seconds()),
            Ignored::NotANumber => f.write_str("the value is not a finite number"),
        }
    }
}
