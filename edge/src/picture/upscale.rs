//! More pixels than were measured: smooth, and never hotter or colder than what was.
//!
//! Bicubic (Catmull-Rom) in deg C, then kept between the four pixels around each point. Colours are looked up afterwards;
//! mixing colours instead would show temperatures that are not there.

use super::round::{count, narrow, real, whole};
use crate::frame::{COLUMNS, PIXELS, Pixels, ROWS};

/// Temperatures at the centres of `width` x `height` cells; NaN where the pixel below has none.
pub(super) fn upscale(pixels: &Pixels, width: usize, height: usize) -> Vec<f32> {
    let whole_pixels = patched(pixels);
    let (across, down) = (taps(COLUMNS, width), taps(ROWS, height));
    // Rows of pixels, already as wide as the picture.
    let mut stretched = vec![0.0; ROWS * width];
    for (row, line) in stretched.chunks_exact_mut(width.max(1)).enumerate() {
        for (cell, tap) in line.iter_mut().zip(&across) {
            *cell = tap.blend(|column| whole_pixels[row * COLUMNS + column]);
        }
    }
    let mut cells = Vec::with_capacity(width * height);
    for vertical in &down {
        for (x, horizontal) in across.iter().enumerate() {
            if !pixels[vertical.nearest * COLUMNS + horizontal.nearest].is_finite() {
                cells.push(f32::NAN);
                continue;
            }
            let value = vertical.blend(|row| stretched[row * width + x]);
            let around = [
                whole_pixels[vertical.at[1] * COLUMNS + horizontal.at[1]],
                whole_pixels[vertical.at[1] * COLUMNS + horizontal.at[2]],
                whole_pixels[vertical.at[2] * COLUMNS + horizontal.at[1]],
                whole_pixels[vertical.at[2] * COLUMNS + horizontal.at[2]],
            ];
            let least = around.into_iter().fold(f32::INFINITY, f32::min);
            let most = around.into_iter().fold(f32::NEG_INFINITY, f32::max);
            cells.push(value.max(least).min(most));
        }
    }
    cells
}

/// Which four pixels a point lies among, and how much it takes of each.
struct Tap {
    at: [usize; 4],
    weights: [f32; 4],
    nearest: usize,
}

impl Tap {
    fn blend(&self, pixel: impl Fn(usize) -> f32) -> f32 {
        let terms = self.at.iter().zip(&self.weights);
        terms.map(|(&at, weight)| weight * pixel(at)).sum()
    }
}

fn taps(from: usize, to: usize) -> Vec<Tap> {
    (0..to)
        .map(|cell| {
            let position = (real(cell) + 0.5) * real(from) / real(to) - 0.5;
            let first = whole(position.floor());
            let t = narrow(position - position.floor());
            let (t2, t3) = (t * t, t * t * t);
            Tap {
                at: [-1, 0, 1, 2].map(|by| usize::try_from(first + by).unwrap_or(0).min(from - 1)),
                weights: [
                    0.5 * (2.0 * t2 - t - t3),
                    0.5 * (2.0 - 5.0 * t2 + 3.0 * t3),
                    0.5 * (t + 4.0 * t2 - 3.0 * t3),
                    0.5 * (t3 - t2),
                ],
                nearest: count(position).min(from - 1),
            }
        })
        .collect()
}

/// What is no temperature is taken from around it, so that it does not spoil its neighbours.
fn patched(pixels: &Pixels) -> Pixels {
    let mut patched = *pixels;
    for (index, pixel) in patched.iter_mut().enumerate() {
        if !pixel.is_finite() {
            let (row, column) = (index / COLUMNS, index % COLUMNS);
            let near = (0..PIXELS).filter(|other| {
                (other / COLUMNS).abs_diff(row) <= 1 && (other % COLUMNS).abs_diff(column) <= 1
            });
            *pixel = mean(near.map(|other| pixels[other]))
                .or_else(|| mean(pixels.iter().copied()))
                .unwrap_or(0.0);
        }
    }
    patched
}

fn mean(pixels: impl Iterator<Item = f32>) -> Option<f32> {
    let (mut sum, mut count) = (0.0, 0.0);
    for pixel in pixels.filter(|pixel| pixel.is_finite()) {
        sum += f64::from(pixel);
        count += 1.0;
    }
    (count > 0.0).then(|| narrow(sum / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_one_is_the_same() {
        let pixels: Pixels = std::array::from_fn(|index| narrow(real(index % 37)));
        assert_eq!(upscale(&pixels, COLUMNS, ROWS), pixels);
    }

    #[test]
    fn nothing_is_hotter_than_what_was_measured() {
        let mut pixels = [20.0; PIXELS];
        pixels[400] = 90.0;
        let cells = upscale(&pixels, 320, 240);
        assert!(cells.iter().all(|cell| (20.0..=90.0).contains(cell)));
        assert!(cells.iter().any(|&cell| cell > 88.0));
    }

    #[test]
    fn a_hole_stays_a_hole_and_spoils_nothing() {
        let mut pixels = [20.0; PIXELS];
        pixels[0] = f32::NAN;
        pixels[767] = f32::INFINITY;
        let cells = upscale(&pixels, 64, 48);
        assert_eq!(cells.iter().filter(|cell| cell.is_nan()).count(), 8);
        assert!(
            cells
                .iter()
                .all(|cell| cell.is_nan() || (cell - 20.0).abs() < 1e-4)
        );
    }
}
