//! Thresholds from held-out scores.
//!
//! The highest scores of normal frames thin out exponentially; how fast is estimated from those above the 85 % quantile,
//! at the upper end of what so few scores allow. From that follows the score that one normal frame in so many exceeds,
//! and the other way round. A threshold is kept between a floor, below which a score means nothing physically, and a
//! cap, beyond which the frames taught nothing.

use super::{Threshold, smooth::elementary};

/// One normal frame in 10,000 shall be beyond a threshold: 0.7 of them by the residual, 0.3 by the envelope.
pub const RESIDUAL_RATE: f64 = 0.7e-4;
pub const ENVELOPE_RATE: f64 = 0.3e-4;

/// Floor and cap of the residual's threshold, in multiples of the noise.
pub const RESIDUAL_LIMITS: (f64, f64) = (7.0, 15.0);
/// Floor and cap of the envelope's threshold, deg C.
pub const ENVELOPE_LIMITS: (f64, f64) = (4.0, 10.0);

const TAIL_SHARE: f64 = 0.15;
/// The rate of thinning is believed with this probability not to be slower.
const DOUBT: f64 = 0.10;

/// How the highest of some scores thin out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tail {
    /// The 85 % quantile.
    pub start: f64,
    /// Above it, the scores fall by a factor of e over this distance.
    pub scale: f64,
}

impl Tail {
    /// Of held-out scores, in any order.
    pub fn of(scores: &[f64]) -> Self {
        let start = quantile(scores, 1.0 - TAIL_SHARE);
        let mut sorted = scores.to_vec();
        sorted.sort_by(f64::total_cmp);
        let excesses: Vec<f64> = sorted
            .iter()
            .filter(|&&score| score > start)
            .map(|score| score - start)
            .collect();
        let count = elementary::real(excesses.len().max(1));
        // Scores that are all alike have no tail; a little keeps the threshold above them.
        let mean = if excesses.is_empty() {
            1e-6
        } else {
            excesses.iter().sum::<f64>() / count
        };
        let scale = mean * 2.0 * count / chi_square_quantile(DOUBT, excesses.len().max(1));
        Self { start, scale }
    }

    /// The score that this share of normal frames exceeds.
    pub fn threshold(&self, rate: f64) -> f64 {
        self.start + self.scale * elementary::ln(TAIL_SHARE / rate)
    }

    /// The share of normal frames that exceeds a threshold; below the tail it is not known better than 15 %.
    pub fn rate(&self, threshold: f64) -> f64 {
        let beyond = (threshold - self.start).max(0.0);
        TAIL_SHARE * elementary::exp(-beyond / self.scale.max(f64::MIN_POSITIVE))
    }

    /// The threshold for a rate, and what of it is used.
    pub fn clamped(&self, rate: f64, limits: (f64, f64)) -> Threshold {
        let raw = self.threshold(rate);
        Threshold {
            raw,
            clamped: raw.clamp(limits.0, limits.1),
        }
    }
}

/// Between two values linearly; 0 of no values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let position = elementary::real(last) * share.clamp(0.0, 1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded down, and between 0 and the last index"
    )]
    let below = position as usize;
    let (low, high) = (sorted[below], sorted[(below + 1).min(last)]);
    low + (high - low) * position.fract()
}

/// The middle of the values (of two, their mean); their order is lost. 0 of no values.
pub fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    0.5 * (lower + upper)
}

/// Quantile of the chi-square distribution with 2 x `half` degrees of freedom, by halving.
fn chi_square_quantile(probability: f64, half: usize) -> f64 {
    let (mut low, mut high) = (0.0, 10.0 * elementary::real(half) + 50.0);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if erlang(middle / 2.0, half) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// The probability that the sum of `count` exponential variables of mean 1 is below x.
fn erlang(x: f64, count: usize) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for step in 1..count {
        term *= x / elementary::real(step);
        sum += term;
    }
    1.0 - elementary::exp(-x) * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chi_square_as_in_tables() {
        for (half, expected) in [
            (1, 0.210_721),
            (5, 4.865_18),
            (18, 25.643_3),
            (50, 82.358_1),
        ] {
            let quantile = chi_square_quantile(0.10, half);
            assert!(
                (quantile - expected).abs() < 1e-4 * expected.max(1.0),
                "{half}: {quantile}"
            );
        }
    }

    #[test]
    fn quantiles_and_medians() {
        assert!((quantile(&[3.0, 1.0, 2.0, 4.0], 0.85) - 3.55).abs() < 1e-12);
        assert!((quantile(&[5.0], 0.85) - 5.0).abs() < 1e-12);
        for (mut values, expected) in [
            (vec![4.0, 1.0, 3.0, 2.0], 2.5),
            (vec![9.0, 1.0, 3.0], 3.0),
            (vec![], 0.0),
        ] {
            assert!((median(&mut values) - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_threshold_and_its_rate_belong_together() {
        let scores: Vec<f64> = (0..100).map(|score| f64::from(score) * 0.05).collect();
        let tail = Tail::of(&scores);
        let threshold = tail.threshold(RESIDUAL_RATE);
        assert!(threshold > 4.95);
        assert!((tail.rate(threshold) / RESIDUAL_RATE - 1.0).abs() < 1e-9);
        assert!(tail.rate(threshold + 1.0) < RESIDUAL_RATE);
        let clamped = tail.clamped(RESIDUAL_RATE, (0.0, 1.0));
        assert!(clamped.clamped <= 1.0 && clamped.raw > 1.0);
    }

    #[test]
    fn scores_that_are_all_alike_have_a_threshold() {
        let tail = Tail::of(&[0.0; 30]);
        assert!(tail.threshold(1e-4).is_finite() && tail.rate(7.0) < 1e-4);
        assert!(Tail::of(&[]).threshold(1e-4).is_finite());
    }
}
