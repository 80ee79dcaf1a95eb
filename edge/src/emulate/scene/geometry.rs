//! What stands where: parts painted on a fine grid, later ones over earlier ones.
//!
//! Lengths are in pixels of the sensor, from the top left corner of its view. The grid has `FINE` x `FINE` cells for
//! each pixel, and a margin around the view, because the camera moves and the lens sees a little around the corner.

use super::chance::Chance;
use crate::frame::{COLUMNS, ROWS};

/// Cells of the fine grid along the side of a pixel.
pub(super) const FINE: usize = 4;
/// Cells around the view.
pub(super) const MARGIN: usize = 2 * FINE;
pub(super) const HIGH: usize = ROWS * FINE + 2 * MARGIN;
pub(super) const WIDE: usize = COLUMNS * FINE + 2 * MARGIN;

/// One of the things that have a temperature, by its place in the layout.
pub type Part = usize;

/// Every layout begins with these three.
pub(super) const WALL: Part = 0;
/// Not a thing but a field over the walls: warm air gathers at the top. deg C above ambient.
pub(super) const STRATA: Part = 1;
/// Also a field: what the machine warms around it. deg C above ambient.
pub(super) const HALO: Part = 2;
/// The large surface beside the wall over which the two fields lie as well: floor or door.
pub(super) const SURFACE: Part = 3;

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Everywhere,
    Nowhere,
    /// left, top, right, bottom
    Rectangle([f64; 4]),
    /// A line from x, y to x, y, and its width.
    Line([f64; 4], f64),
    /// Centre x, y, and radius.
    Disc([f64; 2], f64),
}

/// A layout in the making, and when it is made.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// Of each part.
    pub emissivity: Vec<f64>,
    /// Which part is seen in each cell.
    pub seen: Vec<Part>,
}

impl Shape {
    fn contains(self, x: f64, y: f64) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Nowhere => false,
            Self::Rectangle([left, top, right, bottom]) => {
                left <= x && x < right && top <= y && y < bottom
            }
            Self::Line([x0, y0, x1, y1], width) => {
                let (dx, dy) = (x1 - x0, y1 - y0);
                let length = dx.hypot(dy).max(1e-6);
                let along = (((x - x0) * dx + (y - y0) * dy) / (length * length)).clamp(0.0, 1.0);
                (x - x0 - along * dx).hypot(y - y0 - along * dy) < width / 2.0
            }
            Self::Disc([cx, cy], radius) => (x - cx).hypot(y - cy) < radius,
        }
    }
}

impl Layout {
    /// Wall, its two fields, and the large surface before it.
    pub fn new(surface: Shape, surface_emissivity: f64) -> Self {
        let mut layout = Self {
            emissivity: Vec::new(),
            seen: vec![WALL; HIGH * WIDE],
        };
        layout.add(Shape::Everywhere, 0.93);
        layout.add(Shape::Nowhere, 0.93);
        layout.add(Shape::Nowhere, 0.93);
        layout.add(surface, surface_emissivity);
        layout
    }

    /// Paints a part over what is there.
    pub fn add(&mut self, shape: Shape, emissivity: f64) -> Part {
        let part = self.emissivity.len();
        self.emissivity.push(emissivity);
        for (cell, seen) in self.seen.iter_mut().enumerate() {
            let (x, y) = position(cell);
            if shape.contains(x, y) {
                *seen = part;
            }
        }
        part
    }

    /// A pipe along `corners`, in equally long segments, so that heat can travel along it.
    pub fn pipe(
        &mut self,
        corners: &[[f64; 2]],
        width: f64,
        segments: u8,
        emissivity: f64,
    ) -> Vec<Part> {
        let ends: Vec<[f64; 2]> = (0..=segments)
            .map(|end| along(corners, f64::from(end) / f64::from(segments)))
            .collect();
        ends.windows(2)
            .map(|pair| {
                let line = [pair[0][0], pair[0][1], pair[1][0], pair[1][1]];
                self.add(Shape::Line(line, width), emissivity)
            })
            .collect()
    }

    /// Emissivity by cell: that of the part, a little uneven as paint and dust are.
    pub fn emissivities(&self, chance: &mut Chance) -> Vec<f32> {
        let speckle: Vec<f32> = (0..HIGH * WIDE)
            .map(|_| narrow(chance.normal(0.0, 1.0)))
            .collect();
        let texture = blurred(&speckle, WIDE, 0.8 * real(FINE));
        let count = narrow(real(HIGH * WIDE));
        let mean = texture.iter().sum::<f32>() / count;
        let variance = texture.iter().map(|t| (t - mean).powi(2)).sum::<f32>() / count;
        self.seen
            .iter()
            .zip(&texture)
            .map(|(&part, uneven)| {
                let even = narrow(self.emissivity[part]);
                (even + 0.02 * uneven / variance.sqrt()).clamp(0.3, 0.98)
            })
            .collect()
    }

    /// Pixels of which more than 90 % show one of `parts`.
    pub fn covered_by(&self, parts: &[Part]) -> Vec<usize> {
        let mut cells = vec![0; ROWS * COLUMNS];
        for (cell, seen) in self.seen.iter().enumerate() {
            let (row, column) = (cell / WIDE, cell % WIDE);
            let inside =
                (MARGIN..HIGH - MARGIN).contains(&row) && (MARGIN..WIDE - MARGIN).contains(&column);
            if inside && parts.contains(seen) {
                cells[(row - MARGIN) / FINE * COLUMNS + (column - MARGIN) / FINE] += 1;
            }
        }
        let most = FINE * FINE * 9 / 10;
        (0..cells.len())
            .filter(|&index| cells[index] > most)
            .collect()
    }
}

