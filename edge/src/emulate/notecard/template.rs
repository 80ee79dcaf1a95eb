//! What a template makes of a note: a record of fields of known size, rounded to what they can hold.

use serde_json::{Map, Number, Value};

/// The type that a template's sample value stands for.
#[derive(Debug, Clone, PartialEq)]
enum Hint {
    /// Bytes.
    Signed(u32),
    Unsigned(u32),
    Float(u32),
    Flag,
    Text,
    Object(Vec<(String, Hint)>),
    List(Vec<Hint>),
}

/// The template of a notefile.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// As it was given.
    pub body: Map<String, Value>,
    /// Bytes of payload at most.
    pub length: Option<usize>,
    pub compact: bool,
    pub port: Option<u64>,
    fields: Vec<(String, Hint)>,
}

/// Flags, and where the part of variable length begins.
const HEADER: usize = 3;
/// Time and place.
const METADATA: usize = 16;
/// What the encoder has room for.
const MOST_FLAGS: usize = 64;

/// Bytes of a note's record before compression. `template` is the template's body, and `body` a note's, whose texts count
/// for as much as they are long; without one, they count as empty.
///
/// The sizes are those of Blues' own encoder (github.com/blues/note, `lib/bulk.go`).
pub fn record_bytes(
    template: &Map<String, Value>,
    compact: bool,
    body: Option<&Map<String, Value>>,
    payload: usize,
) -> Result<usize, String> {
    let template = Template::new(template, None, compact, None)?;
    Ok(template.bytes(body, payload))
}

impl Template {
    pub fn new(
        body: &Map<String, Value>,
        length: Option<usize>,
        compact: bool,
        port: Option<u64>,
    ) -> Result<Self, String> {
        let fields = fields(body)?;
        let flags = fields.iter().map(|(_, hint)| hint.flags()).sum::<usize>();
        if flags > MOST_FLAGS {
            return Err(format!("{flags} flags are more than {MOST_FLAGS}"));
        }
        Ok(Self {
            body: body.clone(),
            length,
            compact,
            port,
            fields,
        })
    }

    /// Of a record with these contents.
    pub fn bytes(&self, body: Option<&Map<String, Value>>, payload: usize) -> usize {
        let mut bytes = HEADER;
        if !self.compact {
            bytes += METADATA;
        }
        let mut flags = 0;
        for (name, hint) in &self.fields {
            bytes += hint.bytes(body.and_then(|body| body.get(name)), self.compact);
            flags += hint.flags();
        }
        bytes += match payload {
            0 => 0,
            1..=0xff => 1 + payload,
            0x100..=0xffff => 2 + payload,
            _ => 4 + payload,
        };
        bytes
            + match flags {
                0 => 0,
                1..=8 => 1,
                9..=16 => 2,
                _ => 8,
            }
    }

    /// A body as it comes out of its record at the other end. Fields that are nothing are left out unless `full`.
    pub fn apply(
        &self,
        body: &Map<String, Value>,
        full: bool,
    ) -> Result<Map<String, Value>, String> {
        object(&self.fields, body, full)
    }
}

fn fields(body: &Map<String, Value>) -> Result<Vec<(String, Hint)>, String> {
    body.iter()
        .map(|(name, sample)| Ok((name.clone(), Hint::of(name, sample)?)))
        .collect()
}

fn object(
    fields: &[(String, Hint)],
    body: &Map<String, Value>,
    full: bool,
) -> Result<Map<String, Value>, String> {
    if let Some(name) = body
        .keys()
        .find(|name| !fields.iter().any(|(field, _)| field == *name))
    {
        return Err(format!("the template has no field {name}"));
    }
    let mut out = Map::new();
    for (name, hint) in fields.iter().filter(|(name, _)| !name.starts_with('_')) {
        let value = hint
            .round(body.get(name).unwrap_or(&Value::Null), full)
            .map_err(|why| format!("field {name}: {why}"))?;
        if full || !is_nothing(&value) {
            out.insert(name.clone(), value);
        }
    }
    Ok(out)
}

/// Objects stay, even empty ones.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

