//! What is calculated from a pixel's neighbourhood: gradients, the smoothing scales, and the background of a frame.
//!
//! Everything here works on f64 frames of 768 values, row by row. Beyond the edge a frame goes on as its outermost pixel.
//! Smoothing is one pass along the rows and one along the columns, never a matrix.

use crate::frame::{COLUMNS, PIXELS, ROWS};

use super::SCALES;

/// Arithmetic that is the same on every machine.
pub(super) mod elementary;

/// Standard deviation of the kernels, pixels; the first does nothing.
pub const SIGMAS: [f64; SCALES] = [0.0, 0.8, 1.6];

/// The scale at which a frame is compared with the hottest that was seen.
pub const ENVELOPE_SCALE: usize = 1;

/// A quarter of the pixels is colder than the background.
pub const BACKGROUND_RANK: usize = 192;
const HOTTEST: usize = 48;
/// Kernels reach this far from their middle, pixels.
pub const REACH: usize = 3;

/// 7 x 7 Gaussian kernels, normalised, as the weights along one direction.
#[derive(Debug, Clone)]
pub struct Smoothing {
    weights: [[f64; 2 * REACH + 1]; SCALES],
}

impl Smoothing {
    pub fn new() -> Self {
        let weights = SIGMAS.map(|sigma| {
            let mut weights = [0.0; 2 * REACH + 1];
            if sigma == 0.0 {
                weights[REACH] = 1.0;
                return weights;
            }
            for (index, weight) in weights.iter_mut().enumerate() {
                let distance = elementary::real(index) - elementary::real(REACH);
                *weight = elementary::exp(-distance * distance / (2.0 * sigma * sigma));
            }
            let sum: f64 = weights.iter().sum();
            weights.map(|weight| weight / sum)
        });
        Self { weights }
    }

    /// A frame as it looks at one scale.
    pub fn smooth(&self, scale: usize, frame: &[f64]) -> Vec<f64> {
        if scale == 0 {
            return frame.to_vec();
        }
        let weights = &self.weights[scale];
        let mut rows = vec![0.0; PIXELS];
        let mut padded = [0.0; COLUMNS + 2 * REACH];
        for (line, out) in frame
            .chunks_exact(COLUMNS)
            .zip(rows.chunks_exact_mut(COLUMNS))
        {
            padded[..REACH].fill(line[0]);
            padded[REACH..REACH + COLUMNS].copy_from_slice(line);
            padded[REACH + COLUMNS..].fill(line[COLUMNS - 1]);
            for (window, out) in padded.windows(2 * REACH + 1).zip(out) {
                *out = window[0] * weights[0]
                    + window[1] * weights[1]
                    + window[2] * weights[2]
                    + window[3] * weights[3]
                    + window[4] * weights[4]
                    + window[5] * weights[5]
                    + window[6] * weights[6];
            }
        }
        let mut smoothed = vec![0.0; PIXELS];
        for (row, out) in smoothed.chunks_exact_mut(COLUMNS).enumerate() {
            for (tap, &weight) in weights.iter().enumerate() {
                let from = (row + tap).saturating_sub(REACH).min(ROWS - 1) * COLUMNS;
                for (out, value) in out.iter_mut().zip(&rows[from..from + COLUMNS]) {
                    *out += weight * value;
                }
            }
        }
        smoothed
    }
}

impl Default for Smoothing {
    fn default() -> Self {
        Self::new()
    }
}

/// Change per pixel downwards and to the right: half of the difference of the two neighbours.
pub fn gradient(frame: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (mut down, mut right) = (vec![0.0; PIXELS], vec![0.0; PIXELS]);
    for row in 0..ROWS {
        let above = row.saturating_sub(1) * COLUMNS;
        let below = (row + 1).min(ROWS - 1) * COLUMNS;
        let here = row * COLUMNS;
        for column in 0..COLUMNS {
            let (left, next) = (column.saturating_sub(1), (column + 1).min(COLUMNS - 1));
            down[here + column] = 0.5 * (frame[below + column] - frame[above + column]);
            right[here + column] = 0.5 * (frame[here + next] - frame[here + left]);
        }
    }
    (down, right)
}

/// The temperature that stands for a frame's surroundings: its 193rd coldest pixel.
pub fn background(frame: &[f64]) -> f64 {
    let mut sorted = frame.to_vec();
    *sorted
        .select_nth_unstable_by(BACKGROUND_RANK, f64::total_cmp)
        .1
}

/// How hot a frame is: the mean of its 48 hottest pixels above the background.
pub fn heat(frame: &[f64]) -> f64 {
    let mut sorted = frame.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let hottest: f64 = sorted[PIXELS - HOTTEST..].iter().sum();
    hottest / elementary::real(HOTTEST) - sorted[BACKGROUND_RANK]
}

#[cfg(test)]
mod tests {
    use super::*;
    use elementary::real;

    #[test]
    fn smoothing_keeps_a_flat_frame_and_spreads_a_point() {
        let smoothing = Smoothing::new();
        let mut point = vec![0.0; PIXELS];
        point[12 * COLUMNS + 16] = 1.0;
        for scale in 0..SCALES {
            let flat = smoothing.smooth(scale, &vec![21.5; PIXELS]);
            assert!(flat.iter().all(|value| (value - 21.5).abs() < 1e-12));
            let spread = smoothing.smooth(scale, &point);
            assert!((spread.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert!(spread[12 * COLUMNS + 16] >= spread[12 * COLUMNS + 17]);
        }
    }

    #[test]
    fn a_corner_counts_for_all_that_lies_beyond_it() {
        let mut corner = vec![0.0; PIXELS];
        corner[0] = 1.0;
        let spread = Smoothing::new().smooth(2, &corner);
        let weights = Smoothing::new().weights[2];
        let along: f64 = weights[..=REACH].iter().sum();
        assert!((spread[0] - along * along).abs() < 1e-12);
    }

    #[test]
    fn gradients_of_a_slope() {
        let slope: Vec<f64> = (0..PIXELS)
            .map(|index| real(index / COLUMNS) * 2.0 - real(index % COLUMNS))
            .collect();
        let (down, right) = gradient(&slope);
        let inside = 5 * COLUMNS + 7;
        assert!((down[inside] - 2.0).abs() < 1e-12 && (right[inside] + 1.0).abs() < 1e-12);
        assert!((down[7] - 1.0).abs() < 1e-12, "half of it at the edge");
    }

    #[test]
    fn background_and_heat() {
        let mut frame: Vec<f64> = (0..PIXELS).map(|index| real(PIXELS - index)).collect();
        assert!((background(&frame) - 193.0).abs() < 1e-12);
        frame[0] += 48.0;
        assert!((heat(&frame) - (744.5 + 1.0 - 193.0)).abs() < 1e-9);
    }
}
