//! What the page shows beside the figures of the report, taken from the fit.

use chrono::{DateTime, Utc};

use crate::frame::{PIXELS, Pixels};
use crate::model::Model;
use crate::model::detectable::Detectable;
use crate::model::fit::{Example, Fit};
use crate::picture::round::{narrow, real};

#[derive(Debug, Clone)]
pub struct Plots<'a> {
    /// deg C (768).
    pub mean: &'a [f32],
    pub modes: Vec<Mode>,
    pub detectable: &'a [Detectable],
    pub held_out: Vec<HeldOutPoint>,
    /// In the order of the report's `dropped`.
    pub dropped: Vec<DroppedFrame<'a>>,
    /// The frame that holds the report's hottest pixel.
    pub hottest: &'a Pixels,
}

/// One way in which the scene changes.
#[derive(Debug, Clone)]
pub struct Mode {
    /// What it typically (one standard deviation) adds at each place, deg C (768).
    pub swing: Vec<f32>,
    /// Its share of all changes between the training frames.
    pub share: Option<f64>,
}

/// A frame's scores by a fit that had not seen it, in multiples of their thresholds.
#[derive(Debug, Clone, Copy)]
pub struct HeldOutPoint {
    /// Which of the examples.
    pub number: usize,
    pub captured_at: Option<DateTime<Utc>>,
    pub residual: f64,
    pub envelope: f64,
}

#[derive(Debug, Clone, Copy)]
pub struct DroppedFrame<'a> {
    /// Which of the examples.
    pub number: usize,
    /// Score by threshold.
    pub ratio: f64,
    pub captured_at: Option<DateTime<Utc>>,
    pub pixels: &'a Pixels,
}

impl<'a> Plots<'a> {
    /// `captured_at` and `examples` are in the order in which the fit was given them.
    pub fn new(
        fit: &'a Fit,
        examples: &[Example<'a>],
        captured_at: &[Option<DateTime<Utc>>],
        detectable: &'a [Detectable],
        hottest: &'a Pixels,
    ) -> Self {
        let model = &fit.model;
        let residual_threshold = model.residual_threshold.clamped;
        let when = |number: usize| captured_at.get(number).copied().flatten();
        let held_out = fit.used.iter().zip(&fit.held_out);
        let dropped = fit.dropped.iter().filter_map(|&(number, score)| {
            Some(DroppedFrame {
                number,
                ratio: score / residual_threshold,
                captured_at: when(number),
                pixels: examples.get(number)?.pixels,
            })
        });
        let used: Vec<&Pixels> = fit
            .used
            .iter()
            .filter_map(|&number| examples.get(number).map(|example| example.pixels))
            .collect();
        Self {
            mean: &model.mean,
            modes: modes(model, &used),
            detectable,
            held_out: held_out
                .map(|(&number, scores)| HeldOutPoint {
                    number,
                    captured_at: when(number),
                    residual: scores.residual / residual_threshold,
                    envelope: scores.envelope / model.envelope_threshold.clamped,
                })
                .collect(),
            dropped: dropped.collect(),
            hottest,
        }
    }
}

fn modes(model: &Model, frames: &[&Pixels]) -> Vec<Mode> {
    let columns = model.k + 1;
    if model.basis.len() != PIXELS * columns || model.mean.len() != PIXELS {
        return Vec::new();
    }
    let changes = |frame: &Pixels| -> Vec<f64> {
        let pairs = frame.iter().zip(&model.mean);
        pairs.map(|(pixel, mean)| f64::from(pixel - mean)).collect()
    };
    let mut energy = vec![0.0; columns];
    let mut total = 0.0;
    for frame in frames {
        let change = changes(frame);
        total += change.iter().map(|change| change * change).sum::<f64>();
        for (mode, energy) in energy.iter_mut().enumerate() {
            let along: f64 = change
                .iter()
                .zip(model.basis.iter().skip(mode).step_by(columns))
                .map(|(change, basis)| change * f64::from(*basis))
                .sum();
            *energy += along * along;
        }
    }
    // The first is the constant one, which every scene has and nobody needs to see.
    let weighted = energy.into_iter().enumerate().skip(1);
    weighted
        .map(|(mode, energy)| {
            let typical = narrow((energy / real(frames.len().max(1))).sqrt());
            let column = model.basis.iter().skip(mode).step_by(columns);
            Mode {
                swing: column.map(|basis| basis * typical).collect(),
                share: (total > 0.0).then_some(energy / total),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fit::HeldOut;
    use crate::model::{Labels, SCALES, Threshold};

    /// One mode: the first pixel alone.
    fn model() -> Model {
        let mut basis = vec![0.0; PIXELS * 2];
        basis[1] = 1.0;
        let threshold = Threshold {
            raw: 10.0,
            clamped: 10.0,
        };
        Model {
            k: 1,
            mean: vec![20.0; PIXELS],
            basis,
            sigma: Vec::new(),
            variance: std::array::from_fn::<_, SCALES, _>(|_| Vec::new()),
            hottest: Vec::new(),
            hottest_rise: Vec::new(),
            residual_threshold: threshold,
            envelope_threshold: threshold,
            labels: Labels {
                names: Vec::new(),
                weights: Vec::new(),
                bias: Vec::new(),
            },
        }
    }

    #[test]
    fn a_fit_becomes_plots() {
        let (mut hotter, mut colder, odd) = ([20.0; PIXELS], [20.0; PIXELS], [90.0; PIXELS]);
        (hotter[0], colder[0]) = (23.0, 17.0);
        // A change that no mode knows: it takes a share, and adds nothing to the swing.
        (hotter[9], colder[9]) = (23.0, 17.0);
        let examples = [&hotter, &odd, &colder].map(|pixels| Example {
            pixels,
            label: None,
            adopted: false,
        });
        let scores = HeldOut {
            residual: 5.0,
            envelope: -2.0,
        };
        let fit = Fit {
            model: model(),
            used: vec![0, 2],
            dropped: vec![(1, 40.0)],
            held_out: vec![scores; 2],
            labels: Vec::new(),
            label_accuracy: None,
        };
        let plots = Plots::new(&fit, &examples, &[None; 3], &[], &hotter);
        assert_eq!(plots.modes.len(), 1);
        assert!((plots.modes[0].swing[0] - 3.0).abs() < 1e-6);
        assert!(plots.modes[0].swing[9].abs() < 1e-6);
        assert!(
            plots.modes[0]
                .share
                .is_some_and(|share| (share - 0.5).abs() < 1e-9)
        );
        let points: Vec<_> = plots.held_out.iter().map(|point| point.number).collect();
        assert_eq!(points, [0, 2]);
        assert!((plots.held_out[1].residual - 0.5).abs() < 1e-9);
        assert!((plots.held_out[1].envelope + 0.2).abs() < 1e-9);
        assert_eq!(
            (plots.dropped[0].number, plots.dropped[0].pixels),
            (1, &odd)
        );
        assert!((plots.dropped[0].ratio - 4.0).abs() < 1e-9);
    }
}
