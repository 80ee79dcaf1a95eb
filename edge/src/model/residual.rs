//! What the modes cannot explain.
//!
//! A frame's difference from the mean is explained by the modes; what is left is explained as far as possible by a small
//! movement of the camera (prior: none), and explained again. The residual is judged at three scales against the noise
//! of each pixel, with more tolerance where edges and heat make it uncertain. The envelope is judged beside it. `assess`
//! is the same calculation as the graph's; it works in f64 and so gives what the graph does to about 1e-5.

use super::{
    Assessment, Model, SCALES,
    basis::{self, Basis},
    labels,
    smooth::{self, Smoothing, elementary},
};
use crate::frame::{COLUMNS, PIXELS, Pixels, Place, ROWS};

/// How much of a pixel's extra variance is left at each scale.
pub const EXTRA_SHARE: [f64; SCALES] = [1.0, 0.64, 0.36];

/// The anomaly is 0.7 at ratio 1, and this much steeper than the ratio there.
pub const STEEPNESS: f64 = 8.0;
/// ln(0.7 / 0.3).
pub const LOGIT_AT_LIMIT: f64 = 0.847_297_860_387_203_7;

/// Precision of the prior that the camera stands still.
pub const STILLNESS: f64 = 30.0;
/// Pixels.
pub const LARGEST_SHIFT: f64 = 1.0;
/// Camera shake, pixels, and what of a place's heat is uncertain.
pub const SHAKE: f64 = 0.2;
pub const HEAT_DOUBT: f64 = 0.03;
/// Residuals beyond this many times the noise say nothing about a movement.
pub const BELIEVED: f64 = 3.0;
/// A difference in temperature is looked for this far from the place.
const NEARBY: usize = 2;

/// A frame taken apart.
#[derive(Debug, Clone)]
pub struct Parts {
    pub residual: Vec<f64>,
    /// Variance beside the noise, by edges and heat, deg C squared.
    pub extra: Vec<f64>,
    /// Of the constant mode, then of the others.
    pub coefficients: Vec<f64>,
    /// Rows, columns.
    pub shift: [f64; 2],
}

/// An assessment in pictures, 768 values each.
#[derive(Debug, Clone, PartialEq)]
pub struct Maps {
    /// Unexplained temperature, deg C.
    pub residual: Vec<f32>,
    /// Above the record, deg C.
    pub envelope: Vec<f32>,
    /// Score by threshold.
    pub ratio: Vec<f32>,
}

/// Judges a repaired frame: the same calculation as the graph's, in Rust.
pub fn assess(model: &Model, pixels: &Pixels) -> Assessment {
    assess_maps(model, pixels).0
}

/// The same, with what it was decided from.
pub fn assess_maps(model: &Model, pixels: &Pixels) -> (Assessment, Maps) {
    let frame: Vec<f64> = pixels.iter().map(|&pixel| f64::from(pixel)).collect();
    let smoothing = Smoothing::new();
    let parts = take_apart(&frame, &basis_of(model), &wide(&model.sigma));
    let variance = [0, 1, 2].map(|scale| wide(&model.variance[scale]));
    let scales = [0, 1, 2].map(|scale| smoothing.smooth(scale, &parts.residual));
    let residual_scores = largest_by_place(&scales, &parts.extra, &variance);
    let envelope = envelope(
        &frame,
        &smoothing,
        &wide(&model.hottest),
        &wide(&model.hottest_rise),
    );

    let by_residual = residual_scores
        .iter()
        .map(|score| score / model.residual_threshold.clamped);
    let by_envelope = envelope
        .iter()
        .map(|excess| excess / model.envelope_threshold.clamped);
    let ratios: Vec<f64> = by_residual
        .zip(by_envelope)
        .map(|(a, b)| a.max(b))
        .collect();
    let index = first_largest(&ratios);
    let envelope_won = envelope[index] / model.envelope_threshold.clamped
        > residual_scores[index] / model.residual_threshold.clamped;
    let delta_t = if envelope_won {
        envelope[index]
    } else {
        largest_nearby(&parts.residual, index)
    };
    let assessment = Assessment {
        scores: scores(model, &parts.coefficients, ratios[index]),
        ratio: elementary::single(ratios[index]),
        index,
        delta_t: elementary::single(delta_t),
        shift: parts.shift.map(elementary::single),
    };
    let maps = Maps {
        residual: narrow(&parts.residual),
        envelope: narrow(&envelope),
        ratio: narrow(&ratios),
    };
    (assessment, maps)
}

