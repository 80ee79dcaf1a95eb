//! The tutorial's way from a frame to scores, step by step.

use std::time::{Duration, Instant};

use anyhow::Context;
use edge::classify::Classifier;
use edge::frame::Frame;
use edge::picture::{self, Colours, Range};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ExtendedColorType, ImageFormat, RgbImage};

pub const STEPS: [&str; 5] = [
    "colours, 640 x 480",
    "JPEG, quality 75",
    "JPEG read again",
    "shrunk, 0 to 1",
    "network",
];
/// What Pillow does where nothing is said.
const QUALITY: u8 = 75;
const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;

pub struct Tutorial {
    pub name: &'static str,
    network: Classifier,
    width: u32,
    height: u32,
}

impl Tutorial {
    pub fn new(name: &'static str, network: Classifier, width: u32, height: u32) -> Self {
        Self {
            name,
            network,
            width,
            height,
        }
    }

    pub fn work(&self) -> u64 {
        self.network.checked().work
    }

    /// How long each step took, over all frames.
    pub fn classify_all(&mut self, frames: &[Frame]) -> anyhow::Result<[Duration; STEPS.len()]> {
        let mut times = [Duration::ZERO; STEPS.len()];
        for frame in frames {
            for (sum, time) in times.iter_mut().zip(self.classify(frame)?) {
                *sum += time;
            }
        }
        Ok(times)
    }

    fn classify(&mut self, frame: &Frame) -> anyhow::Result<[Duration; STEPS.len()]> {
        let mut times = [Duration::ZERO; STEPS.len()];
        let mut start = Instant::now();
        let mut lap = |step: usize| {
            times[step] = start.elapsed();
            start = Instant::now();
        };
        let range = Range::Fixed(20.0, 40.0);
        let rgb = picture::plain(
            &frame.pixels,
            range,
            Colours::Tutorial,
            WIDTH as usize,
            HEIGHT as usize,
        );
        lap(0);
        let mut file = Vec::new();
        JpegEncoder::new_with_quality(&mut file, QUALITY)
            .encode(&rgb, WIDTH, HEIGHT, ExtendedColorType::Rgb8)
            .context("writing a JPEG")?;
        lap(1);
        let read = image::load_from_memory_with_format(&file, ImageFormat::Jpeg)
            .context("reading a JPEG")?
            .into_rgb8();
        lap(2);
        let small = imageops::resize(&read, self.width, self.height, FilterType::Triangle);
        let input = channels_first(&small);
        lap(3);
        std::hint::black_box(self.network.classify_input(&input)?);
        lap(4);
        Ok(times)
    }
}

fn channels_first(picture: &RgbImage) -> Vec<f32> {
    (0..3)
        .flat_map(|channel| {
            picture
                .pixels()
                .map(move |pixel| f32::from(pixel.0[channel]) / 255.0)
        })
        .collect()
}
