//! What the EEPROM of an MLX90640 says of it, and temperatures from its raw words (pure).
//!
//! In order of use: `parse` reads the 832 words of the EEPROM into a `Calibration`, or refuses them with the reason;
//! `Calibration::conditions` reads from a sub-page's words under which conditions it was measured, or doubts them;
//! `Conditions::seen_through` adds what is known of the target, and its `View` turns words into temperatures.
//!
//! The terms and their order are Melexis': datasheet of the MLX90640, and where it leaves room, their published library
//! (the resolution corrects the supply's raw word, the two compensation pixels' sensitivities are averaged). Names are the
//! datasheet's where it has names. All of it is calculated in f64.

use thiserror::Error;

use crate::frame::{COLUMNS, PIXELS};

mod conditions;
mod parse;

pub use conditions::{Conditions, View};
pub(crate) use conditions::{NO_DATA, decode, word};

/// Words of the EEPROM from 0x2400, and of the RAM from 0x0400: 768 of pixels and 64 of everything else.
pub const WORDS: usize = 832;

/// The EEPROM's, or a sub-page's.
pub type Words = [u16; WORDS];

/// Which pixels belong to a sub-page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Every other row.
    Interleaved,
    /// Fields of a chess board: what the factory calibrates in.
    Chess,
}

/// Of the camera's ADC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resolution {
    Bits16,
    Bits17,
    Bits18,
    Bits19,
}

/// The camera's own number: three words of its EEPROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceId(pub [u16; 3]);

/// All terms of one camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    pub device: DeviceId,
    /// What it was calibrated in.
    pub pattern: Pattern,
    /// What it was calibrated with.
    pub resolution: Resolution,
    /// Pixels that the factory found broken or outside its limits, ascending.
    pub bad: Vec<usize>,
    /// Steps of the ADC per volt of supply, and at 3.3 V.
    pub k_vdd: f64,
    pub vdd_25: f64,
    pub ptat: Ptat,
    pub gain: f64,
    /// How much of what the compensation pixels see is taken from each pixel.
    pub tgc: f64,
    /// How the sensitivity changes with the camera's temperature, per deg C.
    pub ks_ta: f64,
    /// How it changes with the target's, per deg C, in four ranges.
    pub ks_to: [f64; 4],
    /// Where those ranges begin, deg C.
    pub ct: [f64; 4],
    pub compensation: Compensation,
    /// What an interleaved picture of a chess camera needs, and the other way around.
    pub interleaving: [f64; 3],
    /// All 768, row by row.
    pub pixels: Vec<Pixel>,
}

/// The camera's own thermometer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ptat {
    /// Per volt.
    pub kv: f64,
    /// Steps per deg C, and at 25 deg C.
    pub kt: f64,
    pub at_25: f64,
    pub alpha: f64,
}

/// The two pixels that see no light, one of each sub-page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compensation {
    pub alpha: [f64; 2],
    pub offset: [f64; 2],
    pub kta: f64,
    pub kv: f64,
}

/// What one pixel is multiplied and shifted by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pixel {
    /// Sensitivity, less its share of the compensation pixels'.
    pub alpha: f64,
    pub offset: f64,
    /// How the offset changes with the camera's temperature, per deg C,
    pub kta: f64,
    /// and with its supply, per volt.
    pub kv: f64,
}

/// Why words are not the EEPROM of a working camera.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Refused {
    #[error("every word is {0:#06x}")]
    Blank(u16),
    #[error("column {0} is lost: all of its words are 0xffff")]
    Column(usize),
    #[error("{0} pixels are listed as bad, and a camera that leaves the factory has at most 4")]
    Bad(usize),
    #[error("its device id is {0}")]
    DeviceId(DeviceId),
    #[error("{name} is {value}, which no camera has")]
    Term { name: &'static str, value: f64 },
    #[error("pixel {pixel} has a sensitivity of {alpha:e}")]
    Sensitivity { pixel: usize, alpha: f64 },
}

/// Why a sub-page's words cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
pub enum Doubt {
    #[error("word {word:#06x} holds the mark of no data")]
    NoData { word: usize },
    #[error("the word for the gain is {word}")]
    Gain { word: i16 },
    #[error("the camera's own thermometer says nothing")]
    Ptat,
    #[error("the supply is {volts:.2} V and must be between 3.0 and 3.6 V")]
    Vdd { volts: f64 },
    #[error("the camera's own temperature is {celsius:.0} deg C")]
    Ambient { celsius: f64 },
}

impl Calibration {
    pub fn parse(words: &Words) -> Result<Self, Refused> {
        parse::parse(words)
    }

    /// Under which conditions the sub-page `number` (0 or 1) was measured.
    pub fn conditions(
        &self,
        words: &Words,
        pattern: Pattern,
        resolution: Resolution,
        number: usize,
    ) -> Result<Conditions<'_>, Doubt> {
        conditions::conditions(self, words, pattern, resolution, number)
    }
}

impl DeviceId {
    pub fn of(words: &Words) -> Self {
        Self([words[7], words[8], words[9]])
    }
}

impl std::fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second, third] = self.0;
        write!(formatter, "{first:04x}{second:04x}{third:04x}")
    }
}

impl Pattern {
    /// The sub-page to which a pixel belongs.
    pub fn number_of(self, pixel: usize) -> usize {
        let row = pixel / COLUMNS;
        match self {
            Self::Interleaved => row % 2,
            Self::Chess => (row + pixel) % 2,
        }
    }

    /// Those of the sub-page.
    pub fn pixels(self, number: usize) -> impl Iterator<Item = usize> {
        (0..PIXELS).filter(move |&pixel| self.number_of(pixel) == number)
    }
}

impl Resolution {
    pub const ALL: [Self; 4] = [Self::Bits16, Self::Bits17, Self::Bits18, Self::Bits19];

    /// As the registers and the EEPROM write it.
    pub fn code(self) -> u16 {
        match self {
            Self::Bits16 => 0,
            Self::Bits17 => 1,
            Self::Bits18 => 2,
            Self::Bits19 => 3,
        }
    }

    /// Of the two lowest bits.
    pub fn of_code(code: u16) -> Self {
        Self::ALL[usize::from(code & 3)]
    }

    /// How much larger a step of the other is than one of this.
    pub fn over(self, other: Self) -> f64 {
        f64::from(1 << self.code()) / f64::from(1 << other.code())
    }
}
