//! What is chosen of the camera, and its registers as words.

use std::time::Duration;

use crate::capture::calibration::{Pattern, Resolution};

/// Where the EEPROM begins; it is never written.
pub const EEPROM: u16 = 0x2400;
/// Where the words of the last sub-pages begin.
pub const RAM: u16 = 0x0400;
pub const STATUS: u16 = 0x8000;
pub const CONTROL: u16 = 0x800d;

/// In the status: which sub-page was measured last,
pub const SUBPAGE: u16 = 0x0007;
/// whether it is new since the status was written,
pub const NEW_DATA: u16 = 0x0008;
/// and whether new words may take the place of old ones.
pub const OVERWRITE: u16 = 0x0010;
/// A measurement begins, where it does not do so by itself.
pub const BEGIN: u16 = 0x0020;

/// Sub-pages per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    Half,
    One,
    Two,
    Four,
    Eight,
    Sixteen,
    ThirtyTwo,
    SixtyFour,
}

/// What is chosen for one camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub address: u8,
    /// A bus of 100 kHz is fast enough for 2 Hz, one of 400 kHz for 8 Hz.
    pub rate: Rate,
    pub resolution: Resolution,
    pub pattern: Pattern,
    /// Of what is looked at.
    pub emissivity: f32,
    /// The surroundings that it mirrors, deg C; None is 8 deg C below the camera's own temperature.
    pub reflected: Option<f32>,
    /// A capture is the mean of so many full frames; from three on, a single wrong word changes nothing in it.
    pub frames: u32,
    /// When a capture is given up, and opening the camera too; more than twice [`Settings::duration`] leaves room for
    /// what has to be dropped.
    pub deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: 0x33,
            rate: Rate::Two,
            resolution: Resolution::Bits18,
            pattern: Pattern::Chess,
            emissivity: 0.95,
            reflected: None,
            frames: 4,
            deadline: Duration::from_secs(30),
        }
    }
}

/// The control register, as far as it is used: sub-pages in turn, data held back never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Control {
    pub rate: Rate,
    pub resolution: Resolution,
    pub pattern: Pattern,
}

impl Control {
    pub fn word(self) -> u16 {
        let chess = match self.pattern {
            Pattern::Interleaved => 0,
            Pattern::Chess => 1 << 12,
        };
        1 | self.rate.code() << 7 | self.resolution.code() << 10 | chess
    }

    pub fn of(word: u16) -> Self {
        Self {
            rate: Rate::ALL[usize::from(word >> 7 & 7)],
            resolution: Resolution::of_code(word >> 10),
            pattern: if word & 1 << 12 == 0 {
                Pattern::Interleaved
            } else {
                Pattern::Chess
            },
        }
    }
}

impl Settings {
    /// How long a capture takes at most when nothing goes wrong.
    pub fn duration(&self) -> Duration {
        // The sub-page under way, two that still know old settings, and two for each frame.
        self.rate.period() * (2 * self.frames.max(1) + 3)
    }

    pub fn control(&self) -> Control {
        Control {
            rate: self.rate,
            resolution: self.resolution,
            pattern: self.pattern,
        }
    }
}

impl Rate {
    pub const ALL: [Self; 8] = [
        Self::Half,
        Self::One,
        Self::Two,
        Self::Four,
        Self::Eight,
        Self::Sixteen,
        Self::ThirtyTwo,
        Self::SixtyFour,
    ];

    fn code(self) -> u16 {
        match self {
            Self::Half => 0,
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 3,
            Self::Eight => 4,
            Self::Sixteen => 5,
            Self::ThirtyTwo => 6,
            Self::SixtyFour => 7,
        }
    }

    /// Between two sub-pages.
    pub fn period(self) -> Duration {
        Duration::from_secs(2) / (1 << self.code())
    }

    pub fn hertz(self) -> f64 {
        1.0 / self.period().as_secs_f64()
    }

    /// None unless the camera has this rate: 0.5, 1, 2, 4, 8, 16, 32 or 64.
    pub fn of_hertz(hertz: f64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|rate| (rate.hertz() - hertz).abs() < 1e-6)
    }
}
