//! Colour maps: from a temperature to a colour, by a table.
//!
//! A table has 256 entries (the tutorial's has 1000, as it has there), so that a picture is small as a file and the
//! colour at a temperature is one that can be looked up.

use super::Limits;
use super::round::{count, real};

pub type Rgb = [u8; 3];

/// What stands for a temperature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Colours {
    /// Black, purple, orange, pale yellow: evenly spaced for the eye, and legible without colour vision.
    #[default]
    Inferno,
    Magma,
    Plasma,
    Viridis,
    /// A rainbow without its false edges.
    Turbo,
    /// White is hot.
    Greys,
    /// The bands of Adafruit's MLX90640 example, which the tutorial's model was trained on.
    Tutorial,
    /// Blue below zero, red above: for differences.
    #[value(skip)]
    BlueRed,
    /// Pale to dark red: for what is worse the more there is of it.
    #[value(skip)]
    YellowRed,
}

/// A colour map laid over a range.
#[derive(Debug, Clone)]
pub struct Palette {
    table: Vec<Rgb>,
    limits: Limits,
}

impl Palette {
    pub fn new(colours: Colours, limits: Limits) -> Self {
        Self {
            table: colours.table(),
            limits,
        }
    }

    /// Beyond the range, the colour of its end.
    pub fn colour(&self, celsius: f32) -> Rgb {
        let share = f64::from((celsius - self.limits.low) / (self.limits.high - self.limits.low));
        let last = self.table.len() - 1;
        self.table[count(share.clamp(0.0, 1.0) * real(last)).min(last)]
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }
}

impl Colours {
    /// From the coldest to the hottest.
    pub fn table(self) -> Vec<Rgb> {
        let gradient = match self {
            Self::Inferno => colorous::INFERNO,
            Self::Magma => colorous::MAGMA,
            Self::Plasma => colorous::PLASMA,
            Self::Viridis => colorous::VIRIDIS,
            Self::Turbo => colorous::TURBO,
            Self::YellowRed => colorous::YELLOW_ORANGE_RED,
            Self::BlueRed => {
                let mut table = sampled(colorous::RED_BLUE);
                table.reverse();
                return table;
            }
            Self::Greys => return (0..=255).map(|level| [level; 3]).collect(),
            Self::Tutorial => return tutorial(),
        };
        sampled(gradient)
    }
}

fn sampled(gradient: colorous::Gradient) -> Vec<Rgb> {
    (0..256)
        .map(|index| gradient.eval_rational(index, 256).as_array())
        .collect()
}

/// Where the tutorial's bands are, and what each adds of red, green and blue.
const STOPS: [(f64, [f64; 3]); 7] = [
    (0.0, [0.0, 0.0, 0.0]),
    (0.2, [0.0, 0.0, 0.5]),
    (0.4, [0.0, 0.5, 0.0]),
    (0.6, [0.5, 0.0, 0.0]),
    (0.8, [0.75, 0.75, 0.0]),
    (0.9, [1.0, 0.75, 0.0]),
    (1.0, [1.0, 1.0, 1.0]),
];

/// The bands run into each other as bell curves, each as wide as their share of the map.
fn tutorial() -> Vec<Rgb> {
    let width = 1000;
    let spread = real(width) / real(STOPS.len());
    let channel = |at: usize, channel: usize| {
        let sum: f64 = STOPS
            .iter()
            .map(|(stop, colour)| {
                let away = real(at) - stop * real(width);
                colour[channel] * (-away * away / (2.0 * spread * spread)).exp()
            })
            .sum();
        // Cut off, not rounded, as it is there.
        let level = count((sum * 255.0).clamp(0.0, 255.0).floor());
        u8::try_from(level).unwrap_or(u8::MAX)
    };
    (0..width)
        .map(|at| [channel(at, 0), channel(at, 1), channel(at, 2)])
        .collect()
}

/// Black or white: what stands out from a colour.
pub(super) fn contrasting(colour: Rgb) -> (Rgb, Rgb) {
    let [red, green, blue] = colour.map(f64::from);
    let light = 0.299 * red + 0.587 * green + 0.114 * blue;
    let (black, white) = ([0; 3], [255; 3]);
    if light > 140.0 {
        (black, white)
    } else {
        (white, black)
    }
}
