//! Chance, all of it from a seed.
//!
//! Every use has a generator of its own, keyed by what it is for: drawing one more number in the boiler's course changes
//! neither its geometry nor the camera's noise.

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};
use rand_distr::{Distribution as _, Exp1, StandardNormal};

use super::Kind;

/// What a generator is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Geometry, materials and the sensor: what never changes.
    Scene,
    /// What happens in the course of the days.
    Course,
    /// Noise and movement, frame by frame.
    Camera,
    /// Where and how large faults are, for those who choose them by chance.
    Faults,
}

/// A generator of random numbers: ChaCha8, which gives the same numbers on every machine.
#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    pub fn new(purpose: Purpose, kind: Kind, seed: u64, stream: u64) -> Self {
        // Side by side in the key and not hashed, so that no two uses can ever meet.
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&stream.to_le_bytes());
        key[16] = match kind {
            Kind::Boiler => 1,
            Kind::Panel => 2,
        };
        key[17] = match purpose {
            Purpose::Scene => 1,
            Purpose::Course => 2,
            Purpose::Camera => 3,
            Purpose::Faults => 4,
        };
        Self(ChaCha8Rng::from_seed(key))
    }

    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        self.0.random()
    }

    pub fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let standard: f64 = StandardNormal.sample(&mut self.0);
        mean + deviation * standard
    }

    pub fn exponential(&mut self, mean: f64) -> f64 {
        let standard: f64 = Exp1.sample(&mut self.0);
        mean * standard
    }

    /// One of `0..count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0.random_range(0..count.max(1))
    }

    /// One of `choices`; None if there are none.
    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len()))
    }
}

/// A quantity that wanders about 0 and forgets where it was (an Ornstein-Uhlenbeck process).
#[derive(Debug, Clone)]
pub(super) struct Wander {
    value: f64,
    deviation: f64,
    /// After how many minutes it has forgotten.
    memory: f64,
}

impl Wander {
    pub fn new(memory: f64, deviation: f64, chance: &mut Chance) -> Self {
        Self {
            value: chance.normal(0.0, deviation),
            deviation,
            memory,
        }
    }

    pub fn after(&mut self, minutes: f64, chance: &mut Chance) -> f64 {
        let kept = (-minutes / self.memory).exp();
        let fresh = (1.0 - kept * kept).max(0.0).sqrt() * self.deviation;
        self.value = kept * self.value + chance.normal(0.0, fresh);
        self.value
    }
}

/// Something that is switched on and off for a while (a random telegraph signal).
#[derive(Debug, Clone)]
pub(super) struct Switch {
    on: bool,
    minutes_left: f64,
    /// Usual minutes on, and off.
    usual: [f64; 2],
}

impl Switch {
    pub fn new(usual: [f64; 2], chance: &mut Chance) -> Self {
        let mut switch = Self {
            // Turned over by the first draw of a duration.
            on: chance.unit() < 0.5,
            minutes_left: 0.0,
            usual,
        };
        switch.turn(chance);
        switch
    }

    /// 1 while on.
    pub fn next_minute(&mut self, chance: &mut Chance) -> f64 {
        if self.minutes_left <= 0.0 {
            self.turn(chance);
        }
        self.minutes_left -= 1.0;
        f64::from(u8::from(self.on))
    }

    fn turn(&mut self, chance: &mut Chance) {
        self.on = !self.on;
        let usual = self.usual[usize::from(!self.on)];
        self.minutes_left = chance.exponential(usual).floor() + 5.0;
    }
}
