//! Learning a scene from its own frames.
//!
//! Everything that decides about alarms later (how many modes, the noise of each pixel, both thresholds) is learned from
//! frames that were held out: neighbours in time are held out together, because they hardly differ. Frames so absurd
//! that somebody must have stood in the picture are left out once and the rest is fitted again. The calculation is in
//! f64, in one thread and in a fixed order: the same frames give the same model, to the bit.

use anyhow::ensure;

use super::{
    Model,
    basis::{Basis, Frames},
    labels::{self, Regression, Sample},
    residual,
    smooth::{self, elementary::real, elementary::single},
    threshold::{self, Tail},
};
use crate::frame::{PIXELS, Pixels, Place};

/// What held-out frames teach.
mod held_out;

use held_out::Scene;

/// Fewer frames than this teach nothing.
pub const FEWEST_FRAMES: usize = 30;

/// More frames than this teach hardly more and take long; thin them.
pub const MOST_FRAMES: usize = 500;

/// A frame is absurd if its held-out score is this many deviations (by the median) above the median.
const ABSURD: f64 = 10.0;
/// A MAD by this is a standard deviation.
const MAD_TO_DEVIATION: f64 = 1.4826;
/// One frame in twenty is left out at most.
const MOST_DROPPED: usize = 20;

/// A frame to learn from.
#[derive(Debug, Clone, Copy)]
pub struct Example<'a> {
    /// Repaired.
    pub pixels: &'a Pixels,
    /// Which of the label names; None if it has none (an adopted frame, say).
    pub label: Option<usize>,
    /// Somebody said that it is normal: it is never trimmed.
    pub adopted: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Largest |z|, by a fit that did not see this frame.
    pub residual: f64,
    /// Largest excess over the record of the other frames, deg C.
    pub envelope: f64,
}

/// A fitted scene and how it came about. Indices are into the examples.
#[derive(Debug, Clone)]
pub struct Fit {
    pub model: Model,
    /// Which examples the model was fitted on, ascending.
    pub used: Vec<usize>,
    /// Which were left out as absurd, worst first, with their held-out residual score.
    pub dropped: Vec<(usize, f64)>,
    /// One for each of `used`.
    pub held_out: Vec<HeldOut>,
    /// The label of each of `used`: as given, or as the heat decided.
    pub labels: Vec<usize>,
    /// Share of held-out labelled frames that got their own label; None without labels.
    pub label_accuracy: Option<f64>,
}

