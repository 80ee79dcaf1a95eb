//! A boiler room: what stands in it, and how warm it becomes.
//!
//! A thermostat fires the burner, two heating zones and the hot water tap call for heat when people are at home, and
//! heat travels along the pipes segment by segment. Times are minutes, temperatures deg C, rates per minute.

use super::chance::{Chance, Wander};
use super::geometry::{HALO, Layout, Part, STRATA, SURFACE, Shape, WALL};
use super::{Breakdown, COLD, HOT, WARM};

/// The parts, and what differs from boiler to boiler.
#[derive(Debug, Clone)]
pub(super) struct Boiler {
    pub cold_strip: Part,
    pub body: Part,
    pub burner: Part,
    pub flue: Part,
    pub supply: Vec<Part>,
    pub returns: Vec<Part>,
    pub zone: Vec<Part>,
    pub hot_water: Vec<Part>,
    pub pump: Part,
    pub electronics: Part,
    /// The pipe of the relief valve: warm only when the valve leaks.
    pub relief: Part,
    pub tank: Part,
    /// left, top, right, bottom of the body, pixels.
    pub body_box: [f64; 4],
    pub nature: Nature,
}

/// How this boiler is set, and how fast its parts follow.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    pub usual_ambient: f64,
    set_point: f64,
    /// Minutes to follow: body, flue, supply, return.
    body_lag: f64,
    flue_lag: f64,
    supply_lag: f64,
    return_lag: f64,
    /// Minutes in which a pipe without flow cools.
    leak: f64,
    /// deg C by which the set point follows the weather.
    reset: f64,
    /// How much slower or faster than usual: supply, zone, hot water.
    sluggish: [f64; 3],
}

/// Who wants heat, and for how many more minutes that stays so.
#[derive(Debug, Clone, Copy, Default)]
struct Call {
    on: bool,
    minutes_left: f64,
}

/// A boiler at work.
#[derive(Debug, Clone)]
pub(super) struct Work {
    water: f64,
    firing: bool,
    /// First zone, second zone, hot water.
    calls: [Call; 3],
    demand: Wander,
    set_point: Wander,
    /// Whether somebody is at home today.
    at_home: bool,
}

impl Boiler {
    pub fn new(chance: &mut Chance) -> (Self, Layout) {
        let mut draw = |low: f64, high: f64| chance.between(low, high);
        let floor = Shape::Rectangle([-4.0, draw(20.5, 22.0), 40.0, 40.0]);
        let mut layout = Layout::new(floor, 0.9);
        let (x, y) = (draw(2.0, 8.0), draw(8.0, 11.0));
        let (w, h) = (draw(8.0, 11.0), draw(9.0, 12.0));
        let (right, bottom) = (x + w, y + h);
        let strip = [
            right + draw(1.0, 3.0),
            draw(7.0, 9.0),
            right + draw(0.0, 3.0),
            24.0,
        ];
        let cold_strip = layout.add(Shape::Line(strip, draw(0.9, 1.6)), 0.95);
        let body = layout.add(Shape::Rectangle([x, y, right, bottom]), 0.9);
        let (bx, by) = (x + 0.3 * w, y + 0.6 * h);
        let flame = [bx, by, bx + draw(1.5, 2.5), by + draw(1.2, 2.0)];
        let burner = layout.add(Shape::Rectangle(flame), 0.92);
        let fx = x + w * draw(0.3, 0.6);
        let flue = layout.add(Shape::Line([fx, y, fx, -3.0], draw(1.6, 2.6)), 0.7);
        let (sx, top) = (x + w * draw(0.75, 0.95), draw(2.0, 4.5));
        let pump_x = draw(23.0, 28.0);
        let path = [[sx, y], [sx, top], [34.0, top + draw(-0.5, 0.5)]];
        let supply = layout.pipe(&path, draw(1.1, 1.6), 6, draw(0.6, 0.9));
        let low = draw(16.0, 19.0);
        let path = [
            [34.0, low - 2.0],
            [pump_x, low - 2.0],
            [pump_x, low + 1.0],
            [right, low + 1.0],
        ];
        let returns = layout.pipe(&path, draw(1.0, 1.5), 6, draw(0.6, 0.9));
        let zx = draw(20.0, 23.0);
        let path = [[zx, top + 0.6], [zx, 11.0], [zx + draw(1.0, 4.0), 25.0]];
        let zone = layout.pipe(&path, draw(0.9, 1.4), 5, draw(0.6, 0.9));
        let path = [
            [x + 1.5, y + 1.0],
            [x + 0.5, draw(3.0, 5.0)],
            [-2.0, draw(3.0, 5.0)],
        ];
        let hot_water = layout.pipe(&path, draw(0.8, 1.2), 3, draw(0.6, 0.9));
        let pump = layout.add(Shape::Disc([pump_x, low - 1.0], draw(1.3, 1.9)), 0.92);
        let cover = [
            draw(27.0, 28.5),
            draw(7.0, 9.0),
            draw(30.0, 31.5),
            draw(11.0, 13.0),
        ];
        let electronics = layout.add(Shape::Rectangle(cover), 0.94);
        let rx = x + 0.15 * w;
        let relief = layout.add(Shape::Line([rx, y + 0.5, rx - 1.2, y + 4.5], 0.9), 0.8);
        let tank = layout.add(
            Shape::Disc([draw(14.0, 17.0), draw(5.5, 7.0)], draw(1.8, 2.6)),
            0.93,
        );
        let boiler = Self {
            cold_strip,
            body,
            burner,
            flue,
            supply,
            returns,
            zone,
            hot_water,
            pump,
            electronics,
            relief,
            tank,
            body_box: [x, y, right, bottom],
            nature: Nature::new(chance),
        };
        (boiler, layout)
    }

