//! What a station's camera sees, as far as a demo needs it: a machine before a wall, and sometimes a hot spot on it.
//!
//! Pure, and no physics: shapes are laid over each other, and the whole is stretched so that its mean and its hottest
//! pixel are what the station's reading says. So a picture and the numbers beside it never contradict each other.

pub const COLUMNS: u8 = 32;
pub const ROWS: u8 = 24;
/// Notes that carry a picture, each with a third of the rows.
pub const PARTS: usize = 3;
/// Where the hot spot is: column and row.
pub const SPOT: (u8, u8) = (21, 9);

/// What stands before the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// A boiler with its door, and a flow pipe.
    Boiler,
    /// Three rows of breakers in a cabinet.
    Switchboard,
    /// A motor and its pump on a base.
    Pump,
}

/// A picture as the agent sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Deg C of byte 0 and of byte 255, to hundredths.
    pub min: f64,
    pub max: f64,
    /// Row by row from the top left.
    pub pixels: Vec<u8>,
}

impl Picture {
    /// The bytes of each note.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.pixels.chunks(self.pixels.len().div_ceil(PARTS))
    }
}

impl Scene {
    /// The scene with this mean and this hottest temperature, in deg C; `anomaly` from 0 to 1 says how much of the heat is
    /// in the hot spot, and `grain` how the noise falls.
    pub fn picture(self, mean: f64, max: f64, anomaly: f64, grain: u32) -> Picture {
        let places = (0..ROWS).flat_map(|y| (0..COLUMNS).map(move |x| (x, y)));
        let heights: Vec<f64> = places
            .map(|place| {
                let noise = 0.03 * noise(place, grain);
                let spot = anomaly * bump(place, SPOT, 1.7);
                (1.0 - 0.75 * anomaly) * self.height(place) + 1.1 * spot + noise
            })
            .collect();
        let top = heights.iter().copied().fold(f64::MIN, f64::max);
        let bottom = heights.iter().copied().fold(f64::MAX, f64::min);
        let middle = heights.iter().sum::<f64>() / f64::from(u16::from(COLUMNS) * u16::from(ROWS));
        let scale = (max - mean) / (top - middle);
        let hundredths = |value: f64| (value * 100.0).round() / 100.0;
        let pixels = heights.iter().map(|height| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of 255"
            )]
            let byte = ((height - bottom) / (top - bottom) * 255.0).round() as u8;
            byte
        });
        Picture {
            min: hundredths(max - (top - bottom) * scale),
            max: hundredths(max),
            pixels: pixels.collect(),
        }
    }

    /// How warm a place is where nothing is wrong, from 0 to about 1.
    fn height(self, place: (u8, u8)) -> f64 {
        let (x, y) = (f64::from(place.0), f64::from(place.1));
        // Warm air rises along the wall.
        let wall = 0.12 * (1.0 - y / f64::from(ROWS));
        let shapes = match self {
            Self::Boiler => {
                let body = 0.5 * block((x, y), (7.0, 25.0), (6.0, 22.0));
                let door = 0.3 * block((x, y), (12.0, 18.0), (15.0, 20.0));
                let pipe = 0.45 * block((x, y), (24.0, 31.5), (3.0, 5.0));
                let riser = 0.45 * block((x, y), (15.0, 17.0), (-1.0, 6.0));
                body + door + pipe.max(riser)
            }
            Self::Switchboard => {
                let cabinet = 0.2 * block((x, y), (3.0, 28.0), (1.0, 23.0));
                let breakers = [4.0, 11.0, 18.0].map(|top| {
                    let columns = [5.0, 9.0, 13.0, 17.0, 21.0];
                    columns.map(|left| block((x, y), (left, left + 2.5), (top, top + 3.5)))
                });
                cabinet + 0.5 * breakers.as_flattened().iter().sum::<f64>()
            }
            Self::Pump => {
                let motor = 0.7 * block((x, y), (6.0, 17.0), (8.0, 18.0));
                let pump = 0.4 * bump(place, (23, 13), 4.0);
                let base = 0.15 * block((x, y), (4.0, 28.0), (18.0, 21.0));
                motor + pump + base
            }
        };
        wall + shapes
    }
}

/// 1 inside the rectangle and 0 outside, with the soft edge that a lens makes.
fn block((x, y): (f64, f64), (left, right): (f64, f64), (top, bottom): (f64, f64)) -> f64 {
    let edge = |inside: f64| 1.0 / (1.0 + (-2.2 * inside).exp());
    edge(x - left) * edge(right - x) * edge(y - top) * edge(bottom - y)
}

/// A round hill of height 1.
fn bump(place: (u8, u8), centre: (u8, u8), radius: f64) -> f64 {
    let square = |a: u8, b: u8| f64::from(a.abs_diff(b)).powi(2);
    let away = square(place.0, centre.0) + square(place.1, centre.1);
    (-away / (2.0 * radius * radius)).exp()
}

/// From -1 to 1, the same for the same place and grain.
fn noise(place: (u8, u8), grain: u32) -> f64 {
    let mut mixed = grain
        .wrapping_mul(0x9E37_79B1)
        .wrapping_add(u32::from(place.0) << 8 | u32::from(place.1));
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x2C1B_3C6D);
        mixed ^= mixed >> 12;
    }
    f64::from(mixed % 2_001) / 1_000.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn celsius(picture: &Picture) -> Vec<f64> {
        let range = picture.max - picture.min;
        let pixels = picture.pixels.iter();
        pixels
            .map(|byte| picture.min + f64::from(*byte) / 255.0 * range)
            .collect()
    }

    #[test]
    fn a_picture_says_what_the_reading_says() {
        for scene in [Scene::Boiler, Scene::Switchboard, Scene::Pump] {
            for (mean, max, anomaly) in [(21.5, 24.0, 0.02), (27.3, 41.0, 0.5), (26.1, 60.4, 0.9)] {
                let picture = scene.picture(mean, max, anomaly, 7);
                let celsius = celsius(&picture);
                let found = celsius.iter().sum::<f64>() / 768.0;
                assert!(
                    (found - mean).abs() < 0.1,
                    "{scene:?}: mean {found}, not {mean}"
                );
                let hottest = celsius.iter().copied().fold(f64::MIN, f64::max);
                assert!(
                    (hottest - max).abs() < 0.01,
                    "{scene:?}: {hottest}, not {max}"
                );
                assert!(picture.min < mean, "{scene:?}");
                assert!(picture.parts().all(|part| part.len() == 256), "{scene:?}");
            }
        }
    }

    #[test]
    fn the_hottest_place_is_the_hot_spot_once_the_score_is_high() {
        for grain in 0..50 {
            let picture = Scene::Boiler.picture(26.0, 55.0, 0.7, grain);
            let hottest = picture.pixels.iter().position(|byte| *byte == 255);
            assert_eq!(hottest, Some(9 * 32 + 21), "grain {grain}");
        }
        let one = Scene::Boiler.picture(26.0, 55.0, 0.7, 1);
        assert_ne!(one, Scene::Boiler.picture(26.0, 55.0, 0.7, 2));
        assert_eq!(one, Scene::Boiler.picture(26.0, 55.0, 0.7, 1));
    }
}
