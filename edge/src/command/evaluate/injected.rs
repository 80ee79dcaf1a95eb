//! The faults that are put into simulated frames, class by class: which ones, how large, and where.
//!
//! Each frame is a moment of days that training did not see, with one fault in it. Where it is and when it happens is
//! chosen by chance.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::trial::real;
use crate::emulate::scene::{Breakdown, Camera, Chance, Fault, Kind, LABELS, Moment, STEP, Scene};
use crate::frame::{Frame, PIXELS, Place};

/// Of hot spots: pixels, and deg C.
pub const RADII: [f64; 4] = [1.0, 2.0, 3.0, 4.0];
pub const DELTAS: [f64; 5] = [2.0, 4.0, 6.0, 10.0, 20.0];

/// Days from which the moments are chosen, and those of a machine that broke down.
const DAYS: usize = 12;
const BROKEN_DAYS: usize = 4;
const MOMENTS_A_DAY: usize = 24 * 60 / STEP as usize;

/// One of the classes, with its size where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Class {
    HotSpot { radius: f64, delta_t: f64 },
    HotPart { delta_t: f64 },
    ReliefPipe { delta_t: f64 },
    MissingHeat { delta_t: f64 },
    Overheating { delta_t: f64 },
    FlowFailure,
    BlockedLens,
    HalfBlockedLens,
    Person,
    DeadPixels { pixels: usize },
}

/// A frame with a fault in it.
#[derive(Debug)]
pub struct Injected {
    pub frame: Frame,
    /// Where the fault is, if it is in one place.
    pub place: Option<Place>,
}

/// Makes frames of one scene with faults in them.
#[derive(Debug)]
pub struct Injector<'a> {
    scene: &'a Scene,
    moments: Rc<[Moment]>,
    plain: Vec<Place>,
    camera: Camera,
    chance: Chance,
    stream: u64,
    at: DateTime<Utc>,
}

/// All classes, in the order of the table.
pub fn classes() -> Vec<Class> {
    let spots = RADII
        .into_iter()
        .flat_map(|radius| DELTAS.map(|delta_t| Class::HotSpot { radius, delta_t }));
    let mut classes: Vec<Class> = spots.collect();
    classes.push(Class::Person);
    classes.extend([Class::BlockedLens, Class::HalfBlockedLens]);
    classes.extend([4.0, 6.0, 10.0, 20.0].map(|delta_t| Class::HotPart { delta_t }));
    classes.extend([6.0, 10.0, 20.0].map(|delta_t| Class::ReliefPipe { delta_t }));
    classes.extend([6.0, 10.0, 20.0].map(|delta_t| Class::MissingHeat { delta_t }));
    classes.extend([8.0, 15.0, 30.0].map(|delta_t| Class::Overheating { delta_t }));
    classes.push(Class::FlowFailure);
    classes.extend([1, 2, 4].map(|pixels| Class::DeadPixels { pixels }));
    classes
}

impl<'a> Injector<'a> {
    pub fn new(scene: &'a Scene, stream: u64, at: DateTime<Utc>) -> Self {
        Self {
            scene,
            moments: scene.course(stream, 0).take(DAYS * MOMENTS_A_DAY).collect(),
            plain: scene.plain_places(),
            camera: scene.camera(stream),
            chance: scene.chance(stream),
            stream,
            at,
        }
    }

    /// `count` frames of a class; none if the scene has nothing that can be wrong in this way.
    pub fn frames(&mut self, class: Class, count: usize) -> Vec<Injected> {
        let moments = self.possible(class);
        (0..count)
            .filter_map(|turn| {
                let moment = &moments[self.chance.below(moments.len())];
                let (fault, place) = self.fault(class, turn)?;
                let camera = &mut self.camera;
                let faults = fault.as_slice();
                let frame = self.scene.frame(moment, camera, faults, self.at);
                Some(Injected { frame, place })
            })
            .collect()
    }

