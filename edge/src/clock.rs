//! The one place that reads the time; everything else is handed `now`.

use chrono::{DateTime, SubsecRound, Utc};

/// The system's time, to the second: finer is never shown and never needed here.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the clock that everything else is told to ask"
)]
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(0)
}
