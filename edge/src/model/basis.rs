//! The mean frame and the modes around it.
//!
//! The modes are the principal components of the frames about their mean after each frame's own constant offset was
//! taken away; the offset is a mode of its own and comes first. They are found from the products of all pairs of frames
//! (N x N), which are calculated once: what a fold needs is a part of them, centred again.

use anyhow::Context as _;
use nalgebra::{DMatrix, SymmetricEigen};

use crate::frame::{PIXELS, Pixels};

use super::smooth::elementary::real;

/// A mode that explains less than this share of what the first one does is rounding.
const LEAST_WEIGHT: f64 = 1e-12;

/// Frames to calculate with, one behind the other.
#[derive(Debug, Clone)]
pub struct Frames {
    values: Vec<f64>,
}

/// What frames are explained by: a mean, and modes of unit length of which the first is constant.
#[derive(Debug, Clone)]
pub struct Basis {
    pub mean: Vec<f64>,
    /// One behind the other, 768 values each.
    pub modes: Vec<f64>,
}

/// Products of all pairs of frames, about their common mean and without their offsets.
#[derive(Debug)]
pub struct Products {
    frames: usize,
    values: Vec<f64>,
}

impl Frames {
    pub fn new<'a>(frames: impl IntoIterator<Item = &'a Pixels>) -> Self {
        let values = frames
            .into_iter()
            .flat_map(|pixels| pixels.iter().map(|&pixel| f64::from(pixel)))
            .collect();
        Self { values }
    }

    pub fn len(&self) -> usize {
        self.values.len() / PIXELS
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn get(&self, index: usize) -> &[f64] {
        &self.values[index * PIXELS..(index + 1) * PIXELS]
    }

    pub fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(PIXELS)
    }

    /// The mean of some of the frames.
    pub fn mean(&self, of: &[usize]) -> Vec<f64> {
        let mut mean = vec![0.0; PIXELS];
        for &index in of {
            for (sum, value) in mean.iter_mut().zip(self.get(index)) {
                *sum += value;
            }
        }
        let count = real(of.len().max(1));
        for sum in &mut mean {
            *sum /= count;
        }
        mean
    }
}

impl Products {
    pub fn of(frames: &Frames) -> Self {
        let all: Vec<usize> = (0..frames.len()).collect();
        let mean = frames.mean(&all);
        let about: Vec<Vec<f64>> = frames
            .iter()
            .map(|frame| without_offset(frame, &mean))
            .collect();
        let count = frames.len();
        let mut values = vec![0.0; count * count];
        for row in 0..count {
            for column in 0..=row {
                let product = dot(&about[row], &about[column]);
                values[row * count + column] = product;
                values[column * count + row] = product;
            }
        }
        Self {
            frames: count,
            values,
        }
    }

    /// The products of some of the frames about their own mean.
    fn centred(&self, of: &[usize]) -> DMatrix<f64> {
        let count = of.len();
        let mut part = DMatrix::from_fn(count, count, |row, column| {
            self.values[of[row] * self.frames + of[column]]
        });
        let means: Vec<f64> = part
            .column_iter()
            .map(|column| column.iter().sum::<f64>() / real(count))
            .collect();
        let mean = means.iter().sum::<f64>() / real(count);
        for column in 0..count {
            for row in 0..count {
                part[(row, column)] += mean - means[row] - means[column];
            }
        }
        part
    }
}

impl Basis {
    /// The `most` strongest modes of some of the frames.
    pub fn of(
        frames: &Frames,
        products: &Products,
        of: &[usize],
        most: usize,
    ) -> anyhow::Result<Self> {
        let mean = frames.mean(of);
        // Convergence takes about two rounds for each eigenvalue; the limit only keeps it from never ending.
        let eigen = SymmetricEigen::try_new(products.centred(of), f64::EPSILON, 1000 + 100 * of.len())
            .context("the modes of the frames could not be calculated: the numbers do not converge; look for frames with absurd values")?;
        let mut order: Vec<usize> = (0..of.len()).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        let strongest = order.first().map_or(0.0, |&index| eigen.eigenvalues[index]);

        let mut modes = vec![1.0 / real(PIXELS).sqrt(); PIXELS];
        modes.resize((most + 1) * PIXELS, 0.0);
        for (mode, &index) in modes[PIXELS..].chunks_exact_mut(PIXELS).zip(&order) {
            let weight = eigen.eigenvalues[index];
            // Frames that hardly differ have fewer modes than were asked for: those that are missing explain nothing.
            if weight <= (LEAST_WEIGHT * strongest).max(1e-9) {
                break;
            }
            for (&frame, &share) in of.iter().zip(eigen.eigenvectors.column(index).iter()) {
                add_without_offset(mode, frames.get(frame), &mean, share / weight.sqrt());
            }
            fix_sign(mode);
        }
        Ok(Self { mean, modes })
    }

    /// Modes beside the constant one.
    pub fn k(&self) -> usize {
        self.modes.len() / PIXELS - 1
    }

