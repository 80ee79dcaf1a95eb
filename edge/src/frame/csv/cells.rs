//! One line of a text file: where its cells end, which numbers they hold, and what the first line says of all others.

use super::super::{COLUMNS, PIXELS};
use super::remark::Key;

/// More than any layout has; a line of nothing but separators would fill the memory.
const MOST_CELLS: usize = 2 * PIXELS;

/// How the frames of a file are laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Layout {
    /// 24 lines of 32 numbers.
    Rows,
    /// A frame a line.
    Columns(Vec<Column>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Pixel,
    Value(Key),
    /// The numbers of lines that some programs put first.
    Unnamed,
}

/// A line taken apart.
#[derive(Debug)]
pub(super) struct Split<'a> {
    cells: Vec<&'a str>,
    /// Where a comma does not part numbers, it may stand inside one.
    decimal_comma: bool,
}

/// The strongest separator that a line holds parts it.
pub(super) fn split(line: &str) -> Split<'_> {
    let by = |separator: char| line.split(separator).take(MOST_CELLS).map(bare).collect();
    let (cells, decimal_comma) = if line.contains(';') {
        (by(';'), true)
    } else if line.trim().contains('\t') && !are_blanks(line) {
        (by('\t'), true)
    } else if line.contains(',') {
        (by(','), false)
    } else {
        let cells = line.split_whitespace().take(MOST_CELLS).map(bare);
        (cells.collect(), false)
    };
    Split {
        cells,
        decimal_comma,
    }
}

/// Tabs beside commas are only there for the looks.
fn are_blanks(line: &str) -> bool {
    let before = line.split('\t');
    let after = before.clone().skip(1);
    line.contains(',')
        && after.zip(before).all(|(after, before)| {
            before.trim_end().ends_with(',') || after.trim_start().starts_with(',')
        })
}

/// What the first line says of the file, and whether it is a line of names.
pub(super) fn layout(first: &Split) -> Result<(Layout, bool), String> {
    if first.is_header() {
        return Ok((Layout::Columns(first.columns()?), true));
    }
    let (used, all) = (first.used(), first.cells.len());
    if used <= PIXELS && all >= PIXELS {
        Ok((Layout::Columns(vec![Column::Pixel; PIXELS]), false))
    } else if used <= COLUMNS && all >= COLUMNS {
        Ok((Layout::Rows, false))
    } else {
        let named = match used {
            ..PIXELS => "",
            _ => "; what stands beside 768 numbers must be named in a first line",
        };
        Err(format!(
            "holds {used} values where 32 (of 24 lines that make a frame) or 768 belong{named}"
        ))
    }
}

impl<'a> Split<'a> {
    /// Adds exactly `width` numbers to `pixels`.
    pub(super) fn numbers(&self, width: usize, pixels: &mut Vec<f32>) -> Result<(), String> {
        self.check_width(width)?;
        for (index, cell) in self.cells[..width].iter().enumerate() {
            pixels.push(self.number(index, cell)?);
        }
        Ok(())
    }

    /// Adds the pixels to `pixels`, and gives back what the other columns say.
    pub(super) fn select(
        &self,
        columns: &[Column],
        pixels: &mut Vec<f32>,
    ) -> Result<Vec<(Key, &'a str)>, String> {
        self.check_width(columns.len())?;
        let mut values = Vec::new();
        for (index, (column, cell)) in columns.iter().zip(&self.cells).enumerate() {
            match column {
                Column::Pixel => pixels.push(self.number(index, cell)?),
                Column::Value(key) => values.push((*key, *cell)),
                Column::Unnamed => {}
            }
        }
        Ok(values)
    }

    /// Separators at the end of a line are no numbers, but the last numbers may be empty.
    fn check_width(&self, width: usize) -> Result<(), String> {
        if self.cells.len() < width || self.used() > width {
            let found = self.used();
            return Err(format!("{found} values where {width} belong"));
        }
        Ok(())
    }

    /// How many cells there are up to the last that is not empty.
    fn used(&self) -> usize {
        let last = self.cells.iter().rposition(|cell| !cell.is_empty());
        last.map_or(0, |last| last + 1)
    }

    fn number(&self, index: usize, cell: &str) -> Result<f32, String> {
        self.parse(cell).ok_or_else(|| {
            let shown: String = cell.chars().take(20).collect();
            format!("value {} is no number: {shown:?}", index + 1)
        })
    }

