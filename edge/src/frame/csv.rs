//! Frames as text that anyone can read and make.
//!
//! Two layouts: 24 lines of 32 numbers make a frame, several of which may follow each other; or each line of 768 numbers
//! is a frame, with or without a first line that names the columns. Numbers stand apart by commas, semicolons, tabs or
//! blanks. Lines that begin with `#` say what is known of the frame below them (see `remark`); other `#` lines are
//! comments. `camera` and `label` hold for all frames below, everything else for the next one alone.
//!
//! A fault costs one frame, not the file: each frame is found or refused by itself, and every fault knows its line.
//! Nothing is guessed from a file's name, because a clock that was never set names files too.

mod cells;
pub(crate) mod remark;

use std::borrow::Cow;

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::{COLUMNS, Frame, PIXELS, ROWS};
use cells::{Column, Layout};
use remark::{Key, Remarks};

/// A file with more faults is something else altogether.
const MOST_FAULTS: usize = 1000;

/// A frame, and what people said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    pub frame: Frame,
    pub marks: Marks,
    /// Its place in the file from 0; frames that were refused count as well.
    pub number: usize,
}

/// What people said of a frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    pub label: Option<String>,
    pub adopted_at: Option<DateTime<Utc>>,
    pub adopted_because: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// From 1; none if the fault is of the whole file.
    pub line: Option<usize>,
    pub reason: String,
}

/// All that a file holds, good and bad.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Contents {
    pub frames: Vec<Parsed>,
    pub faults: Vec<LineError>,
}

/// All frames of a file, or its first fault.
pub fn parse(text: &str) -> Result<Vec<Parsed>, LineError> {
    let contents = parse_all(text);
    match contents.faults.into_iter().next() {
        Some(fault) => Err(fault),
        None => Ok(contents.frames),
    }
}

