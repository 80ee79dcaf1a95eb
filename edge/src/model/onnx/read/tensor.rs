//! Reads a tensor: its sizes, and exactly as many numbers as they ask for.

use anyhow::{Context as _, Result, bail, ensure};

use super::super::wire::Fields;
use super::super::{Data, Element, Tensor};
use super::{MOST_DIMS, Once, name};

/// A file within its limit cannot hold more numbers; a claim beyond it is an error before it is a sum.
const MOST_NUMBERS: usize = super::LARGEST_FILE;
/// Of whole numbers in a list: they say shapes and places, and one byte of the file may become eight in memory.
const MOST_LISTED: usize = 1 << 16;

#[derive(Default)]
struct Parts<'a> {
    name: String,
    dims: Vec<i64>,
    code: i64,
    raw: Option<&'a [u8]>,
    floats: Vec<f32>,
    int32s: Vec<i64>,
    int64s: Vec<i64>,
}

pub fn read(bytes: &[u8]) -> Result<Tensor> {
    let parts = parts(bytes)?;
    let what = format!("tensor {:?}", parts.name);
    let count = parts
        .dims
        .iter()
        .try_fold(1_usize, |count, &dim| {
            count.checked_mul(usize::try_from(dim).ok()?)
        })
        .filter(|&count| count <= MOST_NUMBERS)
        .with_context(|| format!("{what} has the impossible sizes {:?}", parts.dims))?;
    let element = Element::from_code(parts.code);
    let lists = [
        !parts.floats.is_empty(),
        !parts.int32s.is_empty(),
        !parts.int64s.is_empty(),
    ];
    let filled = lists.iter().filter(|&&filled| filled).count();
    ensure!(
        filled + usize::from(parts.raw.is_some()) <= 1,
        "{what} has its numbers in two places"
    );
    let data = match (parts.raw, element) {
        (Some(raw), _) => from_raw(raw, element).with_context(|| what.clone())?,
        (None, Element::Float) => Data::Float(parts.floats),
        (None, Element::Int64) => Data::Int64(parts.int64s),
        (None, Element::Int32) => {
            let small = parts.int32s.iter().map(|&value| i32::try_from(value));
            let small = small.collect::<Result<_, _>>();
            Data::Int32(small.with_context(|| format!("{what} has numbers beyond int32"))?)
        }
        (None, Element::Bool) => Data::Bool(parts.int32s.iter().map(|&value| value != 0).collect()),
        (None, Element::Other(_)) => return Err(foreign(element)).with_context(|| what.clone()),
    };
    ensure!(
        data.len() == count,
        "{what} has {} numbers, but its sizes {:?} ask for {count}",
        data.len(),
        parts.dims
    );
    Ok(Tensor {
        name: parts.name,
        dims: parts.dims,
        data,
    })
}

fn parts(bytes: &[u8]) -> Result<Parts<'_>> {
    let mut once = Once::default();
    let mut parts = Parts::default();
    let mut fields = Fields::of(bytes);
    while let Some(field) = fields.next_field()? {
        match field.number {
            1 => field
                .ints_into(&mut parts.dims, MOST_DIMS)
                .context("in a tensor's sizes")?,
            2 => parts.code = once.of(&field, "element type")?.int()?,
            3 => bail!("a tensor is a segment of another: export it in one piece"),
            4 => field.floats_into(&mut parts.floats, MOST_NUMBERS)?,
            5 => field.ints_into(&mut parts.int32s, MOST_LISTED)?,
            6 | 10 | 11 => {
                bail!("a tensor holds text, float64 or uint64 numbers: export it as float32")
            }
            7 => field.ints_into(&mut parts.int64s, MOST_LISTED)?,
            8 => parts.name = name(once.of(&field, "tensor name")?)?,
            9 => parts.raw = Some(once.of(&field, "raw data")?.bytes()?),
            12 => drop(field.text()?),
            13 => bail!("{EXTERNAL}"),
            14 => ensure!(field.int()? == 0, "{EXTERNAL}"),
            _ => {}
        }
    }
    Ok(parts)
}

const EXTERNAL: &str =
    "its weights are in another file (external data): export the model as one file";

fn from_raw(raw: &[u8], element: Element) -> Result<Data> {
    Ok(match element {
        Element::Float => Data::Float(numbers(raw, f32::from_le_bytes)?),
        Element::Int64 => Data::Int64(numbers(raw, i64::from_le_bytes)?),
        Element::Int32 => Data::Int32(numbers(raw, i32::from_le_bytes)?),
        Element::Bool => Data::Bool(raw.iter().map(|&byte| byte != 0).collect()),
        Element::Other(_) => return Err(foreign(element)),
    })
}

fn numbers<T, const N: usize>(raw: &[u8], decode: impl Fn([u8; N]) -> T) -> Result<Vec<T>> {
    let (chunks, rest) = raw.as_chunks();
    ensure!(
        rest.is_empty(),
        "its {} bytes end within a number",
        raw.len()
    );
    Ok(chunks.iter().map(|&chunk| decode(chunk)).collect())
}

fn foreign(element: Element) -> anyhow::Error {
    anyhow::anyhow!("it is made of {element}: only float32 models are run, quantised ones are not")
}
