//! One picture from some full frames.

use super::Captured;
use super::judge::Subpage;
use crate::capture::calibration::{Calibration, Pattern};
use crate::frame::{COLUMNS, Frame, PIXELS, ROWS};

/// Samples of a pixel that differ from their median by more than this, deg C, are wrong words, if most do not.
const ASIDE: f64 = 4.0;

/// Collects pairs of sub-pages.
#[derive(Debug)]
pub(super) struct Mean {
    wanted: usize,
    /// Of a frame that is not complete.
    waiting: [Option<Subpage>; 2],
    /// The two sub-pages of each complete one.
    pairs: Vec<[Subpage; 2]>,
}

impl Mean {
    pub(super) fn new(wanted: u32) -> Self {
        Self {
            wanted: usize::try_from(wanted).unwrap_or(usize::MAX),
            waiting: [None, None],
            pairs: Vec::new(),
        }
    }

    /// A later one of the same number takes the earlier one's place.
    pub(super) fn add(&mut self, subpage: Subpage) {
        let number = subpage.number;
        self.waiting[number] = Some(subpage);
        self.waiting = match std::mem::take(&mut self.waiting) {
            [Some(even), Some(odd)] => {
                self.pairs.push([even, odd]);
                [None, None]
            }
            waiting => waiting,
        };
    }

    pub(super) fn is_complete(&self) -> bool {
        self.pairs.len() >= self.wanted
    }

    /// The mean of all complete frames, with the pixels mended that the factory lists.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "temperatures and volts, from f64 to f32"
    )]
    pub(super) fn picture(self, calibration: &Calibration, pattern: Pattern) -> Captured {
        let mut pixels = Box::new([f64::NAN; PIXELS]);
        for number in 0..2 {
            for (at, pixel) in pattern.pixels(number).enumerate() {
                let samples = self.pairs.iter().map(|pair| pair[number].pixels[at]);
                pixels[pixel] = middle(samples.collect());
            }
        }
        mend(&mut pixels, &calibration.bad, pattern);
        let of_all = |value: fn(&Subpage) -> f64| mean(self.pairs.iter().flatten().map(value));
        let gap = [0, 1].map(|number| {
            mean(
                pattern
                    .pixels(number)
                    .map(|pixel| pixels[pixel])
                    .filter(|celsius| celsius.is_finite()),
            )
        });
        let mut frame = Frame::new(Box::new(pixels.map(|celsius| celsius as f32)));
        frame.ambient = Some(of_all(|subpage| subpage.ta) as f32);
        Captured {
            frame,
            vdd: of_all(|subpage| subpage.vdd) as f32,
            known_bad: calibration.bad.clone(),
            rejected: 0,
            subpage_gap: (gap[0] - gap[1]).abs() as f32,
        }
    }
}

/// The mean without what stands aside of most; not a number only where every sample is none.
fn middle(mut samples: Vec<f64>) -> f64 {
    samples.retain(|sample| !sample.is_nan());
    let Some(median) = median(&mut samples) else {
        return f64::NAN;
    };
    let near = |sample: &&f64| (**sample - median).abs() <= ASIDE;
    let most = samples.iter().filter(near).count();
    if 2 * most > samples.len() {
        mean(samples.iter().filter(near).copied())
    } else {
        // The scene itself changed meanwhile.
        mean(samples.iter().copied())
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// None of nothing.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[half]),
        _ => Some(0.5 * (values[half - 1] + values[half])),
    }
}

/// From the nearest pixels of the same sub-page, so that nothing that moved between sub-pages gets in: the four diagonal
/// ones of a chess board, or left and right in a row.
fn mend(pixels: &mut [f64; PIXELS], bad: &[usize], pattern: Pattern) {
    let sound = *pixels;
    for &index in bad {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        let rows = match pattern {
            Pattern::Chess => [row.checked_sub(1), Some(row + 1)],
            Pattern::Interleaved => [Some(row), None],
        };
        let mut around = Vec::with_capacity(4);
        for row in rows.into_iter().flatten().filter(|&row| row < ROWS) {
            let columns = [column.checked_sub(1), Some(column + 1)];
            for column in columns.into_iter().flatten().filter(|&at| at < COLUMNS) {
                let neighbour = row * COLUMNS + column;
                if !bad.contains(&neighbour) && sound[neighbour].is_finite() {
                    around.push(sound[neighbour]);
                }
            }
        }
        pixels[index] = median(&mut around).unwrap_or(f64::NAN);
    }
}
