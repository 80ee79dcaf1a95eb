//! Frames for people: false colour, legends, contact sheets, and small pictures for a terminal.
//!
//! All of it is pure: temperatures in, pixels or text out. Temperatures are scaled up first and coloured afterwards, so
//! every colour shown is one that the legend has. A pixel without a temperature is hatched and never moves the range.
//! What lies beyond a fixed range gets the colour of its end, and the legend says so. Pictures are never data: what is
//! calculated is calculated from frames.

/// From a temperature to a colour.
pub mod colours;
/// RGB pixels, text on them, PNG.
mod image;
/// The bar that says which colour is how hot.
pub(crate) mod legend;
/// Between counts and positions.
pub(crate) mod round;
/// Many frames side by side.
mod sheet;
/// A frame in text.
mod terminal;
/// Bicubic, in deg C.
mod upscale;

use std::fmt;
use std::str::FromStr;

use embedded_graphics::Drawable;
use embedded_graphics::geometry::Point;
use embedded_graphics::mono_font::MonoFont;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X12, FONT_8X13_BOLD, FONT_9X15_BOLD};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::primitives::{Circle, Primitive, PrimitiveStyle};
use embedded_graphics::text::Alignment;

pub use colours::{Colours, Palette, Rgb};
pub use image::Image;
pub use sheet::{MOST_ON_A_SHEET, Sheet, Tile, sheet};
pub use terminal::{Shades, terminal, terminal_legend};

use crate::frame::{COLUMNS, Frame, PIXELS, Pixels, Place, ROWS};
use image::{Ink, fitting, point, text_width};
use round::{coordinate, count, real};

/// Pixels of the picture for one of the frame.
pub const DEFAULT_SCALE: usize = 16;
/// A range narrower than this would show nothing but noise, deg C.
const NARROWEST: f32 = 2.0;
/// What a camera of this kind can measure, deg C; a value outside is a fault, and must not stretch the range.
const MEASURABLE: std::ops::RangeInclusive<f32> = -40.0..=300.0;
/// Where there is nothing to take a range from: the tutorial's, deg C.
const FALLBACK: Limits = Limits {
    low: 20.0,
    high: 40.0,
};

const PAPER: Rgb = [22, 22, 26];
const INK: Ink = Ink {
    colour: [236, 234, 230],
    halo: PAPER,
};
const QUIET: Ink = Ink {
    colour: [165, 163, 160],
    halo: PAPER,
};
/// The stripes that stand for "no temperature".
const HATCH: [Rgb; 2] = [[92, 98, 110], [150, 156, 168]];
const MARGIN: usize = 14;

/// Which temperatures the colours span.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Range {
    /// From the coldest to the hottest pixel.
    #[default]
    Auto,
    /// deg C; the tutorial's is 20 to 40.
    Fixed(f32, f32),
}

/// A range with its ends, deg C; `low` is below `high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub low: f32,
    pub high: f32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Look {
    pub range: Range,
    pub colours: Colours,
    /// Pixels of the picture for one of the frame.
    pub scale: usize,
    /// Left and right swapped, as in a mirror; the frame itself never is.
    pub mirror: bool,
}

/// A place to be pointed at, and what is to be said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub place: Place,
    pub text: String,
}

/// A frame in false colour with its legend, and if wanted with a title and a ring round a place.
pub fn draw(pixels: &Pixels, look: &Look, title: Option<&str>, mark: Option<&Mark>) -> Image {
    let scale = look.scale.max(1);
    let (width, height) = (COLUMNS * scale, ROWS * scale);
    let heading = if title.is_some() { 24 } else { 0 };
    let (left, top) = (MARGIN, MARGIN + heading);
    let legend_left = left + width + MARGIN;
    let mut image = Image::new(
        legend_left + legend::WIDTH + MARGIN,
        top + height + MARGIN,
        PAPER,
    );
    let palette = Palette::new(look.colours, look.range.limits(pixels));
    let shown = turned(pixels, look.mirror);
    image.paste(&coloured(&shown, &palette, width, height), left, top);
    legend::draw(
        &mut image,
        (legend_left, top, height),
        &palette,
        legend::Seen::of(pixels, palette.limits()),
    );
    if let Some(title) = title {
        write_title(&mut image, title);
    }
    if let Some(mark) = mark {
        let under = palette.colour(pixels[mark.place.index().min(PIXELS - 1)]);
        let place = turned_place(mark.place, look.mirror);
        draw_mark(
            &mut image,
            (left, top, scale),
            place,
            colours::contrasting(under),
            &mark.text,
        );
    }
    image
}

