//! What the lens makes of the scene: how much of each part's radiance reaches each pixel.
//!
//! The lens blurs, a pixel averages over its area, and a camera that has moved by part of a pixel sees a little of the
//! next one. What is averaged is radiance, which grows with the fourth power of temperature, and not temperature.

use super::geometry::{
    FINE, HALO, HIGH, Layout, MARGIN, Part, STRATA, SURFACE, WALL, WIDE, blurred_and_averaged,
    narrow, position, real,
};
use crate::frame::{COLUMNS, PIXELS, Pixels, ROWS};

/// deg C to kelvin.
const KELVIN: f64 = 273.15;
/// Furthest movement that is represented, in cells: 1.5 pixels.
const FURTHEST: usize = FINE + 2;
/// Pixels that can come into view, down and across.
const DOWN: usize = ROWS + 3;
const ACROSS: usize = COLUMNS + 3;

/// The lens, and for each part what of it is seen where.
#[derive(Debug, Clone)]
pub(super) struct Optics {
    /// Deviation of the lens's blur, cells.
    blur: f64,
    parts: usize,
    /// `DOWN` x `ACROSS` shares for each part and the reflected surroundings, for each of the `FINE` x `FINE` ways in which
    /// pixels can lie on the grid.
    shares: Vec<f32>,
}

/// A disc that is hotter than what it lies on: x, y, radius in pixels, and by how many deg C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub centre: [f64; 2],
    pub radius: f64,
    pub delta_t: f64,
}

impl Optics {
    /// `fields` are the shapes of the two fields by x and y: air strata and the machine's halo.
    pub fn new(
        layout: &Layout,
        emissivity: &[f32],
        blur: f64,
        fields: [&dyn Fn(f64, f64) -> f64; 2],
    ) -> Self {
        let parts = layout.emissivity.len();
        let mut optics = Self {
            blur: blur * real(FINE),
            parts: parts + 1,
            shares: vec![0.0; FINE * FINE * (parts + 1) * DOWN * ACROSS],
        };
        let mut maps = vec![vec![0.0; HIGH * WIDE]; parts + 1];
        for cell in 0..HIGH * WIDE {
            let (seen, emitted) = (layout.seen[cell], emissivity[cell]);
            maps[seen][cell] = emitted;
            // What is not emitted is reflected: the surroundings, at the temperature of the wall.
            maps[parts][cell] = 1.0 - emitted;
            if seen == WALL || seen == SURFACE {
                let (x, y) = position(cell);
                for (part, field) in [STRATA, HALO].into_iter().zip(fields) {
                    maps[part][cell] = emitted * narrow(field(x, y));
                }
            }
        }
        for (part, map) in maps.iter().enumerate() {
            optics.keep(part, &blurred_and_averaged(map, WIDE, optics.blur));
        }
        optics
    }

    /// The temperatures that pixels see, deg C. `moved` is how far the camera is from its usual place: down, right; pixels.
    pub fn see(&self, temperatures: &[f64], moved: [f64; 2], spots: &[Spot]) -> Box<Pixels> {
        let ambient = temperatures[WALL] + KELVIN;
        let mut radiances: Vec<f32> = temperatures
            .iter()
            .map(|t| narrow((t + KELVIN).powi(4)))
            .collect();
        radiances.push(narrow(ambient.powi(4)));
        for field in [STRATA, HALO] {
            radiances[field] = narrow(temperatures[field] * 4.0 * ambient.powi(3));
        }
        let mut seen = self.mixed(&radiances, moved);
        for spot in spots {
            let slope = narrow(4.0 * (ambient + 10.0).powi(3));
            for (pixel, delta_t) in seen.iter_mut().zip(self.spot(*spot, moved)) {
                *pixel += delta_t * slope;
            }
        }
        for pixel in seen.iter_mut() {
            *pixel = narrow(f64::from(pixel.max(1e8)).sqrt().sqrt() - KELVIN);
        }
        seen
    }

