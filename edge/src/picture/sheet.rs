//! Many frames side by side, each with its name, time and label.
//!
//! A sheet holds so many frames that each can still be seen. Of more, an even choice is shown, and the sheet says how many
//! it left out: a picture that silently shows a part is taken for the whole.

use embedded_graphics::geometry::Point;
use embedded_graphics::mono_font::iso_8859_1::{FONT_6X12, FONT_8X13_BOLD};
use embedded_graphics::text::Alignment;

use super::colours::{self, Palette};
use super::image::{Image, fitting, point};
use super::legend::{self, Seen};
use super::round::{coordinate, count, real};
use super::{
    INK, Limits, Look, MARGIN, PAPER, QUIET, coloured, ring, spread, turned, turned_place,
};
use crate::frame::{COLUMNS, Pixels, Place, ROWS};

/// As many as fit a screen and can still be told apart.
pub const MOST_ON_A_SHEET: usize = 120;
const GAP: usize = 12;
/// Height of a line of a caption.
const LINE: usize = 12;
const MOST_COLUMNS: usize = 12;

/// A frame on a sheet.
#[derive(Debug, Clone)]
pub struct Tile<'a> {
    pub pixels: &'a Pixels,
    /// File name, say.
    pub name: String,
    /// Time and label, say.
    pub note: String,
    pub mark: Option<Place>,
}

#[derive(Debug, Clone)]
pub struct Sheet {
    pub image: Image,
    /// Which of the tiles are on it, ascending.
    pub shown: Vec<usize>,
    pub columns: usize,
}

/// With `common`, all frames share one range and there is one legend; otherwise each has its own and says which.
pub fn sheet(tiles: &[Tile<'_>], look: &Look, common: bool, heading: &str) -> Sheet {
    let shown = even_choice(tiles.len(), MOST_ON_A_SHEET);
    let columns = columns(shown.len());
    let rows = shown.len().div_ceil(columns);
    let (width, height) = (COLUMNS * look.scale.max(1), ROWS * look.scale.max(1));
    // Without a common legend, each says in a third line what its colours span.
    let lines = if common { 2 } else { 3 };
    let (across, down) = (width + GAP, height + 4 + lines * LINE + GAP);
    let top = MARGIN + 24;
    let grid = (columns * across - GAP, (rows * down).max(down) - GAP);
    let legend_room = if common { legend::WIDTH + MARGIN } else { 0 };
    let mut image = Image::new(
        2 * MARGIN + grid.0 + legend_room,
        top + grid.1 + MARGIN,
        PAPER,
    );
    let limits = look.range.common(shown.iter().map(|&at| tiles[at].pixels));
    let mut seen = Seen::default();
    for (cell, &at) in shown.iter().enumerate() {
        let tile = &tiles[at];
        let limits = if common {
            limits
        } else {
            look.range.limits(tile.pixels)
        };
        seen = seen.or(Seen::of(tile.pixels, limits));
        let corner = (
            MARGIN + cell % columns * across,
            top + cell / columns * down,
        );
        draw_tile(&mut image, tile, look, limits, corner, !common);
    }
    if common {
        // Beside the first rows only: a bar as long as the sheet is read no better.
        let place = (MARGIN + grid.0 + MARGIN, top, grid.1.min(384).max(height));
        legend::draw(&mut image, place, &Palette::new(look.colours, limits), seen);
    }
    let heading = if shown.len() < tiles.len() {
        format!(
            "{heading} · {} of {} frames, evenly chosen",
            shown.len(),
            tiles.len()
        )
    } else {
        heading.to_owned()
    };
    let heading = fitting(&heading, &FONT_8X13_BOLD, image.width() - 2 * MARGIN);
    image.text(
        &heading,
        point(MARGIN, MARGIN),
        &FONT_8X13_BOLD,
        Alignment::Left,
        INK,
    );
    Sheet {
        image,
        shown,
        columns,
    }
}

fn draw_tile(
    image: &mut Image,
    tile: &Tile<'_>,
    look: &Look,
    limits: Limits,
    (left, top): (usize, usize),
    own_range: bool,
) {
    let scale = look.scale.max(1);
    let (width, height) = (COLUMNS * scale, ROWS * scale);
    let palette = Palette::new(look.colours, limits);
    let pixels = turned(tile.pixels, look.mirror);
    image.paste(&coloured(&pixels, &palette, width, height), left, top);
    if let Some(place) = tile.mark {
        let (colour, halo) = colours::contrasting(palette.colour(tile.pixels[place.index()]));
        let place = turned_place(place, look.mirror);
        let middle = |from: usize, at: usize| coordinate(from + at * scale + scale / 2);
        let centre = Point::new(middle(left, place.column), middle(top, place.row));
        ring(image, centre, scale, colour, halo);
    }
    let seen = spread(tile.pixels)
        .filter(|_| own_range)
        .map(|seen| format!("{:.1} to {:.1} °C", seen.low, seen.high));
    let lines = [
        (tile.name.as_str(), INK),
        (tile.note.as_str(), QUIET),
        (seen.as_deref().unwrap_or_default(), QUIET),
    ];
    for (line, (text, ink)) in lines.into_iter().enumerate() {
        let text = fitting(text, &FONT_6X12, width);
        let at = point(left, top + height + 3 + line * LINE);
        image.text(&text, at, &FONT_6X12, Alignment::Left, ink);
    }
}

/// All of them, or as many as allowed from the first to the last at even distances.
fn even_choice(of: usize, most: usize) -> Vec<usize> {
    if of <= most {
        return (0..of).collect();
    }
    (0..most)
        .map(|at| at * (of - 1) / (most - 1).max(1))
        .collect()
}

/// So many that the sheet is a little wider than high, give or take one if that leaves fewer gaps in the last row.
fn columns(tiles: usize) -> usize {
    let most = MOST_COLUMNS.min(tiles).max(1);
    let ideal = count((real(tiles) * 1.3).sqrt().ceil()).clamp(1, most);
    let fewer = ideal.saturating_sub(1).max(3);
    [ideal, fewer, ideal + 1]
        .into_iter()
        .filter(|&columns| columns <= most)
        .min_by_key(|&columns| tiles.div_ceil(columns) * columns - tiles)
        .unwrap_or(ideal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_even_and_keep_both_ends() {
        assert_eq!(even_choice(3, 5), [0, 1, 2]);
        assert_eq!(even_choice(9, 5), [0, 2, 4, 6, 8]);
        let many = even_choice(4032, MOST_ON_A_SHEET);
        assert_eq!((many[0], many[119], many.len()), (0, 4031, 120));
        assert!(many.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn columns_follow_the_count() {
        let check = |tiles, expected| assert_eq!(columns(tiles), expected, "{tiles}");
        check(0, 1);
        check(1, 1);
        check(2, 2);
        check(3, 3);
        check(5, 3);
        check(6, 3);
        check(30, 6);
        check(12, 4);
        check(120, 12);
    }
}
