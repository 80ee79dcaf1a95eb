//! The breaker of one destination: closed, open, half-open. Pure; the caller brings the time.
//!
//! It spares a destination that is down and, more to the point, spares the deliveries: while it is
//! open nothing is attempted, so an outage of hours costs the waiting deliveries no attempts.
//!
//! - *closed*: everything passes. Five failures in a row open it; so does a single answer that
//!   speaks for the whole destination, such as a refused token.
//! - *open*: nothing passes for 30 s, doubled each time a probe fails, up to 10 minutes.
//! - *half-open*: one delivery passes as the probe; its outcome closes or reopens the breaker.
//!
//! A delivery refused for its own sake counts as a sign of life: the destination answered.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::destination::{Outcome, Scope, Why};

/// Failures in a row that open a closed breaker.
const FAILURES: u32 = 5;
const SHORTEST: TimeDelta = TimeDelta::seconds(30);
const LONGEST: TimeDelta = TimeDelta::minutes(10);
/// How long a probe may take before another may go: one that never came back must not hold the
/// lane for ever.
const PROBE_LIMIT: TimeDelta = TimeDelta::minutes(2);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    /// How long it stays open the next time.
    wait: TimeDelta,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { failures: u32 },
    Open { until: DateTime<Utc> },
    HalfOpen { until: DateTime<Utc> },
}

/// Whether a delivery may be attempted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    Go,
    /// As `Go`, for one delivery: what becomes of it decides.
    Probe,
    Wait {
        until: DateTime<Utc>,
    },
}

/// What an attempt says about its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It answered for this delivery, be it with a refusal.
    Alive,
    /// It failed, perhaps for this delivery only.
    Failed,
    /// It will fail for every delivery until something is mended.
    Down,
}

/// A transition worth a log line and a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Opened { until: DateTime<Utc> },
    Closed,
}

impl Recorded {
    pub fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Retry {
                scope: Scope::Destination,
                ..
            } => Self::Down,
            // These speak of one device or of one merged body.
            Outcome::Delivered
            | Outcome::Refused { .. }
            | Outcome::Retry {
                why: Why::Disabled | Why::Merged(_),
                ..
            } => Self::Alive,
            Outcome::Retry { .. } => Self::Failed,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

impl Breaker {
    pub fn new() -> Self {
        Self {
            state: State::Closed { failures: 0 },
            wait: SHORTEST,
        }
    }

    /// Asks for one delivery that is ready to be sent. `Probe` is handed out once.
    pub fn permit(&mut self, now: DateTime<Utc>) -> Permit {
        match self.state {
            State::Closed { .. } => Permit::Go,
            State::Open { until } => self.probe_from(until, self.wait, now),
            State::HalfOpen { until } => self.probe_from(until, PROBE_LIMIT, now),
        }
    }

    /// Takes note of an attempt, and says whether that changed the state.
    ///
    /// While open, results are of attempts that began before it opened, and are ignored: one slow
    /// success among many failures is no recovery. While half-open, whichever result comes first
    /// decides, as nothing else was let through since.
    pub fn record(&mut self, recorded: Recorded, now: DateTime<Utc>) -> Option<Changed> {
        match (self.state, recorded) {
            (State::Open { .. }, _) => None,
            (State::Closed { .. }, Recorded::Alive) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Closed { failures }, Recorded::Failed) if failures + 1 < FAILURES => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
                None
            }
            (State::HalfOpen { .. }, Recorded::Alive) => {
                *self = Self::new();
                Some(Changed::Closed)
            }
            (State::Closed { .. }, Recorded::Failed | Recorded::Down) => {
                self.wait = SHORTEST;
                Some(self.open(now))
            }
            (State::HalfOpen { .. }, Recorded::Failed | Recorded::Down) => {
                self.wait = (self.wait * 2).min(LONGEST);
                Some(self.open(now))
            }
        }
    }

    /// For logs and metrics.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Closed { .. } => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half-open",
        }
    }

    /// Until when nothing passes, unless it is closed.
    pub fn until(&self) -> Option<DateTime<Utc>> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until } | State::HalfOpen { until } => Some(until),
        }
    }

    /// How long an open breaker stays open, for pages and logs.
    pub fn wait(&self) -> Duration {
        self.wait.to_std().unwrap_or_default()
    }

    fn probe_from(
        &mut self,
        until: DateTime<Utc>,
        longest: TimeDelta,
        now: DateTime<Utc>,
    ) -> Permit {
        let latest = later(now, longest);
        if now >= until {
            self.state = State::HalfOpen {
                until: later(now, PROBE_LIMIT),
            };
            Permit::Probe
        } else if until > latest {
            // The clock was set back: nobody waits longer than the wait.
            self.state = match self.state {
                State::HalfOpen { .. } => State::HalfOpen { until: latest },
                _ => State::Open { until: latest },
            };
            Permit::Wait { until: latest }
        } else {
            Permit::Wait { until }
        }
    }

    fn open(&mut self, now: DateTime<Utc>) -> Changed {
        let until = later(now, self.wait);
        self.state = State::Open { until };
        Changed::Opened { until }
    }
}

fn later(now: DateTime<Utc>, wait: TimeDelta) -> DateTime<Utc> {
    now.checked_add_signed(wait)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
