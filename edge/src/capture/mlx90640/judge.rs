//! Which sub-pages to believe.
//!
//! The bus carries no checksum, so a sub-page is held against what is possible, and against the one before it: what changes
//! slowly by nature (supply, the camera's temperature, gain) does not jump, and a pixel that is no temperature is a dead one
//! only when it was so before. A real step costs one sub-page, for the next one is compared with it.

use thiserror::Error;

use super::{Rejection, Settings};
use crate::capture::calibration::{Calibration, Conditions, Words};
use crate::frame::MOST_BAD_PIXELS;

/// Temperatures that a pixel can have without being dead, deg C: wider than what the camera is made for.
const CONCEIVABLE: std::ops::RangeInclusive<f64> = -60.0..=400.0;
/// Between two sub-pages: volts,
const VDD_STEP: f64 = 0.06;
/// deg C,
const TA_STEP: f64 = 1.0;
/// parts of the gain,
const GAIN_STEP: f64 = 0.01;
/// and steps of the ADC by which all pixels shift with a compensation pixel.
const SHIFT_STEP: f64 = 8.0;

/// One that is believed.
#[derive(Debug, Clone)]
pub(super) struct Subpage {
    pub number: usize,
    /// Deg C.
    pub ta: f64,
    /// Volts.
    pub vdd: f64,
    /// Its pixels, ascending, deg C; NaN where one is dead.
    pub pixels: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Jump {
    #[error("the supply by {0:.2} V")]
    Vdd(f64),
    #[error("the camera's own temperature by {0:.1} deg C")]
    Ambient(f64),
    #[error("the gain by {0:.1} %")]
    Gain(f64),
    #[error("what a compensation pixel sees by {0:.0} steps")]
    Shift(f64),
}

#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Conditions of the last one: supply, temperature, gain, shift.
    last: Option<[f64; 4]>,
    /// Which pixels were no temperatures in the last one of each number.
    dead: [Vec<usize>; 2],
}

impl Judge {
    pub(super) fn judge(
        &mut self,
        calibration: &Calibration,
        settings: &Settings,
        words: &Words,
        number: u16,
    ) -> Result<Subpage, Rejection> {
        let number @ 0..=1 = usize::from(number) else {
            return Err(Rejection::Number(number));
        };
        let conditions = calibration
            .conditions(words, settings.pattern, settings.resolution, number)
            .map_err(Rejection::Doubt)?;
        self.compare(&conditions).map_err(Rejection::Jump)?;
        let view = conditions.seen_through(
            f64::from(settings.emissivity),
            settings.reflected.map(f64::from),
        );
        let mut dead = Vec::new();
        let mut celsius = |pixel: usize| {
            let celsius = view.temperature(pixel, words[pixel]);
            if CONCEIVABLE.contains(&celsius) {
                return celsius;
            }
            if !calibration.bad.contains(&pixel) {
                dead.push(pixel);
            }
            f64::NAN
        };
        let pixels = settings.pattern.pixels(number).map(&mut celsius).collect();
        let before = std::mem::replace(&mut self.dead[number], dead);
        let dead = &self.dead[number];
        if self.dead.iter().flatten().count() > MOST_BAD_PIXELS
            || dead.iter().any(|pixel| !before.contains(pixel))
        {
            return Err(Rejection::Pixels(dead.len()));
        }
        Ok(Subpage {
            number,
            ta: conditions.ta,
            vdd: conditions.vdd,
            pixels,
        })
    }

    fn compare(&mut self, conditions: &Conditions<'_>) -> Result<(), Jump> {
        let Conditions { vdd, ta, gain, .. } = *conditions;
        let now = [vdd, ta, gain, conditions.shift_of_all()];
        let Some(last) = self.last.replace(now) else {
            return Ok(());
        };
        let [vdd, ta, _, shift] = std::array::from_fn(|at| now[at] - last[at]);
        let gain = now[2] / last[2] - 1.0;
        if vdd.abs() > VDD_STEP {
            return Err(Jump::Vdd(vdd));
        }
        if ta.abs() > TA_STEP {
            return Err(Jump::Ambient(ta));
        }
        if gain.abs() > GAIN_STEP {
            return Err(Jump::Gain(100.0 * gain));
        }
        if shift.abs() > SHIFT_STEP {
            return Err(Jump::Shift(shift));
        }
        Ok(())
    }
}
