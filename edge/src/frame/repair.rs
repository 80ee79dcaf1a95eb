//! Finds broken pixels and replaces them from their neighbours.
//!
//! A source behind the lens always leaks into the pixels beside it, however small it is. A pixel that stands alone by
//! more than 6 deg C is therefore broken, and no reason to call anybody. A source between two pixels shows in both, and
//! leaks from both. Three broken neighbours vouch for each other, which is why the camera's own list of bad pixels is asked
//! too.

use super::{COLUMNS, PIXELS, Pixels, ROWS, Repaired};

/// What the camera can measure at all, deg C.
const MEASURABLE: std::ops::RangeInclusive<f32> = -40.0..=300.0;
/// A pixel that differs less than this from its neighbours is left alone, deg C.
const LONELY: f32 = 6.0;
/// At least this share of a real source's contrast reaches a second neighbour.
const LEAK: f32 = 0.12;
/// A neighbour with this share of the contrast is the other half of a source between two pixels,
const HALF: f32 = 0.5;
/// if around them this share of the contrast is spread, which two broken pixels do not do.
const SPREAD: f32 = 0.2;

pub(super) fn repair(pixels: &Pixels, known_bad: &[usize]) -> Repaired {
    let mut mended = Box::new(*pixels);
    let mut bad = Vec::new();
    for index in 0..PIXELS {
        let (row, column) = (index / COLUMNS, index % COLUMNS);
        let neighbours = neighbours(pixels, row, column);
        let median = 0.5 * (neighbours[3] + neighbours[4]);
        if known_bad.contains(&index) || is_broken(pixels[index], &neighbours, median) {
            mended[index] = if MEASURABLE.contains(&median) {
                median
            } else {
                mean_of_sound(pixels)
            };
            bad.push(index);
        }
    }
    Repaired {
        pixels: mended,
        bad,
    }
}

fn is_broken(pixel: f32, neighbours: &[f32; 8], median: f32) -> bool {
    if !MEASURABLE.contains(&pixel) {
        return true;
    }
    let contrast = pixel - median;
    // The neighbours that are first and second in the same direction: one alone may be broken as well.
    let (first, second) = if contrast > 0.0 {
        (neighbours[7] - median, neighbours[6] - median)
    } else {
        (median - neighbours[0], median - neighbours[1])
    };
    let contrast = contrast.abs();
    let is_half = first > HALF * contrast && neighbours[6] - neighbours[1] > SPREAD * contrast;
    contrast > LONELY && second < LEAK * contrast && !is_half
}

/// The eight around a pixel, ascending; beyond the edge stands what is before it, so that no pixel vouches for itself.
/// What is not a number sorts last.
fn neighbours(pixels: &Pixels, row: usize, column: usize) -> [f32; 8] {
    let around = |at: usize, count: usize| match at {
        0 => [1, 0, 1],
        at if at + 1 == count => [at - 1, at, at - 1],
        at => [at - 1, at, at + 1],
    };
    let (rows, columns) = (around(row, ROWS), around(column, COLUMNS));
    let mut found = [0.0; 8];
    let mut at = 0;
    for (i, &y) in rows.iter().enumerate() {
        for (j, &x) in columns.iter().enumerate() {
            if (i, j) != (1, 1) {
                let pixel = pixels[y * COLUMNS + x];
                found[at] = if pixel.is_nan() { f32::INFINITY } else { pixel };
                at += 1;
            }
        }
    }
    found.sort_unstable_by(f32::total_cmp);
    found
}

/// Where most of the neighbours are broken too: anything finite will do, because this is a sensor fault.
fn mean_of_sound(pixels: &Pixels) -> f32 {
    let sound = pixels.iter().filter(|pixel| MEASURABLE.contains(*pixel));
    let (sum, count) = sound.fold((0.0, 0.0), |(sum, count), &pixel| {
        (sum + pixel, count + 1.0)
    });
    if count > 0.0 { sum / count } else { 0.0 }
}
