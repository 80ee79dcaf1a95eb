//! A sensor that just got power, or whose own temperature runs away, measures what is not true.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::timeline::Passed;
use super::{Reason, WarmUp};

/// The sensor's temperature is known to hundredths of a degree: over less time than this, a drift is noise;
const SHORTEST: Duration = Duration::from_secs(20);
/// and over more, it is history.
const LONGEST: Duration = Duration::from_mins(15);
/// At most so long between two looks while it warms up.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Warming {
    /// When the sensor's own temperature was measured last, and what it was, deg C.
    last: Option<(Duration, f32)>,
    /// K/min, as it was found last.
    drift: Option<f64>,
}

impl Warming {
    /// How fast the sensor's own temperature changes, K/min.
    pub fn drift(&mut self, lived: Duration, passed: Passed, ambient: Option<f32>) -> Option<f64> {
        if !matches!(passed, Passed::Here(_)) {
            *self = Self::default();
        }
        let ambient = ambient?;
        let Some((then, before)) = self.last else {
            self.last = Some((lived, ambient));
            return None;
        };
        let time = lived.saturating_sub(then);
        if time < SHORTEST {
            return self.drift;
        }
        self.last = Some((lived, ambient));
        let minutes = time.as_secs_f64() / 60.0;
        let change = f64::from(ambient) - f64::from(before);
        self.drift = (time <= LONGEST).then_some(change.abs() / minutes);
        self.drift
    }
}

/// Whether to wait, why and how long.
pub(super) fn wait(
    settings: &WarmUp,
    powered: Duration,
    drift: Option<f64>,
) -> Option<(Reason, Duration)> {
    let left = |until: Duration| until.checked_sub(powered).filter(|left| !left.is_zero());
    if let Some(left) = left(settings.time) {
        return Some((Reason::WarmingUp { left }, left.min(PATIENCE)));
    }
    let drift = drift.filter(|drift| *drift > settings.drift)?;
    let left = left(settings.most)?;
    let reason = Reason::Drifting {
        kelvin_per_minute: drift,
    };
    Some((reason, left.min(PATIENCE)))
}
