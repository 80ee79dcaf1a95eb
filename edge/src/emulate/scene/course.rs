//! What happens in the course of the days: the weather, and the machine that answers it, minute by minute.

use super::boiler::{self, Boiler};
use super::chance::{Chance, Purpose, Wander};
use super::geometry::{HALO, STRATA, WALL};
use super::panel::{self, Panel};
use super::sensor::minutes;
use super::{Machine, Scene};

/// Minutes between the moments that a course gives as an iterator.
pub const STEP: u32 = 5;
/// Minutes that a machine has been at work when its course begins: a day, until nothing is as cold as the first time.
const BEFORE: u64 = 24 * 60;
/// The sensor is warmer than its surroundings by this, deg C.
const SELF_HEATING: f64 = 6.0;

/// What is wrong with the machine, and changes how its temperatures develop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Breakdown {
    /// Nothing flows: the boiler's pump, or the fan of the panel's first drive.
    Flow,
    /// The boiler's set point is too high by this, deg C; or the panel carries a share of 1/25 more load for each.
    Overheating(f64),
}

/// The scene at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Since the course began.
    pub minute: u64,
    /// Of each part, deg C; of the two fields, deg C above ambient.
    pub temperatures: Vec<f64>,
    /// Of the room, deg C.
    pub ambient: f64,
    /// Of the sensor, deg C.
    pub die: f64,
    /// `cold`, `warm` or `hot`.
    pub label: &'static str,
}

/// A scene's days, going on for as long as they are asked for.
#[derive(Debug)]
pub struct Course<'a> {
    /// From now on; None is a sound machine.
    pub breakdown: Option<Breakdown>,
    /// How much warmer than usual the season is, deg C.
    pub season: f64,
    scene: &'a Scene,
    chance: Chance,
    minute: u64,
    /// Minutes after midnight at which it began.
    began: u64,
    weather: Wander,
    draught: Wander,
    /// By how much the warmest time of the day lies elsewhere, radians of a day.
    shifted: f64,
    work: Work<'a>,
    temperatures: Vec<f64>,
}

#[derive(Debug, Clone)]
enum Work<'a> {
    Boiler(&'a Boiler, boiler::Work),
    Panel(&'a Panel, panel::Work),
}

impl Scene {
    /// `stream` chooses one of many possible courses, which begins so many minutes after midnight.
    pub fn course(&self, stream: u64, minutes_after_midnight: u32) -> Course<'_> {
        Course::new(self, stream, u64::from(minutes_after_midnight))
    }
}

impl<'a> Course<'a> {
    fn new(scene: &'a Scene, stream: u64, began: u64) -> Self {
        let mut chance = Chance::new(Purpose::Course, scene.kind, scene.seed, stream);
        let ambient = scene.usual_ambient();
        let mut temperatures = vec![ambient; scene.parts];
        temperatures[STRATA] = 0.0;
        temperatures[HALO] = 0.0;
        let mut course = Self {
            breakdown: None,
            season: 0.0,
            scene,
            minute: 0,
            began,
            weather: Wander::new(1800.0, 1.2, &mut chance),
            draught: Wander::new(40.0, 0.15, &mut chance),
            shifted: chance.between(-0.3, 0.3),
            work: match &scene.machine {
                Machine::Boiler(boiler) => {
                    Work::Boiler(boiler, boiler::Work::new(ambient, &mut chance))
                }
                Machine::Panel(panel) => Work::Panel(panel, panel::Work::new(&mut chance)),
            },
            temperatures,
            chance,
        };
        for _ in 0..BEFORE {
            course.one_minute();
        }
        course.minute = 0;
        course
    }

    /// Goes on by this many minutes.
    pub fn advance(&mut self, minutes: u32) {
        for _ in 0..minutes {
            self.one_minute();
        }
    }

    /// As it is now.
    pub fn moment(&self) -> Moment {
        let ambient = self.temperatures[WALL];
        Moment {
            minute: self.minute,
            temperatures: self.temperatures.clone(),
            ambient,
            die: ambient + SELF_HEATING,
            label: self.label(),
        }
    }

    fn label(&self) -> &'static str {
        match &self.work {
            Work::Boiler(boiler, work) => {
                let stuck = self.breakdown == Some(Breakdown::Flow);
                boiler.label(&self.temperatures, work, stuck)
            }
            Work::Panel(panel, _) => panel.label(&self.temperatures),
        }
    }

    fn one_minute(&mut self) {
        let of_day = (self.began + self.minute) % (24 * 60);
        if of_day == 0 {
            self.new_day();
        }
        self.minute += 1;
        let hour = minutes(of_day) / 60.0;
        let chance = &mut self.chance;
        let sun = 1.3 * (std::f64::consts::TAU * (hour - 15.0) / 24.0 + self.shifted).sin();
        let ambient = self.scene.usual_ambient()
            + self.season
            + sun
            + self.weather.after(1.0, chance)
            + self.draught.after(1.0, chance);
        let (temperatures, breakdown) = (&mut self.temperatures, self.breakdown);
        match &mut self.work {
            Work::Boiler(boiler, work) => {
                boiler.minute(temperatures, work, hour, ambient, breakdown, chance);
            }
            Work::Panel(panel, work) => {
                panel.minute(temperatures, work, hour, ambient, breakdown, chance);
            }
        }
    }

    fn new_day(&mut self) {
        if let Work::Boiler(_, work) = &mut self.work {
            work.new_day(&mut self.chance);
        }
    }
}

/// A moment every five minutes, for ever.
impl Iterator for Course<'_> {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        self.advance(STEP);
        Some(self.moment())
    }
}
