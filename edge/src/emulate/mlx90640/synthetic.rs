//! EEPROMs of cameras that were never built, drawn from a seed.
//!
//! The fields are drawn as the integers that the EEPROM holds, so each dump says exactly what its camera is like. Their
//! ranges are those of real dumps.

use std::ops::RangeInclusive;

use rand::{RngExt as _, SeedableRng as _, rngs::ChaCha8Rng};

use crate::capture::calibration::{Pattern, Resolution, WORDS, Words};
use crate::frame::{COLUMNS, ROWS};

/// What kind of camera it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    pub seed: u64,
    /// Pixels that the factory found broken: their words are 0.
    pub broken: Vec<usize>,
    /// Pixels outside its limits: their words are odd.
    pub outliers: Vec<usize>,
    /// In 32nds, -128 to 127; of real ones 0 or about 32.
    pub tgc: i16,
    pub ranges: Ranges,
    /// What it was calibrated with.
    pub resolution: Resolution,
    pub pattern: Pattern,
}

/// Where the ranges of target temperatures begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ranges {
    /// At 300 and 500 deg C, with hardly a slope: most cameras.
    Late,
    /// At 120 and 240 deg C, each with a slope of its own.
    Early,
}

impl Kind {
    /// What most cameras are like.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            broken: Vec::new(),
            outliers: Vec::new(),
            tgc: 0,
            ranges: Ranges::Late,
            resolution: Resolution::Bits18,
            pattern: Pattern::Chess,
        }
    }
}

/// An EEPROM of 832 words.
pub fn synthetic(kind: &Kind) -> Box<Words> {
    let mut draw = Draw(ChaCha8Rng::seed_from_u64(kind.seed));
    let mut words = Box::new([0; WORDS]);
    let pattern = match kind.pattern {
        Pattern::Chess => 0,
        Pattern::Interleaved => 0x0800,
    };
    // The factory's marks, the device id, and what the registers hold at power-up.
    let id = [(); 3].map(|()| draw.bits(16, 1..=0x7ffe));
    let marks = [0xae00, 0x9a49, 0, 0x2061, 5, 0x0320, 0x03e0];
    words[..7].copy_from_slice(&marks);
    words[7..10].copy_from_slice(&id);
    words[10] = 0x0499 | pattern;
    words[12] = 0x1901;
    words[15] = 0xbe33;
    // Offsets: scales of row, column and pixel, the mean, and what rows and columns add to it.
    words[16] = 0x4210;
    words[17] = draw.bits(16, -80..=-50);
    for word in &mut words[18..32] {
        *word = draw.nibbles(-3..=3);
    }
    // Sensitivities, which fall off towards the edges.
    words[32] = 0x8895;
    words[33] = draw.bits(16, 12_000..=14_000);
    for (first, count) in [(34, ROWS), (40, COLUMNS)] {
        for at in 0..count {
            let from_centre = 2.0 * (at as f64 + 0.5) / count as f64 - 1.0;
            let nibble = if from_centre.abs() > 0.7 {
                -2..=-1
            } else {
                0..=2
            };
            words[first + at / 4] |= draw.bits(4, nibble) << (at % 4 * 4);
        }
    }
    header(&mut words, kind, &mut draw);
    for (pixel, word) in words[64..].iter_mut().enumerate() {
        let rest =
            draw.bits(6, -9..=9) << 10 | draw.bits(6, -31..=31) << 4 | draw.bits(3, -2..=2) << 1;
        // All zeros would mean that it is broken.
        let sound = if rest == 0 { 0x0010 } else { rest };
        *word = match pixel {
            pixel if kind.broken.contains(&pixel) => 0,
            pixel if kind.outliers.contains(&pixel) => sound | 1,
            _ => sound,
        };
    }
    words
}

/// Gain, supply, thermometer, compensation pixels and slopes.
fn header(words: &mut Words, kind: &Kind, draw: &mut Draw) {
    words[48] = draw.bits(16, 5500..=6500);
    words[49] = draw.bits(16, 12_000..=12_500);
    words[50] = draw.bits(6, 18..=24) << 10 | draw.bits(10, 330..=345);
    words[51] = draw.bits(8, -104..=-96) << 8 | draw.bits(8, 0x60..=0x90);
    words[52] = draw.nibbles(2..=7);
    words[53] = draw.bits(5, -8..=8) << 11 | draw.bits(5, -4..=4) << 6 | draw.bits(6, -12..=12);
    words[54] = draw.bits(8, 48..=64) << 8 | draw.bits(8, 48..=64);
    words[55] = draw.bits(8, 48..=64) << 8 | draw.bits(8, 48..=64);
    words[56] = kind.resolution.code() << 12 | 0x0452;
    words[57] = draw.bits(6, -7..=3) << 10 | draw.bits(10, 70..=110);
    words[58] = draw.bits(6, -3..=5) << 10 | draw.bits(10, -80..=-60);
    words[59] = draw.bits(8, 4..=7) << 8 | draw.bits(8, 30..=45);
    words[60] = draw.bits(8, -20..=-8) << 8 | field(8, kind.tgc);
    let (slopes, ranges) = match kind.ranges {
        Ranges::Late => ([-105, -105, -105, -105], 0x2afb),
        Ranges::Early => ([-59, -52, -79, -105], 0x2669),
    };
    let [first, second, third, fourth] = slopes.map(|slope| field(8, slope));
    words[61] = second << 8 | first;
    words[62] = fourth << 8 | third;
    words[63] = ranges;
}

struct Draw(ChaCha8Rng);

impl Draw {
    /// A number from a range, in two's complement of so many bits.
    fn bits(&mut self, bits: u32, range: RangeInclusive<i16>) -> u16 {
        field(bits, self.0.random_range(range))
    }

    fn nibbles(&mut self, range: RangeInclusive<i16>) -> u16 {
        (0..4).fold(0, |word, _| word << 4 | self.bits(4, range.clone()))
    }
}

fn field(bits: u32, value: i16) -> u16 {
    value.cast_unsigned() & (u16::MAX >> (16 - bits))
}
