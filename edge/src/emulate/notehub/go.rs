//! JSON as Go writes it (pure): Notehub is a Go program, and its events and their uids are made of this text.

use std::fmt::Write;

use serde_json::{Map, Value};

/// An event: its own fields in their order, everything inside them sorted, as Go does with structs and maps.
pub fn event(fields: &Map<String, Value>) -> String {
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        string(&mut text, name);
        text.push(':');
        write(&mut text, value, string);
    }
    text.push('}');
    text
}

/// What a uid is computed of: sorted, and names of fields without any escapes.
pub fn sorted(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, |text, name| {
        let _ = write!(text, "\"{name}\"");
    });
    text
}

fn write(text: &mut String, value: &Value, name: fn(&mut String, &str)) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => match value.as_f64() {
            Some(float) if value.is_f64() => number(text, float),
            _ => text.push_str(&value.to_string()),
        },
        Value::String(value) => string(text, value),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(text, item, name);
            }
            text.push(']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (field, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                name(text, field);
                text.push(':');
                write(text, value, name);
            }
            text.push('}');
        }
    }
}

/// The shortest digits that mean this number, with an exponent only where Go uses one.
fn number(text: &mut String, value: f64) {
    let size = value.abs();
    // Writing to a String does not fail.
    let _ = if value != 0.0 && !(1e-6..1e21).contains(&size) {
        let digits = format!("{value:e}");
        match digits.split_once('e') {
            Some((mantissa, exponent)) if !exponent.starts_with('-') => {
                write!(text, "{mantissa}e+{exponent}")
            }
            _ => write!(text, "{digits}"),
        }
    } else {
        write!(text, "{value}")
    };
}

fn string(text: &mut String, value: &str) {
    text.push('"');
    for char in value.chars() {
        match char {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            // So that the text may stand in a page.
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(text, "\\u{:04x}", char as u32);
            }
            _ => text.push(char),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let cases = [
            (json!(0.0), "0"),
            (json!(-0.0), "-0"),
            (json!(1.0), "1"),
            (json!(0.9999), "0.9999"),
            (json!(0.699_999_988_079_071), "0.699999988079071"),
            (json!(1e20), "100000000000000000000"),
            (json!(1e21), "1e+21"),
            (json!(-1.5e300), "-1.5e+300"),
            (json!(0.000_001), "0.000001"),
            (json!(0.000_000_25), "2.5e-7"),
            (json!(1_645_459_200), "1645459200"),
            (json!(1_645_459_200.123_456), "1645459200.123456"),
            (json!(u64::MAX), "18446744073709551615"),
        ];
        for (value, text) in cases {
            assert_eq!(sorted(&value), text);
        }
    }

    #[test]
    fn fields_are_sorted_inside_and_keep_their_order_outside() {
        let value =
            json!({ "b": { "z": [1, { "y": null, "x": true }], "Z": "" }, "a<": "<\u{1}\"é" });
        assert_eq!(
            sorted(&value),
            r#"{"a<":"\u003c\u0001\"é","b":{"Z":"","z":[1,{"x":true,"y":null}]}}"#
        );
        let fields = value.as_object().expect("an object");
        assert_eq!(
            event(fields),
            r#"{"b":{"Z":"","z":[1,{"x":true,"y":null}]},"a\u003c":"\u003c\u0001\"é"}"#
        );
    }
}
