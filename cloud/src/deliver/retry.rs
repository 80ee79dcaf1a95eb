//! When a delivery is attempted again, and when it is given up. Pure: time and chance come in as
//! parameters, the answer is a value that carries its reason.
//!
//! The waits are an explicit list, because an operator can read a list. Events are worth days of
//! patience; a notice is worth half an hour, since a stale text is worse than none. Each wait is
//! moved by up to a fifth either way, so that what failed together does not come back together.
//! A destination that pushed back or did not answer in time gets a pause at least; one that asks
//! for a pause with Retry-After gets it, up to twice the wait that was planned: no destination
//! can park a delivery for a year.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::destination::{Outcome, Why};

/// The waits between attempts; one attempt more than waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub waits: Vec<Duration>,
    /// Nothing is attempted later than this after creation.
    pub give_up_after: Option<Duration>,
    /// The least pause after an answer of "too much" or no answer in time.
    pub pause: Duration,
}

/// What happens next with a delivery, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    Delivered,
    Again { at: DateTime<Utc>, why: String },
    Dead { why: String },
}

impl Schedule {
    /// For what a route forwards: eleven attempts over almost three days.
    pub fn events() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 3600;
        Self {
            waits: [
                5,
                30,
                2 * MINUTE,
                10 * MINUTE,
                30 * MINUTE,
                2 * HOUR,
                5 * HOUR,
                10 * HOUR,
                24 * HOUR,
                24 * HOUR,
            ]
            .map(Duration::from_secs)
            .to_vec(),
            give_up_after: None,
            pause: Duration::from_mins(1),
        }
    }

    /// For what tells a person: ten attempts within half an hour.
    pub fn notices() -> Self {
        Self {
            waits: [5, 15, 30, 60, 120, 180, 240, 360, 420]
                .map(Duration::from_secs)
                .to_vec(),
            give_up_after: Some(Duration::from_mins(30)),
            pause: Duration::from_secs(15),
        }
    }

    /// All waits together, before jitter.
    pub fn total(&self) -> Duration {
        self.waits
            .iter()
            .fold(Duration::ZERO, |sum, wait| sum.saturating_add(*wait))
    }

    /// Why a delivery created then is not worth an attempt any more, if it is not.
    ///
    /// For one that did not get its turn in time, behind an open breaker or a stopped service.
    pub fn expired(&self, created_at: DateTime<Utc>, at: DateTime<Utc>) -> Option<String> {
        let limit = self.give_up_after?;
        (at > later(created_at, limit)).then(|| {
            format!(
                "given up: not worth sending more than {} after its creation",
                Short(limit)
            )
        })
    }
}

/// The waits as one reads them: `5s, 30s, 2m`.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, wait) in self.waits.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}{}", Short(*wait))?;
        }
        Ok(())
    }
}

/// Decides what follows from the outcome of the `attempt`-th attempt, the first being 1.
///
/// `chance` is uniform in 0..1 and only moves the wait.
pub fn next(
    schedule: &Schedule,
    created_at: DateTime<Utc>,
    attempt: u32,
    outcome: &Outcome,
    now: DateTime<Utc>,
    chance: f64,
) -> Next {
    let (why, after) = match outcome {
        Outcome::Delivered => return Next::Delivered,
        Outcome::Refused { why } => {
            return Next::Dead {
                why: format!("refused: {why}"),
            };
        }
        Outcome::Retry { why, after, .. } => (why, *after),
    };
    let place = usize::try_from(attempt.max(1) - 1).unwrap_or(usize::MAX);
    let Some(planned) = schedule.waits.get(place).copied() else {
        return Next::Dead {
            why: format!("given up after {attempt} attempts: {why}"),
        };
    };
    let wait = wait(schedule, planned, why, after, chance);
    let at = later(now, wait);
    if let Some(expired) = schedule.expired(created_at, at) {
        return Next::Dead {
            why: format!("{expired}: {why}"),
        };
    }
    let rounded = Duration::from_secs(wait.as_secs());
    let asked = if after.is_some() {
        ", with regard to Retry-After"
    } else {
        ""
    };
    Next::Again {
        at,
        why: format!(
            "again in {}{asked}: {why}",
            humantime::format_duration(rounded)
        ),
    }
}

fn wait(
    schedule: &Schedule,
    planned: Duration,
    why: &Why,
    after: Option<Duration>,
    chance: f64,
) -> Duration {
    let chance = if chance.is_finite() {
        chance.clamp(0.0, 1.0)
    } else {
        0.5
    };
    let pause = schedule.pause.saturating_mul(pauses(why));
    let jittered = scaled(planned, 0.8 + 0.4 * chance);
    // The pause is a least wait, so chance only lengthens it.
    let least = scaled(pause, 1.0 + 0.2 * chance).max(pause);
    let asked = after
        .unwrap_or_default()
        .min(planned.max(pause).saturating_mul(2));
    jittered.max(least).max(asked)
}

/// How many pauses a failure asks for.
fn pauses(why: &Why) -> u32 {
    match why {
        Why::RateLimited | Why::Timeout => 1,
        // The account's allowance is counted over an hour.
        Why::AccountLimit => 15,
        // Somebody switched the device off, and will not switch it on within minutes.
        Why::Disabled => 60,
        _ => 0,
    }
}

fn scaled(wait: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

fn later(time: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|wait| time.checked_add_signed(wait))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// A round duration in its largest whole unit, hours at most: `24h`, not `1day`.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            hours if hours > 0 && hours % 3600 == 0 => write!(f, "{}h", hours / 3600),
            minutes if minutes > 0 && minutes % 60 == 0 => write!(f, "{}m", minutes / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}