impl Hint {
    fn of(name: &str, sample: &Value) -> Result<Self, String> {
        let unknown = || format!("field {name}: {sample} stands for no type");
        Ok(match sample {
            Value::Bool(_) => Self::Flag,
            Value::String(_) => Self::Text,
            Value::Object(inner) => Self::Object(fields(inner)?),
            Value::Array(items) => Self::List(
                items
                    .iter()
                    .map(|item| Self::of(name, item))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Number(number) => match (number.as_u64(), number.as_f64()) {
                (Some(1), _) => Self::Signed(4),
                (Some(hint @ 11..=18), _) => {
                    Self::Signed(u32::try_from(hint - 10).map_err(|_| unknown())?)
                }
                (Some(hint @ 21..=28), _) => {
                    Self::Unsigned(u32::try_from(hint - 20).map_err(|_| unknown())?)
                }
                (None, Some(1.1 | 18.1)) => Self::Float(8),
                (None, Some(14.1)) => Self::Float(4),
                (None, Some(12.1)) => Self::Float(2),
                _ => return Err(unknown()),
            },
            Value::Null => return Err(unknown()),
        })
    }

    fn flags(&self) -> usize {
        match self {
            Self::Flag => 1,
            Self::Object(fields) => fields.iter().map(|(_, hint)| hint.flags()).sum(),
            Self::List(items) => items.iter().map(Self::flags).sum(),
            _ => 0,
        }
    }

    fn bytes(&self, value: Option<&Value>, compact: bool) -> usize {
        match self {
            Self::Signed(bytes) | Self::Unsigned(bytes) | Self::Float(bytes) => *bytes as usize,
            Self::Flag => 0,
            Self::Text => {
                let length = value.and_then(Value::as_str).map_or(0, str::len);
                length + if compact { 1 } else { 2 }
            }
            Self::Object(fields) => {
                let bytes = |(name, hint): &(String, Hint)| {
                    hint.bytes(value.and_then(|value| value.get(name)), compact)
                };
                fields.iter().map(bytes).sum()
            }
            Self::List(items) => {
                let bytes = |(index, hint): (usize, &Hint)| {
                    hint.bytes(value.and_then(|value| value.get(index)), compact)
                };
                items.iter().enumerate().map(bytes).sum()
            }
        }
    }

    fn round(&self, value: &Value, full: bool) -> Result<Value, String> {
        let odd = || format!("{value} is not what the template says");
        match (self, value) {
            (Self::Flag, Value::Null) => Ok(false.into()),
            (Self::Flag, Value::Bool(_)) | (Self::Text, Value::String(_)) => Ok(value.clone()),
            (Self::Text, Value::Null) => Ok("".into()),
            (Self::Object(fields), Value::Null) => Ok(object(fields, &Map::new(), full)?.into()),
            (Self::Object(fields), Value::Object(body)) => Ok(object(fields, body, full)?.into()),
            (Self::List(items), Value::Null | Value::Array(_)) => {
                let given = value.as_array().map_or(&[][..], Vec::as_slice);
                if given.len() > items.len() {
                    return Err(odd());
                }
                let rounded = items.iter().enumerate().map(|(index, hint)| {
                    hint.round(given.get(index).unwrap_or(&Value::Null), full)
                });
                Ok(Value::Array(rounded.collect::<Result<_, _>>()?))
            }
            (Self::Signed(_) | Self::Unsigned(_) | Self::Float(_), Value::Null) => Ok(0.into()),
            (Self::Signed(bytes), Value::Number(number)) => {
                let limit = 1_i128 << (8 * bytes - 1);
                integer(number, -limit, limit - 1).ok_or_else(odd)
            }
            (Self::Unsigned(bytes), Value::Number(number)) => {
                integer(number, 0, (1_i128 << (8 * bytes)) - 1).ok_or_else(odd)
            }
            (Self::Float(bytes), Value::Number(number)) => {
                let exact = number.as_f64().ok_or_else(odd)?;
                let rounded = match bytes {
                    2 => half(exact),
                    4 => f64::from(single(exact)),
                    _ => exact,
                };
                Ok(Number::from_f64(rounded).ok_or_else(odd)?.into())
            }
            _ => Err(odd()),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "that is what the record does to it"
)]
fn single(value: f64) -> f32 {
    value as f32
}

/// None for what is no whole number, or out of range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, and whatever it saturates to is out of every range"
)]
fn integer(number: &Number, least: i128, most: i128) -> Option<Value> {
    let value = match (number.as_i64(), number.as_u64(), number.as_f64()) {
        (Some(value), _, _) => i128::from(value),
        (_, Some(value), _) => i128::from(value),
        (_, _, Some(value)) if value.fract() == 0.0 => value as i128,
        _ => return None,
    };
    if !(least..=most).contains(&value) {
        return None;
    }
    match (i64::try_from(value), u64::try_from(value)) {
        (Ok(value), _) => Some(value.into()),
        (_, Ok(value)) => Some(value.into()),
        _ => None,
    }
}