/// The frame alone, without a legend or marks, as bytes of RGB: what image models are fed with.
pub fn plain(
    pixels: &Pixels,
    range: Range,
    colours: Colours,
    width: usize,
    height: usize,
) -> Vec<u8> {
    let palette = Palette::new(colours, range.limits(pixels));
    coloured(pixels, &palette, width, height).into_rgb()
}

/// The same as a picture.
pub(crate) fn coloured(pixels: &Pixels, palette: &Palette, width: usize, height: usize) -> Image {
    let cells = upscale::upscale(pixels, width, height);
    let stripe = (width / COLUMNS / 3).max(1);
    let colours: Vec<Rgb> = cells
        .iter()
        .enumerate()
        .map(|(at, &celsius)| {
            if celsius.is_finite() {
                palette.colour(celsius)
            } else {
                HATCH[((at % width + at / width) / stripe) % 2]
            }
        })
        .collect();
    Image::from_colours(width, &colours)
}

/// What a picture's title says: camera, time, coldest and hottest.
pub fn title(frame: &Frame, pixels: &Pixels) -> String {
    let mut parts = Vec::new();
    if let Some(camera) = &frame.camera {
        parts.push(camera.clone());
    }
    if let Some(at) = frame.captured_at {
        parts.push(at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    }
    parts.push(match spread(pixels) {
        Some(seen) => format!("{:.1} to {:.1} °C", seen.low, seen.high),
        None => "no temperatures".to_owned(),
    });
    parts.join(" · ")
}

/// The hottest pixel that a camera can have measured.
pub fn hottest(pixels: &Pixels) -> Option<Place> {
    let measured = pixels.iter().enumerate();
    measured
        .filter(|(_, pixel)| MEASURABLE.contains(*pixel))
        .max_by(|a, b| a.1.total_cmp(b.1))
        .map(|(index, _)| Place::of(index))
}

impl Mark {
    /// The hottest place, with its temperature.
    pub fn hottest(pixels: &Pixels) -> Option<Self> {
        let place = hottest(pixels)?;
        Some(Self {
            place,
            text: format!("{:.1} °C", pixels[place.index()]),
        })
    }

    /// How much hotter (or colder) a place is than it should be.
    pub fn difference(place: Place, celsius: f32) -> Self {
        Self {
            place,
            text: format!("{celsius:+.1} °C"),
        }
    }
}

impl Range {
    pub fn limits(self, pixels: &Pixels) -> Limits {
        self.common([pixels])
    }

    /// One range for many frames.
    pub fn common<'a>(self, frames: impl IntoIterator<Item = &'a Pixels>) -> Limits {
        let limits = match self {
            Self::Fixed(low, high) => Limits { low, high },
            Self::Auto => frames
                .into_iter()
                .filter_map(spread)
                .reduce(|a, b| Limits {
                    low: a.low.min(b.low),
                    high: a.high.max(b.high),
                })
                .unwrap_or(FALLBACK),
        };
        if !(limits.low.is_finite() && limits.high.is_finite()) {
            return FALLBACK;
        }
        let missing = NARROWEST - (limits.high - limits.low);
        match self {
            Self::Auto if missing > 0.0 => Limits {
                low: limits.low - missing / 2.0,
                high: limits.high + missing / 2.0,
            },
            Self::Fixed(low, high) if low >= high => Limits {
                low,
                high: low + NARROWEST,
            },
            _ => limits,
        }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let ends = text.split_once("..").and_then(|(low, high)| {
            let end = |text: &str| text.trim().parse().ok().filter(|end: &f32| end.is_finite());
            Some((end(low)?, end(high)?))
        });
        match ends {
            Some((low, high)) if low < high => Ok(Self::Fixed(low, high)),
            Some(_) => Err("the first temperature must be below the second".to_owned()),
            None => Err("say `auto`, or two temperatures in deg C such as `20..40`".to_owned()),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(low, high) => write!(f, "{low}..{high}"),
        }
    }
}

impl Default for Look {
    fn default() -> Self {
        Self {
            range: Range::Auto,
            colours: Colours::Inferno,
            scale: DEFAULT_SCALE,
            mirror: false,
        }
    }
}

/// Coldest and hottest of what can have been measured.
fn spread(pixels: &Pixels) -> Option<Limits> {
    let measured = pixels.iter().filter(|pixel| MEASURABLE.contains(*pixel));
    measured.fold(None, |seen: Option<Limits>, &pixel| {
        let (low, high) = seen.map_or((pixel, pixel), |seen| (seen.low, seen.high));
        Some(Limits {
            low: low.min(pixel),
            high: high.max(pixel),
        })
    })
}

