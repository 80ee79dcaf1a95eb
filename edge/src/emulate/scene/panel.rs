//! An electrical panel: bus bars, eight breakers, two drives and a transformer, all warmed by the square of their load.
//!
//! Times are minutes, temperatures deg C, loads shares of the rated one.

use super::Breakdown;
use super::chance::{Chance, Switch, Wander};
use super::geometry::{HALO, Layout, Part, STRATA, SURFACE, Shape, WALL};
use super::{COLD, HOT, WARM};

const BREAKERS: u8 = 8;

/// The parts, and what differs from panel to panel.
#[derive(Debug, Clone)]
pub(super) struct Panel {
    /// Three segments each.
    pub buses: Vec<Vec<Part>>,
    pub breakers: Vec<Part>,
    /// Variable-frequency drives: the first has the fan that can fail.
    pub drives: [Part; 2],
    pub transformer: Part,
    pub usual_ambient: f64,
    /// deg C at full load, as a factor of the usual 12.
    breaker_heat: Vec<f64>,
    /// deg C at full load.
    drive_heat: [f64; 2],
    transformer_heat: f64,
    bus_heat: f64,
    /// Which share of the usual load each breaker carries.
    busy: Vec<f64>,
}

/// A panel at work.
#[derive(Debug, Clone)]
pub(super) struct Work {
    /// Behind each breaker: a load that wanders, and a machine that is switched.
    loads: Vec<(Wander, Switch)>,
    drives: Vec<(Wander, Switch)>,
}

impl Panel {
    pub fn new(chance: &mut Chance) -> (Self, Layout) {
        let mut layout = Layout::new(Shape::Rectangle([2.0, 1.0, 30.0, 23.0]), 0.94);
        let buses = [4.0, 5.7, 7.4].map(|y| {
            let emissivity = chance.between(0.45, 0.7);
            layout.pipe(&[[4.0, y], [28.0, y]], 0.9, 3, emissivity)
        });
        let breakers = (0..BREAKERS).map(|breaker| {
            let left = 4.0 + 3.0 * f64::from(breaker);
            layout.add(Shape::Rectangle([left, 10.0, left + 2.3, 13.5]), 0.94)
        });
        let breakers = breakers.collect();
        let drives = [5.0, 14.0]
            .map(|left| layout.add(Shape::Rectangle([left, 15.5, left + 6.0, 21.0]), 0.92));
        let transformer = layout.add(Shape::Rectangle([22.0, 16.0, 28.0, 21.5]), 0.92);
        let mut each = |low: f64, high: f64| {
            (0..BREAKERS)
                .map(|_| chance.between(low, high))
                .collect::<Vec<f64>>()
        };
        let (breaker_heat, busy) = (each(0.8, 1.3), each(0.6, 1.2));
        let panel = Self {
            buses: buses.into(),
            breakers,
            drives,
            transformer,
            usual_ambient: chance.between(20.0, 25.0),
            breaker_heat,
            drive_heat: [chance.between(12.0, 20.0), chance.between(12.0, 20.0)],
            transformer_heat: chance.between(10.0, 16.0),
            bus_heat: chance.between(4.0, 9.0),
            busy,
        };
        (panel, layout)
    }

    /// Warm air at the top: its shape by x and y.
    pub fn strata(_x: f64, y: f64) -> f64 {
        ((12.0 - y) / 12.0).clamp(-1.2, 1.2)
    }

    /// What the whole panel warms: its shape.
    pub fn halo(x: f64, y: f64) -> f64 {
        (-((x - 16.0) / 14.0).powi(2) - ((y - 10.0) / 10.0).powi(2)).exp()
    }

    /// Surfaces on which nothing is hot by design.
    pub fn plain() -> Vec<Part> {
        vec![WALL, SURFACE]
    }

