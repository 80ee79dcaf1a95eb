//! A frame in text: 32 columns and 12 lines, two rows of the frame in each.
//!
//! Where the terminal has colours, the upper half of each character shows the upper pixel and its background the lower
//! one. Where it has none, letters of growing weight stand for growing heat. The caller says what the terminal can do;
//! nothing here asks it.

use super::colours::{Colours, Palette, Rgb, contrasting};
use super::legend::number;
use super::round::{count, narrow, real};
use super::{HATCH, Range};
use crate::frame::{COLUMNS, Pixels, Place, ROWS};

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shades {
    /// 24-bit colour.
    TrueColour,
    /// The 256 colours of xterm.
    Colours256,
    /// Letters alone.
    Ascii,
}

/// From light to heavy.
const WEIGHTS: &[u8] = b" .:-=+*#%@";
const RESET: &str = "\x1b[0m";

impl Shades {
    /// By the environment: whether NO_COLOR is set, what TERM and COLORTERM say, and whether anybody looks.
    pub fn of(
        is_terminal: bool,
        no_color: bool,
        term: Option<&str>,
        colorterm: Option<&str>,
    ) -> Self {
        if !is_terminal || no_color || matches!(term, None | Some("dumb" | "")) {
            return Self::Ascii;
        }
        match colorterm {
            Some("truecolor" | "24bit") => Self::TrueColour,
            _ if term.is_some_and(|term| term.ends_with("-direct")) => Self::TrueColour,
            _ => Self::Colours256,
        }
    }
}

/// Twelve lines, each ended. The marked place is an X.
pub fn terminal(
    pixels: &Pixels,
    range: Range,
    colours: Colours,
    shades: Shades,
    mark: Option<Place>,
) -> String {
    let palette = Palette::new(colours, range.limits(pixels));
    let mut text = String::new();
    for line in 0..ROWS / 2 {
        for column in 0..COLUMNS {
            let [upper, lower] = [0, 1].map(|by| pixels[(2 * line + by) * COLUMNS + column]);
            let marked = mark.filter(|place| place.row / 2 == line && place.column == column);
            match (shades, marked) {
                (Shades::Ascii, Some(_)) => text.push('X'),
                (Shades::Ascii, None) => text.push(letter(upper.max(lower), &palette)),
                (_, Some(place)) => {
                    let under = colour(if place.row % 2 == 0 { upper } else { lower }, &palette);
                    text.push_str(&cell(shades, 'X', contrasting(under).0, under));
                }
                (_, None) => {
                    let (upper, lower) = (colour(upper, &palette), colour(lower, &palette));
                    text.push_str(&cell(shades, '▀', upper, lower));
                }
            }
        }
        if shades != Shades::Ascii {
            text.push_str(RESET);
        }
        text.push('\n');
    }
    text
}

/// One line, as wide as the picture: the coldest, the shades, the hottest.
pub fn terminal_legend(pixels: &Pixels, range: Range, colours: Colours, shades: Shades) -> String {
    let limits = range.limits(pixels);
    let palette = Palette::new(colours, limits);
    let (low, high) = (number(limits.low), format!("{} °C", number(limits.high)));
    let room = COLUMNS.saturating_sub(low.chars().count() + high.chars().count() + 2);
    let mut text = format!("{low} ");
    for at in 0..room {
        let share = narrow(real(at) / real(room.max(2) - 1));
        let celsius = limits.low + share * (limits.high - limits.low);
        if shades == Shades::Ascii {
            text.push(letter(celsius, &palette));
        } else {
            let colour = palette.colour(celsius);
            text.push_str(&cell(shades, ' ', colour, colour));
        }
    }
    if shades != Shades::Ascii {
        text.push_str(RESET);
    }
    text + " " + &high
}

fn cell(shades: Shades, shape: char, front: Rgb, back: Rgb) -> String {
    let code = |colour: Rgb| {
        if shades == Shades::Colours256 {
            format!("5;{}", nearest_of_256(colour))
        } else {
            format!("2;{};{};{}", colour[0], colour[1], colour[2])
        }
    };
    format!("\x1b[38;{};48;{}m{shape}", code(front), code(back))
}

fn colour(celsius: f32, palette: &Palette) -> Rgb {
    if celsius.is_finite() {
        palette.colour(celsius)
    } else {
        HATCH[1]
    }
}

fn letter(celsius: f32, palette: &Palette) -> char {
    let limits = palette.limits();
    if !celsius.is_finite() {
        return '?';
    }
    let share = f64::from((celsius - limits.low) / (limits.high - limits.low));
    let last = WEIGHTS.len() - 1;
    char::from(WEIGHTS[count(share.clamp(0.0, 1.0) * real(last)).min(last)])
}

/// xterm's colours from 16 on are a cube of six levels a channel, then 24 greys.
fn nearest_of_256(colour: Rgb) -> usize {
    const LEVELS: [i32; 6] = [0, 95, 135, 175, 215, 255];
    let nearest = |channel: u8| {
        let distance = |level: &usize| (LEVELS[*level] - i32::from(channel)).abs();
        (0..LEVELS.len()).min_by_key(distance).unwrap_or(0)
    };
    let cube = colour.map(nearest);
    let grey = (colour.iter().map(|&c| usize::from(c)).sum::<usize>() / 3).saturating_sub(3) / 10;
    let grey = grey.min(23);
    let level = i32::try_from(8 + 10 * grey).unwrap_or(255);
    let off = |shown: [i32; 3]| -> i32 {
        let pairs = shown.iter().zip(colour);
        pairs.map(|(a, b)| (a - i32::from(b)).pow(2)).sum()
    };
    if off([level; 3]) < off(cube.map(|at| LEVELS[at])) {
        232 + grey
    } else {
        16 + 36 * cube[0] + 6 * cube[1] + cube[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_can_show() {
        let check = |terminal, no_color, term, colorterm, expected| {
            assert_eq!(Shades::of(terminal, no_color, term, colorterm), expected);
        };
        let xterm = Some("xterm-256color");
        check(true, false, xterm, Some("truecolor"), Shades::TrueColour);
        check(true, false, xterm, None, Shades::Colours256);
        check(true, true, xterm, Some("truecolor"), Shades::Ascii);
        check(false, false, xterm, Some("truecolor"), Shades::Ascii);
        check(true, false, Some("dumb"), None, Shades::Ascii);
        check(true, false, None, None, Shades::Ascii);
    }

    #[test]
    fn colours_of_xterm() {
        let check = |colour, expected| assert_eq!(nearest_of_256(colour), expected, "{colour:?}");
        check([0, 0, 0], 16);
        check([255, 255, 255], 231);
        check([255, 0, 0], 196);
        check([128, 128, 128], 244);
    }
}
