//! NumPy's array files: `[24, 32]`, `[768]`, `[n, 24, 32]` or `[n, 768]` temperatures of any usual type of number.
//!
//! A header may lie. What it claims is compared with what is there before anything is taken up, and it must look as
//! NumPy writes it, because the reader beneath trusts it: it recurses into brackets and multiplies without looking.

use anyhow::{Context as _, bail, ensure};
use npyz::{DType, NpyFile, NpyHeader, TypeChar, WriterBuilder as _};

use super::{COLUMNS, Frame, PIXELS, Pixels, ROWS};

/// As many as 64 MB of float32 hold: a file of smaller numbers must not fill the memory with more.
const MOST_FRAMES: usize = 21_000;
const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy's own headers have 118 bytes.
const LONGEST_HEADER: usize = 4096;
/// A dict and a shape are two; a few more, so that other types of number are refused by their name.
const MOST_BRACKETS: usize = 8;

pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// All frames of a file.
pub fn parse(bytes: &[u8]) -> anyhow::Result<Vec<Box<Pixels>>> {
    check_header(bytes)?;
    let mut rest = bytes;
    let header = NpyHeader::from_reader(&mut rest).context("the header cannot be read")?;
    let (count, strides) = places(&header)?;
    let kind = Kind::of(&header.dtype())?;
    let expected = count * PIXELS * kind.bytes();
    ensure!(
        rest.len() >= expected,
        "the file is cut off: {} of {expected} bytes of numbers are there",
        rest.len()
    );
    ensure!(
        rest.len() == expected,
        "{} bytes follow after the array",
        rest.len() - expected
    );
    ensure!(
        count <= MOST_FRAMES,
        "it holds {count} frames, and a file may hold {MOST_FRAMES}: split it"
    );
    let numbers = kind.read(NpyFile::with_header(header, rest))?;
    Ok((0..count)
        .map(|frame| {
            let mut pixels = Box::new([0.0; PIXELS]);
            for (index, pixel) in pixels.iter_mut().enumerate() {
                let (row, column) = (index / COLUMNS, index % COLUMNS);
                *pixel = numbers[frame * strides[0] + row * strides[1] + column * strides[2]];
            }
            pixels
        })
        .collect())
}

