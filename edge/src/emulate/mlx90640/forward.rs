//! From what there is to see to the words that the camera would hold: the driver's own calculation, backwards.

use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

use super::{Make, Seen};
use crate::capture::calibration::{Calibration, NO_DATA, Words, decode, word};
use crate::capture::mlx90640::Control;

/// Voltage of a junction, in steps of the ADC: about the same in every camera.
const VBE: i16 = 19_442;
/// What the compensation pixels see beyond their offset.
const GLOW: f64 = 3.0;

/// Of one sub-page.
pub(super) struct Measurement {
    pub seen: Seen,
    /// Volts.
    pub vdd: f64,
    pub control: Control,
    pub number: usize,
}

impl Measurement {
    /// Writes it into the RAM: its pixels, its compensation pixel and the camera's own conditions.
    pub(super) fn take(
        &self,
        calibration: &Calibration,
        make: &Make,
        chance: &mut ChaCha8Rng,
        ram: &mut Words,
    ) {
        let (vdd, number) = (self.vdd, self.number);
        let Control {
            resolution,
            pattern,
            ..
        } = self.control;
        let steps = resolution.over(calibration.resolution);
        for index in word::USED.into_iter().flatten() {
            if ram[index] == NO_DATA {
                ram[index] = 1;
            }
        }
        let ptat = &calibration.ptat;
        let art = (ptat.kt * (self.seen.die - 25.0) + ptat.at_25) * (1.0 + ptat.kv * (vdd - 3.3));
        ram[word::VBE] = VBE.cast_unsigned();
        ram[word::PTAT] = rounded(art * f64::from(VBE) / (18_f64.exp2() - art * ptat.alpha));
        ram[word::GAIN] = rounded(calibration.gain * make.gain * steps);
        ram[word::VDD] = rounded((calibration.vdd_25 + (vdd - 3.3) * calibration.k_vdd) * steps);
        // What is decoded is not what was encoded: pixels must fit to the rounded words.
        let now = decode(calibration, ram, pattern, resolution, number);
        ram[word::COMPENSATION[number]] = rounded((now.compensation_offset + GLOW) / now.gain);
        let now = decode(calibration, ram, pattern, resolution, number);
        let view = now.seen_through(make.emissivity, make.reflected);
        for pixel in pattern.pixels(number) {
            let noise: f64 = StandardNormal.sample(chance);
            let exact = view.word(pixel, f64::from(self.seen.pixels[pixel]));
            ram[pixel] = rounded(exact + make.noise * noise);
        }
    }
}

/// As far as a word goes.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is beyond a word stays at its end, as in the ADC; what is no number is 0"
)]
fn rounded(value: f64) -> u16 {
    // The largest word of all means that there is no data.
    (value.round().min(32_766.0) as i16).cast_unsigned()
}
