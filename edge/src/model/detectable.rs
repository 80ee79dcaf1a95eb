//! How much hotter a spot must be, at each place, to be seen.
//!
//! A spot of 1 deg C is put at every place, and what the modes leave of it is scored against the noise and the usual extra
//! tolerance there; the threshold divided by that score is the temperature difference that reaches it. This is exact
//! but for the movement of the camera and the tolerance that the spot itself causes. It counts the residual alone; where
//! the envelope sees more, less is needed.

use super::{
    Model, SCALES,
    basis::{Basis, Frames},
    residual,
    smooth::{Smoothing, elementary},
};
use crate::frame::{COLUMNS, PIXELS, Pixels, Place, ROWS};

/// Radii, pixels.
const RADII: [usize; 3] = [1, 2, 3];

/// Blur of the lens, pixels.
const BLUR: f64 = 0.65;
/// How far a spot reaches at most, pixels: 3 and its blur.
const REACH: usize = 6;
/// A spot is calculated on a grid so many times as fine.
const FINER: usize = 4;
const SIDE: usize = 2 * REACH + 1;

/// For a spot of one radius: the temperature difference at which it reaches the threshold, by its place.
#[derive(Debug, Clone)]
pub struct Detectable {
    /// Pixels.
    pub radius: usize,
    /// deg C (768).
    pub delta_t: Vec<f32>,
}

/// For spots of 1, 2 and 3 pixels; `frames` are the (repaired) frames the model was fitted on.
pub fn detectable(model: &Model, frames: &[&Pixels]) -> Vec<Detectable> {
    let response = Response::new(model, frames);
    let threshold = model.residual_threshold.clamped;
    RADII
        .into_iter()
        .map(|radius| {
            let shape = Shape::new(radius);
            let delta_t = (0..PIXELS)
                .map(|index| {
                    let score = response.largest(&shape.at(Place::of(index)), Place::of(index));
                    elementary::single(threshold / score)
                })
                .collect();
            Detectable { radius, delta_t }
        })
        .collect()
}

/// What a round spot that is 1 deg C hotter adds to a frame.
pub fn spot(radius: usize, place: Place) -> Box<Pixels> {
    let mut pixels = Box::new([0.0; PIXELS]);
    for (pixel, value) in pixels.iter_mut().zip(Shape::new(radius).at(place)) {
        *pixel = elementary::single(value);
    }
    pixels
}

/// A spot as the pixels round its centre see it.
struct Shape([[f64; SIDE]; SIDE]);

impl Shape {
    fn new(radius: usize) -> Self {
        let weights = seen();
        let radius = elementary::real(radius.min(REACH));
        let fine = |index: usize| {
            (elementary::real(index) + 0.5) / elementary::real(FINER) - elementary::real(SIDE) / 2.0
        };
        // First along the columns, for each fine row; then along the rows.
        let mut shape = [[0.0; SIDE]; SIDE];
        for fine_row in 0..SIDE * FINER {
            let mut line = [0.0; SIDE];
            for fine_column in 0..SIDE * FINER {
                let (y, x) = (fine(fine_row), fine(fine_column));
                if y * y + x * x <= radius * radius {
                    for (value, weights) in line.iter_mut().zip(&weights) {
                        *value += weights[fine_column];
                    }
                }
            }
            for (row, weights) in shape.iter_mut().zip(&weights) {
                for (value, part) in row.iter_mut().zip(line) {
                    *value += weights[fine_row] * part;
                }
            }
        }
        Self(shape)
    }

    /// In a frame of which the rest is 0. What lies beyond the edge is not seen.
    fn at(&self, place: Place) -> Vec<f64> {
        let mut frame = vec![0.0; PIXELS];
        for (row, values) in self.0.iter().enumerate() {
            let Some(row) = (place.row + row)
                .checked_sub(REACH)
                .filter(|&row| row < ROWS)
            else {
                continue;
            };
            for (column, value) in values.iter().enumerate() {
                let column = (place.column + column).checked_sub(REACH);
                if let Some(column) = column.filter(|&column| column < COLUMNS) {
                    frame[row * COLUMNS + column] = *value;
                }
            }
        }
        frame
    }
}

/// How much of each fine position a pixel sees, along one direction: the blur, averaged over the pixel.
fn seen() -> [[f64; SIDE * FINER]; SIDE] {
    let scale = elementary::real(FINER);
    let mut weights = [[0.0; SIDE * FINER]; SIDE];
    for (pixel, weights) in weights.iter_mut().enumerate() {
        for (fine, weight) in weights.iter_mut().enumerate() {
            for part in 0..FINER {
                let within = elementary::real(pixel * FINER + part);
                let distance = (within - elementary::real(fine)) / scale / BLUR;
                *weight += elementary::exp(-0.5 * distance * distance);
            }
        }
    }
    let middle: f64 = weights[REACH].iter().sum();
    weights.map(|weights| weights.map(|weight| weight / middle))
}