/// The mean and the modes of a model, to calculate with.
pub fn basis_of(model: &Model) -> Basis {
    let width = model.k + 1;
    let mut modes = vec![0.0; width * PIXELS];
    for (pixel, row) in model.basis.chunks_exact(width).enumerate() {
        for (mode, &value) in row.iter().enumerate() {
            modes[mode * PIXELS + pixel] = f64::from(value);
        }
    }
    Basis {
        mean: wide(&model.mean),
        modes,
    }
}

/// Splits a frame into what is explained and what is not.
pub fn take_apart(frame: &[f64], basis: &Basis, sigma: &[f64]) -> Parts {
    let mut difference: Vec<f64> = frame
        .iter()
        .zip(&basis.mean)
        .map(|(x, mean)| x - mean)
        .collect();
    let mut residual = difference.clone();
    basis.subtract(&basis.coefficients(&difference), &mut residual);
    // What the frame would look like, and how that changes when the camera moves.
    let expected: Vec<f64> = frame
        .iter()
        .zip(&residual)
        .map(|(x, rest)| x - rest)
        .collect();
    let (down, right) = smooth::gradient(&expected);
    let shift = movement(&residual, &down, &right, sigma);

    for (pixel, value) in difference.iter_mut().enumerate() {
        *value -= shift[0] * down[pixel] + shift[1] * right[pixel];
    }
    let coefficients = basis.coefficients(&difference);
    residual.copy_from_slice(&difference);
    basis.subtract(&coefficients, &mut residual);

    let expected: Vec<f64> = (0..PIXELS)
        .map(|pixel| basis.mean[pixel] + difference[pixel] - residual[pixel])
        .collect();
    let background = smooth::background(&expected);
    let extra = (0..PIXELS)
        .map(|pixel| {
            let edge = down[pixel] * down[pixel] + right[pixel] * right[pixel];
            let heat = HEAT_DOUBT * (expected[pixel] - background);
            SHAKE * SHAKE * edge + heat * heat
        })
        .collect();
    Parts {
        residual,
        extra,
        coefficients,
        shift,
    }
}

/// The largest |z| of each place over the scales.
pub fn largest_by_place(
    scales: &[Vec<f64>; SCALES],
    extra: &[f64],
    variance: &[Vec<f64>; SCALES],
) -> Vec<f64> {
    let mut largest = vec![0.0_f64; PIXELS];
    for scale in 0..SCALES {
        for (pixel, largest) in largest.iter_mut().enumerate() {
            let total = variance[scale][pixel] + EXTRA_SHARE[scale] * extra[pixel];
            *largest = largest.max(scales[scale][pixel].abs() / total.sqrt());
        }
    }
    largest
}

/// The index of the largest value; the first of equals.
pub fn first_largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = index;
        }
    }
    best
}

/// Above the record, both as it is and above the background: a warm day beats the first alone.
fn envelope(
    frame: &[f64],
    smoothing: &Smoothing,
    hottest: &[f64],
    hottest_rise: &[f64],
) -> Vec<f64> {
    let background = smooth::background(frame);
    smoothing
        .smooth(smooth::ENVELOPE_SCALE, frame)
        .iter()
        .zip(hottest.iter().zip(hottest_rise))
        .map(|(value, (hottest, rise))| (value - hottest).min(value - background - rise))
        .collect()
}

