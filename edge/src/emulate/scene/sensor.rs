//! What an MLX90640 makes of the temperatures its pixels see.
//!
//! Fixed pattern and gain differ from pixel to pixel and stay; noise, which grows towards the corners, is new in every
//! frame; the two subpages disagree a little (the chess pattern); and the whole frame is off by something that wanders.

use super::chance::{Chance, Purpose, Wander};
use super::geometry::{blurred, narrow, real};
use super::{Kind, Scene};
use crate::frame::{COLUMNS, PIXELS, Pixels, ROWS};

/// One half-frame at 2 Hz is noisier by this than the datasheet's figure at 1 Hz.
const SINGLE_SHOT: f32 = 1.5;
/// Movement that every frame has, pixels, root mean square: the bracket trembles.
const SHAKE: f64 = 0.08;

/// What is particular to one sensor.
#[derive(Debug, Clone)]
pub(super) struct Sensor {
    /// Noise at 1 Hz, deg C.
    noise: Vec<f32>,
    /// Fixed error, deg C.
    pattern: Vec<f32>,
    /// Fixed error, as a factor of what is above ambient.
    gain: Vec<f32>,
    /// Change of the fixed error for each degree of the sensor's own temperature.
    pattern_by_die: Vec<f32>,
}

/// How the camera is looking: what differs from an ordinary day, for stress tests.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Tremble, pixels, root mean square.
    pub shake: f64,
    /// How far somebody has moved it: down, right; pixels, at most 1.4.
    pub moved: [f64; 2],
    /// Factor on the usual noise.
    pub noise: f64,
    /// Factor on the usual difference between the subpages.
    pub chess: f64,
    /// deg C added to every pixel.
    pub drift: f64,
}

/// A camera at work: what it carries from one frame to the next.
#[derive(Debug)]
pub struct Camera {
    pub view: View,
    chance: Chance,
    offset: Wander,
    /// The minute of the frame before.
    last: u64,
}

impl Default for View {
    fn default() -> Self {
        Self {
            shake: SHAKE,
            moved: [0.0, 0.0],
            noise: 1.0,
            chess: 1.0,
            drift: 0.0,
        }
    }
}

impl Camera {
    pub(super) fn new(kind: Kind, seed: u64, stream: u64) -> Self {
        let mut chance = Chance::new(Purpose::Camera, kind, seed, stream);
        Self {
            view: View::default(),
            offset: Wander::new(200.0, 0.25, &mut chance),
            chance,
            last: 0,
        }
    }

    /// Where it looks in this frame: down, right; pixels from its usual place.
    pub(super) fn tremble(&mut self) -> [f64; 2] {
        self.view
            .moved
            .map(|moved| moved + self.chance.normal(0.0, self.view.shake))
    }
}

impl Sensor {
    pub fn new(chance: &mut Chance) -> Self {
        let base = chance.between(0.11, 0.16);
        let blank = [0.0_f32; PIXELS];
        let mut each = |mean: f64, deviation: f64| {
            blank
                .map(|_| narrow(chance.normal(mean, deviation)))
                .to_vec()
        };
        let (uneven, fine) = (each(0.0, 0.12), each(0.0, 0.35));
        let coarse = blurred(&each(0.0, 1.0), COLUMNS, 4.0);
        Self {
            noise: (0..PIXELS)
                .map(|pixel| narrow(base * vignette(pixel)) * uneven[pixel].exp())
                .collect(),
            pattern: (0..PIXELS)
                .map(|pixel| fine[pixel] + 0.35 * 8.0 * coarse[pixel])
                .collect(),
            gain: each(1.0, 0.012),
            pattern_by_die: each(0.0, 0.03),
        }
    }

    /// Turns true temperatures into measured ones. `die` is how much warmer than usual the sensor itself is, deg C.
    pub fn measure(
        &self,
        seen: &mut Pixels,
        ambient: f64,
        die: f64,
        minute: u64,
        camera: &mut Camera,
    ) {
        let (ambient, die) = (narrow(ambient), narrow(die));
        let Camera {
            view,
            chance,
            offset,
            last,
        } = camera;
        let noise = SINGLE_SHOT * narrow(view.noise);
        let chess = narrow(0.5 * view.chess * chance.normal(0.05, 0.13));
        let passed = minutes(minute.saturating_sub(*last));
        *last = minute;
        let common = narrow(offset.after(passed, chance) + chance.normal(0.0, 0.08) + view.drift);
        for (index, pixel) in seen.iter_mut().enumerate() {
            let true_rise = *pixel - ambient;
            let fixed = self.pattern[index] + self.pattern_by_die[index] * die;
            let random = narrow(chance.normal(0.0, 1.0)) * self.noise[index] * noise;
            let subpage = if (index / COLUMNS + index) % 2 == 1 {
                chess
            } else {
                -chess
            };
            let measured =
                ambient + true_rise * self.gain[index] + fixed + random + subpage + common;
            *pixel = (measured * 100.0).round() / 100.0;
        }
    }
}

impl Scene {
    /// A camera before this scene; `stream` chooses its noise.
    pub fn camera(&self, stream: u64) -> Camera {
        Camera::new(self.kind, self.seed, stream)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "centuries of minutes are still exact"
)]
pub(super) fn minutes(count: u64) -> f64 {
    count as f64
}

/// Noise grows towards the corners, where the lens lets less through.
fn vignette(pixel: usize) -> f64 {
    let from_middle = |at: usize, count: usize| {
        let middle = real(count - 1) / 2.0;
        (real(at) - middle) / middle
    };
    let radius = from_middle(pixel / COLUMNS, ROWS).hypot(from_middle(pixel % COLUMNS, COLUMNS));
    1.0 + 0.9 * (radius / 1.414).powi(2)
}
