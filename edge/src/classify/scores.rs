//! What comes out of a graph, checked: probabilities, and where a scene's model points.

use anyhow::ensure;

use crate::frame::{COLUMNS, PIXELS, ROWS};

/// The outputs of a scene's graph that are used, in this order.
pub(super) const WANTED: [&str; 6] = ["scores", "index", "ratio", "shift", "R", "E"];

/// Probabilities may be off by this much in sum; runtimes and softmaxes in f32 are far better.
const SUM_TOLERANCE: f64 = 1e-3;
/// What a single score may lie outside of 0..=1 by rounding.
const RANGE_TOLERANCE: f32 = 1e-4;
/// The temperature difference is looked up this many pixels around the place.
const AROUND: usize = 2;

/// Where a scene is least like itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finding {
    pub(super) index: usize,
    pub(super) ratio: f32,
    pub(super) shift: [f32; 2],
    pub(super) delta_t: f32,
}

/// Scores that are finite, within 0..=1 and sum to 1, made so where only rounding is in the way.
pub(super) fn probabilities(raw: &[f32], labels: &[String]) -> anyhow::Result<Vec<f32>> {
    for (label, score) in labels.iter().zip(raw) {
        ensure!(
            score.is_finite(),
            "the score of `{label}` is {score}, no number: the model or the runtime is broken"
        );
    }
    let sum: f64 = raw.iter().copied().map(f64::from).sum();
    let within = raw
        .iter()
        .all(|score| (-RANGE_TOLERANCE..=1.0 + RANGE_TOLERANCE).contains(score));
    ensure!(
        within && (sum - 1.0).abs() <= SUM_TOLERANCE,
        "the scores {} are no probabilities that sum to 1 (they sum to {sum:.4}). If they are meant to go through a \
         softmax, say --softmax, or give the model the metadata entry `activation` = `softmax`",
        listed(raw)
    );
    let clamped = raw.iter().map(|score| f64::from(score.clamp(0.0, 1.0)));
    let sum: f64 = clamped.clone().sum();
    #[expect(clippy::cast_possible_truncation, reason = "a score between 0 and 1")]
    Ok(clamped.map(|score| (score / sum) as f32).collect())
}

pub(super) fn softmax(raw: &[f32]) -> Vec<f32> {
    let largest = raw.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = raw.iter().map(|score| (score - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// Reads the outputs `WANTED` of a scene's graph.
pub(super) fn finding(outputs: &[Vec<f32>], envelope_threshold: f64) -> anyhow::Result<Finding> {
    let [_, index, ratio, shift, residual, envelope] = outputs else {
        anyhow::bail!("the graph gave {} outputs", outputs.len());
    };
    let (&[index], &[ratio], &[down, right]) = (&index[..], &ratio[..], &shift[..]) else {
        anyhow::bail!("`index`, `ratio` or `shift` has not the right size");
    };
    ensure!(
        residual.len() == PIXELS && envelope.len() == PIXELS,
        "`R` or `E` has not {PIXELS} pixels"
    );
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast keeps within the target and makes 0 of what is no number; the check that follows sees it"
    )]
    let pixel = index as usize;
    #[expect(clippy::cast_precision_loss, reason = "an index below 768")]
    let whole = (index - pixel as f32).abs() < f32::EPSILON;
    ensure!(
        whole && pixel < PIXELS,
        "`index` is {index}, which is no pixel"
    );
    let index = pixel;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the graph calculates in f32"
    )]
    let threshold = envelope_threshold as f32;
    let delta_t = unexplained(residual, envelope, index, ratio, threshold);
    ensure!(
        [ratio, down, right, delta_t]
            .iter()
            .all(|number| number.is_finite()),
        "ratio, shift or temperature difference is no number: the model or the runtime is broken"
    );
    Ok(Finding {
        index,
        ratio,
        shift: [down, right],
        delta_t,
    })
}

/// The largest residual near the place, or the excess over the record if that is what decided.
fn unexplained(
    residual: &[f32],
    envelope: &[f32],
    index: usize,
    ratio: f32,
    envelope_threshold: f32,
) -> f32 {
    let by_envelope = envelope[index] / envelope_threshold;
    if (by_envelope - ratio).abs() <= 1e-5 * ratio.abs().max(1.0) {
        return envelope[index];
    }
    let (row, column) = (index / COLUMNS, index % COLUMNS);
    let mut largest = 0.0_f32;
    for y in row.saturating_sub(AROUND)..=(row + AROUND).min(ROWS - 1) {
        for x in column.saturating_sub(AROUND)..=(column + AROUND).min(COLUMNS - 1) {
            let here = residual[y * COLUMNS + x];
            if here.abs() > largest.abs() || here.is_nan() {
                largest = here;
            }
        }
    }
    largest
}

fn listed(scores: &[f32]) -> String {
    const MOST: usize = 6;
    let shown: Vec<_> = scores
        .iter()
        .take(MOST)
        .map(|score| format!("{score:.3}"))
        .collect();
    let rest = if scores.len() > MOST { ", ..." } else { "" };
    format!("{}{rest}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_probabilities_pass_and_they_sum_to_one() {
        let check = |raw: &[f32], fine: bool| {
            let labels: Vec<String> = (0..raw.len()).map(|i| i.to_string()).collect();
            let result = probabilities(raw, &labels);
            assert_eq!(result.is_ok(), fine, "{raw:?}: {result:?}");
            if let Ok(scores) = result {
                assert!(
                    (scores.iter().sum::<f32>() - 1.0).abs() <= 1e-6,
                    "{scores:?}"
                );
                assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
            }
        };
        check(&[0.25, 0.75], true);
        check(&[0.2504, 0.7504], true);
        check(&[-0.000_01, 1.000_01], true);
        check(&[1.0], true);
        check(&[0.3, 0.4], false);
        check(&[-0.2, 1.2], false);
        check(&[3.0, -2.0], false);
        check(&[f32::NAN, 1.0], false);
        check(&[f32::INFINITY, 0.0], false);
        check(&[], false);
        check(&softmax(&[300.0, -300.0, 299.0]), true);
        check(&softmax(&[f32::NAN, 1.0]), false);
        check(&softmax(&[f32::INFINITY, 1.0]), false);
        check(&softmax(&[f32::NEG_INFINITY; 2]), false);
    }

    #[test]
    fn the_difference_is_the_largest_nearby_or_the_envelope_if_that_decided() {
        let outputs = |index: f32, ratio: f32| {
            let mut residual = vec![0.1; PIXELS];
            residual[5 * COLUMNS + 30] = -7.0;
            residual[5 * COLUMNS + 27] = 20.0;
            let mut envelope = vec![-3.0; PIXELS];
            envelope[4 * COLUMNS + 31] = 6.0;
            vec![
                vec![],
                vec![index],
                vec![ratio],
                vec![0.0, 0.5],
                residual,
                envelope,
            ]
        };
        let corner = 4.0 * 32.0 + 31.0;
        let found = finding(&outputs(corner, 1.3), 4.0).expect("fine");
        assert!((found.delta_t + 7.0).abs() < 1e-6, "{found:?}");
        assert_eq!(found.index, 4 * COLUMNS + 31);
        let found = finding(&outputs(corner, 1.5), 4.0).expect("fine");
        assert!((found.delta_t - 6.0).abs() < 1e-6, "{found:?}");
        for broken in [
            outputs(768.0, 1.0),
            outputs(-1.0, 1.0),
            outputs(0.5, 1.0),
            outputs(0.0, f32::NAN),
        ] {
            assert!(finding(&broken, 4.0).is_err());
        }
    }
}
