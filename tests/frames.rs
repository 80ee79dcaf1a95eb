//! Files of frames: every form that is read, every fault that is told, and `edge capture`, which writes them.

mod array;
mod capture;
mod hostile;
mod recording;
mod repair;
mod text;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chrono::{DateTime, Utc};
use edge::capture::replay::{self, OnBad, Recorded};
use edge::frame::{COLUMNS, PIXELS, Pixels};

use crate::support::edge::program;

/// 10.00, 10.01, ... row by row.
fn ramp() -> Box<Pixels> {
    let mut pixels = Box::new([0.0; PIXELS]);
    for (index, pixel) in pixels.iter_mut().enumerate() {
        *pixel = hundredths(index);
    }
    pixels
}

fn hundredths(index: usize) -> f32 {
    let hundredths = u16::try_from(1000 + index).expect("a pixel's place is small");
    f32::from(hundredths) / 100.0
}

/// The ramp, 32 numbers a line.
fn table(separator: &str, end: &str) -> String {
    let mut text = String::new();
    for row in ramp().chunks(COLUMNS) {
        let row: Vec<String> = row.iter().map(|pixel| format!("{pixel:.2}")).collect();
        write!(text, "{}{end}", row.join(separator)).expect("memory can be written");
    }
    text
}

/// The ramp in one line.
fn line(separator: &str) -> String {
    let cells: Vec<String> = ramp().iter().map(|pixel| format!("{pixel:.2}")).collect();
    cells.join(separator)
}

fn numbered(prefix: &str) -> String {
    let names: Vec<String> = (0..PIXELS)
        .map(|index| format!("{prefix}{index}"))
        .collect();
    names.join(",")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn put(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    fs::write(&path, bytes).expect("the file is written");
    path
}

fn edge(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

/// Standard output of a command that succeeds.
fn succeed(folder: &Path, arguments: &[&str]) -> String {
    let output = edge(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    String::from_utf8(output.stdout).expect("text")
}

/// Standard error of a command that fails.
fn fail(folder: &Path, arguments: &[&str]) -> String {
    let output = edge(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    text
}

fn read(paths: &[&Path]) -> Vec<Recorded> {
    let paths: Vec<PathBuf> = paths.iter().map(|path| path.to_path_buf()).collect();
    replay::read(&paths, OnBad::Refuse)
        .expect("the recording is good")
        .frames
}

/// An array file as NumPy writes it.
fn npy(descr: &str, fortran: bool, shape: &str, numbers: &[u8]) -> Vec<u8> {
    let fortran = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}");
    npy_with(&header, numbers)
}

fn npy_with(header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = (header.len() + 1 + 10).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).expect("a short header").to_le_bytes());
    bytes.extend(format!("{header:<0$}\n", length - 1).into_bytes());
    bytes.extend(numbers);
    bytes
}

fn floats(pixels: &[f32]) -> Vec<u8> {
    pixels
        .iter()
        .flat_map(|pixel| pixel.to_le_bytes())
        .collect()
}
