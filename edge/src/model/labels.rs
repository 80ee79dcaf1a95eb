//! The split of what is normal into labels.
//!
//! Multinomial logistic regression on the modes' coefficients, found in a fixed number of steps, so that it is the same
//! each time. Without labels, frames are sorted into cold, warm and hot by how hot they are. The constant mode is not
//! looked at: a warm day is not a hot boiler.

use nalgebra::DMatrix;

use super::{
    Labels,
    smooth::elementary::{exp, real, single},
    threshold,
};

/// What frames are called by their heat.
pub const BY_HEAT: [&str; 3] = ["cold", "warm", "hot"];

/// Steps of the regression that is kept, and of those that only judge it.
pub const STEPS: u32 = 800;
pub const STEPS_HELD_OUT: u32 = 200;

const PENALTY: f64 = 2e-3;

/// Weights on the coefficients of the modes (without the constant one), and a bias for each label.
#[derive(Debug, Clone)]
pub struct Regression {
    classes: usize,
    /// One row a mode.
    weights: Vec<f64>,
    bias: Vec<f64>,
}

/// A frame's coefficients and its label.
pub type Sample<'a> = (&'a [f64], usize);

impl Regression {
    /// Without samples, every label is as likely as the others. A label without samples becomes unlikely.
    pub fn fit(samples: &[Sample<'_>], k: usize, classes: usize, steps: u32) -> Self {
        if samples.is_empty() {
            return Self {
                classes,
                weights: vec![0.0; k * classes],
                bias: vec![0.0; classes],
            };
        }
        let (mean, spread) = standard(samples, k);
        // The last column is for the bias.
        let features: Vec<Vec<f64>> = samples
            .iter()
            .map(|(coefficients, _)| {
                let mut row: Vec<f64> = (0..k)
                    .map(|mode| (coefficients[mode] - mean[mode]) / spread[mode])
                    .collect();
                row.push(1.0);
                row
            })
            .collect();
        let fitted = descend(samples, &features, classes, steps);
        let mut weights = fitted[..k * classes].to_vec();
        let mut bias = fitted[k * classes..].to_vec();
        for mode in 0..k {
            for class in 0..classes {
                let weight = &mut weights[mode * classes + class];
                *weight /= spread[mode];
                bias[class] -= mean[mode] * *weight;
            }
        }
        Self {
            classes,
            weights,
            bias,
        }
    }

    /// The most likely label; the first of equals.
    pub fn predict(&self, coefficients: &[f64]) -> usize {
        let scores = self.scores(coefficients);
        let mut best = 0;
        for (class, &score) in scores.iter().enumerate() {
            if score > scores[best] {
                best = class;
            }
        }
        best
    }

    pub fn into_labels(self, names: Vec<String>) -> Labels {
        Labels {
            names,
            weights: self.weights.into_iter().map(single).collect(),
            bias: self.bias.into_iter().map(single).collect(),
        }
    }

    fn scores(&self, coefficients: &[f64]) -> Vec<f64> {
        let mut scores = self.bias.clone();
        for (row, coefficient) in self.weights.chunks_exact(self.classes).zip(coefficients) {
            for (score, weight) in scores.iter_mut().zip(row) {
                *score += coefficient * weight;
            }
        }
        scores
    }
}

/// Probabilities from scores.
pub fn softmax(scores: &mut [f64]) {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = exp(*score - largest);
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

/// Sorts frames into cold, warm and hot: three groups of the most similar heat.
pub fn by_heat(heat: &[f64]) -> Vec<usize> {
    let mut centres = [0.1, 0.5, 0.9].map(|share| threshold::quantile(heat, share));
    let mut groups = vec![0; heat.len()];
    for _ in 0..50 {
        for (group, heat) in groups.iter_mut().zip(heat) {
            *group = nearest(*heat, &centres);
        }
        for (group, centre) in centres.iter_mut().enumerate() {
            let members: Vec<f64> = heat
                .iter()
                .zip(&groups)
                .filter(|&(_, &of)| of == group)
                .map(|(&heat, _)| heat)
                .collect();
            if !members.is_empty() {
                *centre = members.iter().sum::<f64>() / real(members.len());
            }
        }
    }
    let mut order = [0, 1, 2];
    order.sort_by(|&a, &b| centres[a].total_cmp(&centres[b]));
    let mut rank = [0; 3];
    for (place, group) in order.into_iter().enumerate() {
        rank[group] = place;
    }
    groups.into_iter().map(|group| rank[group]).collect()
}

fn nearest(heat: f64, centres: &[f64; 3]) -> usize {
    let mut best = 0;
    for (group, centre) in centres.iter().enumerate() {
        if (heat - centre).abs() < (heat - centres[best]).abs() {
            best = group;
        }
    }
    best
}

/// Mean and spread of each coefficient; a coefficient that never changes is not blown up.
fn standard(samples: &[Sample<'_>], k: usize) -> (Vec<f64>, Vec<f64>) {
    let count = real(samples.len());
    let mean: Vec<f64> = (0..k)
        .map(|mode| samples.iter().map(|(c, _)| c[mode]).sum::<f64>() / count)
        .collect();
    let spread = (0..k)
        .map(|mode| {
            let squares: f64 = samples
                .iter()
                .map(|(c, _)| (c[mode] - mean[mode]) * (c[mode] - mean[mode]))
                .sum();
            (squares / count).sqrt() + 1e-3
        })
        .collect();
    (mean, spread)
}

/// Nesterov's accelerated descent with a step that cannot overshoot.
fn descend(samples: &[Sample<'_>], features: &[Vec<f64>], classes: usize, steps: u32) -> Vec<f64> {
    let width = features[0].len();
    let count = real(samples.len());
    let steepest = 0.25 * largest_eigenvalue(features) + 0.01;
    let mut current = vec![0.0; width * classes];
    let mut ahead = current.clone();
    let mut slope = current.clone();
    let mut shares = vec![0.0; classes];
    for step in 0..steps {
        slope.fill(0.0);
        for ((_, label), row) in samples.iter().zip(features) {
            shares.fill(0.0);
            for (weights, feature) in ahead.chunks_exact(classes).zip(row) {
                for (share, weight) in shares.iter_mut().zip(weights) {
                    *share += feature * weight;
                }
            }
            softmax(&mut shares);
            shares[*label] -= 1.0;
            for (slopes, feature) in slope.chunks_exact_mut(classes).zip(row) {
                for (slope, share) in slopes.iter_mut().zip(&shares) {
                    *slope += feature * share;
                }
            }
        }
        let momentum = f64::from(step) / f64::from(step + 3);
        for index in 0..current.len() {
            // The bias is free to be what it is.
            let penalty = if index / classes + 1 == width {
                0.0
            } else {
                PENALTY
            };
            let change = (slope[index] / count + penalty * ahead[index]) / steepest;
            let next = ahead[index] - change;
            ahead[index] = next + momentum * (next - current[index]);
            current[index] = next;
        }
    }
    current
}

fn largest_eigenvalue(features: &[Vec<f64>]) -> f64 {
    let width = features[0].len();
    let products = DMatrix::from_fn(width, width, |row, column| {
        let sum: f64 = features.iter().map(|f| f[row] * f[column]).sum();
        sum / real(features.len())
    });
    products
        .symmetric_eigenvalues()
        .iter()
        .copied()
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_what_can_be_told_apart() {
        let coefficients: Vec<[f64; 2]> = (0..60)
            .map(|index| [f64::from(index % 3) * 5.0, f64::from(index % 7)])
            .collect();
        let samples: Vec<Sample<'_>> = coefficients
            .iter()
            .enumerate()
            .map(|(index, c)| (c.as_slice(), index % 3))
            .collect();
        let regression = Regression::fit(&samples, 2, 4, STEPS);
        assert!(
            samples
                .iter()
                .all(|(c, label)| regression.predict(c) == *label)
        );
        assert!(
            regression
                .bias
                .iter()
                .chain(&regression.weights)
                .all(|w| w.is_finite())
        );
    }

    #[test]
    fn no_samples_prefer_nothing() {
        let regression = Regression::fit(&[], 3, 2, STEPS);
        let mut scores = regression.scores(&[1.0, 2.0, 3.0]);
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5]);
    }

    #[test]
    fn heat_in_three_groups() {
        let heat = [30.0, 1.0, 12.0, 2.0, 31.0, 11.0, 1.5];
        assert_eq!(by_heat(&heat), [2, 0, 1, 0, 2, 1, 0]);
        assert!(by_heat(&[5.0; 9]).iter().all(|&group| group < 3));
    }
}
