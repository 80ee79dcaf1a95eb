//! The frames of one cycle, and when they are enough.

use serde::{Deserialize, Serialize};

use super::timeline::Passed;
use super::{Reason, Settings, Sight};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cycle {
    frames: Vec<Sight>,
    /// Looks that showed nothing.
    pub failed: usize,
}

/// How its frames lie to the two thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub frames: usize,
    /// Above the one at which an episode opens.
    pub above: usize,
    /// Below the one at which it ends.
    pub below: usize,
}

impl Cycle {
    /// Frames of another start, or of long ago, say nothing of now.
    pub fn forget_if_stale(&mut self, settings: &Settings, passed: Passed) {
        // A look may take a while, and a failed one longer.
        let longest = settings.confirm.every.saturating_mul(4);
        if !matches!(passed, Passed::Here(time) if time <= longest) {
            *self = Self::default();
        }
    }

    pub fn add(&mut self, sight: Sight) {
        self.frames.push(sight);
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub fn count(&self, settings: &Settings) -> Count {
        let scores = self.frames.iter().map(|f| f.score(&settings.anomaly));
        let mut count = Count {
            frames: self.frames.len(),
            above: 0,
            below: 0,
        };
        for score in scores {
            count.above += usize::from(score > settings.threshold);
            count.below += usize::from(score < settings.clear);
        }
        count
    }

    /// What more frames could still decide, if anything.
    pub fn open_question(&self, settings: &Settings, in_episode: bool) -> Option<Reason> {
        let count = self.count(settings);
        let (needed, of) = (settings.confirm.needed, settings.confirm.of);
        let left = of.saturating_sub(count.frames);
        let undecided = |found: usize| 0 < found && found < needed && found + left >= needed;
        if undecided(count.above) {
            return Some(Reason::Suspicious {
                above: count.above,
                frames: count.frames,
            });
        }
        // While an episode lasts, its end is as much of a claim as its beginning.
        (in_episode && undecided(count.below)).then_some(Reason::PerhapsOver {
            below: count.below,
            frames: count.frames,
        })
    }

    /// Whether it may end as it is, with fewer frames than it wanted: not with alarms that nothing confirmed.
    pub fn says_something(&self, settings: &Settings) -> bool {
        let count = self.count(settings);
        count.frames > count.above || count.above >= settings.confirm.needed
    }

    /// The N-th highest frame by anomaly, the lowest if there are fewer: which one it is, and of how many.
    ///
    /// # Panics
    /// If there is none.
    pub fn chosen(mut self, settings: &Settings) -> (usize, usize, Sight) {
        let frames = self.frames.len();
        let mut order: Vec<usize> = (0..frames).collect();
        let score = |&at: &usize| self.frames[at].score(&settings.anomaly);
        // The later one of equals.
        order.sort_by(|a, b| score(b).total_cmp(&score(a)).then(b.cmp(a)));
        let frame = order[settings.confirm.needed.clamp(1, frames) - 1];
        (frame, frames, self.frames.swap_remove(frame))
    }
}