    /// The same with fewer modes.
    #[must_use]
    pub fn truncated(&self, k: usize) -> Self {
        Self {
            mean: self.mean.clone(),
            modes: self.modes[..(k + 1) * PIXELS].to_vec(),
        }
    }

    /// How much of each mode is in a difference from the mean.
    pub fn coefficients(&self, difference: &[f64]) -> Vec<f64> {
        self.modes
            .chunks_exact(PIXELS)
            .map(|mode| dot(mode, difference))
            .collect()
    }

    /// Takes out of a difference from the mean what these coefficients explain of it.
    pub fn subtract(&self, coefficients: &[f64], difference: &mut [f64]) {
        for (mode, &coefficient) in self.modes.chunks_exact(PIXELS).zip(coefficients) {
            for (value, part) in difference.iter_mut().zip(mode) {
                *value -= coefficient * part;
            }
        }
    }
}

/// Four sums side by side: their order is fixed, and a compiler can keep them in one register.
pub fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0; 4];
    for (left, right) in left.chunks_exact(4).zip(right.chunks_exact(4)) {
        sums[0] += left[0] * right[0];
        sums[1] += left[1] * right[1];
        sums[2] += left[2] * right[2];
        sums[3] += left[3] * right[3];
    }
    (sums[0] + sums[1]) + (sums[2] + sums[3])
}

fn offset(frame: &[f64], mean: &[f64]) -> f64 {
    let sum: f64 = frame
        .iter()
        .zip(mean)
        .map(|(value, mean)| value - mean)
        .sum();
    sum / real(PIXELS)
}

fn without_offset(frame: &[f64], mean: &[f64]) -> Vec<f64> {
    let mut about = vec![0.0; PIXELS];
    add_without_offset(&mut about, frame, mean, 1.0);
    about
}

fn add_without_offset(to: &mut [f64], frame: &[f64], mean: &[f64], factor: f64) {
    let offset = offset(frame, mean);
    for ((to, value), mean) in to.iter_mut().zip(frame).zip(mean) {
        *to += factor * (value - mean - offset);
    }
}

/// A mode and its opposite explain the same; the one whose largest entry is positive is taken.
fn fix_sign(mode: &mut [f64]) {
    let mut largest = 0.0_f64;
    for &value in mode.iter() {
        if value.abs() > largest.abs() {
            largest = value;
        }
    }
    if largest < 0.0 {
        for value in mode {
            *value = -*value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(count: usize) -> Frames {
        // Two patterns whose shares change independently, and an offset.
        let pixels: Vec<Box<Pixels>> = (0..count)
            .map(|frame| {
                let (first, second) = (real(frame % 3) * 4.0, real(frame % 5));
                Box::new(std::array::from_fn(|index| {
                    let stripe = if index % 4 == 0 { 1.0 } else { 0.0 };
                    let half = if index < PIXELS / 2 { 1.0 } else { 0.0 };
                    let value = 20.0 + real(frame) * 0.1 + first * stripe + second * half;
                    super::super::smooth::elementary::single(value)
                }))
            })
            .collect();
        Frames::new(pixels.iter().map(AsRef::as_ref))
    }

    #[test]
    fn modes_are_orthogonal_and_explain_the_frames() {
        let frames = frames(30);
        let all: Vec<usize> = (0..30).collect();
        let basis = Basis::of(&frames, &Products::of(&frames), &all, 3).expect("converges");
        let modes: Vec<&[f64]> = basis.modes.chunks_exact(PIXELS).collect();
        for (i, left) in modes.iter().enumerate().take(3) {
            for (j, right) in modes.iter().enumerate().take(3) {
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((dot(left, right) - expected).abs() < 1e-9, "{i} {j}");
            }
        }
        assert!(
            modes[3].iter().all(|value| value.abs() < 1e-12),
            "only two patterns"
        );
        let mut rest: Vec<f64> = frames
            .get(7)
            .iter()
            .zip(&basis.mean)
            .map(|(a, b)| a - b)
            .collect();
        let coefficients = basis.coefficients(&rest);
        basis.subtract(&coefficients, &mut rest);
        assert!(rest.iter().all(|value| value.abs() < 1e-4));
    }

    #[test]
    fn a_part_of_the_products_gives_the_basis_of_that_part() {
        let frames = frames(40);
        let part: Vec<usize> = (5..33).collect();
        let alone = Frames {
            values: part
                .iter()
                .flat_map(|&index| frames.get(index).to_vec())
                .collect(),
        };
        let all: Vec<usize> = (0..alone.len()).collect();
        let one = Basis::of(&frames, &Products::of(&frames), &part, 2).expect("converges");
        let other = Basis::of(&alone, &Products::of(&alone), &all, 2).expect("converges");
        for (one, other) in one.modes.iter().zip(&other.modes) {
            assert!((one - other).abs() < 1e-9);
        }
    }
}