    fn parse(&self, cell: &str) -> Option<f32> {
        if is_missing(cell) {
            return Some(f32::NAN);
        }
        if self.decimal_comma && cell.contains(',') {
            // With a point as well, one of them would have to be guessed.
            return (!cell.contains('.')).then(|| cell.replacen(',', ".", 1).parse().ok())?;
        }
        cell.parse().ok()
    }

    /// Names stand in the first line of tables, and so do the bare numbers of their columns.
    fn is_header(&self) -> bool {
        let mut cells = self.cells.iter();
        if cells.any(|cell| Key::of_column(cell).is_some()) {
            return true;
        }
        let words = self.cells.iter().filter(|cell| self.parse(cell).is_none());
        let filled = self.cells.iter().filter(|cell| !cell.is_empty());
        self.used() >= PIXELS
            && (2 * words.count() > self.cells.len()
                || filled
                    .enumerate()
                    .all(|(index, cell)| *cell == index.to_string()))
    }

    fn columns(&self) -> Result<Vec<Column>, String> {
        let cells = &self.cells[..self.used()];
        let mut columns = Vec::with_capacity(cells.len());
        let mut keys = Vec::new();
        for cell in cells {
            let column = match Key::of_column(cell) {
                Some(key) if keys.contains(&key) => {
                    return Err(format!("two columns give {}", key.name()));
                }
                Some(key) => {
                    keys.push(key);
                    Column::Value(key)
                }
                None if cell.is_empty() => Column::Unnamed,
                None => Column::Pixel,
            };
            columns.push(column);
        }
        let pixels = columns.iter().filter(|&&column| column == Column::Pixel);
        let pixels = pixels.count();
        if pixels == PIXELS {
            return Ok(columns);
        }
        Err(format!(
            "this line of names has {pixels} columns of pixels where 768 belong; beside them only captured_at, ambient_c, \
             camera and label are known"
        ))
    }
}

/// Without blanks and quotes.
fn bare(cell: &str) -> &str {
    let cell = cell.trim();
    let inner = cell
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.map_or(cell, str::trim)
}

/// How programs write that there is no value.
pub(super) fn is_missing(cell: &str) -> bool {
    ["", "nan", "-nan", "na", "n/a", "null", "none"]
        .iter()
        .any(|missing| cell.eq_ignore_ascii_case(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parted_by_what_they_hold() {
        let check = |line: &str, expected: &[f32]| {
            let mut found = Vec::new();
            let result = split(line).numbers(expected.len(), &mut found);
            assert_eq!((result, &found[..]), (Ok(()), expected), "{line:?}");
        };
        check("1,2.5,-3", &[1.0, 2.5, -3.0]);
        check("1, 2.5,\t-3", &[1.0, 2.5, -3.0]);
        check("1,2.5, -3 ,", &[1.0, 2.5, -3.0]);
        check("1;2,5;-3;;", &[1.0, 2.5, -3.0]);
        check("1\t2,5\t-3\t", &[1.0, 2.5, -3.0]);
        check("  1  2.5 -3e0 ", &[1.0, 2.5, -3.0]);
        check("\"1\",\"2.5\"", &[1.0, 2.5]);
    }

    #[test]
    fn what_is_no_number_is_told() {
        let check = |line: &str, width: usize, reason: &str| {
            let result = split(line).numbers(width, &mut Vec::new());
            assert_eq!(result, Err(reason.to_owned()), "{line:?}");
        };
        check("1,2,x3", 3, "value 3 is no number: \"x3\"");
        check("1;2,3.4", 2, "value 2 is no number: \"2,3.4\"");
        check("1;2,3,4", 2, "value 2 is no number: \"2,3,4\"");
        check("1,2", 3, "2 values where 3 belong");
        check("1,2,3,4,", 3, "4 values where 3 belong");
    }

    #[test]
    fn empty_values_are_missing_ones() {
        let mut found = Vec::new();
        assert_eq!(split(",2,,").numbers(4, &mut found), Ok(()));
        assert!(found[0].is_nan() && found[2].is_nan() && found[3].is_nan());
        assert_eq!(found[1].to_bits(), 2.0_f32.to_bits());
    }
}
