//! What is known of the frames of an array: `x.json` beside `x.npy`, because arrays have no place for it.
//!
//! One object with the names that text files use. A list has one value for each frame, null where nothing is known; a
//! single value holds for all frames, but for times, of which each frame has its own.

use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use super::files;
use crate::frame::Frame;
use crate::frame::csv::Marks;
use crate::frame::csv::remark::{self, Key, Remarks};

/// For each of `count` frames what the file beside `array` says of it.
pub(super) fn read(array: &Path, count: usize) -> anyhow::Result<Vec<Remarks>> {
    let path = array.with_extension("json");
    if !path.exists() || path == array {
        return Ok(nothing(count));
    }
    let context = || format!("the file beside it, {}", path.display());
    let bytes = files::bytes_of(&path).with_context(context)?;
    understand(&bytes, count).with_context(context)
}

pub(super) fn nothing(count: usize) -> Vec<Remarks> {
    vec![Remarks::default(); count]
}

/// What `read` gives back; nothing if nothing is known.
pub(super) fn format(frame: &Frame, marks: &Marks) -> Option<String> {
    let said = remark::said(frame, marks);
    if said.is_empty() {
        return None;
    }
    let object: Map<String, Value> = said
        .into_iter()
        .map(|(key, value)| {
            let value = match key {
                Key::Ambient => frame.ambient.map_or(Value::Null, Value::from),
                _ => Value::String(value),
            };
            (key.name().to_owned(), value)
        })
        .collect();
    Some(format!("{:#}\n", Value::Object(object)))
}

fn understand(bytes: &[u8], count: usize) -> anyhow::Result<Vec<Remarks>> {
    let object: Map<String, Value> = serde_json::from_slice(bytes)?;
    let mut remarks = nothing(count);
    for key in Key::ALL {
        match object.get(key.name()) {
            None | Some(Value::Null) => {}
            Some(Value::Array(values)) => {
                ensure!(
                    values.len() == count,
                    "{} lists {} values for {count} frames",
                    key.name(),
                    values.len()
                );
                for (index, (remarks, value)) in remarks.iter_mut().zip(values).enumerate() {
                    set(remarks, key, value).with_context(|| format!("frame {index}"))?;
                }
            }
            Some(_) if key == Key::CapturedAt && count > 1 => {
                bail!(
                    "{} is one time for {count} frames; list one for each",
                    key.name()
                );
            }
            Some(value) => {
                for remarks in &mut remarks {
                    set(remarks, key, value)?;
                }
            }
        }
    }
    Ok(remarks)
}

fn set(remarks: &mut Remarks, key: Key, value: &Value) -> anyhow::Result<()> {
    let text = match value {
        Value::Null => return Ok(()),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => bail!("{} is neither text nor a number", key.name()),
    };
    remarks.set(key, &text).map_err(anyhow::Error::msg)
}
