//! The state's own time: what has passed since it began, over restarts too, as far as that is known.
//!
//! Within one start of the agent, uptime says what passed. Over a restart only the wall clock can, and only if it was to be
//! trusted on both sides; else the line stands still for a moment, and whoever counts on its being unbroken is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::note::Moment;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Timeline {
    /// What has passed since the first observation.
    pub lived: Duration,
    last: Option<(u32, Moment)>,
    /// When the last reading was.
    read: Option<Duration>,
    /// Some time since the last reading is not known.
    lost: bool,
}

/// What has passed since the observation before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// In the same start of the agent.
    Here(Duration),
    /// The agent was started anew in between.
    Away(Duration),
    Unknown,
}

impl Timeline {
    /// Time goes on to this moment.
    pub fn pass(&mut self, boot: u32, moment: Moment) -> Passed {
        let passed = self.since_last(boot, moment);
        self.last = Some((boot, moment));
        match passed {
            Passed::Here(time) | Passed::Away(time) => {
                self.lived = self.lived.saturating_add(time);
            }
            Passed::Unknown => self.lost = true,
        }
        passed
    }

    /// There is a reading now. Says whether no more than `longest` has passed since the one before.
    pub fn read(&mut self, longest: Duration) -> bool {
        let before = self.read.replace(self.lived);
        let lost = std::mem::take(&mut self.lost);
        !lost && before.is_some_and(|before| self.lived.saturating_sub(before) <= longest)
    }

    fn since_last(&self, boot: u32, moment: Moment) -> Passed {
        let Some((last_boot, last)) = self.last else {
            return Passed::Unknown;
        };
        if last_boot == boot {
            return match moment.uptime.checked_sub(last.uptime) {
                Some(passed) => Passed::Here(passed),
                None => Passed::Unknown,
            };
        }
        let away = moment.at.zip(last.at).map(|(now, then)| now - then);
        match away.and_then(|away| away.to_std().ok()) {
            Some(passed) => Passed::Away(passed),
            None => Passed::Unknown,
        }
    }
}