    /// Warm air under the ceiling: its shape by x and y.
    pub fn strata(_x: f64, y: f64) -> f64 {
        ((12.0 - y) / 12.0).clamp(-1.2, 1.2)
    }

    /// What the body warms around and above itself: its shape.
    pub fn halo(&self, x: f64, y: f64) -> f64 {
        let [left, top, right, bottom] = self.body_box;
        let across = (x - f64::midpoint(left, right)) / 9.0;
        let down = if y < top {
            (y - top) / 9.0
        } else {
            (y - f64::midpoint(top, bottom)) / 7.0
        };
        (-(across * across + down * down)).exp()
    }

    /// Surfaces on which nothing is hot by design.
    pub fn plain(&self) -> Vec<Part> {
        vec![WALL, SURFACE, self.electronics, self.tank, self.body]
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
        let stuck = breakdown == Some(Breakdown::Flow);
        work.turn_calls(hour, ambient - self.nature.usual_ambient, chance);
        let [first, second, tap] = work.calls.map(|call| call.on);
        let (first_flows, second_flows) = (first && !stuck, second && !stuck);
        let circulates = first_flows || second_flows;

        let too_hot = match breakdown {
            Some(Breakdown::Overheating(delta_t)) => delta_t,
            _ => 0.0,
        };
        let set_point =
            self.nature.set_point - self.nature.reset * work.set_point.after(1.0, chance) + too_hot;
        let wanted = first || second || tap;
        if wanted && work.water < set_point - 8.0 {
            work.firing = true;
        }
        if !wanted || work.water > set_point {
            work.firing = false;
        }
        let rise = work.water - ambient;
        let heat = 3.6 * share(work.firing) * if stuck { 0.8 } else { 1.0 };
        let drawn = 0.6 * share(first_flows) + 0.45 * share(second_flows) + 0.5 * share(tap);
        work.water += heat - 0.045 * rise * drawn - rise / 600.0;
        let overshoot = if stuck { 12.0 } else { 4.0 };
        work.water = work.water.min(set_point + overshoot);

        let t = &mut Following {
            temperatures,
            ambient,
        };
        t.machine(self, work);
        t.pipe(
            &self.supply,
            work.water,
            circulates,
            [
                self.nature.supply_lag * self.nature.sluggish[0],
                self.nature.leak,
            ],
        );
        t.pipe(
            &self.zone,
            t.temperatures[self.supply[3]],
            second_flows,
            [
                self.nature.supply_lag * 1.2 * self.nature.sluggish[1],
                self.nature.leak,
            ],
        );
        t.pipe(
            &self.hot_water,
            work.water,
            tap,
            [2.5 * self.nature.sluggish[2], self.nature.leak],
        );
        t.return_pipe(self, first_flows, second_flows);
        t.surroundings(self, work, circulates, wanted);
    }

