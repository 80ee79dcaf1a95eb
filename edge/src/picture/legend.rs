//! The bar that says which colour is how hot.
//!
//! Its ends and round numbers between them stand beside it, as many as there is room for. If anything lies beyond the range, that end has an arrow
//! in its colour and says so (`>40`); if pixels had no temperature, the legend shows their hatching.

use embedded_graphics::mono_font::iso_8859_1::FONT_6X12;
use embedded_graphics::text::Alignment;

use super::colours::Palette;
use super::image::{Image, point};
use super::round::{count, narrow, real, whole};
use super::{HATCH, INK, Limits, QUIET};
use crate::frame::Pixels;

/// Room for the bar and its numbers.
pub(super) const WIDTH: usize = 64;
const BAR: usize = 18;
/// Height of an arrow beyond the end of the bar.
const ARROW: usize = 9;
const LINE: usize = 12;

/// What of a frame the bar cannot show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    pub below: bool,
    pub above: bool,
    /// Pixels without a temperature.
    pub holes: bool,
}

impl Seen {
    pub(crate) fn of(pixels: &Pixels, limits: Limits) -> Self {
        pixels.iter().fold(Self::default(), |seen, &pixel| Self {
            below: seen.below || (pixel.is_finite() && pixel < limits.low),
            above: seen.above || (pixel.is_finite() && pixel > limits.high),
            holes: seen.holes || !pixel.is_finite(),
        })
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            below: self.below || other.below,
            above: self.above || other.above,
            holes: self.holes || other.holes,
        }
    }
}

/// Draws the bar with its left, its top and its height.
pub(super) fn draw(
    image: &mut Image,
    (left, top, height): (usize, usize, usize),
    palette: &Palette,
    seen: Seen,
) {
    let limits = palette.limits();
    let holes = if seen.holes { LINE + 10 } else { 0 };
    let first = top + LINE + 4 + ARROW;
    let last = (top + height)
        .saturating_sub(ARROW + 2 + holes)
        .max(first + 8);
    image.text("°C", point(left, top), &FONT_6X12, Alignment::Left, QUIET);
    for y in first..last {
        let share = real(last - 1 - y) / real(last - 1 - first);
        let celsius = f64::from(limits.low) + share * f64::from(limits.high - limits.low);
        image.fill(left, y, BAR, 1, palette.colour(narrow(celsius)));
    }
    let label = left + BAR + 10;
    if seen.above {
        arrow(image, left, first - 1, false, palette.colour(limits.high));
    }
    if seen.below {
        arrow(image, left, last, true, palette.colour(limits.low));
    }
    let beyond = |beyond: bool, sign| if beyond { sign } else { "" };
    for (y, sign, celsius) in [
        (first, beyond(seen.above, ">"), limits.high),
        (last - 1, beyond(seen.below, "<"), limits.low),
    ] {
        image.fill(left + BAR + 2, y, 4, 1, QUIET.colour);
        write(image, label, y, &format!("{sign}{}", number(celsius)));
    }
    let (ticks, decimals) = ticks(limits, ((last - first) / 34).clamp(2, 10));
    for tick in ticks {
        let share = (tick - f64::from(limits.low)) / f64::from(limits.high - limits.low);
        let y = last - 1 - count(share * real(last - 1 - first));
        if [first, last - 1]
            .iter()
            .all(|end| end.abs_diff(y) > LINE + 1)
        {
            image.fill(left + BAR + 2, y, 4, 1, QUIET.colour);
            write(image, label, y, &format!("{tick:.decimals$}"));
        }
    }
    if seen.holes {
        let y = top + height - LINE;
        for at in 0..BAR * LINE {
            let (dx, dy) = (at % BAR, at / BAR);
            image.set(left + dx, y + dy, HATCH[((dx + dy) / 4) % 2]);
        }
        image.text("none", point(label, y), &FONT_6X12, Alignment::Left, INK);
    }
}

/// Round numbers within a range, about as many as asked, and how many decimals they need.
pub(crate) fn ticks(limits: Limits, about: usize) -> (Vec<f64>, usize) {
    let (low, high) = (f64::from(limits.low), f64::from(limits.high));
    let rough = (high - low) / real(about.max(1));
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|by| by * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let decimals = usize::try_from(-whole(step.log10().floor())).unwrap_or(0);
    let first = (low / step - 1e-6).ceil();
    let steps = count((high / step + 1e-6).floor() - first);
    // Adding 0 turns -0 into 0.
    let ticks = (0..=steps).map(|at| (first + real(at)) * step + 0.0);
    (ticks.collect(), decimals)
}

/// Without decimals where there are none.
pub(crate) fn number(celsius: f32) -> String {
    if (celsius - celsius.round()).abs() < 0.05 {
        format!("{celsius:.0}")
    } else {
        format!("{celsius:.1}")
    }
}

fn write(image: &mut Image, x: usize, y: usize, text: &str) {
    let top = point(x, y.saturating_sub(LINE / 2));
    image.text(text, top, &FONT_6X12, Alignment::Left, INK);
}

/// From the end of the bar to a point, upwards or downwards.
fn arrow(image: &mut Image, left: usize, from: usize, down: bool, colour: [u8; 3]) {
    for step in 0..ARROW {
        let y = if down {
            from + 1 + step
        } else {
            from.saturating_sub(1 + step)
        };
        image.fill(left + step, y, BAR - 2 * step, 1, colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        let check = |low: f32, high: f32, about: usize, expected: &[f64], decimals: usize| {
            let (ticks, places) = ticks(Limits { low, high }, about);
            let same = ticks
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-9);
            assert!(same && ticks.len() == expected.len(), "{ticks:?}");
            assert_eq!(places, decimals);
        };
        check(20.0, 40.0, 4, &[20.0, 25.0, 30.0, 35.0, 40.0], 0);
        check(21.3, 68.9, 5, &[30.0, 40.0, 50.0, 60.0], 0);
        check(24.1, 26.2, 4, &[25.0, 26.0], 0);
        check(24.1, 25.0, 3, &[24.5, 25.0], 1);
        check(-3.0, 3.0, 3, &[-2.0, 0.0, 2.0], 0);
    }
}
