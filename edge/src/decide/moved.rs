//! Whether the camera still looks where it looked when its scene was learned.
//!
//! The model's estimate of the shift is too small, and in a single frame mostly noise: its median size is 0.09 pixels in a
//! camera that stands still. What tells is the sign: medians of an hour's readings, averaged over half a day, have a size
//! below 0.07 for a camera that stands still, however warm the season. Nothing has to be learned for it, because the zero
//! is the model's own.

use serde::{Deserialize, Serialize};

use super::{Action, Health, Moved};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Movement {
    /// Estimates of the current block, hundredths of a pixel: rows, columns.
    readings: Vec<[i16; 2]>,
    /// Medians of the last blocks, pixels.
    blocks: Vec<[f32; 2]>,
    moved: Option<f64>,
}

impl Movement {
    pub fn moved(&self) -> Option<f64> {
        self.moved
    }

    pub fn step(&mut self, rule: &Moved, shift: [f32; 2]) -> Option<Action> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "clamped to a few pixels before"
        )]
        let hundredths = |pixels: f32| (pixels.clamp(-9.0, 9.0) * 100.0).round() as i16;
        self.readings.push(shift.map(hundredths));
        if self.readings.len() < rule.block.max(1) {
            return None;
        }
        let median = |axis: usize| {
            let mut values: Vec<i16> = self.readings.iter().map(|shift| shift[axis]).collect();
            values.sort_unstable();
            let middle = values.len() / 2;
            let upper = f32::from(values[middle]);
            let lower = f32::from(values[(values.len() - 1) / 2]);
            f32::midpoint(lower, upper) / 100.0
        };
        let block = [median(0), median(1)];
        self.readings.clear();
        self.blocks.push(block);
        let blocks = rule.blocks.max(1);
        if self.blocks.len() > blocks {
            self.blocks.drain(..self.blocks.len() - blocks);
        }
        if self.blocks.len() < blocks {
            return None;
        }
        self.judge(rule)
    }

    fn judge(&mut self, rule: &Moved) -> Option<Action> {
        let count = self.blocks.len() as f64;
        let mean = |axis: usize| {
            let values = self.blocks.iter().map(|block| f64::from(block[axis]));
            values.sum::<f64>() / count
        };
        let size = mean(0).hypot(mean(1));
        match self.moved {
            None if size > rule.begins => {
                self.moved = Some(size);
                Some(Action::Health {
                    why: Health::Moved { pixels: size },
                })
            }
            Some(_) if size < rule.ends => {
                self.moved = None;
                Some(Action::Health {
                    why: Health::MovedOver,
                })
            }
            Some(_) => {
                self.moved = Some(size);
                None
            }
            None => None,
        }
    }
}