/// The movement that explains most of a residual: least squares, weighted by the noise.
fn movement(residual: &[f64], down: &[f64], right: &[f64], sigma: &[f64]) -> [f64; 2] {
    let mut weighted_down = vec![0.0; PIXELS];
    let mut weighted_right = vec![0.0; PIXELS];
    let mut believed = vec![0.0; PIXELS];
    for pixel in 0..PIXELS {
        let weight = 1.0 / (sigma[pixel] * sigma[pixel]);
        weighted_down[pixel] = weight * down[pixel];
        weighted_right[pixel] = weight * right[pixel];
        let limit = BELIEVED * sigma[pixel];
        believed[pixel] = residual[pixel].clamp(-limit, limit);
    }
    let downs = basis::dot(&weighted_down, down) + STILLNESS;
    let both = basis::dot(&weighted_down, right);
    let rights = basis::dot(&weighted_right, right) + STILLNESS;
    let pull_down = basis::dot(&weighted_down, &believed);
    let pull_right = basis::dot(&weighted_right, &believed);
    let determinant = downs * rights - both * both;
    // Gradients far beyond any temperature swallow the prior; then nothing can be said.
    if determinant <= 0.0 || !determinant.is_finite() {
        return [0.0, 0.0];
    }
    [
        (rights * pull_down - both * pull_right) / determinant,
        (downs * pull_right - both * pull_down) / determinant,
    ]
    .map(|pixels| pixels.clamp(-LARGEST_SHIFT, LARGEST_SHIFT))
}

fn scores(model: &Model, coefficients: &[f64], ratio: f64) -> Vec<f32> {
    let logit = LOGIT_AT_LIMIT + STEEPNESS * (ratio - 1.0);
    let anomaly = 1.0 / (1.0 + elementary::exp(-logit));
    let classes = model.labels.names.len();
    let mut shares = wide(&model.labels.bias);
    for (row, coefficient) in model
        .labels
        .weights
        .chunks_exact(classes.max(1))
        .zip(&coefficients[1..])
    {
        for (share, &weight) in shares.iter_mut().zip(row) {
            *share += coefficient * f64::from(weight);
        }
    }
    labels::softmax(&mut shares);
    std::iter::once(anomaly)
        .chain(shares.iter().map(|share| (1.0 - anomaly) * share))
        .map(elementary::single)
        .collect()
}

/// The entry with the largest |value| within two pixels.
fn largest_nearby(values: &[f64], index: usize) -> f64 {
    let Place { row, column } = Place::of(index);
    let mut largest = values[index];
    for row in row.saturating_sub(NEARBY)..=(row + NEARBY).min(ROWS - 1) {
        for column in column.saturating_sub(NEARBY)..=(column + NEARBY).min(COLUMNS - 1) {
            let value = values[row * COLUMNS + column];
            if value.abs() > largest.abs() {
                largest = value;
            }
        }
    }
    largest
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values
        .iter()
        .map(|&value| elementary::single(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_nearby_stops_at_the_edge() {
        let mut values = vec![0.0; PIXELS];
        values[COLUMNS - 1] = -7.0;
        values[COLUMNS] = 9.0;
        let check = |row, column, expected: f64| {
            let found = largest_nearby(&values, Place { row, column }.index());
            assert!((found - expected).abs() < 1e-12, "{row} {column}: {found}");
        };
        check(0, COLUMNS - 2, -7.0);
        check(0, 0, 9.0);
        check(3, 2, 9.0);
        check(10, 10, 0.0);
    }

    #[test]
    fn a_moved_edge_is_recognised() {
        // A warm half and a cold one, with a soft edge between them.
        let edge = |at: f64| -> Vec<f64> {
            (0..PIXELS)
                .map(|index| {
                    let column = elementary::real(index % COLUMNS);
                    20.0 + 15.0 / (1.0 + elementary::exp(at - column))
                })
                .collect()
        };
        let basis = Basis {
            mean: edge(16.0),
            modes: vec![1.0 / elementary::real(PIXELS).sqrt(); PIXELS],
        };
        let parts = take_apart(&edge(16.2), &basis, &[0.3; PIXELS]);
        assert!(
            parts.shift[1] < -0.1 && parts.shift[0].abs() < 0.01,
            "{:?}",
            parts.shift
        );
        let still = take_apart(&edge(16.0), &basis, &[0.3; PIXELS]);
        assert!(still.shift.iter().all(|shift| shift.abs() < 1e-9));
    }
}