fn turned(pixels: &Pixels, mirror: bool) -> Pixels {
    if !mirror {
        return *pixels;
    }
    std::array::from_fn(|index| pixels[turned_place(Place::of(index), true).index()])
}

fn turned_place(place: Place, mirror: bool) -> Place {
    let column = if mirror {
        (COLUMNS - 1).saturating_sub(place.column)
    } else {
        place.column
    };
    Place {
        row: place.row,
        column,
    }
}

fn write_title(image: &mut Image, title: &str) {
    let room = image.width() - 2 * MARGIN;
    let font = [&FONT_8X13_BOLD, &FONT_6X12]
        .into_iter()
        .find(|font| text_width(title, font) <= room)
        .unwrap_or(&FONT_6X12);
    let title = fitting(title, font, room);
    image.text(&title, point(MARGIN, MARGIN), font, Alignment::Left, INK);
}

/// A ring round a pixel, and beside it the text, wherever there is room for it.
fn draw_mark(
    image: &mut Image,
    (left, top, scale): (usize, usize, usize),
    place: Place,
    (colour, halo): (Rgb, Rgb),
    text: &str,
) {
    let middle = |from: usize, at: usize| coordinate(from + at * scale + scale / 2);
    let centre = Point::new(middle(left, place.column), middle(top, place.row));
    let radius = ring(image, centre, scale, colour, halo);
    let font: &MonoFont<'static> = if scale >= 10 {
        &FONT_9X15_BOLD
    } else {
        &FONT_6X12
    };
    let line = coordinate(usize::try_from(font.character_size.height).unwrap_or(12));
    let (wide, away) = (coordinate(text_width(text, font)), coordinate(radius) + 6);
    let fits_right = centre.x + away + wide <= coordinate(left + COLUMNS * scale);
    let (x, alignment) = if fits_right {
        (centre.x + away, Alignment::Left)
    } else {
        (centre.x - away, Alignment::Right)
    };
    let lowest = coordinate(top + ROWS * scale) - line - 2;
    let y = (centre.y - line / 2).clamp(coordinate(top) + 2, lowest.max(coordinate(top) + 2));
    // The text lies on other pixels than the ring: light with a dark rim is legible on all of them.
    let ink = Ink {
        colour: [255; 3],
        halo: [0; 3],
    };
    image.text(text, Point::new(x, y), font, alignment, ink);
}

/// Wide enough to leave the pixels within to be seen; gives its radius.
fn ring(image: &mut Image, centre: Point, scale: usize, colour: Rgb, halo: Rgb) -> usize {
    let (radius, stroke) = if scale >= 10 {
        (count(real(scale) * 1.4), 2)
    } else {
        (count(real(scale) * 1.8).max(4), 1)
    };
    let mut circle = |width: u32, colour: Rgb| {
        let diameter = u32::try_from(2 * radius + 1).unwrap_or(9);
        let colour = Rgb888::new(colour[0], colour[1], colour[2]);
        let outline = Circle::with_center(centre, diameter)
            .into_styled(PrimitiveStyle::with_stroke(colour, width));
        match outline.draw(image) {
            Ok(()) => (),
            Err(impossible) => match impossible {},
        }
    };
    circle(stroke + 2, halo);
    circle(stroke, colour);
    radius
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let flat = [25.0; PIXELS];
        let mut broken = flat;
        (broken[3], broken[9], broken[12]) = (f32::NAN, 1000.0, 31.0);
        let check = |range: Range, pixels: &Pixels, low: f32, high: f32| {
            assert_eq!(range.limits(pixels), Limits { low, high }, "{range}");
        };
        check(Range::Auto, &flat, 24.0, 26.0);
        check(Range::Auto, &broken, 25.0, 31.0);
        check(Range::Auto, &[f32::NAN; PIXELS], 20.0, 40.0);
        check(Range::Fixed(20.0, 40.0), &broken, 20.0, 40.0);
        check(Range::Fixed(20.0, 20.5), &flat, 20.0, 20.5);
        check(Range::Fixed(40.0, 20.0), &flat, 40.0, 42.0);
        check(Range::Fixed(f32::NAN, 20.0), &flat, 20.0, 40.0);
    }

    #[test]
    fn ranges_as_text() {
        let check =
            |text: &str, range: Option<Range>| assert_eq!(text.parse().ok(), range, "{text}");
        check("auto", Some(Range::Auto));
        check("20..40", Some(Range::Fixed(20.0, 40.0)));
        check("-5.5 .. 12", Some(Range::Fixed(-5.5, 12.0)));
        for wrong in ["", "20", "40..20", "20..20", "20..inf", "a..b", "NaN..1"] {
            check(wrong, None);
        }
    }
}
