//! A boiler room and an electrical panel as the camera would see them, drawn from a seed.
//!
//! In the order in which heat passes: a *machine* (`boiler`, `panel`) stands in a *layout* (`geometry`) and lives through a
//! *course* of days; each *moment* of it passes the lens (`optics`) and the sensor (`sensor`), with or without *faults*.
//! Temperatures are deg C, times minutes, lengths pixels of the sensor, rows from the top and columns from the left.
//!
//! The same seed, kind and stream give the same frames on every run. It is a stand-in with plausible physics and not a
//! measurement: real rooms are messier, and what is trained on it is for demonstration.

use chrono::{DateTime, Duration, Timelike as _, Utc};

use self::boiler::Boiler;
use self::chance::Purpose;
use self::geometry::{Layout, narrow, real};
use self::optics::Optics;
use self::panel::Panel;
use self::sensor::Sensor;
use crate::frame::{Frame, Pixels};

mod boiler;
mod chance;
mod course;
mod faults;
mod geometry;
mod optics;
mod panel;
mod sensor;

pub use chance::Chance;
pub use course::{Breakdown, Course, Moment, STEP};
pub use faults::Fault;
pub use geometry::Part;
pub use sensor::{Camera, View};

/// The states of a scene, coldest first.
pub const LABELS: [&str; 3] = [COLD, WARM, HOT];
const COLD: &str = "cold";
const WARM: &str = "warm";
const HOT: &str = "hot";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    Boiler,
    Panel,
}

/// A boiler room or an electrical panel, drawn from a seed.
#[derive(Debug, Clone)]
pub struct Scene {
    kind: Kind,
    seed: u64,
    machine: Machine,
    optics: Optics,
    sensor: Sensor,
    /// Pixels that see nothing but plain surfaces.
    plain: Vec<usize>,
    parts: usize,
}

#[derive(Debug, Clone)]
enum Machine {
    Boiler(Boiler),
    Panel(Panel),
}

impl Scene {
    pub fn new(kind: Kind, seed: u64) -> Self {
        let mut chance = Chance::new(Purpose::Scene, kind, seed, 0);
        let (machine, layout) = Machine::new(kind, &mut chance);
        let emissivity = layout.emissivities(&mut chance);
        let blur = chance.between(0.55, 0.75);
        let optics = match &machine {
            Machine::Boiler(boiler) => Optics::new(
                &layout,
                &emissivity,
                blur,
                [&Boiler::strata, &|x, y| boiler.halo(x, y)],
            ),
            Machine::Panel(_) => {
                Optics::new(&layout, &emissivity, blur, [&Panel::strata, &Panel::halo])
            }
        };
        Self {
            plain: layout.covered_by(&machine.plain()),
            sensor: Sensor::new(&mut chance),
            parts: layout.emissivity.len(),
            kind,
            seed,
            machine,
            optics,
        }
    }

    /// `frames` normal frames with their labels (`cold`, `warm`, `hot`), spread evenly over `days` from `start`.
    ///
    /// `stream` chooses one of many possible courses of those days.
    pub fn recording(
        &self,
        days: f64,
        frames: usize,
        stream: u64,
        start: DateTime<Utc>,
    ) -> Vec<(Frame, &'static str)> {
        let mut course = self.course(stream, start.num_seconds_from_midnight() / 60);
        let mut camera = self.camera(stream);
        let mut passed = 0;
        (1..=frames)
            .map(|frame| {
                let seconds = seconds(days * 86_400.0 * real(frame) / real(frames));
                let minute = u32::try_from(seconds / 60).unwrap_or(u32::MAX);
                course.advance(minute.saturating_sub(passed));
                passed = minute;
                let moment = course.moment();
                let at = start + Duration::seconds(seconds);
                (self.frame(&moment, &mut camera, &[], at), moment.label)
            })
            .collect()
    }

    /// What the camera makes of a moment, as it would be captured.
    pub fn frame(
        &self,
        moment: &Moment,
        camera: &mut Camera,
        faults: &[Fault],
        captured_at: DateTime<Utc>,
    ) -> Frame {
        Frame {
            pixels: self.render(moment, camera, faults),
            ambient: Some((narrow(moment.die) * 100.0).round() / 100.0),
            captured_at: Some(captured_at),
            camera: Some(self.name()),
        }
    }

    /// The pixels alone.
    pub fn render(&self, moment: &Moment, camera: &mut Camera, faults: &[Fault]) -> Box<Pixels> {
        let temperatures = faults::heated(moment, faults);
        let moved = camera.tremble();
        let mut pixels = self
            .optics
            .see(&temperatures, moved, &faults::spots(faults));
        faults::hide(&mut pixels, moment.ambient, faults);
        let warmer = moment.ambient - self.usual_ambient();
        self.sensor
            .measure(&mut pixels, moment.ambient, warmer, moment.minute, camera);
        faults::break_pixels(&mut pixels, faults);
        pixels
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The camera's, for people: `simulated boiler 7`.
    pub fn name(&self) -> String {
        match self.kind {
            Kind::Boiler => format!("simulated boiler {}", self.seed),
            Kind::Panel => format!("simulated panel {}", self.seed),
        }
    }

    /// For choosing faults in this scene by chance.
    pub fn chance(&self, stream: u64) -> Chance {
        Chance::new(Purpose::Faults, self.kind, self.seed, stream)
    }

    fn usual_ambient(&self) -> f64 {
        match &self.machine {
            Machine::Boiler(boiler) => boiler.nature.usual_ambient,
            Machine::Panel(panel) => panel.usual_ambient,
        }
    }
}

impl Machine {
    fn new(kind: Kind, chance: &mut Chance) -> (Self, Layout) {
        match kind {
            Kind::Boiler => {
                let (boiler, layout) = Boiler::new(chance);
                (Self::Boiler(boiler), layout)
            }
            Kind::Panel => {
                let (panel, layout) = Panel::new(chance);
                (Self::Panel(panel), layout)
            }
        }
    }

    /// Surfaces on which nothing is hot by design.
    fn plain(&self) -> Vec<Part> {
        match self {
            Self::Boiler(boiler) => boiler.plain(),
            Self::Panel(_) => Panel::plain(),
        }
    }
}

/// Whole seconds; capture times are no finer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of days that somebody typed"
)]
fn seconds(seconds: f64) -> i64 {
    seconds.round() as i64
}
