//! Pictures of the page: PNGs as data, each with a legend whose numbers are text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::frame::{COLUMNS, PIXELS, Pixels, Place, ROWS};
use crate::picture::legend::ticks;
use crate::picture::round::{narrow, real};
use crate::picture::{Colours, Image, Limits, Palette, coloured};

/// A picture with what is said of it.
pub(super) struct Figure {
    pub title: String,
    pub note: String,
    /// For those who cannot see it.
    pub alt: String,
    pub uri: String,
    /// None if one legend stands for several pictures.
    pub legend: Option<Legend>,
    /// Where the ring is, in percent from the left and the top.
    pub mark: Option<(String, String)>,
}

pub(super) struct Legend {
    pub uri: String,
    pub ticks: Vec<Tick>,
}

/// A number along an axis.
pub(super) struct Tick {
    /// In percent from the axis's start.
    pub at: String,
    pub text: String,
}

/// How a picture is coloured, and how many of its pixels make one of the frame's.
#[derive(Clone, Copy)]
pub(super) struct Scheme {
    pub colours: Colours,
    pub limits: Limits,
    pub scale: usize,
}

impl Scheme {
    pub(super) fn picture(&self, pixels: &Pixels) -> anyhow::Result<String> {
        let palette = Palette::new(self.colours, self.limits);
        let (width, height) = (COLUMNS * self.scale, ROWS * self.scale);
        data_uri(&coloured(pixels, &palette, width, height))
    }

    /// With round numbers, about as many as asked.
    pub(super) fn legend(&self, about: usize) -> anyhow::Result<Legend> {
        let (ticks, decimals) = ticks(self.limits, about);
        self.legend_at(&ticks, decimals)
    }

    /// With both ends and the middle: enough where the middle is zero.
    pub(super) fn short_legend(&self) -> anyhow::Result<Legend> {
        let (low, high) = (f64::from(self.limits.low), f64::from(self.limits.high));
        self.legend_at(&[low, low.midpoint(high), high], 1)
    }

    fn legend_at(&self, ticks: &[f64], decimals: usize) -> anyhow::Result<Legend> {
        let (low, high) = (f64::from(self.limits.low), f64::from(self.limits.high));
        let palette = Palette::new(self.colours, self.limits);
        let width = 256;
        let mut bar = Image::new(width, 1, [0; 3]);
        for x in 0..width {
            let celsius = low + (real(x) + 0.5) / real(width) * (high - low);
            bar.set(x, 0, palette.colour(narrow(celsius)));
        }
        let ticks = ticks.iter().map(|tick| Tick {
            at: percent((tick - low) / (high - low)),
            text: format!("{tick:.decimals$}").replace('-', "\u{2212}"),
        });
        Ok(Legend {
            uri: data_uri(&bar)?,
            ticks: ticks.collect(),
        })
    }
}

/// The middle of a pixel, in percent from the left and the top.
pub(super) fn position(place: Place) -> (String, String) {
    (
        percent((real(place.column) + 0.5) / real(COLUMNS)),
        percent((real(place.row) + 0.5) / real(ROWS)),
    )
}

/// For style sheets.
pub(super) fn percent(share: f64) -> String {
    let share = if share.is_finite() { share } else { 0.0 };
    format!("{:.2}%", 100.0 * share.clamp(0.0, 1.0))
}

/// A slice of the model as a frame's pixels; what is missing is shown as no temperature.
pub(super) fn pixels(values: &[f32]) -> Box<Pixels> {
    let mut pixels = Box::new([f32::NAN; PIXELS]);
    for (pixel, value) in pixels.iter_mut().zip(values) {
        *pixel = *value;
    }
    pixels
}

fn data_uri(image: &Image) -> anyhow::Result<String> {
    Ok(format!(
        "data:image/png;base64,{}",
        STANDARD.encode(image.png()?)
    ))
}
