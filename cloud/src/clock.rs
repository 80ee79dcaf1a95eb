//! The one place that reads the time.
//!
//! Decisions are handed `now`; only the runners of the loops and the HTTP edge ask a clock for it, and a test hands them one that it moves by hand.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

#[derive(Clone)]
pub enum Clock {
    System,
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

impl Clock {
    /// A clock that stands still until it is moved.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(Mutex::new(start)))
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everything else is told to ask"
    )]
    pub fn now(&self) -> DateTime<Utc> {
        match self {
            // Postgres keeps microseconds: a finer time would not be equal to itself after a round trip.
            Self::System => truncate_to_micros(Utc::now()),
            Self::Manual(now) => *now.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a manual clock by `by`, which may be negative.
    ///
    /// # Panics
    /// If this is the system's clock.
    pub fn advance(&self, by: TimeDelta) -> DateTime<Utc> {
        let Self::Manual(now) = self else {
            panic!("only a manual clock can be moved")
        };
        let mut now = now.lock().unwrap_or_else(PoisonError::into_inner);
        *now += by;
        *now
    }
}

fn truncate_to_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "Clock::System",
            Self::Manual(_) => "Clock::Manual",
        })
    }
}