/// The frames that are good, and why the others are not.
pub fn parse_all(text: &str) -> Contents {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // Some spreadsheets still end lines as old Macs did.
    let old_lines = !text.contains('\n') && text.contains('\r');
    let text = if old_lines {
        Cow::Owned(text.replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let mut reader = Reader::default();
    let mut lines = 0;
    for (index, line) in text.lines().enumerate() {
        lines = index + 1;
        reader.line(lines, line);
        if reader.stopped {
            return reader.contents;
        }
        if reader.contents.faults.len() >= MOST_FAULTS {
            reader.fault_of_file(lines, "too many faults: the rest is not read".to_owned());
            return reader.contents;
        }
    }
    reader.end(lines);
    reader.contents
}

/// A frame as 24 lines of 32 numbers in hundredths, under what is known of it; `parse` gives it back.
pub fn format(frame: &Frame, marks: &Marks) -> String {
    let mut text = String::with_capacity(6 * PIXELS);
    for (key, value) in remark::said(frame, marks) {
        text.push_str("# ");
        text.push_str(key.name());
        text.push_str(": ");
        text.push_str(&value);
        text.push('\n');
    }
    for row in frame.pixels.chunks_exact(COLUMNS) {
        for (column, pixel) in row.iter().enumerate() {
            if column > 0 {
                text.push(',');
            }
            if pixel.is_nan() {
                text.push_str("nan");
            } else {
                // Writing into a string cannot fail.
                let _ = write!(text, "{pixel:.2}");
            }
        }
        text.push('\n');
    }
    text
}

/// Takes a file line by line.
#[derive(Debug, Default)]
struct Reader {
    contents: Contents,
    /// Known from the first line of numbers on.
    layout: Option<Layout>,
    /// Said in the `#` lines above the frame to come.
    above: Remarks,
    /// These hold until they are said anew.
    camera: Option<String>,
    label: Option<String>,
    /// The pixels of a frame that is not complete yet.
    pixels: Vec<f32>,
    rows: usize,
    begun: usize,
    /// Why the frame in hand will be refused.
    fault: Option<LineError>,
    number: usize,
    stopped: bool,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if let Some(comment) = line.trim_start().strip_prefix('#') {
            if let Some((key, value)) = remark::read(comment) {
                self.break_off(number);
                self.remark(number, key, value);
            }
            return;
        }
        let split = cells::split(line);
        match self.layout.take() {
            Some(layout) => self.numbers(number, &split, layout),
            None => match cells::layout(&split) {
                Ok((layout, true)) => self.layout = Some(layout),
                Ok((layout, false)) => self.numbers(number, &split, layout),
                Err(reason) => {
                    self.fault_of_file(number, reason);
                    self.stopped = true;
                }
            },
        }
    }

    fn numbers(&mut self, number: usize, split: &cells::Split, layout: Layout) {
        match &layout {
            Layout::Rows => self.row(number, split),
            Layout::Columns(columns) => self.whole(number, split, columns),
        }
        self.layout = Some(layout);
    }

    /// One of a frame's 24 lines.
    fn row(&mut self, number: usize, split: &cells::Split) {
        if self.rows == 0 {
            self.begun = number;
        }
        self.rows += 1;
        if let Err(reason) = split.numbers(COLUMNS, &mut self.pixels) {
            let reason = format!("row {} of 24: {reason}", self.rows);
            self.refuse(number, reason);
        }
        if self.rows == ROWS {
            self.complete(Remarks::default());
        }
    }

    /// One of many frames, each on its line.
    fn whole(&mut self, number: usize, split: &cells::Split, columns: &[Column]) {
        let mut beside = Remarks::default();
        let read = split.select(columns, &mut self.pixels).and_then(|values| {
            let mut values = values.into_iter();
            values.try_for_each(|(key, value)| beside.set(key, value))
        });
        if let Err(reason) = read {
            self.refuse(number, reason);
        }
        self.complete(beside);
    }

    fn remark(&mut self, number: usize, key: Key, value: &str) {
        if let Err(reason) = self.above.set(key, value) {
            self.refuse(number, reason);
        }
    }

    /// Only the first fault of a frame is worth telling.
    fn refuse(&mut self, number: usize, reason: String) {
        self.fault.get_or_insert(LineError {
            line: Some(number),
            reason,
        });
    }

    /// What is said of the next frame cannot stand amid one.
    fn break_off(&mut self, number: usize) {
        if self.rows > 0 {
            let reason = format!(
                "the frame that begins in line {} ends here after {} of 24 rows",
                self.begun, self.rows
            );
            self.refuse(number, reason);
            self.complete(Remarks::default());
        }
    }

    /// What stands beside a frame goes before what stands above it.
    fn complete(&mut self, beside: Remarks) {
        let number = self.number;
        self.number += 1;
        self.rows = 0;
        let above = std::mem::take(&mut self.above);
        self.camera = above.camera.or(self.camera.take());
        self.label = above.label.or(self.label.take());
        let pixels = std::mem::take(&mut self.pixels);
        if let Some(fault) = self.fault.take() {
            self.contents.faults.push(fault);
        } else if let Ok(pixels) = <Box<super::Pixels>>::try_from(pixels.into_boxed_slice()) {
            self.contents.frames.push(Parsed {
                frame: Frame {
                    pixels,
                    ambient: beside.ambient.or(above.ambient),
                    captured_at: beside.captured_at.or(above.captured_at),
                    camera: beside.camera.or_else(|| self.camera.clone()),
                },
                marks: Marks {
                    label: beside.label.or_else(|| self.label.clone()),
                    adopted_at: beside.adopted_at.or(above.adopted_at),
                    adopted_because: beside.adopted_because.or(above.adopted_because),
                },
                number,
            });
        }
    }

    fn end(&mut self, lines: usize) {
        self.break_off(lines);
        if let Some(fault) = self.fault.take() {
            self.contents.faults.push(fault);
        } else if self.above != Remarks::default() {
            let reason = "this says something of a frame, but no frame follows".to_owned();
            self.fault_of_file(lines, reason);
        } else if self.number == 0 {
            self.contents.faults.push(LineError {
                line: None,
                reason: "holds no frame: 24 lines of 32 numbers are needed, or lines of 768"
                    .to_owned(),
            });
        }
    }

    fn fault_of_file(&mut self, line: usize, reason: String) {
        self.contents.faults.push(LineError {
            line: Some(line),
            reason,
        });
    }
}

impl std::fmt::Display for LineError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "line {line}: {}", self.reason),
            None => formatter.write_str(&self.reason),
        }
    }
}

impl std::error::Error for LineError {}
