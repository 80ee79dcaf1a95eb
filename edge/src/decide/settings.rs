//! What may be set, and what it is if nobody sets it.

use std::time::Duration;

use anyhow::ensure;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The label whose score is the anomaly.
    pub anomaly: String,
    /// Between the beginnings of two cycles.
    pub interval: Duration,
    /// Above this, strictly, a frame is suspicious.
    pub threshold: f64,
    /// Below this, strictly, an episode is over.
    pub clear: f64,
    pub confirm: Confirm,
    pub warm_up: WarmUp,
    /// When to tell again that an episode became worse. None: never.
    pub worse: Option<Worse>,
    /// When to tell again that an episode lasts. None: never.
    pub repeat: Option<Duration>,
    pub dwell: Vec<Dwell>,
    /// More intervals than this without a reading interrupt what must not be interrupted.
    pub longest_gap: u32,
    pub moved: Moved,
    /// Looks that show nothing for this long are a fault of the sensor.
    pub fault_after: Duration,
}

/// How many of how many frames make it true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirm {
    pub needed: usize,
    pub of: usize,
    /// Between two frames of a cycle.
    pub every: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WarmUp {
    /// After the sensor got power, no readings for this long,
    pub time: Duration,
    /// and while its own temperature changes by more than this, K/min,
    pub drift: f64,
    /// but not for longer than this.
    pub most: Duration,
}

/// Worse is one of the two, compared with what was told last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worse {
    /// More by this, deg C.
    pub delta_t: f64,
    /// More by this factor.
    pub ratio: f64,
    pub at_most_every: Duration,
}

/// A state that may not last longer than this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dwell {
    /// For people; the label's if nothing better is known.
    pub name: String,
    pub label: String,
    pub longer_than: Duration,
}

/// When the camera counts as moved: by the mean of the last `blocks` medians of `block` readings each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moved {
    pub block: usize,
    pub blocks: usize,
    /// Above this, in pixels of the model's estimate, which is too small.
    pub begins: f64,
    pub ends: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            anomaly: crate::model::ANOMALY.to_owned(),
            interval: 5 * MINUTE,
            threshold: 0.7,
            clear: 0.5,
            confirm: Confirm {
                needed: 2,
                of: 3,
                every: MINUTE / 2,
            },
            warm_up: WarmUp {
                time: 4 * MINUTE,
                drift: 0.2,
                most: 10 * MINUTE,
            },
            worse: Some(Worse {
                delta_t: 5.0,
                ratio: 1.5,
                at_most_every: 30 * MINUTE,
            }),
            repeat: None,
            dwell: Dwell::usual(),
            longest_gap: 6,
            moved: Moved::default(),
            fault_after: 15 * MINUTE,
        }
    }
}

impl Default for Moved {
    /// Measured on 24 simulated boilers and 24 panels: no alarm in 1,440 usual days and one in 624 unusually warm, cold or
    /// broken ones. Half a pixel is found after 3 to 5 hours as a rule (143 of 144 times within three days), one pixel
    /// after 10 at most. A bracket that trembles by 0.3 pixels is called moved now and then, and may well be.
    fn default() -> Self {
        Self {
            block: 12,
            blocks: 12,
            begins: 0.07,
            ends: 0.035,
        }
    }
}

impl Dwell {
    pub fn new(label: &str, longer_than: Duration) -> Self {
        Self {
            name: label.to_owned(),
            label: label.to_owned(),
            longer_than,
        }
    }

    /// Measured on the same days: no sound boiler or panel was `cold` for 24 hours or `warm` for 12 (nor for 9), and a boiler
    /// whose pump has stopped looks cold for ever: 24 of 24 were found after 24 to 26 hours. `cold` for 12 hours finds
    /// them in 12 to 14, for a false alarm in 8 months of usual days, and one a month in a warm season; `warm` for 3 hours
    /// cries wolf once or twice a month. Where a machine may rest for days, leave `cold` out.
    pub fn usual() -> Vec<Self> {
        vec![Self::new("cold", 24 * HOUR), Self::new("warm", 12 * HOUR)]
    }
}

impl Settings {
    /// Refuses what contradicts itself.
    pub fn check(&self) -> anyhow::Result<()> {
        let Confirm { needed, of, .. } = self.confirm;
        ensure!(
            needed >= 1 && needed <= of && 2 * needed > of,
            "{needed} of {of} frames cannot confirm anything: more than half of them are needed, such as 2 of 3, or 1 of 1"
        );
        ensure!(of <= 9, "{of} frames in a cycle are too many: 9 at most");
        ensure!(
            0.0 < self.clear && self.clear <= self.threshold && self.threshold < 1.0,
            "an episode begins above {} and ends below {}: the second must not be the larger, and both lie between 0 and 1",
            self.threshold,
            self.clear
        );
        let longest = self
            .confirm
            .every
            .saturating_mul(u32::try_from(of).unwrap_or(u32::MAX));
        ensure!(
            of == 1 || longest < self.interval,
            "{of} frames, one every {}, do not fit into an interval of {}",
            humantime::format_duration(self.confirm.every),
            humantime::format_duration(self.interval)
        );
        ensure!(
            self.warm_up.time <= self.warm_up.most,
            "the sensor cannot warm up for {} and no longer than {}",
            humantime::format_duration(self.warm_up.time),
            humantime::format_duration(self.warm_up.most)
        );
        if let Some(worse) = self.worse {
            ensure!(
                worse.delta_t > 0.0 && worse.ratio > 1.0,
                "worse is by some degrees and by a factor above 1, not by {} and {}",
                worse.delta_t,
                worse.ratio
            );
        }
        ensure!(
            0.0 < self.moved.ends && self.moved.ends <= self.moved.begins,
            "a camera counts as moved above {} and as back below {} pixels: the second must not be the larger",
            self.moved.begins,
            self.moved.ends
        );
        ensure!(
            (1..=288).contains(&self.moved.block) && (1..=288).contains(&self.moved.blocks),
            "a camera is judged by 1 to 288 blocks of 1 to 288 readings"
        );
        for (at, rule) in self.dwell.iter().enumerate() {
            ensure!(
                self.dwell[..at].iter().all(|other| other.name != rule.name),
                "two dwell rules are called `{}`: give one of them another name",
                rule.name
            );
            ensure!(
                !rule.name.is_empty() && rule.label != self.anomaly,
                "the dwell rule `{}` needs a name and a label other than `{}`",
                rule.name,
                self.anomaly
            );
        }
        Ok(())
    }

    /// Names in these settings that the model has no score for: rules that can never fire.
    pub fn unknown_labels<'a>(&'a self, labels: &[String]) -> Vec<&'a str> {
        let rules = self.dwell.iter().map(|rule| rule.label.as_str());
        std::iter::once(self.anomaly.as_str())
            .chain(rules)
            .filter(|name| !labels.iter().any(|label| label == name))
            .collect()
    }
}
