//! Writes an engine's result as JSON, within a budget of bytes and of depth.
//!
//! A value of a few shared parts can be petabytes as text, so it is counted while it is copied and the copy
//! stops at the limit. Whole numbers become integers (1644340339000, not 1644340339000.0), minus zero becomes 0,
//! and what JSON cannot say (NaN, infinity) becomes null, as in the reference implementation.

use jsonata_core::value::JValue;
use jsonata_rs::Value as RsValue;
use serde_json::{Map, Number, Value};

use super::{Outcome, TransformError};

/// Leaves room for what is wrapped around a result before `serde_json`, which reads 127 levels, reads it again.
const MAX_OUTPUT_DEPTH: usize = 100;

/// Numbers up to here are written without an exponent; integers of this size are exact or already rounded.
const MAX_INTEGER: f64 = 9.0e18;

pub(super) fn from_core(value: &JValue, limit: usize) -> Outcome {
    if value.is_undefined() {
        return Outcome::Nothing;
    }
    finish(Budget::new(limit).core(value, 0))
}

/// Keys are sorted, because jsonata-rs has them in another order each time.
pub(super) fn from_rs<'a>(value: &'a RsValue<'a>, limit: usize) -> Outcome {
    if value.is_undefined() {
        return Outcome::Nothing;
    }
    finish(Budget::new(limit).rs(value, 0))
}

fn finish(result: Result<Value, TransformError>) -> Outcome {
    match result {
        Ok(value) => Outcome::Json(value),
        Err(error) => Outcome::Error(error),
    }
}

/// The size of `value` in bytes of JSON, roughly, or `None` if it is nested deeper than `depth`.
pub(super) fn size_within(value: &Value, depth: usize) -> Option<usize> {
    let inner = |value: &Value| size_within(value, depth.checked_sub(1)?);
    match value {
        Value::Null | Value::Bool(_) => Some(4),
        Value::Number(_) => Some(8),
        Value::String(text) => Some(text.len() + 2),
        Value::Array(items) => items
            .iter()
            .try_fold(2, |all, item| Some(all + 1 + inner(item)?)),
        Value::Object(map) => map.iter().try_fold(2, |all, (key, item)| {
            Some(all + key.len() + 4 + inner(item)?)
        }),
    }
}

struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    fn new(limit: usize) -> Self {
        Self { left: limit, limit }
    }

    fn take(&mut self, bytes: usize) -> Result<(), TransformError> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let limit = self.limit;
            TransformError::new(
                "OUTPUT_LIMIT",
                format!("the result is larger than {limit} bytes"),
            )
        })?;
        Ok(())
    }

    fn core(&mut self, value: &JValue, depth: usize) -> Result<Value, TransformError> {
        match value {
            JValue::Null | JValue::Undefined => self.null(),
            JValue::Bool(value) => self.bool(*value),
            JValue::Number(number) => self.number(*number),
            JValue::String(text) => self.string(text).map(Value::String),
            JValue::Array(items) => {
                self.open(depth)?;
                items
                    .iter()
                    .map(|item| self.core(item, depth + 1))
                    .collect::<Result<_, _>>()
                    .map(Value::Array)
            }
            JValue::Object(map) => {
                self.open(depth)?;
                let mut object = Map::with_capacity(map.len());
                for (key, value) in map.iter().filter(|(_, value)| !value.is_undefined()) {
                    object.insert(self.string(key)?, self.core(value, depth + 1)?);
                }
                Ok(Value::Object(object))
            }
            JValue::Lambda(_) | JValue::Builtin { .. } | JValue::Regex { .. } => Err(function()),
        }
    }

    fn rs<'a>(&mut self, value: &'a RsValue<'a>, depth: usize) -> Result<Value, TransformError> {
        match value {
            RsValue::Null | RsValue::Undefined => self.null(),
            RsValue::Bool(value) => self.bool(*value),
            RsValue::Number(number) => self.number(*number),
            RsValue::String(text) => self.string(text).map(Value::String),
            RsValue::Array(..) | RsValue::Range(_) => {
                self.open(depth)?;
                value
                    .members()
                    .map(|item| self.rs(item, depth + 1))
                    .collect::<Result<_, _>>()
                    .map(Value::Array)
            }
            RsValue::Object(_) => {
                self.open(depth)?;
                let mut entries: Vec<_> = value
                    .entries()
                    .filter(|(_, value)| !value.is_undefined())
                    .collect();
                entries.sort_unstable_by_key(|(key, _)| key.as_str());
                let mut object = Map::with_capacity(entries.len());
                for (key, value) in entries {
                    object.insert(self.string(key)?, self.rs(value, depth + 1)?);
                }
                Ok(Value::Object(object))
            }
            RsValue::Lambda { .. }
            | RsValue::NativeFn { .. }
            | RsValue::Transformer { .. }
            | RsValue::Regex(_) => Err(function()),
        }
    }

    fn open(&mut self, depth: usize) -> Result<(), TransformError> {
        if depth >= MAX_OUTPUT_DEPTH {
            return Err(TransformError::new(
                "DEPTH",
                format!("the result is nested more than {MAX_OUTPUT_DEPTH} levels deep"),
            ));
        }
        self.take(2)
    }

    fn null(&mut self) -> Result<Value, TransformError> {
        self.take(5).map(|()| Value::Null)
    }

    fn bool(&mut self, value: bool) -> Result<Value, TransformError> {
        self.take(5).map(|()| Value::Bool(value))
    }

    fn number(&mut self, number: f64) -> Result<Value, TransformError> {
        if number.fract() == 0.0 && number.abs() < MAX_INTEGER {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
            let whole = number as i64;
            self.take(2 + whole.unsigned_abs().checked_ilog10().unwrap_or(0) as usize)?;
            return Ok(Value::from(whole));
        }
        // The longest f64 has 24 characters; a budget need not be more exact.
        self.take(24)?;
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    /// With its quotes, escapes and the comma or colon after it.
    fn string(&mut self, text: &str) -> Result<String, TransformError> {
        let escapes: usize = text
            .bytes()
            .map(|byte| match byte {
                b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 1,
                0..0x20 => 5,
                _ => 0,
            })
            .sum();
        self.take(text.len() + escapes + 3)?;
        Ok(text.to_owned())
    }
}

fn function() -> TransformError {
    TransformError::new(
        "FUNCTION",
        "the result holds a function, which JSON cannot; are the brackets of a call missing?",
    )
}
