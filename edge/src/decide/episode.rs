//! From the first confirmed anomaly to its confirmed end.
//!
//! Between the two thresholds nothing changes. Beginning and end both need N of M frames of one cycle.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cycle::Count;
use super::{Alert, Reason, Settings, Sight};

/// An episode that lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Open {
    since: Duration,
    /// When it was told last, and what was told then.
    told: Duration,
    delta_t: f64,
    ratio: f64,
}

/// A cycle is over.
pub(super) fn step(
    settings: &Settings,
    episode: &mut Option<Open>,
    count: &Count,
    sight: &Sight,
    lived: Duration,
) -> (Reason, Option<Alert>) {
    let needed = settings.confirm.needed;
    let (above, below, frames) = (count.above, count.below, count.frames);
    let delta_t = f64::from(sight.delta_t.unwrap_or(0.0)).abs();
    let ratio = f64::from(sight.ratio.unwrap_or(0.0));
    let Some(open) = episode else {
        if above < needed {
            let reason = match above {
                0 => Reason::Normal,
                _ => Reason::NotConfirmed { above, frames },
            };
            return (reason, None);
        }
        *episode = Some(Open {
            since: lived,
            told: lived,
            delta_t,
            ratio,
        });
        return (Reason::Opened { above, frames }, Some(Alert::Anomaly));
    };
    let since = open.since;
    if below >= needed {
        *episode = None;
        let lasted = lived.saturating_sub(since);
        let reason = Reason::Ended {
            below,
            frames,
            lasted,
        };
        return (reason, Some(Alert::AnomalyOver));
    }
    let quiet = lived.saturating_sub(open.told);
    let is_worse = settings.worse.is_some_and(|worse| {
        let much = delta_t >= open.delta_t + worse.delta_t
            || (open.ratio > 0.0 && ratio >= open.ratio * worse.ratio);
        above >= needed && much && quiet >= worse.at_most_every
    });
    let (reason, alert) = if is_worse {
        let reason = Reason::Worse {
            delta_t: [open.delta_t, delta_t],
            ratio: [open.ratio, ratio],
        };
        (reason, Some(Alert::AnomalyWorse))
    } else {
        let again = settings.repeat.is_some_and(|repeat| quiet >= repeat);
        let lasted = lived.saturating_sub(since);
        (
            Reason::Lasts { lasted },
            again.then_some(Alert::AnomalyLasts),
        )
    };
    if alert.is_some() {
        *open = Open {
            since,
            told: lived,
            delta_t,
            ratio,
        };
    }
    (reason, alert)
}