    /// What a person would call the state of the room.
    pub fn label(&self, temperatures: &[f64], work: &Work, broken: bool) -> &'static str {
        let middle = temperatures[self.supply[2]].max(temperatures[self.returns[1]]);
        let rise = middle - temperatures[WALL];
        let circulates = (work.calls[0].on || work.calls[1].on) && !broken;
        if rise > 22.0 && circulates {
            HOT
        } else if rise < 6.0 {
            COLD
        } else {
            WARM
        }
    }
}

impl Nature {
    fn new(chance: &mut Chance) -> Self {
        let mut draw = |low: f64, high: f64| chance.between(low, high);
        Self {
            usual_ambient: draw(16.0, 20.0),
            set_point: draw(58.0, 72.0),
            body_lag: draw(20.0, 32.0),
            flue_lag: draw(3.0, 5.0),
            supply_lag: draw(3.0, 5.0),
            return_lag: draw(8.0, 14.0),
            leak: draw(35.0, 60.0),
            reset: draw(0.4, 0.9),
            sluggish: [0, 1, 2].map(|_| draw(0.85, 1.15)),
        }
    }
}

impl Work {
    /// After a long pause: everything is as warm as the room.
    pub fn new(ambient: f64, chance: &mut Chance) -> Self {
        Self {
            water: ambient + 5.0,
            firing: false,
            calls: [Call::default(); 3],
            demand: Wander::new(600.0, 0.12, chance),
            set_point: Wander::new(2400.0, 4.0, chance),
            at_home: false,
        }
    }

    /// On a new day, people stay at home or go to work.
    pub fn new_day(&mut self, chance: &mut Chance) {
        self.at_home = chance.unit() < 0.3;
    }

    /// `warmer` is how much warmer than usual the room is.
    fn turn_calls(&mut self, hour: f64, warmer: f64, chance: &mut Chance) {
        let hump = |at: f64, width: f64| (-((hour - at) / width).powi(2)).exp();
        let day = share(self.at_home && hour > 9.0 && hour < 17.0);
        let usual = 0.18 + 0.55 * hump(7.0, 1.6) + 0.45 * hump(19.0, 2.2) + 0.18 * day;
        let wander = self.demand.after(1.0, chance);
        let night = if hour < 5.0 { 0.25 } else { 1.0 };
        let demand = (usual + wander - 0.03 * warmer).clamp(0.0, 1.0) * night;

        let draw = [chance.unit(), chance.unit(), chance.unit()];
        let [first, second, tap] = &mut self.calls;
        first.turn(
            draw[0] < demand,
            12.0 + 40.0 * draw[0] / demand.max(0.05),
            15.0 + 60.0 * (1.0 - demand) * draw[1],
        );
        second.turn(
            draw[1] < 0.7 * demand,
            10.0 + 30.0 * draw[2],
            20.0 + 70.0 * (1.0 - demand) * draw[0],
        );
        tap.turn(
            draw[2] < 0.12 + 0.25 * demand,
            4.0 + 9.0 * draw[0],
            15.0 + 40.0 * draw[1],
        );
    }
}

impl Call {
    /// Once its time is over, goes on or off for the given minutes.
    fn turn(&mut self, on: bool, minutes_on: f64, minutes_off: f64) {
        if self.minutes_left <= 0.0 {
            self.on = on;
            self.minutes_left = if on { minutes_on } else { minutes_off };
        }
        self.minutes_left -= 1.0;
    }
}