/// Learns a scene. With `label_names` None, the labels are cold, warm and hot by heat.
///
/// Examples are in the order of their capture: neighbours in time are held out together. Examples without a label get
/// the one that the others make likely.
pub fn train(
    examples: &[Example<'_>],
    label_names: Option<&[String]>,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<Fit> {
    check(examples, label_names)?;
    let mut used: Vec<usize> = (0..examples.len()).collect();
    let mut frames = frames_of(examples, &used);
    let mut scene = held_out::learn(&frames, progress)?;

    let dropped = absurd(examples, &scene.held_out);
    if !dropped.is_empty() {
        progress("fitting again without the frames that are left out");
        used.retain(|index| dropped.iter().all(|(dropped, _)| dropped != index));
        frames = frames_of(examples, &used);
        scene = held_out::learn(&frames, progress)?;
    }
    progress("telling labels apart");
    let coefficients: Vec<Vec<f64>> = frames
        .iter()
        .map(|frame| {
            let mut parts = residual::take_apart(frame, &scene.basis, &scene.sigma);
            parts.coefficients.remove(0);
            parts.coefficients
        })
        .collect();
    let given: Vec<Option<usize>> = used.iter().map(|&index| examples[index].label).collect();
    let labelled = label(&frames, &coefficients, &given, label_names);
    Ok(Fit {
        model: model_of(&scene, labelled.labels),
        used,
        dropped,
        held_out: scene.held_out,
        labels: labelled.of_frames,
        label_accuracy: labelled.accuracy,
    })
}

fn check(examples: &[Example<'_>], label_names: Option<&[String]>) -> anyhow::Result<()> {
    ensure!(
        examples.len() >= FEWEST_FRAMES,
        "{} frames are too few to learn a scene from: at least {FEWEST_FRAMES} are needed, because each fifth of them is judged \
         by what the others teach, and so few others teach nothing. Record more (120 or more, spread over several days; few \
         frames make the model blind)",
        examples.len()
    );
    if let Some(names) = label_names {
        ensure!(
            names.len() >= 2,
            "there must be at least two labels to tell apart, not {}: sort the frames into more folders, or give no labels at all",
            names.len()
        );
    }
    for (number, example) in examples.iter().enumerate() {
        if let Some(pixel) = example.pixels.iter().position(|pixel| !pixel.is_finite()) {
            let Place { row, column } = Place::of(pixel);
            anyhow::bail!(
                "frame {number} (counted from 0) holds {} at row {row}, column {column}: repair frames before learning from them",
                example.pixels[pixel]
            );
        }
        if let (Some(label), Some(names)) = (example.label, label_names) {
            ensure!(
                label < names.len(),
                "frame {number} (counted from 0) has label number {label}, but there are only {}",
                names.len()
            );
        }
    }
    Ok(())
}

fn frames_of(examples: &[Example<'_>], used: &[usize]) -> Frames {
    Frames::new(used.iter().map(|&index| examples[index].pixels))
}

/// The frames that cannot be part of the scene: worst first, one in twenty at most, none that somebody vouched for.
fn absurd(examples: &[Example<'_>], held_out: &[HeldOut]) -> Vec<(usize, f64)> {
    let mut scores: Vec<f64> = held_out.iter().map(|scores| scores.residual).collect();
    let middle = threshold::median(&mut scores);
    for score in &mut scores {
        *score = (*score - middle).abs();
    }
    let deviation = MAD_TO_DEVIATION * threshold::median(&mut scores);
    let limit = (middle + ABSURD * deviation).max(threshold::RESIDUAL_LIMITS.0);
    let mut absurd: Vec<(usize, f64)> = held_out
        .iter()
        .enumerate()
        .filter(|&(index, scores)| scores.residual > limit && !examples[index].adopted)
        .map(|(index, scores)| (index, scores.residual))
        .collect();
    absurd.sort_by(|a, b| b.1.total_cmp(&a.1));
    absurd.truncate(examples.len() / MOST_DROPPED);
    absurd
}

struct Labelled {
    labels: super::Labels,
    of_frames: Vec<usize>,
    accuracy: Option<f64>,
}

/// Labels as they were given, or by heat.
fn label(
    frames: &Frames,
    coefficients: &[Vec<f64>],
    given: &[Option<usize>],
    names: Option<&[String]>,
) -> Labelled {
    let k = coefficients.first().map_or(0, Vec::len);
    let Some(names) = names else {
        let heat: Vec<f64> = frames.iter().map(smooth::heat).collect();
        let of_frames = labels::by_heat(&heat);
        let samples = samples(coefficients, of_frames.iter().copied().map(Some));
        let regression = Regression::fit(&samples, k, labels::BY_HEAT.len(), labels::STEPS);
        return Labelled {
            labels: regression.into_labels(labels::BY_HEAT.map(str::to_owned).to_vec()),
            of_frames,
            accuracy: None,
        };
    };
    let all = samples(coefficients, given.iter().copied());
    let regression = Regression::fit(&all, k, names.len(), labels::STEPS);
    let of_frames = given
        .iter()
        .zip(coefficients)
        .map(|(label, coefficients)| label.unwrap_or_else(|| regression.predict(coefficients)))
        .collect();
    Labelled {
        accuracy: label_accuracy(coefficients, given, names.len()),
        labels: regression.into_labels(names.to_vec()),
        of_frames,
    }
}

/// How often frames get their own label from what the other folds teach. Only the split is learned again: the modes saw
/// all frames (but no label), so that this is slightly kind.
fn label_accuracy(
    coefficients: &[Vec<f64>],
    given: &[Option<usize>],
    classes: usize,
) -> Option<f64> {
    let folds = held_out::folds(given.len());
    let k = coefficients.first().map_or(0, Vec::len);
    let (mut right, mut judged) = (0, 0);
    for fold in 0..held_out::FOLDS {
        let others = given
            .iter()
            .zip(&folds)
            .map(|(label, &of)| label.filter(|_| of != fold));
        let regression = Regression::fit(
            &samples(coefficients, others),
            k,
            classes,
            labels::STEPS_HELD_OUT,
        );
        for (frame, label) in given.iter().enumerate() {
            if let Some(label) = label.filter(|_| folds[frame] == fold) {
                judged += 1;
                right += usize::from(regression.predict(&coefficients[frame]) == label);
            }
        }
    }
    (judged > 0).then(|| real(right) / real(judged))
}

fn samples(
    coefficients: &[Vec<f64>],
    labels: impl Iterator<Item = Option<usize>>,
) -> Vec<Sample<'_>> {
    coefficients
        .iter()
        .zip(labels)
        .filter_map(|(coefficients, label)| Some((coefficients.as_slice(), label?)))
        .collect()
}

fn model_of(scene: &Scene, labels: super::Labels) -> Model {
    let narrow = |values: &[f64]| values.iter().map(|&value| single(value)).collect();
    let scores = |of: fn(&HeldOut) -> f64| scene.held_out.iter().map(of).collect::<Vec<_>>();
    let Basis { mean, modes } = &scene.basis;
    let k = scene.basis.k();
    let basis = (0..PIXELS)
        .flat_map(|pixel| (0..=k).map(move |mode| single(modes[mode * PIXELS + pixel])))
        .collect();
    Model {
        k,
        mean: narrow(mean),
        basis,
        sigma: narrow(&scene.sigma),
        variance: [0, 1, 2].map(|scale| narrow(&scene.variance[scale])),
        hottest: narrow(&scene.hottest),
        hottest_rise: narrow(&scene.hottest_rise),
        residual_threshold: Tail::of(&scores(|scores| scores.residual))
            .clamped(threshold::RESIDUAL_RATE, threshold::RESIDUAL_LIMITS),
        envelope_threshold: Tail::of(&scores(|scores| scores.envelope))
            .clamped(threshold::ENVELOPE_RATE, threshold::ENVELOPE_LIMITS),
        labels,
    }
}
