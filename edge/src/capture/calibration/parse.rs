//! Reads the EEPROM, and refuses what was never a camera's.
//!
//! The bounds are wide: they are there for words that were lost and not for cameras that are unusual.

use std::ops::RangeInclusive;

use super::{
    Calibration, Compensation, DeviceId, Pattern, Pixel, Ptat, Refused, Resolution, Words,
};
use crate::frame::{COLUMNS, PIXELS, ROWS};

/// Where the words of the pixels begin.
const FIRST_PIXEL: usize = 64;
/// More pixels than this are listed only where the list itself is damaged.
const MOST_LISTED: usize = 16;
/// Sensitivities that a pixel may have; real ones are around 5e-8 and 1e-7.
const SENSITIVITY: RangeInclusive<f64> = 2e-9..=2e-6;

pub(super) fn parse(words: &Words) -> Result<Calibration, Refused> {
    refuse_lost(words)?;
    let bad: Vec<usize> = (0..PIXELS)
        .filter(|pixel| matches!(words[FIRST_PIXEL + pixel], word if word == 0 || word & 1 == 1))
        .collect();
    if bad.len() > MOST_LISTED {
        return Err(Refused::Bad(bad.len()));
    }
    let tgc = signed(words[60], 0, 8) / 32.0;
    let compensation = compensation(words);
    let pixels = pixels(words, tgc, &compensation);
    let calibration = Calibration {
        device: DeviceId::of(words),
        pattern: if words[10] & 0x0800 == 0 {
            Pattern::Chess
        } else {
            Pattern::Interleaved
        },
        resolution: Resolution::of_code(words[56] >> 12),
        bad,
        k_vdd: signed(words[51], 8, 8) * 32.0,
        vdd_25: (unsigned(words[51], 0, 8) - 256.0) * 32.0 - 8192.0,
        ptat: Ptat {
            kv: signed(words[50], 10, 6) / 4096.0,
            kt: signed(words[50], 0, 10) / 8.0,
            at_25: signed(words[49], 0, 16),
            alpha: unsigned(words[16], 12, 4) / 4.0 + 8.0,
        },
        gain: signed(words[48], 0, 16),
        tgc,
        ks_ta: signed(words[60], 8, 8) / 8192.0,
        ks_to: ks_to(words),
        ct: ranges(words[63]),
        compensation,
        interleaving: [
            signed(words[53], 0, 6) / 16.0,
            signed(words[53], 6, 5) / 2.0,
            signed(words[53], 11, 5) / 8.0,
        ],
        pixels,
    };
    refuse_absurd(&calibration)?;
    Ok(calibration)
}

fn refuse_lost(words: &Words) -> Result<(), Refused> {
    if words.iter().all(|&word| word == words[0]) {
        return Err(Refused::Blank(words[0]));
    }
    let pixels = &words[FIRST_PIXEL..];
    for column in 0..COLUMNS {
        if (0..ROWS).all(|row| pixels[row * COLUMNS + column] == 0xffff) {
            return Err(Refused::Column(column));
        }
    }
    let device = DeviceId::of(words);
    if device.0 == [0; 3] || device.0 == [0xffff; 3] {
        return Err(Refused::DeviceId(device));
    }
    Ok(())
}

fn refuse_absurd(calibration: &Calibration) -> Result<(), Refused> {
    let ptat = &calibration.ptat;
    let [.., ct3, ct4] = calibration.ct;
    let terms = [
        ("the gain", calibration.gain, 1500.0..=16_000.0),
        (
            "the supply's slope",
            calibration.k_vdd.abs(),
            1000.0..=4096.0,
        ),
        ("the thermometer's slope", ptat.kt, 10.0..=64.0),
        (
            "the thermometer's value at 25 deg C",
            ptat.at_25,
            6000.0..=24_000.0,
        ),
        ("the third range's begin", ct3, 10.0..=450.0),
        ("the fourth range's begin", ct4, ct3..=900.0),
    ];
    let slopes = calibration.ks_to.iter();
    let slopes = slopes.map(|&ks_to| ("a sensitivity's slope", ks_to, -0.005..=0.005));
    for (name, value, bounds) in terms.into_iter().chain(slopes) {
        if !bounds.contains(&value) {
            return Err(Refused::Term { name, value });
        }
    }
    for (pixel, &Pixel { alpha, .. }) in calibration.pixels.iter().enumerate() {
        if !SENSITIVITY.contains(&alpha) && !calibration.bad.contains(&pixel) {
            return Err(Refused::Sensitivity { pixel, alpha });
        }
    }
    Ok(())
}

