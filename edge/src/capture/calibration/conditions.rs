//! From the words of a sub-page to temperatures, and back for who emulates the camera.

use super::{Calibration, Doubt, Pattern, Pixel, Resolution, Words};
use crate::frame::COLUMNS;

/// Words of the RAM that are no pixels.
pub(crate) mod word {
    pub const VBE: usize = 768;
    /// Of the compensation pixels, one of each sub-page.
    pub const COMPENSATION: [usize; 2] = [776, 808];
    pub const GAIN: usize = 778;
    pub const PTAT: usize = 800;
    pub const VDD: usize = 810;
    /// Those that hold a measurement; the others may hold anything.
    pub const USED: [std::ops::Range<usize>; 7] = [
        768..769,
        776..787,
        788..791,
        792..801,
        808..819,
        820..823,
        824..832,
    ];
}

/// What the camera writes where it has nothing to say.
pub(crate) const NO_DATA: u16 = 0x7fff;
/// Volts at which the datasheet calibrates.
const VDD_0: f64 = 3.3;
/// Deg C at which it does.
const TA_0: f64 = 25.0;
const KELVIN: f64 = 273.15;
/// In the open air the surroundings are colder than the camera by this, deg C.
const SELF_HEATING: f64 = 8.0;
const VDD: std::ops::RangeInclusive<f64> = 3.0..=3.6;
const TA: std::ops::RangeInclusive<f64> = -40.0..=85.0;

/// Under which conditions a sub-page was measured.
#[derive(Debug, Clone, Copy)]
pub struct Conditions<'a> {
    calibration: &'a Calibration,
    pattern: Pattern,
    /// The supply, volts.
    pub vdd: f64,
    /// The camera's own temperature, deg C.
    pub ta: f64,
    /// What words are multiplied by.
    pub gain: f64,
    /// What the compensation pixel of this sub-page sees.
    compensation: f64,
    /// The offset of that pixel under these conditions.
    pub(crate) compensation_offset: f64,
}

/// Conditions, and what is known of what is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    conditions: Conditions<'a>,
    emissivity: f64,
    /// What reaches the camera from its own temperature and from the surroundings, kelvin^4.
    ta_tr: f64,
    /// Of the sensitivity in each range of temperatures.
    corrections: [f64; 4],
}

pub(super) fn conditions<'a>(
    calibration: &'a Calibration,
    words: &Words,
    pattern: Pattern,
    resolution: Resolution,
    number: usize,
) -> Result<Conditions<'a>, Doubt> {
    let lost = |index: usize| words[index] == NO_DATA;
    let mut used = word::USED
        .into_iter()
        .flatten()
        .chain(pattern.pixels(number));
    if let Some(word) = used.find(|&index| lost(index)) {
        return Err(Doubt::NoData { word });
    }
    if words[word::PTAT] == 0 || words[word::VBE] == 0 {
        return Err(Doubt::Ptat);
    }
    let conditions = decode(calibration, words, pattern, resolution, number);
    let Conditions { vdd, ta, gain, .. } = conditions;
    // Pixels and gain have the same ADC. A factor of 5 is more than the electronics drift by.
    if !(0.2..=5.0).contains(&(gain / calibration.resolution.over(resolution))) {
        return Err(Doubt::Gain {
            word: words[word::GAIN].cast_signed(),
        });
    }
    if !VDD.contains(&vdd) {
        return Err(Doubt::Vdd { volts: vdd });
    }
    if !TA.contains(&ta) {
        return Err(Doubt::Ambient { celsius: ta });
    }
    Ok(conditions)
}

/// The same without a doubt, for who makes the words.
pub(crate) fn decode<'a>(
    calibration: &'a Calibration,
    words: &Words,
    pattern: Pattern,
    resolution: Resolution,
    number: usize,
) -> Conditions<'a> {
    let signed = |index: usize| f64::from(words[index].cast_signed());
    let gain = calibration.gain / signed(word::GAIN);
    let resolution = calibration.resolution.over(resolution);
    let vdd = VDD_0 + (resolution * signed(word::VDD) - calibration.vdd_25) / calibration.k_vdd;
    let terms = &calibration.ptat;
    let art = signed(word::PTAT) / (signed(word::PTAT) * terms.alpha + signed(word::VBE));
    let art = art * 18_f64.exp2();
    let ta = TA_0 + (art / (1.0 + terms.kv * (vdd - VDD_0)) - terms.at_25) / terms.kt;
    let cp = &calibration.compensation;
    let interleaving = match number {
        1 if pattern != calibration.pattern => calibration.interleaving[0],
        _ => 0.0,
    };
    let drift = (1.0 + cp.kta * (ta - TA_0)) * (1.0 + cp.kv * (vdd - VDD_0));
    let offset = (cp.offset[number & 1] + interleaving) * drift;
    Conditions {
        calibration,
        pattern,
        vdd,
        ta,
        gain,
        compensation: signed(word::COMPENSATION[number & 1]) * gain - offset,
        compensation_offset: offset,
    }
}