    /// One minute passes. `hour` is the time of day.
    pub fn minute(
        &self,
        temperatures: &mut [f64],
        work: &mut Work,
        hour: f64,
        ambient: f64,
        breakdown: Option<Breakdown>,
        chance: &mut Chance,
    ) {
        let more = match breakdown {
            Some(Breakdown::Overheating(delta_t)) => 1.0 + delta_t / 25.0,
            _ => 1.0,
        };
        let (loads, drives) = work.squared(&self.busy, hour, more, chance);
        let drawn: f64 = loads.iter().sum();
        let driven: f64 = drives.iter().sum();
        let total = drawn / f64::from(BREAKERS) + 0.3 * driven;
        let mean = (drawn + driven) / (f64::from(BREAKERS) + 2.0);
        let inside = ambient + 2.0;
        let mut follow = |part: Part, target: f64, lag: f64| {
            temperatures[part] += (target - temperatures[part]) / lag;
        };
        follow(WALL, ambient, 1.0);
        follow(SURFACE, inside + 4.5 * mean, 60.0);
        for ((&breaker, load), heat) in self.breakers.iter().zip(&loads).zip(&self.breaker_heat) {
            follow(breaker, inside + 12.0 * load * heat, 12.0);
        }
        for bus in &self.buses {
            for (&segment, share) in bus.iter().zip([1.15, 1.0, 0.85]) {
                follow(segment, inside + self.bus_heat * total * share, 15.0);
            }
        }
        let hindered = if breakdown == Some(Breakdown::Flow) {
            1.9
        } else {
            1.0
        };
        let [first, second] = self.drive_heat;
        follow(self.drives[0], inside + first * drives[0] * hindered, 15.0);
        follow(self.drives[1], inside + second * drives[1], 15.0);
        let transformed = self.transformer_heat * (0.3 + 0.5 * total);
        follow(self.transformer, inside + transformed, 70.0);
        follow(STRATA, 0.8 + 0.8 * total, 30.0);
        follow(HALO, 1.5 * total, 40.0);
    }

    /// By the warmer of the two drives.
    pub fn label(&self, temperatures: &[f64]) -> &'static str {
        let warmer = temperatures[self.drives[0]].max(temperatures[self.drives[1]]);
        let rise = warmer - (temperatures[WALL] + 2.0);
        if rise > 7.0 {
            HOT
        } else if rise < 2.5 {
            COLD
        } else {
            WARM
        }
    }
}

impl Work {
    pub fn new(chance: &mut Chance) -> Self {
        let loads = (0..BREAKERS).map(|_| {
            let wander = Wander::new(240.0, 0.12, chance);
            (wander, Switch::new([60.0, 120.0], chance))
        });
        let loads = loads.collect();
        let drives = (0..2).map(|_| {
            let wander = Wander::new(120.0, 0.12, chance);
            (wander, Switch::new([90.0, 110.0], chance))
        });
        Self {
            loads,
            drives: drives.collect(),
        }
    }

    /// What a load warms grows with the square of its current: of breakers, and of drives, each times `more`.
    fn squared(
        &mut self,
        busy: &[f64],
        hour: f64,
        more: f64,
        chance: &mut Chance,
    ) -> (Vec<f64>, Vec<f64>) {
        let squared = |load: f64| (load * more).powi(2);
        let day = 0.35 + 0.35 * (-((hour - 13.0) / 4.5).powi(2)).exp();
        let loads = self.loads.iter_mut().zip(busy);
        let loads = loads.map(|((wander, machine), busy)| {
            let steady = day * busy + wander.after(1.0, chance);
            let load = steady + 0.3 * machine.next_minute(chance);
            squared(load.clamp(0.0, 1.25))
        });
        let loads = loads.collect();
        let drives = self.drives.iter_mut().map(|(wander, on)| {
            let speed = (0.75 + wander.after(1.0, chance)).clamp(0.3, 1.1);
            squared(speed * on.next_minute(chance))
        });
        (loads, drives.collect())
    }
}
