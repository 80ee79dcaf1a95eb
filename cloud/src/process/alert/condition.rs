//! A rule reduced to what decides, and the comparisons it makes.

use chrono::TimeDelta;
use sha2::{Digest, Sha256};

use crate::config::{Rule, Threshold};

/// All of a rule that changes a decision.
#[derive(Debug, Clone)]
pub struct Condition {
    pub fire: Threshold,
    /// Strictly beyond this, away from `fire`, is clear.
    pub clear: f64,
    /// How long the count must be met before the alert fires.
    pub hold: TimeDelta,
    /// How long the value must be clear before the incident is resolved.
    pub clear_hold: TimeDelta,
    /// `times` breaches among the last `of` moments.
    pub times: u32,
    pub of: u32,
    /// Samples older than this decide nothing.
    pub max_age: TimeDelta,
    /// What is measured: the value expression and what stands in when it yields nothing.
    pub reads: String,
}

/// Four decimal places are what a station sends. Decided on these, 0.7 that travelled as a float32 (0.69999999) is 0.7.
pub fn rounded(value: f64) -> f64 {
    let scaled = value * 1e4;
    if scaled.is_finite() {
        // Adding zero makes a negative zero plain.
        scaled.round() / 1e4 + 0.0
    } else {
        value
    }
}

impl From<&Rule> for Condition {
    fn from(rule: &Rule) -> Self {
        // A duration beyond chrono's range is as good as for ever.
        let delta = |duration| TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let missing = rule
            .missing
            .map_or_else(String::new, |value| format!(" else {value}"));
        Condition {
            fire: rule.fire,
            clear: rule.clear,
            hold: delta(rule.hold),
            clear_hold: delta(rule.clear_hold),
            times: rule.count.times.max(1),
            of: rule.count.of.max(1),
            max_age: delta(rule.max_age),
            reads: format!("{}{missing}", rule.value.text),
        }
    }
}

impl Condition {
    /// Differs as soon as anything differs that could change a decision.
    /// A hash of our own choosing because it is stored: it must survive a new compiler.
    pub fn fingerprint(&self) -> u64 {
        let (direction, limit) = match self.fire {
            Threshold::Above(limit) => (b'>', limit),
            Threshold::Below(limit) => (b'<', limit),
        };
        let mut hash = Sha256::new();
        hash.update([direction]);
        hash.update(limit.to_be_bytes());
        hash.update(self.clear.to_be_bytes());
        for duration in [self.hold, self.clear_hold, self.max_age] {
            hash.update(duration.num_milliseconds().to_be_bytes());
        }
        hash.update(self.times.to_be_bytes());
        hash.update(self.of.to_be_bytes());
        hash.update(self.reads.as_bytes());
        let digest = hash.finalize();
        // 63 bits, so that it also fits where integers are signed.
        digest
            .iter()
            .take(8)
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
            >> 1
    }

    /// Strictly: a value equal to the limit does not fire.
    pub fn breached(&self, value: f64) -> bool {
        match self.fire {
            Threshold::Above(limit) => value > limit,
            Threshold::Below(limit) => value < limit,
        }
    }

    pub fn cleared(&self, value: f64) -> bool {
        match self.fire {
            Threshold::Above(_) => value < self.clear,
            Threshold::Below(_) => value > self.clear,
        }
    }

    /// Further out in the direction of firing.
    pub(super) fn worse(&self, value: f64, than: f64) -> bool {
        match self.fire {
            Threshold::Above(_) => value > than,
            Threshold::Below(_) => value < than,
        }
    }

    pub(super) fn worst(&self, a: f64, b: f64) -> f64 {
        if self.worse(b, a) { b } else { a }
    }
}