    /// The pixel that sees most of these parts.
    pub fn place_of(&self, parts: &[Part]) -> usize {
        let mut radiances = vec![0.0; self.parts];
        for &part in parts {
            radiances[part] = 1.0;
        }
        let seen = self.mixed(&radiances, [0.0, 0.0]);
        (0..PIXELS)
            .max_by(|&a, &b| seen[a].total_cmp(&seen[b]))
            .unwrap_or(0)
    }

    /// Between the four nearest of the movements that are known.
    fn mixed(&self, radiances: &[f32], moved: [f64; 2]) -> Box<Pixels> {
        let cells = moved.map(|pixels| {
            let cells = pixels * real(FINE) + real(FURTHEST);
            cells.clamp(0.1, 2.0 * real(FURTHEST) - 0.1)
        });
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what is represented"
        )]
        let whole = cells.map(|c| c.floor() as usize);
        let rest = [0, 1].map(|axis| narrow(cells[axis] - real(whole[axis])));
        let mut seen = Box::new([0.0; PIXELS]);
        for (down, right) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let share = |step: usize, rest: f32| if step == 0 { 1.0 - rest } else { rest };
            let weight = share(down, rest[0]) * share(right, rest[1]);
            let corner = MARGIN - FURTHEST;
            let at = [corner + whole[0] + down, corner + whole[1] + right];
            for (part, radiance) in radiances.iter().enumerate() {
                self.add(&mut seen, part, at, radiance * weight);
            }
        }
        seen
    }

    /// Adds a part's share, times `radiance`, as seen by pixels of which the first begins at cell `at`.
    fn add(&self, seen: &mut Pixels, part: Part, at: [usize; 2], radiance: f32) {
        if radiance == 0.0 {
            return;
        }
        let first = self.first((at[0] % FINE) * FINE + at[1] % FINE, part)
            + at[0] / FINE * ACROSS
            + at[1] / FINE;
        for (row, pixels) in seen.chunks_exact_mut(COLUMNS).enumerate() {
            let shares = &self.shares[first + row * ACROSS..][..COLUMNS];
            for (pixel, share) in pixels.iter_mut().zip(shares) {
                *pixel += share * radiance;
            }
        }
    }

    fn first(&self, lie: usize, part: Part) -> usize {
        (lie * self.parts + part) * DOWN * ACROSS
    }

    fn keep(&mut self, part: Part, averaged: &[f32]) {
        for lie in 0..FINE * FINE {
            let first = self.first(lie, part);
            let (top, left) = (lie / FINE, lie % FINE);
            for row in 0..DOWN {
                for column in 0..ACROSS {
                    let cell = (top + row * FINE) * WIDE + left + column * FINE;
                    self.shares[first + row * ACROSS + column] = averaged[cell];
                }
            }
        }
    }

    /// deg C that a spot adds to each pixel: its edge is soft, the lens blurs it, the pixel averages.
    fn spot(&self, spot: Spot, moved: [f64; 2]) -> Vec<f32> {
        let map: Vec<f32> = (0..HIGH * WIDE)
            .map(|cell| {
                let (x, y) = position(cell);
                // From the middle of the cell to the spot, whose coordinates are those of pixels' middles.
                let middle = 0.5 / real(FINE) - 0.5;
                let down = y + middle - (spot.centre[1] - moved[0]);
                let right = x + middle - (spot.centre[0] - moved[1]);
                let inward = (spot.radius - down.hypot(right)) / (0.3 * spot.radius);
                narrow(inward.clamp(0.0, 1.0) * spot.delta_t)
            })
            .collect();
        let averaged = blurred_and_averaged(&map, WIDE, self.blur);
        (0..PIXELS)
            .map(|pixel| {
                let (row, column) = (pixel / COLUMNS, pixel % COLUMNS);
                averaged[(MARGIN + row * FINE) * WIDE + MARGIN + column * FINE]
            })
            .collect()
    }
}
