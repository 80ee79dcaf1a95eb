//! What held-out frames teach: how many modes there are, how noisy each pixel is, and how high normal frames score.
//!
//! Frames are cut into blocks of neighbours, and these are dealt to five folds. Each fold is judged by what the other
//! four teach; only the final basis and the records come from all frames.

use super::{
    super::{
        MOST_MODES, SCALES,
        basis::{Basis, Frames, Products},
        residual,
        smooth::{
            self, Smoothing,
            elementary::{ln, real},
        },
        threshold,
    },
    HeldOut,
};
use crate::frame::PIXELS;

pub const FOLDS: usize = 5;

/// Another mode must make the held-out error smaller by 2 %.
const WORTHWHILE: f64 = 0.02;
/// Each pixel's noise is drawn towards that of the frame as if this many frames had shown the latter.
const COMMON_FRAMES: f64 = 20.0;
/// Median of the square of a normal variable of variance 1.
const MEDIAN_SQUARE: f64 = 0.455;
/// Squares beyond this many times the usual one are counted as that: outliers shall not look like noise.
const MOST_SQUARES: f64 = 16.0;
/// deg C.
const LEAST_SIGMA: f64 = 0.1;
/// No residual below this matters, whatever the noise: deg C, and its fraction by scale.
const FLOOR: f64 = 0.3;
const FLOOR_DIVISORS: [f64; SCALES] = [1.0, 1.4, 2.0];

/// A scene without its thresholds and labels.
#[derive(Debug)]
pub struct Scene {
    pub basis: Basis,
    pub sigma: Vec<f64>,
    pub variance: [Vec<f64>; SCALES],
    pub hottest: Vec<f64>,
    pub hottest_rise: Vec<f64>,
    /// One for each frame.
    pub held_out: Vec<HeldOut>,
}

/// Frames of which one part is judged by what the other teaches.
struct Fold {
    held_out: Vec<usize>,
    others: Vec<usize>,
    basis: Basis,
}

/// One frame after another, 768 values each.
struct Stack(Vec<f64>);

pub fn learn(frames: &Frames, progress: &mut dyn FnMut(&str)) -> anyhow::Result<Scene> {
    progress("comparing all frames with each other");
    let products = Products::of(frames);
    let mut folds = deal(frames, &products, progress)?;
    let k = number_of_modes(frames, &folds);
    for fold in &mut folds {
        fold.basis = fold.basis.truncated(k);
    }
    progress("learning the noise from held-out frames");
    let sigma = noise(frames, &folds);
    let (scales, extra) = smoothed_residuals(frames, &folds, &sigma);
    let all: Vec<usize> = (0..frames.len()).collect();
    let variance = variances(&scales, &all);
    progress("scoring held-out frames");
    let records = Records::of(frames);
    let held_out = score(&folds, &scales, &extra, &records);
    let (hottest, hottest_rise) = records.of_frames(&all);
    Ok(Scene {
        basis: Basis::of(frames, &products, &all, k)?,
        sigma,
        variance,
        hottest,
        hottest_rise,
        held_out,
    })
}

/// Which fold each frame belongs to: up to 20 blocks of neighbours, dealt in turn.
pub fn folds(frames: usize) -> Vec<usize> {
    let blocks = (4 * FOLDS).min(FOLDS.max(frames / 4));
    (0..frames)
        .map(|frame| (frame * blocks / frames) % FOLDS)
        .collect()
}

