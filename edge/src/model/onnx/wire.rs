//! Protobuf's wire format: a message is a row of fields, each a number, a kind and a value.
//!
//! Reading checks every length against what is left and never takes memory because a file says so. It is stricter than
//! protobuf asks: the old groups (which nest without lengths) and numbers written longer than they need to be are
//! errors, since no program that writes ONNX makes them.

use anyhow::{Context as _, Result, bail, ensure};

/// A message being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
}

/// The fields of a message, read one after the other.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

/// One field's number and value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field<'a> {
    pub number: u64,
    pub value: Value<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn int(mut self, number: u64, value: i64) -> Self {
        self.push_varint(number << 3);
        self.push_varint(value.cast_unsigned());
        self
    }

    #[must_use]
    pub fn float(mut self, number: u64, value: f32) -> Self {
        self.push_varint(number << 3 | 5);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    #[must_use]
    pub fn bytes(mut self, number: u64, value: &[u8]) -> Self {
        self.push_varint(number << 3 | 2);
        self.push_varint(value.len() as u64);
        self.bytes.extend(value);
        self
    }

    #[must_use]
    pub fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    #[must_use]
    pub fn message(self, number: u64, value: &Self) -> Self {
        self.bytes(number, &value.bytes)
    }

    /// Numbers in one field.
    #[must_use]
    pub fn ints(self, number: u64, values: &[i64]) -> Self {
        let mut packed = Self::new();
        for value in values {
            packed.push_varint(value.cast_unsigned());
        }
        self.message(number, &packed)
    }

    /// Each of `values` as one field more.
    #[must_use]
    pub fn each<T>(self, values: &[T], add: impl Fn(Self, &T) -> Self) -> Self {
        values.iter().fold(self, add)
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.bytes.push(value.to_le_bytes()[0]);
    }
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; None at the message's end.
    pub fn next_field(&mut self) -> Result<Option<Field<'a>>> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let tag = varint(&mut self.rest)?;
        let number = tag >> 3;
        ensure!(
            (1..1 << 29).contains(&number),
            "a field has the impossible number {number}"
        );
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut self.rest)?),
            1 => Value::Fixed64(self.array()?),
            2 => {
                let length = varint(&mut self.rest)?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.array()?),
            3 | 4 => bail!("field {number} is a group, which ONNX does not have"),
            kind => bail!("field {number} is of the unknown kind {kind}"),
        };
        Ok(Some(Field { number, value }))
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length));
        let (taken, rest) = split.with_context(|| {
            format!(
                "a field of {length} bytes begins where only {} are left (the file may have been cut short)",
                self.rest.len()
            )
        })?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self
            .rest
            .split_first_chunk()
            .context("it ends within a number (the file may have been cut short)")?;
        self.rest = rest;
        Ok(*taken)
    }
}

impl<'a> Field<'a> {
    pub fn int(&self) -> Result<i64> {
        match self.value {
            Value::Varint(value) => Ok(value.cast_signed()),
            _ => bail!("field {} should be a whole number", self.number),
        }
    }

    pub fn float(&self) -> Result<f32> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => bail!("field {} should be a float", self.number),
        }
    }

    pub fn bytes(&self) -> Result<&'a [u8]> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => bail!("field {} should be text or a message", self.number),
        }
    }

    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes()?)
            .ok()
            .with_context(|| format!("field {} is no text (not UTF-8)", self.number))
    }

    /// Adds this field's numbers, be it one or many in one field, as long as they are at most `most`.
    pub fn ints_into(&self, values: &mut Vec<i64>, most: usize) -> Result<()> {
        let mut packed = match self.value {
            Value::Varint(value) => {
                ensure!(values.len() < most, "more than {most} numbers");
                values.push(value.cast_signed());
                return Ok(());
            }
            _ => self.bytes()?,
        };
        while !packed.is_empty() {
            ensure!(values.len() < most, "more than {most} numbers");
            values.push(varint(&mut packed)?.cast_signed());
        }
        Ok(())
    }

    /// The same for floats.
    pub fn floats_into(&self, values: &mut Vec<f32>, most: usize) -> Result<()> {
        if let Value::Fixed32(bytes) = self.value {
            ensure!(values.len() < most, "more than {most} numbers");
            values.push(f32::from_le_bytes(bytes));
            return Ok(());
        }
        let (chunks, rest) = self.bytes()?.as_chunks();
        ensure!(rest.is_empty(), "floats end within a number");
        ensure!(
            chunks.len() <= most.saturating_sub(values.len()),
            "more than {most} numbers"
        );
        values.extend(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)));
        Ok(())
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64> {
    let mut value = 0_u64;
    for index in 0..10 {
        let (&byte, after) = rest
            .split_first()
            .context("it ends within a number (the file may have been cut short)")?;
        *rest = after;
        // The tenth byte has room for one bit.
        ensure!(index < 9 || byte <= 1, "a number has more than 64 bits");
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            ensure!(
                index == 0 || byte != 0,
                "a number is written longer than it needs to be"
            );
            return Ok(value);
        }
    }
    bail!("a number has more than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let mut fields = Fields::of(bytes);
        let mut found = Vec::new();
        while let Some(line) = match fields.next_field() {
            Ok(None) => None,
            Ok(Some(field)) => Some(format!("{}={:?}", field.number, field.value)),
            Err(error) => {
                fields = Fields::of(&[]);
                Some(error.to_string())
            }
        } {
            found.push(line);
        }
        let found = found.join(" ");
        assert!(found.contains(expected), "{bytes:?}: {found}");
    }

    #[test]
    fn fields_are_read() {
        check(&[0x08, 0x96, 0x01], "1=Varint(150)");
        check(&[0x12, 2, b'h', b'i'], "2=Bytes([104, 105])");
        check(&[0x0d, 0, 0, 0x80, 0x3f], "1=Fixed32([0, 0, 128, 63])");
        check(&[0x09, 1, 2, 3, 4, 5, 6, 7, 8], "1=Fixed64");
        let minus_one = Message::new().int(3, -1).into_bytes();
        assert_eq!(minus_one.len(), 11);
        check(&minus_one, "3=Varint(18446744073709551615)");
    }

    #[test]
    fn damage_is_named() {
        check(&[0x12, 3, b'h', b'i'], "3 bytes begins where only 2");
        check(
            &[
                0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            "only 0",
        );
        check(&[0x08], "ends within a number");
        check(&[0x0d, 0, 0], "ends within a number");
        check(&[0x08, 0x80, 0x00], "longer than it needs");
        check(
            &[
                0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2,
            ],
            "more than 64 bits",
        );
        check(&[0x00], "impossible number 0");
        check(&[0x0b, 0x0c], "group");
        check(&[0x0e], "unknown kind 6");
    }
}