/// Temperatures that follow their targets, each with its own lag.
struct Following<'a> {
    temperatures: &'a mut [f64],
    ambient: f64,
}

impl Following<'_> {
    /// `rise` is the target above ambient; the lag is in minutes. Gives the new temperature.
    fn follow(&mut self, part: Part, rise: f64, lag: f64) -> f64 {
        let target = self.ambient + rise;
        self.temperatures[part] += (target - self.temperatures[part]) / lag;
        self.temperatures[part]
    }

    fn rise(&self, part: Part) -> f64 {
        self.temperatures[part] - self.ambient
    }

    fn machine(&mut self, boiler: &Boiler, work: &Work) {
        let rise = work.water - self.ambient;
        let fire = |on: f64, off: f64| rise * if work.firing { on } else { off };
        self.follow(boiler.body, 0.33 * rise, boiler.nature.body_lag);
        self.follow(boiler.burner, fire(0.95, 0.35), 5.0);
        self.follow(boiler.flue, fire(0.9, 0.09), boiler.nature.flue_lag);
    }

    /// With flow each segment follows the one before; without, the first two are warmed through the metal alone.
    fn pipe(&mut self, pipe: &[Part], source: f64, flows: bool, [lag, leak]: [f64; 2]) {
        let mut before = source;
        for (at, &segment) in pipe.iter().enumerate() {
            let rise = before - self.ambient;
            before = match (flows, at) {
                (true, _) => self.follow(segment, 0.95 * rise, lag),
                (false, 0) => self.follow(segment, 0.6 * rise, 0.7 * leak),
                (false, 1) => self.follow(segment, 0.6 * rise * (-0.9_f64).exp(), 0.7 * leak),
                (false, _) => self.follow(segment, 0.0, leak),
            };
        }
    }

    /// What comes back from the zones has lost a part of its heat there.
    fn return_pipe(&mut self, boiler: &Boiler, first_flows: bool, second_flows: bool) {
        let back = |pipe: &[Part], flows: bool| {
            pipe.last()
                .map_or(0.0, |&end| 0.72 * self.rise(end) * share(flows))
        };
        let source = back(&boiler.supply, first_flows).max(back(&boiler.zone, second_flows));
        let mut before = self.ambient + source;
        for &segment in &boiler.returns {
            let rise = before - self.ambient;
            if first_flows || second_flows {
                before = self.follow(segment, 0.95 * rise, boiler.nature.return_lag / 2.2);
            } else {
                self.follow(segment, 0.0, boiler.nature.leak);
            }
        }
    }

    fn surroundings(&mut self, boiler: &Boiler, work: &Work, circulates: bool, wanted: bool) {
        let water = work.water - self.ambient;
        let running = 9.0 * share(circulates);
        let through = 0.5 * self.rise(boiler.returns[3]);
        self.follow(boiler.pump, running + through, 10.0);
        self.follow(boiler.electronics, if wanted { 3.0 } else { 1.0 }, 25.0);
        self.follow(boiler.relief, 0.06 * water, 30.0);
        let from_supply = 0.12 * self.rise(boiler.supply[1]);
        self.follow(boiler.tank, from_supply, 60.0);
        self.temperatures[WALL] = self.ambient;
        self.temperatures[SURFACE] = self.ambient - 2.0;
        let body = self.rise(boiler.body);
        self.follow(boiler.cold_strip, -3.0 - 0.1 * body, 90.0);
        let strata = 0.6 + 0.05 * body + 0.05 * (self.ambient - boiler.nature.usual_ambient);
        self.field(STRATA, strata, 45.0);
        self.field(HALO, 0.13 * body + 0.03 * water, 25.0);
    }

    /// Fields are kept as deg C above ambient.
    fn field(&mut self, part: Part, target: f64, lag: f64) {
        self.temperatures[part] += (target - self.temperatures[part]) / lag;
    }
}

/// 1 for yes.
fn share(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