impl<'a> Conditions<'a> {
    /// `reflected` is the temperature of the surroundings that the target mirrors, deg C; as a rule it follows from `ta`.
    pub fn seen_through(self, emissivity: f64, reflected: Option<f64>) -> View<'a> {
        let fourth = |celsius: f64| (celsius + KELVIN).powi(4);
        let tr = fourth(reflected.unwrap_or(self.ta - SELF_HEATING));
        let Calibration { ks_to, ct, .. } = self.calibration;
        let third = 1.0 + ks_to[1] * ct[2];
        View {
            emissivity,
            ta_tr: tr - (tr - fourth(self.ta)) / emissivity,
            corrections: [
                1.0 / (1.0 + ks_to[0] * 40.0),
                1.0,
                third,
                third * (1.0 + ks_to[2] * (ct[3] - ct[2])),
            ],
            conditions: self,
        }
    }

    /// What is taken from every pixel because a compensation pixel sees it too, in steps of the ADC.
    pub fn shift_of_all(&self) -> f64 {
        self.calibration.tgc * self.compensation
    }

    /// What is taken from a pixel's word after the gain.
    fn shift(&self, index: usize) -> f64 {
        let calibration = self.calibration;
        let Pixel {
            offset, kta, kv, ..
        } = calibration.pixels[index];
        let drift = (1.0 + kta * (self.ta - TA_0)) * (1.0 + kv * (self.vdd - VDD_0));
        let mut shift = offset * drift + self.shift_of_all();
        if self.pattern != calibration.pattern {
            let row = if (index / COLUMNS).is_multiple_of(2) {
                -1.0
            } else {
                1.0
            };
            // Of four neighbours in a row, the second and the third differ from the others.
            let place = match index % 4 {
                1 => row,
                3 => -row,
                _ => 0.0,
            };
            shift -= calibration.interleaving[2] * row - calibration.interleaving[1] * place;
        }
        shift
    }
}

impl View<'_> {
    /// What a pixel's word means, deg C; not a number where no radiation explains it.
    pub fn temperature(&self, index: usize, word: u16) -> f64 {
        let raw = f64::from(word.cast_signed());
        self.celsius(
            index,
            raw * self.conditions.gain - self.conditions.shift(index),
        )
    }

    /// The word that a pixel would have at this temperature, before it is rounded.
    pub fn word(&self, index: usize, celsius: f64) -> f64 {
        let kelvin = (celsius + KELVIN).powi(4);
        let range = self.range(celsius);
        let mut signal = self.emissivity
            * self.sensitivity(index)
            * self.slope(range, celsius)
            * (kelvin - self.ta_tr);
        // The inverse of what follows is not exact, because there the range is found from a first estimate.
        let mut error = self.celsius(index, signal) - celsius;
        let mut slope =
            4.0 * (celsius + KELVIN).powi(3) * self.emissivity * self.sensitivity(index);
        for _ in 0..6 {
            if error.abs() < 1e-7 {
                break;
            }
            let step = -error * slope;
            let next = self.celsius(index, signal + step) - celsius;
            if (next - error).abs() > f64::EPSILON {
                slope = step / (next - error);
            }
            signal += step;
            error = next;
        }
        (signal + self.conditions.shift(index)) / self.conditions.gain
    }

    fn sensitivity(&self, index: usize) -> f64 {
        let calibration = self.conditions.calibration;
        calibration.pixels[index].alpha * (1.0 + calibration.ks_ta * (self.conditions.ta - TA_0))
    }

    fn range(&self, celsius: f64) -> usize {
        let begins = &self.conditions.calibration.ct[1..];
        begins.iter().filter(|&&begin| celsius >= begin).count()
    }

    fn slope(&self, range: usize, celsius: f64) -> f64 {
        let Calibration { ks_to, ct, .. } = self.conditions.calibration;
        self.corrections[range] * (1.0 + ks_to[range] * (celsius - ct[range]))
    }

    /// From a pixel's signal to its temperature.
    fn celsius(&self, index: usize, signal: f64) -> f64 {
        let ir = signal / self.emissivity;
        let alpha = self.sensitivity(index);
        let ks_to = self.conditions.calibration.ks_to[1];
        let root = |value: f64| value.sqrt().sqrt();
        let bend = root(alpha.powi(3) * (ir + alpha * self.ta_tr)) * ks_to;
        let first = root(ir / (alpha * (1.0 - ks_to * KELVIN) + bend) + self.ta_tr) - KELVIN;
        let slope = self.slope(self.range(first), first);
        root(ir / (alpha * slope) + self.ta_tr) - KELVIN
    }
}
