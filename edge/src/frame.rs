//! One frame: 24 rows of 32 temperatures in deg C, and what is known of them.
//!
//! A frame is kept as it was measured. What looks broken is mended by `repaired`, which every consumer calls before it
//! calculates: the fit, the model and pictures all see the same mended pixels.

use chrono::{DateTime, Utc};

/// Text files of numbers that anyone can read and make.
pub mod csv;
/// NumPy's array files.
pub mod npy;
mod repair;

pub const ROWS: usize = 24;
pub const COLUMNS: usize = 32;
pub const PIXELS: usize = ROWS * COLUMNS;

/// Temperatures in deg C, row by row from the top left, as the camera sees them (not mirrored).
pub type Pixels = [f32; PIXELS];

/// More mended pixels than this are a fault of the sensor: the datasheet allows at most 4 broken ones.
pub const MOST_BAD_PIXELS: usize = 4;

#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// As measured: may hold what is no temperature (NaN, 1000).
    pub pixels: Box<Pixels>,
    /// Temperature of the sensor itself, deg C.
    pub ambient: Option<f32>,
    pub captured_at: Option<DateTime<Utc>>,
    /// Which camera; the serial number where it is known.
    pub camera: Option<String>,
}

/// A pixel of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// 0 is the top.
    pub row: usize,
    /// 0 is the left.
    pub column: usize,
}

/// A frame's pixels after the broken ones were replaced from their neighbours.
#[derive(Debug, Clone, PartialEq)]
pub struct Repaired {
    /// All finite.
    pub pixels: Box<Pixels>,
    /// Which ones were replaced, ascending.
    pub bad: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    pub min: f32,
    pub max: f32,
    pub mean: f32,
    pub hottest: Place,
}

impl Frame {
    pub fn new(pixels: Box<Pixels>) -> Self {
        Self {
            pixels,
            ambient: None,
            captured_at: None,
            camera: None,
        }
    }

    /// Whether it is the same frame in hundredths of a degree, which is what text keeps of it.
    pub fn is_copy_of(&self, other: &Self) -> bool {
        let pairs = self.pixels.iter().zip(other.pixels.iter());
        pairs
            .into_iter()
            .all(|(one, other)| (one - other).abs() < 0.0051 || one.total_cmp(other).is_eq())
    }

    /// Mends broken pixels: those that `known_bad` lists (from the camera's EEPROM), and those that cannot be true.
    pub fn repaired(&self, known_bad: &[usize]) -> Repaired {
        repair::repair(&self.pixels, known_bad)
    }
}

impl Repaired {
    /// Too much is broken for this to be a picture of anything.
    pub fn is_sensor_fault(&self) -> bool {
        self.bad.len() > MOST_BAD_PIXELS
    }
}

impl Place {
    pub fn of(index: usize) -> Self {
        Self {
            row: index / COLUMNS,
            column: index % COLUMNS,
        }
    }

    pub fn index(self) -> usize {
        self.row * COLUMNS + self.column
    }
}

/// Of finite pixels.
pub fn statistics(pixels: &Pixels) -> Statistics {
    let mut hottest = 0;
    let (mut min, mut sum) = (f32::INFINITY, 0.0_f64);
    for (index, &pixel) in pixels.iter().enumerate() {
        min = min.min(pixel);
        sum += f64::from(pixel);
        if pixel > pixels[hottest] {
            hottest = index;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a mean of f32 values")]
    let mean = (sum / PIXELS as f64) as f32;
    Statistics {
        min,
        max: pixels[hottest],
        mean,
        hottest: Place::of(hottest),
    }
}
