//! A picture as bytes: 8 bits a pixel between the lowest and the highest temperature.
//!
//! Row by row from the top left, as the camera sees it. A pixel is `min + byte * (max - min) / 255`, and differs from what
//! was measured by at most `(max - min) / 510`, and by what a float of 32 bits rounds: 0.2 deg C where the hottest pixel is
//! 100 deg C above the coldest. A frame that is the same everywhere has `min` = `max` and zeros.

use crate::frame::{PIXELS, Pixels, statistics};

/// Notes that carry a picture.
pub const PARTS: usize = 3;
/// What a note may carry.
pub const PART_BYTES: usize = 256;

const _: () = assert!(PARTS * PART_BYTES == PIXELS, "three notes hold a frame");

#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// deg C of byte 0.
    pub min: f32,
    /// deg C of byte 255.
    pub max: f32,
    /// One for each pixel.
    pub bytes: Box<[u8; PIXELS]>,
}

impl Encoded {
    /// Of a mended frame: all pixels are finite.
    pub fn of(pixels: &Pixels) -> Self {
        let found = statistics(pixels);
        let (min, range) = (
            f64::from(found.min),
            f64::from(found.max) - f64::from(found.min),
        );
        let byte = |pixel: f32| {
            let share = if range > 0.0 {
                (f64::from(pixel) - min) / range
            } else {
                0.0
            };
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of 255"
            )]
            let byte = (share * 255.0).round() as u8;
            byte
        };
        Self {
            min: found.min,
            max: found.max,
            bytes: Box::new(pixels.map(byte)),
        }
    }

    /// What whoever receives it sees, deg C.
    pub fn pixels(&self) -> Box<Pixels> {
        let (min, max) = (f64::from(self.min), f64::from(self.max));
        #[expect(clippy::cast_possible_truncation, reason = "between two f32")]
        let celsius = |byte: u8| (min + f64::from(byte) * (max - min) / 255.0) as f32;
        Box::new(self.bytes.map(celsius))
    }

    /// The payloads of its notes, from the top of the picture.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        self.bytes.chunks(PART_BYTES).map(<[u8]>::to_vec).collect()
    }
}