fn ks_to(words: &Words) -> [f64; 4] {
    let scale = power(unsigned(words[63], 0, 4) + 8.0);
    [(61, 0), (61, 8), (62, 0), (62, 8)].map(|(word, bit)| signed(words[word], bit, 8) / scale)
}

fn ranges(word: u16) -> [f64; 4] {
    let step = unsigned(word, 12, 2) * 10.0;
    let third = unsigned(word, 4, 4) * step;
    [-40.0, 0.0, third, third + unsigned(word, 8, 4) * step]
}

fn compensation(words: &Words) -> Compensation {
    let alpha = signed(words[57], 0, 10) / power(unsigned(words[32], 12, 4) + 27.0);
    let offset = signed(words[58], 0, 10);
    Compensation {
        alpha: [alpha, alpha * (1.0 + signed(words[57], 10, 6) / 128.0)],
        offset: [offset, offset + signed(words[58], 10, 6)],
        kta: signed(words[59], 0, 8) / power(unsigned(words[56], 4, 4) + 8.0),
        kv: signed(words[59], 8, 8) / power(unsigned(words[56], 8, 4)),
    }
}

fn pixels(words: &Words, tgc: f64, compensation: &Compensation) -> Vec<Pixel> {
    let [offset_scales, alpha_scales] =
        [words[16], words[32]].map(|word| [8, 4, 0].map(|bit| power(unsigned(word, bit, 4))));
    let alpha_scale = power(unsigned(words[32], 12, 4) + 30.0);
    let unseen = tgc * (compensation.alpha[0] + compensation.alpha[1]) / 2.0;
    let kta_scales =
        [(4, 8.0), (0, 0.0)].map(|(bit, base)| power(unsigned(words[56], bit, 4) + base));
    let kv_scale = power(unsigned(words[56], 8, 4));
    // Four means, by whether row and column are even: word 54 is of the even columns, counted from 0, and 55 of the odd ones.
    let kta_means = [(54, 8), (55, 8), (54, 0), (55, 0)];
    let kv_means = [12, 4, 8, 0];
    // Four signed bits for each row, then for each column.
    let nibble = |first: usize, at: usize| {
        let bit = u32::try_from(at % 4).unwrap_or(0) * 4;
        signed(words[first + at / 4], bit, 4)
    };
    let pixel = |index: usize| {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        let word = words[FIRST_PIXEL + index];
        let sum = |reference: f64, first: usize, rest: f64, scales: [f64; 3]| {
            reference
                + nibble(first, row) * scales[0]
                + nibble(first + 6, column) * scales[1]
                + rest * scales[2]
        };
        let alpha = sum(
            unsigned(words[33], 0, 16),
            34,
            signed(word, 4, 6),
            alpha_scales,
        );
        let parity = 2 * (row % 2) + column % 2;
        let (mean_word, mean_bit) = kta_means[parity];
        let kta = signed(words[mean_word], mean_bit, 8) + signed(word, 1, 3) * kta_scales[1];
        Pixel {
            alpha: alpha / alpha_scale - unseen,
            offset: sum(
                signed(words[17], 0, 16),
                18,
                signed(word, 10, 6),
                offset_scales,
            ),
            kta: kta / kta_scales[0],
            kv: signed(words[52], kv_means[parity], 4) / kv_scale,
        }
    };
    (0..PIXELS).map(pixel).collect()
}

/// `bits` bits from `bit` on.
fn unsigned(word: u16, bit: u32, bits: u32) -> f64 {
    f64::from(field(word, bit, bits))
}

/// The same, in two's complement.
fn signed(word: u16, bit: u32, bits: u32) -> f64 {
    let shift = 16 - bits;
    f64::from((field(word, bit, bits) << shift).cast_signed() >> shift)
}

fn field(word: u16, bit: u32, bits: u32) -> u16 {
    (word >> bit) & (u16::MAX >> (16 - bits))
}

fn power(exponent: f64) -> f64 {
    exponent.exp2()
}