fn deal(
    frames: &Frames,
    products: &Products,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Vec<Fold>> {
    let of = folds(frames.len());
    let most = MOST_MODES.min((frames.len() / 8).max(1));
    (0..FOLDS)
        .map(|fold| {
            progress(&format!("finding modes: part {} of {FOLDS}", fold + 1));
            let (held_out, others): (Vec<usize>, Vec<usize>) =
                (0..frames.len()).partition(|&frame| of[frame] == fold);
            let basis = Basis::of(frames, products, &others, most)?;
            Ok(Fold {
                held_out,
                others,
                basis,
            })
        })
        .collect()
}

/// The smallest number of modes that explains held-out frames nearly as well as any.
fn number_of_modes(frames: &Frames, folds: &[Fold]) -> usize {
    let most = folds.first().map_or(1, |fold| fold.basis.k());
    let mut errors = vec![0.0; most];
    for fold in folds {
        for &frame in &fold.held_out {
            let difference = difference(frames.get(frame), &fold.basis.mean);
            let coefficients = fold.basis.coefficients(&difference);
            let energy: f64 = difference.iter().map(|value| value * value).sum();
            let mut rest = energy - coefficients[0] * coefficients[0];
            for (error, coefficient) in errors.iter_mut().zip(&coefficients[1..]) {
                rest -= coefficient * coefficient;
                *error += ln(rest.max(1e-6));
            }
        }
    }
    let count = real(frames.len());
    for error in &mut errors {
        *error /= count;
    }
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let enough = errors.iter().position(|&error| error <= least + WORTHWHILE);
    enough.map_or(most, |index| index + 1)
}

/// The noise of each pixel, from what the modes leave of held-out frames.
fn noise(frames: &Frames, folds: &[Fold]) -> Vec<f64> {
    let mut squares = Stack::new(frames.len());
    for fold in folds {
        for &frame in &fold.held_out {
            let mut rest = difference(frames.get(frame), &fold.basis.mean);
            let coefficients = fold.basis.coefficients(&rest);
            fold.basis.subtract(&coefficients, &mut rest);
            for (square, rest) in squares.get_mut(frame).iter_mut().zip(&rest) {
                *square = rest * rest;
            }
        }
    }
    let mut column = vec![0.0; frames.len()];
    let usual: Vec<f64> = (0..PIXELS)
        .map(|pixel| {
            for (frame, value) in column.iter_mut().enumerate() {
                *value = squares.get(frame)[pixel];
            }
            threshold::median(&mut column) / MEDIAN_SQUARE
        })
        .collect();
    towards_common(&usual, frames.len())
        .map(|variance| variance.sqrt().max(LEAST_SIGMA))
        .collect()
}

/// Held-out residuals at each scale, and their extra variance.
fn smoothed_residuals(frames: &Frames, folds: &[Fold], sigma: &[f64]) -> ([Stack; SCALES], Stack) {
    let smoothing = Smoothing::new();
    let mut scales = [0, 1, 2].map(|_| Stack::new(frames.len()));
    let mut extra = Stack::new(frames.len());
    for fold in folds {
        for &frame in &fold.held_out {
            let parts = residual::take_apart(frames.get(frame), &fold.basis, sigma);
            for (scale, stack) in scales.iter_mut().enumerate() {
                let smoothed = smoothing.smooth(scale, &parts.residual);
                stack.get_mut(frame).copy_from_slice(&smoothed);
            }
            extra.get_mut(frame).copy_from_slice(&parts.extra);
        }
    }
    (scales, extra)
}

/// The variance of each pixel at each scale, from some of the frames, the floor included.
fn variances(scales: &[Stack; SCALES], of: &[usize]) -> [Vec<f64>; SCALES] {
    let mut squares = vec![0.0; of.len()];
    let mut sorted = squares.clone();
    [0, 1, 2].map(|scale: usize| {
        let usual: Vec<f64> = (0..PIXELS)
            .map(|pixel| {
                for (square, &frame) in squares.iter_mut().zip(of) {
                    let value = scales[scale].get(frame)[pixel];
                    *square = value * value;
                }
                sorted.copy_from_slice(&squares);
                let most = MOST_SQUARES * threshold::median(&mut sorted) / MEDIAN_SQUARE;
                squares.iter().map(|square| square.min(most)).sum::<f64>() / real(of.len())
            })
            .collect();
        let floor = FLOOR / FLOOR_DIVISORS[scale];
        towards_common(&usual, of.len())
            .map(|variance| variance + floor * floor)
            .collect()
    })
}

/// Few frames know a pixel's own noise badly, and the frame's noise better.
fn towards_common(variances: &[f64], frames: usize) -> impl Iterator<Item = f64> {
    let common = threshold::median(&mut variances.to_vec());
    let count = real(frames);
    variances
        .iter()
        .map(move |variance| (count * variance + COMMON_FRAMES * common) / (count + COMMON_FRAMES))
}

/// Each frame by what the other folds teach of noise and records.
fn score(
    folds: &[Fold],
    scales: &[Stack; SCALES],
    extra: &Stack,
    records: &Records,
) -> Vec<HeldOut> {
    let frames = extra.0.len() / PIXELS;
    let none = HeldOut {
        residual: 0.0,
        envelope: 0.0,
    };
    let mut scores = vec![none; frames];
    for fold in folds {
        let variance = variances(scales, &fold.others);
        let (hottest, hottest_rise) = records.of_frames(&fold.others);
        for &frame in &fold.held_out {
            let residuals = [0, 1, 2].map(|scale: usize| scales[scale].get(frame).to_vec());
            let by_place = residual::largest_by_place(&residuals, extra.get(frame), &variance);
            let (values, background) = records.of_frame(frame);
            let excess = values
                .iter()
                .zip(hottest.iter().zip(&hottest_rise))
                .map(|(value, (hottest, rise))| (value - hottest).min(value - background - rise));
            scores[frame] = HeldOut {
                residual: by_place.into_iter().fold(0.0, f64::max),
                envelope: excess.fold(f64::NEG_INFINITY, f64::max),
            };
        }
    }
    scores
}

/// How hot each place was, smoothed a little, and the background of each frame.
struct Records {
    smoothed: Stack,
    backgrounds: Vec<f64>,
}

impl Records {
    fn of(frames: &Frames) -> Self {
        let smoothing = Smoothing::new();
        let mut smoothed = Stack::new(frames.len());
        for (index, frame) in frames.iter().enumerate() {
            let values = smoothing.smooth(smooth::ENVELOPE_SCALE, frame);
            smoothed.get_mut(index).copy_from_slice(&values);
        }
        Self {
            smoothed,
            backgrounds: frames.iter().map(smooth::background).collect(),
        }
    }

    fn of_frame(&self, frame: usize) -> (&[f64], f64) {
        (self.smoothed.get(frame), self.backgrounds[frame])
    }

    /// The hottest that each place was in some of the frames: as it is, and above the background.
    fn of_frames(&self, of: &[usize]) -> (Vec<f64>, Vec<f64>) {
        let mut hottest = vec![f64::NEG_INFINITY; PIXELS];
        let mut rise = hottest.clone();
        for &frame in of {
            let (values, background) = self.of_frame(frame);
            for (pixel, &value) in values.iter().enumerate() {
                hottest[pixel] = hottest[pixel].max(value);
                rise[pixel] = rise[pixel].max(value - background);
            }
        }
        (hottest, rise)
    }
}

impl Stack {
    fn new(frames: usize) -> Self {
        Self(vec![0.0; frames * PIXELS])
    }

    fn get(&self, frame: usize) -> &[f64] {
        &self.0[frame * PIXELS..(frame + 1) * PIXELS]
    }

    fn get_mut(&mut self, frame: usize) -> &mut [f64] {
        &mut self.0[frame * PIXELS..(frame + 1) * PIXELS]
    }
}

fn difference(frame: &[f64], mean: &[f64]) -> Vec<f64> {
    frame.iter().zip(mean).map(|(x, mean)| x - mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_held_out_together() {
        let folds = folds(120);
        assert_eq!(folds[..13], [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2]);
        for (frames, size) in [(120, 24), (80, 16), (500, 100)] {
            for fold in 0..FOLDS {
                let members = super::folds(frames).into_iter().filter(|&of| of == fold);
                assert_eq!(members.count(), size, "{frames}");
            }
        }
        assert!((25..80).all(|frames| (0..FOLDS).all(|fold| super::folds(frames).contains(&fold))));
    }
}