/// Where a cell is: x and y, pixels.
pub(super) fn position(cell: usize) -> (f64, f64) {
    let pixels = |cells: usize| (real(cells) - real(MARGIN)) / real(FINE);
    (pixels(cell % WIDE), pixels(cell / WIDE))
}

/// The point at a share of the length of a line with corners.
fn along(corners: &[[f64; 2]], share: f64) -> [f64; 2] {
    let length = |pair: &[[f64; 2]]| (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]);
    let whole: f64 = corners.windows(2).map(length).sum();
    let mut left = share * whole;
    for pair in corners.windows(2) {
        let here = length(pair);
        if left <= here {
            let part = left / here.max(1e-9);
            return [0, 1].map(|axis| pair[0][axis] + part * (pair[1][axis] - pair[0][axis]));
        }
        left -= here;
    }
    corners[corners.len() - 1]
}

/// Blurs rows of `width` numbers with a Gaussian of `deviation` cells, mirrored at the edges.
pub(super) fn blurred(map: &[f32], width: usize, deviation: f64) -> Vec<f32> {
    let (weights, reach) = gaussian(deviation);
    both_ways(map, width, &weights, reach)
}

/// The same, and then for each cell the mean over the pixel that begins there.
pub(super) fn blurred_and_averaged(map: &[f32], width: usize, deviation: f64) -> Vec<f32> {
    let (gaussian, reach) = gaussian(deviation);
    let mut weights = vec![0.0; gaussian.len() + FINE - 1];
    for (at, weight) in gaussian.iter().enumerate() {
        for sum in &mut weights[at..at + FINE] {
            *sum += weight / narrow(real(FINE));
        }
    }
    both_ways(map, width, &weights, reach + FINE - 1)
}

/// Weights that sum to 1, and how many of them stand before the middle.
fn gaussian(deviation: f64) -> (Vec<f32>, usize) {
    let reach = (4.0 * deviation).round().max(0.0);
    let weights: Vec<f64> = std::iter::successors(Some(-reach), |at| Some(at + 1.0))
        .take_while(|&at| at <= reach)
        .map(|at| (-0.5 * (at / deviation).powi(2)).exp())
        .collect();
    let whole: f64 = weights.iter().sum();
    let weights: Vec<f32> = weights.iter().map(|w| narrow(w / whole)).collect();
    let middle = weights.len() / 2;
    (weights, middle)
}

fn both_ways(map: &[f32], width: usize, weights: &[f32], reach: usize) -> Vec<f32> {
    let height = map.len() / width;
    let row = |index: usize| (index - index % width, 1, width);
    let column = |index: usize| (index % width, width, height);
    spread(&spread(map, weights, reach, row), weights, reach, column)
}

/// Each number is spread along its line, which is given by its first index, the distance between neighbours and its length.
///
/// From the source's side because most maps are nearly everywhere 0.
fn spread(
    map: &[f32],
    weights: &[f32],
    reach: usize,
    line: impl Fn(usize) -> (usize, usize, usize),
) -> Vec<f32> {
    let mut result = vec![0.0; map.len()];
    for (index, &source) in map.iter().enumerate() {
        if source == 0.0 {
            continue;
        }
        let (first, step, length) = line(index);
        let at = (index - first) / step;
        if reach <= at && at + weights.len() < length + reach {
            let targets = result[index - reach * step..].iter_mut().step_by(step);
            for (target, weight) in targets.zip(weights) {
                *target += weight * source;
            }
            continue;
        }
        // Near an edge its mirror image is seen as well, before or behind the line.
        for (k, weight) in weights.iter().enumerate() {
            let direct = (at + k).checked_sub(reach);
            let before = k.checked_sub(reach + at + 1);
            let behind = (2 * length + k).checked_sub(at + 1 + reach);
            for target in [direct, before, behind].into_iter().flatten() {
                if target < length {
                    result[first + target * step] += weight * source;
                }
            }
        }
    }
    result
}

/// To the precision that pixels have.
#[expect(
    clippy::cast_possible_truncation,
    reason = "temperatures and shares, far from the ends of f32"
)]
pub(super) fn narrow(value: f64) -> f32 {
    value as f32
}

/// A count of cells or pixels, to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "a few thousand, and nothing depends on more"
)]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blurring_keeps_the_sum_also_at_the_edges() {
        for at in [0, 5, 31, 32 * 23, 32 * 24 - 1] {
            let mut map = vec![0.0; 24 * 32];
            map[at] = 1.0;
            let result = blurred(&map, 32, 4.0);
            let sum: f32 = result.iter().sum();
            assert!((sum - 1.0).abs() < 1e-4, "{at}: {sum}");
        }
    }

    #[test]
    fn a_pipe_is_cut_into_equal_lengths() {
        let corners = [[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]];
        for (share, point) in [
            (0.0, [0.0, 0.0]),
            (0.25, [2.0, 0.0]),
            (0.75, [4.0, 2.0]),
            (1.0, [4.0, 4.0]),
        ] {
            let [x, y] = along(&corners, share);
            let apart = (x - point[0]).hypot(y - point[1]);
            assert!(apart < 1e-12, "{share}: {x}, {y}");
        }
    }
}
