//! An RGB picture in memory: what everything else draws on, and how it becomes a PNG.
//!
//! Whatever lies outside is not drawn, so callers need not fear a frame of the wrong size or a text that is too long.

use std::collections::HashMap;
use std::convert::Infallible;

use anyhow::Context;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};

use super::colours::Rgb;
use super::round::coordinate;

/// Three bytes a pixel, row by row from the top left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// How a text is coloured: its own colour, and that of the rim that keeps it legible on anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ink {
    pub colour: Rgb,
    pub halo: Rgb,
}

impl Image {
    /// At least one pixel, all of one colour.
    pub fn new(width: usize, height: usize, colour: Rgb) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self {
            width,
            height,
            rgb: colour.repeat(width * height),
        }
    }

    /// From rows of colours; what is missing is black, what is too much is left out.
    pub(super) fn from_colours(width: usize, colours: &[Rgb]) -> Self {
        let width = width.max(1);
        let mut image = Self::new(width, colours.len().div_ceil(width), [0; 3]);
        let painted = colours.len() * 3;
        image.rgb[..painted].copy_from_slice(colours.as_flattened());
        image
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    pub fn into_rgb(self) -> Vec<u8> {
        self.rgb
    }

    /// The colour at a place; None outside.
    pub fn colour(&self, x: usize, y: usize) -> Option<Rgb> {
        let at = (x < self.width && y < self.height).then(|| (y * self.width + x) * 3)?;
        Some([self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]])
    }

    /// As a PNG file; with a palette, which is a third of the size, where 256 colours are enough.
    pub fn png(&self) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let width = u32::try_from(self.width).context("the picture is too wide")?;
        let height = u32::try_from(self.height).context("the picture is too high")?;
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_depth(png::BitDepth::Eight);
        let indexed = self.indexed();
        let data = if let Some((palette, indices)) = &indexed {
            encoder.set_color(png::ColorType::Indexed);
            encoder.set_palette(palette.as_flattened());
            indices
        } else {
            encoder.set_color(png::ColorType::Rgb);
            &self.rgb
        };
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(data))
            .context("the picture cannot be written as PNG")?;
        Ok(bytes)
    }

    pub(crate) fn set(&mut self, x: usize, y: usize, colour: Rgb) {
        if x < self.width && y < self.height {
            let at = (y * self.width + x) * 3;
            self.rgb[at..at + 3].copy_from_slice(&colour);
        }
    }

    pub(super) fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Rgb) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.set(column, row, colour);
            }
        }
    }

    pub(super) fn paste(&mut self, other: &Image, x: usize, y: usize) {
        let width = other.width.min(self.width.saturating_sub(x));
        for row in 0..other.height.min(self.height.saturating_sub(y)) {
            let to = ((y + row) * self.width + x) * 3;
            let from = row * other.width * 3;
            self.rgb[to..to + width * 3].copy_from_slice(&other.rgb[from..from + width * 3]);
        }
    }

    /// Text by its top and its left end, middle or right end.
    pub(super) fn text(
        &mut self,
        text: &str,
        at: Point,
        font: &MonoFont<'static>,
        alignment: Alignment,
        ink: Ink,
    ) {
        let style = TextStyleBuilder::new()
            .alignment(alignment)
            .baseline(Baseline::Top)
            .build();
        let mut write = |colour: Rgb, by: Point| {
            let font = MonoTextStyle::new(font, Rgb888::new(colour[0], colour[1], colour[2]));
            let drawn = Text::with_text_style(text, at + by, font, style).draw_on(self);
            match drawn {
                Ok(()) => (),
                Err(impossible) => match impossible {},
            }
        };
        for (dx, dy) in AROUND {
            write(ink.halo, Point::new(dx, dy));
        }
        write(ink.colour, Point::zero());
    }

    /// Distinct colours and where each is, if they are few enough.
    fn indexed(&self) -> Option<(Vec<Rgb>, Vec<u8>)> {
        let mut numbers = HashMap::new();
        let mut palette = Vec::new();
        let mut indices = Vec::with_capacity(self.width * self.height);
        for pixel in self.rgb.as_chunks::<3>().0 {
            let index = if let Some(&index) = numbers.get(pixel) {
                index
            } else {
                let index = u8::try_from(palette.len()).ok()?;
                palette.push(*pixel);
                numbers.insert(*pixel, index);
                index
            };
            indices.push(index);
        }
        Some((palette, indices))
    }
}

/// Where a halo lies.
const AROUND: [(i32, i32); 8] = [
    (-1, -1),
    (0, -1),
    (1, -1),
    (-1, 0),
    (1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
];

/// `Drawable::draw` gives back the end of the text, which nobody here needs.
trait DrawOn {
    fn draw_on(&self, image: &mut Image) -> Result<(), Infallible>;
}

impl DrawOn for Text<'_, MonoTextStyle<'_, Rgb888>> {
    fn draw_on(&self, image: &mut Image) -> Result<(), Infallible> {
        use embedded_graphics::Drawable;
        self.draw(image).map(|_| ())
    }
}

impl OriginDimensions for Image {
    fn size(&self) -> Size {
        let side = |count| u32::try_from(count).unwrap_or(u32::MAX);
        Size::new(side(self.width), side(self.height))
    }
}

impl DrawTarget for Image {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Self::Error>
    where
        I: IntoIterator<Item = Pixel<Self::Color>>,
    {
        for Pixel(point, colour) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y)) {
                self.set(x, y, [colour.r(), colour.g(), colour.b()]);
            }
        }
        Ok(())
    }
}

/// Pixels that a text of this length takes.
pub(super) fn text_width(text: &str, font: &MonoFont<'_>) -> usize {
    text.chars().count() * usize::try_from(font.character_size.width).unwrap_or(8)
}

/// A text that fits, its middle left out if need be: the ends of names tell more than their middles.
pub(super) fn fitting(text: &str, font: &MonoFont<'_>, width: usize) -> String {
    let most = width / text_width("m", font).max(1);
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let kept = most.saturating_sub(2);
    let head = kept / 3;
    let tail = characters.len() - (kept - head);
    characters[..head]
        .iter()
        .chain(&['.', '.'])
        .chain(&characters[tail..])
        .collect()
}

/// A point by counts.
pub(super) fn point(x: usize, y: usize) -> Point {
    Point::new(coordinate(x), coordinate(y))
}