/// To the nearest number of half precision; what is too large for one becomes infinite.
fn half(value: f64) -> f64 {
    const LARGEST: f64 = 65504.0;
    const LEAST_EXPONENT: i32 = -14;
    if value == 0.0 {
        return value;
    }
    let mut exponent = LEAST_EXPONENT;
    while exponent < 16 && value.abs() >= 2_f64.powi(exponent + 1) {
        exponent += 1;
    }
    let step = 2_f64.powi(exponent - 10);
    let rounded = (value / step).round_ties_even() * step;
    if rounded.abs() > LARGEST {
        f64::INFINITY.copysign(value)
    } else {
        rounded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(body: &Value, compact: bool) -> Template {
        let body = body.as_object().expect("an object");
        Template::new(body, None, compact, None).expect("a template")
    }

    fn applied(template: &Template, body: &Value, full: bool) -> Result<Value, String> {
        let body = body.as_object().expect("an object");
        template.apply(body, full).map(Value::Object)
    }

    #[test]
    fn records_are_as_long_as_blues_encoder_makes_them() {
        let bytes = |body: Value, compact, note: Value, payload| {
            let template = body.as_object().expect("an object");
            record_bytes(template, compact, note.as_object(), payload).expect("a template")
        };
        let scores = json!({"anomaly": 14.1, "normal": 14.1});
        assert_eq!(bytes(scores.clone(), false, json!({}), 0), 27);
        assert_eq!(bytes(scores, true, json!({}), 0), 11);
        let mixed = json!({"a": 11, "b": 28, "c": 12.1, "d": 1, "e": 1.1, "f": true, "g": "x", "h": [13, 23]});
        let note = json!({"g": "four"});
        assert_eq!(
            bytes(mixed.clone(), true, note.clone(), 0),
            3 + 1 + 8 + 2 + 4 + 8 + 5 + 6 + 1
        );
        assert_eq!(
            bytes(mixed, false, note, 256),
            19 + 1 + 8 + 2 + 4 + 8 + 6 + 6 + 1 + 258
        );
    }

    #[test]
    fn a_body_is_rounded_and_loses_what_is_nothing() {
        let template = template(
            &json!({"single": 14.1, "half": 12.1, "double": 18.1, "int": 11, "flag": true, "text": "x", "in": {"a": 21}}),
            false,
        );
        let body = json!({"single": 0.7, "half": 0.7, "double": 0.7, "int": -128, "flag": true, "text": "abc", "in": {"a": 255}});
        assert_eq!(
            applied(&template, &body, false),
            Ok(
                json!({"single": 0.699_999_988_079_071_f64, "half": 0.700_195_312_5, "double": 0.7, "int": -128, "flag": true, "text": "abc", "in": {"a": 255}})
            )
        );
        let nothing = json!({"single": 0, "half": 0.0, "int": 0, "flag": false, "text": ""});
        assert_eq!(applied(&template, &nothing, false), Ok(json!({"in": {}})));
        let full = applied(&template, &nothing, true).expect("it fits");
        assert_eq!(full["flag"], json!(false));
        assert_eq!(full["in"], json!({"a": 0}));
        assert_eq!(full.as_object().map(Map::len), Some(7));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let template = template(
            &json!({"int": 11, "more": 22, "half": 12.1, "flag": true, "text": "x"}),
            true,
        );
        for body in [
            json!({"int": 128}),
            json!({"int": 1.5}),
            json!({"int": "1"}),
            json!({"more": -1}),
            json!({"more": 65536}),
            json!({"half": 1e6}),
            json!({"flag": 1}),
            json!({"text": 1}),
            json!({"other": 1}),
        ] {
            assert!(applied(&template, &body, true).is_err(), "{body}");
        }
        for body in [
            json!({"a": 10}),
            json!({"a": 19}),
            json!({"a": 13.1}),
            json!({"a": null}),
        ] {
            let body = body.as_object().expect("an object");
            assert!(Template::new(body, None, false, None).is_err(), "{body:?}");
        }
    }

    #[test]
    fn half_precision_is_that_of_the_standard() {
        for (exact, expected) in [
            (1.0, 1.0),
            (-0.7, -0.700_195_312_5),
            (65504.0, 65504.0),
            (65519.9, 65504.0),
            (2_f64.powi(-24), 2_f64.powi(-24)),
            (2_f64.powi(-26), 0.0),
            (2049.0, 2048.0),
            (2051.0, 2052.0),
        ] {
            assert!((half(exact) - expected).abs() < f64::EPSILON, "{exact}");
        }
        assert!(half(65520.0).is_infinite());
    }
}