/// Everything about a model that does not depend on the spot.
struct Response {
    smoothing: Smoothing,
    basis: Basis,
    /// Per scale and place: 1 by the usual deviation.
    sharpness: [Vec<f64>; SCALES],
    /// Per scale and place: the modes, smoothed and by the deviation, side by side; and the length of that.
    modes: [Vec<(Vec<f64>, f64)>; SCALES],
}

impl Response {
    fn new(model: &Model, frames: &[&Pixels]) -> Self {
        let smoothing = Smoothing::new();
        let basis = residual::basis_of(model);
        let extra = usual_extra(model, &basis, frames);
        let sharpness = [0, 1, 2].map(|scale: usize| {
            let variance = model.variance[scale].iter().zip(&extra);
            variance
                .map(|(&v, extra)| {
                    1.0 / (f64::from(v) + residual::EXTRA_SHARE[scale] * extra).sqrt()
                })
                .collect::<Vec<f64>>()
        });
        let modes = [0, 1, 2].map(|scale: usize| {
            let smoothed: Vec<Vec<f64>> = basis
                .modes
                .chunks_exact(PIXELS)
                .map(|mode| smoothing.smooth(scale, mode))
                .collect();
            (0..PIXELS)
                .map(|pixel| {
                    let sharp = sharpness[scale][pixel];
                    let row: Vec<f64> = smoothed.iter().map(|mode| mode[pixel] * sharp).collect();
                    let length = row.iter().map(|value| value * value).sum::<f64>().sqrt();
                    (row, length)
                })
                .collect()
        });
        Self {
            smoothing,
            basis,
            sharpness,
            modes,
        }
    }

    /// The largest score of a spot of 1 deg C.
    fn largest(&self, spot: &[f64], place: Place) -> f64 {
        let coefficients = self.basis.coefficients(spot);
        let length = coefficients.iter().map(|c| c * c).sum::<f64>().sqrt();
        let smoothed = [0, 1, 2].map(|scale| self.smoothing.smooth(scale, spot));
        let score = |scale: usize, pixel: usize| {
            let explained: f64 = self.modes[scale][pixel]
                .0
                .iter()
                .zip(&coefficients)
                .map(|(mode, coefficient)| mode * coefficient)
                .sum();
            (smoothed[scale][pixel] * self.sharpness[scale][pixel] - explained).abs()
        };
        let mut largest = 0.0_f64;
        for scale in 0..SCALES {
            largest = largest.max(score(scale, place.index()));
        }
        for (scale, smoothed) in smoothed.iter().enumerate() {
            for (pixel, value) in smoothed.iter().enumerate() {
                // A score cannot be larger than this: most places need no closer look.
                let direct = value * self.sharpness[scale][pixel];
                if direct.abs() + self.modes[scale][pixel].1 * length > largest {
                    largest = largest.max(score(scale, pixel));
                }
            }
        }
        largest
    }
}

/// The extra variance of each place, on average.
fn usual_extra(model: &Model, basis: &Basis, frames: &[&Pixels]) -> Vec<f64> {
    let sigma: Vec<f64> = model.sigma.iter().map(|&sigma| f64::from(sigma)).collect();
    let frames = Frames::new(frames.iter().copied());
    let mut extra = vec![0.0; PIXELS];
    for frame in frames.iter() {
        let parts = residual::take_apart(frame, basis, &sigma);
        for (sum, value) in extra.iter_mut().zip(parts.extra) {
            *sum += value;
        }
    }
    let count = elementary::real(frames.len().max(1));
    extra.into_iter().map(|sum| sum / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spot_is_as_bright_as_its_area_and_blurred() {
        for (radius, area) in [(1, 1.0), (2, 4.0), (3, 9.0)]
            .map(|(radius, square)| (radius, square * std::f32::consts::PI))
        {
            let spot = spot(
                radius,
                Place {
                    row: 12,
                    column: 15,
                },
            );
            let sum: f32 = spot.iter().sum();
            assert!((sum - area).abs() < 0.04 * area, "{radius}: {sum}");
            let centre = spot[12 * COLUMNS + 15];
            assert!(
                centre <= 1.0 && (radius < 3 || centre > 0.99),
                "{radius}: {centre}"
            );
            let mirrored = spot[12 * COLUMNS + 17] - spot[12 * COLUMNS + 13];
            assert!(mirrored.abs() < 1e-6);
        }
    }

    #[test]
    fn a_spot_at_the_corner_is_cut() {
        let spot = spot(2, Place { row: 0, column: 0 });
        assert!(spot[0] > 0.9 && spot[PIXELS - 1].abs() < 1e-9);
        assert!(spot.iter().sum::<f32>() < 7.0);
    }
}