/// An array file of 32-bit numbers, exactly as they are: [24, 32] for one frame, else [n, 24, 32].
pub fn format(frames: &[&Frame]) -> anyhow::Result<Vec<u8>> {
    let shape = [frames.len() as u64, ROWS as u64, COLUMNS as u64];
    let mut bytes = Vec::new();
    let mut writer = npyz::WriteOptions::<f32>::new()
        .default_dtype()
        .shape(if frames.len() == 1 {
            &shape[1..]
        } else {
            &shape
        })
        .writer(&mut bytes)
        .begin_nd()?;
    for frame in frames {
        writer.extend(frame.pixels.iter().copied())?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// Refuses what the reader of headers would choke on.
fn check_header(bytes: &[u8]) -> anyhow::Result<()> {
    ensure!(is_npy(bytes), "is no .npy file");
    let (start, length) = match bytes.get(6..12) {
        Some(&[1, 0, a, b, ..]) => (10, usize::from(u16::from_le_bytes([a, b]))),
        Some(&[2 | 3, 0, a, b, c, d]) => (12, u32::from_le_bytes([a, b, c, d]) as usize),
        Some(&[major, minor, ..]) => bail!("has the unknown version {major}.{minor} of the format"),
        _ => bail!("the file is cut off in its header"),
    };
    ensure!(
        length <= LONGEST_HEADER,
        "claims a header of {length} bytes; more than {LONGEST_HEADER} are no frame's"
    );
    let Some(header) = bytes.get(start..start + length) else {
        bail!("the file is cut off in its header");
    };
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b" \n'\":,._<>|={}()[]".contains(byte);
    ensure!(
        header.iter().all(usual),
        "the header holds what NumPy never writes"
    );
    let brackets = header.iter().filter(|byte| b"{([".contains(byte)).count();
    ensure!(
        brackets <= MOST_BRACKETS,
        "the header is nested too deeply for a frame's"
    );
    check_numbers(header)
}

/// All numbers of a header may be multiplied with each other.
fn check_numbers(header: &[u8]) -> anyhow::Result<()> {
    let mut product = 1_u64;
    for word in header.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_') {
        let text = std::str::from_utf8(word)?;
        if word.first().is_some_and(u8::is_ascii_digit) {
            let number: u64 = text
                .parse()
                .with_context(|| format!("the header claims an impossible size, {text}"))?;
            product = product
                .checked_mul(number.max(1))
                .filter(|&product| product < 1 << 48)
                .with_context(|| format!("the header claims an impossible size, {text}"))?;
        }
    }
    Ok(())
}

/// How many frames there are, and how many numbers apart frames, rows and columns lie.
fn places(header: &NpyHeader) -> anyhow::Result<(usize, [usize; 3])> {
    let number = |value: &u64| usize::try_from(*value);
    let shape: Vec<usize> = header
        .shape()
        .iter()
        .map(number)
        .collect::<Result<_, _>>()?;
    let strides: Vec<usize> = header
        .strides()
        .iter()
        .map(number)
        .collect::<Result<_, _>>()?;
    let (count, strides) = match (&shape[..], &strides[..]) {
        (&[ROWS, COLUMNS], &[row, column]) => (1, [0, row, column]),
        (&[PIXELS], &[pixel]) => (1, [0, COLUMNS * pixel, pixel]),
        (&[count, ROWS, COLUMNS], &[frame, row, column]) => (count, [frame, row, column]),
        (&[count, PIXELS], &[frame, pixel]) => (count, [frame, COLUMNS * pixel, pixel]),
        _ => bail!("has the shape {shape:?}; [24, 32] or [n, 24, 32] is needed"),
    };
    ensure!(count > 0, "holds no frame: its shape is {shape:?}");
    Ok((count, strides))
}

/// A type of number.
#[derive(Debug, Clone, Copy)]
enum Kind {
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
}

impl Kind {
    fn of(dtype: &DType) -> anyhow::Result<Self> {
        let refused = || format!("holds {}; save it as float32", dtype.descr());
        let DType::Plain(plain) = dtype else {
            bail!(refused());
        };
        Ok(match (plain.type_char(), plain.size_field()) {
            (TypeChar::Float, 4) => Self::F32,
            (TypeChar::Float, 8) => Self::F64,
            (TypeChar::Int, 1) => Self::I8,
            (TypeChar::Int, 2) => Self::I16,
            (TypeChar::Int, 4) => Self::I32,
            (TypeChar::Int, 8) => Self::I64,
            (TypeChar::Uint, 1) => Self::U8,
            (TypeChar::Uint, 2) => Self::U16,
            (TypeChar::Uint, 4) => Self::U32,
            (TypeChar::Uint, 8) => Self::U64,
            _ => bail!(refused()),
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "temperatures are small, and others are no temperatures either way"
    )]
    fn read(self, file: NpyFile<&[u8]>) -> anyhow::Result<Vec<f32>> {
        Ok(match self {
            Self::F32 => file.into_vec()?,
            Self::F64 => converted(file, |value: f64| value as f32)?,
            Self::I8 => converted(file, |value: i8| f32::from(value))?,
            Self::I16 => converted(file, |value: i16| f32::from(value))?,
            Self::I32 => converted(file, |value: i32| value as f32)?,
            Self::I64 => converted(file, |value: i64| value as f32)?,
            Self::U8 => converted(file, |value: u8| f32::from(value))?,
            Self::U16 => converted(file, |value: u16| f32::from(value))?,
            Self::U32 => converted(file, |value: u32| value as f32)?,
            Self::U64 => converted(file, |value: u64| value as f32)?,
        })
    }
}

fn converted<T: npyz::Deserialize>(
    file: NpyFile<&[u8]>,
    convert: impl Fn(T) -> f32,
) -> anyhow::Result<Vec<f32>> {
    let numbers = file.data::<T>()?;
    Ok(numbers
        .map(|number| number.map(&convert))
        .collect::<std::io::Result<_>>()?)
}
