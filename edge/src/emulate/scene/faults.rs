//! What can be wrong in the picture, and how it is put there.
//!
//! Everything is put into the world before lens and sensor, so that it is blurred and noisy like all else; only broken
//! pixels are the sensor's own. What is wrong with how the machine *works* is a `Breakdown` and part of its course.

use super::geometry::{Part, blurred, narrow, real};
use super::optics::Spot;
use super::{Machine, Moment, Scene};
use crate::frame::{COLUMNS, PIXELS, Pixels, Place};

/// Something that a moment shows and a normal one would not.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// A disc that is hotter than what it lies on, at pixel coordinates that may lie between pixels.
    HotSpot {
        row: f64,
        column: f64,
        /// Pixels.
        radius: f64,
        /// deg C.
        delta_t: f64,
    },
    /// A part that is warm by design is hotter than it should be (or colder, below 0, but not than the room).
    HotPart { parts: Vec<Part>, delta_t: f64 },
    /// Something opaque right before the lens: all pixels see its temperature, deg C above ambient, which rises by
    /// `slope` from column to column.
    BlockedLens { above_ambient: f64, slope: f64 },
    /// The same over so many columns from the left.
    HalfBlockedLens { columns: usize, above_ambient: f64 },
    /// Somebody, or a hand, stands in the view: an ellipse at skin and clothes temperature.
    Person {
        row: f64,
        column: f64,
        /// Half height and half width, pixels.
        size: [f64; 2],
        celsius: f64,
    },
    /// Pixels, by index, that give this whatever they see.
    DeadPixels { pixels: Vec<usize>, celsius: f64 },
}

impl Scene {
    /// Pipes (or breakers) that are warm by design, each in segments along its flow.
    pub fn warm_parts(&self) -> Vec<Vec<Part>> {
        match &self.machine {
            Machine::Boiler(boiler) => [
                &boiler.supply,
                &boiler.returns,
                &boiler.zone,
                &boiler.hot_water,
            ]
            .map(Clone::clone)
            .into(),
            Machine::Panel(panel) => panel.breakers.iter().map(|&part| vec![part]).collect(),
        }
    }

    /// The boiler's return and supply pipes beyond their first segments: what stays cold when heat does not arrive.
    pub fn far_parts(&self) -> Vec<Vec<Part>> {
        match &self.machine {
            Machine::Boiler(boiler) => {
                vec![boiler.returns[2..5].to_vec(), boiler.supply[2..5].to_vec()]
            }
            Machine::Panel(_) => Vec::new(),
        }
    }

    /// The pipe that is warm only when the relief valve leaks.
    pub fn relief_pipe(&self) -> Option<Part> {
        match &self.machine {
            Machine::Boiler(boiler) => Some(boiler.relief),
            Machine::Panel(_) => None,
        }
    }

    /// What a breakdown of the flow can be told by: the first part that it heats.
    pub fn heated_without_flow(&self) -> Part {
        match &self.machine {
            Machine::Boiler(boiler) => boiler.supply[0],
            Machine::Panel(panel) => panel.drives[0],
        }
    }

    /// Where nothing is hot by design: a hot spot there is a fault in anyone's eyes.
    pub fn plain_places(&self) -> Vec<Place> {
        self.plain.iter().map(|&index| Place::of(index)).collect()
    }

    /// Where these parts are seen best.
    pub fn place_of(&self, parts: &[Part]) -> Place {
        Place::of(self.optics.place_of(parts))
    }
}

/// The moment's temperatures with the faults in it.
pub(super) fn heated(moment: &Moment, faults: &[Fault]) -> Vec<f64> {
    let mut temperatures = moment.temperatures.clone();
    for fault in faults {
        if let Fault::HotPart { parts, delta_t } = fault {
            for &part in parts {
                let usual = temperatures[part];
                // Cooling ends at the room's temperature.
                let coldest = usual.min(moment.ambient);
                temperatures[part] = (usual + delta_t).max(coldest);
            }
        }
    }
    temperatures
}

pub(super) fn spots(faults: &[Fault]) -> Vec<Spot> {
    let spot = |fault: &Fault| match *fault {
        Fault::HotSpot {
            row,
            column,
            radius,
            delta_t,
        } => Some(Spot {
            centre: [column, row],
            radius,
            delta_t,
        }),
        _ => None,
    };
    faults.iter().filter_map(spot).collect()
}

/// What stands between scene and lens hides what is behind it.
pub(super) fn hide(seen: &mut Pixels, ambient: f64, faults: &[Fault]) {
    for fault in faults {
        match *fault {
            Fault::BlockedLens {
                above_ambient,
                slope,
            } => {
                for (index, pixel) in seen.iter_mut().enumerate() {
                    *pixel = narrow(ambient + above_ambient + slope * real(index % COLUMNS));
                }
            }
            Fault::HalfBlockedLens {
                columns,
                above_ambient,
            } => {
                for (index, pixel) in seen.iter_mut().enumerate() {
                    if index % COLUMNS < columns {
                        *pixel = narrow(ambient + above_ambient);
                    }
                }
            }
            Fault::Person {
                row,
                column,
                size,
                celsius,
            } => {
                for (pixel, opaque) in seen.iter_mut().zip(silhouette([row, column], size)) {
                    *pixel += (narrow(celsius) - *pixel) * opaque;
                }
            }
            Fault::HotSpot { .. } | Fault::HotPart { .. } | Fault::DeadPixels { .. } => {}
        }
    }
}

pub(super) fn break_pixels(measured: &mut Pixels, faults: &[Fault]) {
    for fault in faults {
        if let Fault::DeadPixels { pixels, celsius } = fault {
            for &pixel in pixels {
                if let Some(dead) = measured.get_mut(pixel) {
                    *dead = narrow(*celsius);
                }
            }
        }
    }
}

/// How opaque somebody is, pixel by pixel: hair and clothes end softly.
fn silhouette(centre: [f64; 2], size: [f64; 2]) -> Vec<f32> {
    let map: Vec<f32> = (0..PIXELS)
        .map(|pixel| {
            let at = Place::of(pixel);
            let down = (real(at.row) - centre[0]) / size[0];
            let right = (real(at.column) - centre[1]) / size[1];
            narrow((1.4 - down.hypot(right)).clamp(0.0, 0.4) / 0.4)
        })
        .collect();
    blurred(&map, COLUMNS, 0.6)
}