    /// When a class can be told from a normal state at all.
    fn possible(&self, class: Class) -> Rc<[Moment]> {
        let hot = LABELS[2];
        match class {
            Class::MissingHeat { .. } => chosen(&self.moments, |m| m.label == hot),
            Class::Overheating { delta_t } => {
                let moments = self.broken(Breakdown::Overheating(delta_t), 1);
                chosen(&moments, |m| m.label == hot)
            }
            Class::FlowFailure => {
                let least = match self.scene.kind() {
                    Kind::Boiler => 12.0,
                    Kind::Panel => 14.0,
                };
                let part = self.scene.heated_without_flow();
                let moments = self.broken(Breakdown::Flow, 2);
                chosen(&moments, |m| m.temperatures[part] - m.ambient > least)
            }
            _ => Rc::clone(&self.moments),
        }
    }

    fn broken(&self, breakdown: Breakdown, which: u64) -> Vec<Moment> {
        let mut course = self.scene.course(self.stream + which, 0);
        course.breakdown = Some(breakdown);
        course.take(BROKEN_DAYS * MOMENTS_A_DAY).collect()
    }

    /// The fault and its place. No fault is one that is in the moment already; None is one that cannot be.
    fn fault(&mut self, class: Class, turn: usize) -> Option<(Option<Fault>, Option<Place>)> {
        let scene = self.scene;
        let chance = &mut self.chance;
        let hidden = chance.between(2.0, 8.0);
        let in_parts = |parts: Vec<usize>, delta_t: f64| {
            let place = scene.place_of(&parts);
            (Fault::HotPart { parts, delta_t }, Some(place))
        };
        let (fault, place) = match class {
            Class::HotSpot { radius, delta_t } => {
                let place = *chance.one_of(&self.plain)?;
                let (row, column) = (real(place.row), real(place.column));
                let spot = Fault::HotSpot {
                    row,
                    column,
                    radius,
                    delta_t,
                };
                (spot, Some(place))
            }
            Class::HotPart { delta_t } => {
                let runs = scene.warm_parts();
                let run = chance.one_of(&runs)?;
                let first = chance.below(run.len() - 1);
                let parts = run.iter().skip(first).take(2).copied().collect();
                in_parts(parts, delta_t)
            }
            Class::ReliefPipe { delta_t } => in_parts(vec![scene.relief_pipe()?], delta_t),
            Class::MissingHeat { delta_t } => {
                in_parts(chance.one_of(&scene.far_parts())?.clone(), -delta_t)
            }
            Class::BlockedLens => {
                let slope = chance.normal(0.0, 0.02);
                let blocked = Fault::BlockedLens {
                    above_ambient: hidden,
                    slope,
                };
                (blocked, None)
            }
            Class::HalfBlockedLens => {
                let blocked = Fault::HalfBlockedLens {
                    columns: 8 + chance.below(14),
                    above_ambient: hidden,
                };
                (blocked, None)
            }
            Class::Person => person(chance, turn),
            Class::DeadPixels { pixels } => dead(chance, pixels)?,
            Class::Overheating { .. } | Class::FlowFailure => return Some((None, None)),
        };
        Some((Some(fault), place))
    }
}

/// Those of the moments, or all of them if there are none.
fn chosen(moments: &[Moment], which: impl Fn(&Moment) -> bool) -> Rc<[Moment]> {
    let chosen: Rc<[Moment]> = moments.iter().filter(|m| which(m)).cloned().collect();
    if chosen.is_empty() {
        moments.into()
    } else {
        chosen
    }
}

/// In turn a hand and somebody.
fn person(chance: &mut Chance, turn: usize) -> (Fault, Option<Place>) {
    let row = chance.between(4.0, 22.0);
    let column = chance.between(3.0, 29.0);
    let size = if turn.is_multiple_of(2) {
        [chance.between(1.5, 3.0), chance.between(1.5, 3.0)]
    } else {
        [chance.between(6.0, 14.0), chance.between(3.0, 5.0)]
    };
    let person = Fault::Person {
        row,
        column,
        size,
        celsius: chance.between(28.0, 33.0),
    };
    (person, None)
}

fn dead(chance: &mut Chance, count: usize) -> Option<(Fault, Option<Place>)> {
    let pixels: Vec<usize> = (0..count).map(|_| chance.below(PIXELS)).collect();
    let celsius = *chance.one_of(&[-40.0, 0.0, 85.0, 300.0])?;
    let place = Place::of(*pixels.first()?);
    Some((Fault::DeadPixels { pixels, celsius }, Some(place)))
}
