//! Which numbers of an event become measurements (pure).
//!
//! By default every number in `body`, named by its dotted path: `{"hot":{"max":71.5}}` is the series `hot.max`. A text that
//! is a number counts, because many senders write numbers so. `[series] transform` replaces `body` by its own result.

use serde_json::Value;

use super::{Taken, frame};
use crate::receive::event::number;

/// An event cannot make more series than this: a body of ten thousand keys is a mistake, not a station.
const MOST_POINTS: usize = 256;
const LONGEST_NAME: usize = 200;

#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub series: String,
    pub value: f64,
}

/// What an event gives without a transform. What a part of a picture says of itself is no measurement.
pub fn untransformed(event: &Taken) -> Vec<Point> {
    if frame::is_part(event) {
        Vec::new()
    } else {
        points(event.body())
    }
}

pub fn points(body: &Value) -> Vec<Point> {
    let mut points = Vec::new();
    collect(body, &mut String::new(), &mut points);
    points
}

fn collect(value: &Value, path: &mut String, points: &mut Vec<Point>) {
    let length = path.len();
    let mut descend = |key: &str, value: &Value| {
        if length > 0 {
            path.push('.');
        }
        path.push_str(key);
        collect(value, path, points);
        path.truncate(length);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| descend(key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(index, value)| descend(&index.to_string(), value)),
        _ => {
            if let Some(value) = number(value)
                && (1..=LONGEST_NAME).contains(&path.len())
                && points.len() < MOST_POINTS
            {
                points.push(Point {
                    series: path.clone(),
                    value,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(body: &Value, expected: &[(&str, f64)]) {
        let found: Vec<_> = points(body)
            .into_iter()
            .map(|point| (point.series, point.value))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(series, value)| ((*series).to_owned(), *value))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn numbers_by_dotted_path() {
        check(
            &json!({"cold": 0.9985, "hot": 0}),
            &[("cold", 0.9985), ("hot", 0.0)],
        );
        check(
            &json!({"a": {"b": [1, {"c": "2.5"}]}}),
            &[("a.b.0", 1.0), ("a.b.1.c", 2.5)],
        );
        check(
            &json!({"text": "warm", "yes": true, "none": null, "nan": "NaN", "empty": ""}),
            &[],
        );
        check(&json!(7), &[]);
        check(&Value::Null, &[]);
    }

    #[test]
    fn a_body_of_many_keys_is_cut() {
        let body: Value = (0..1_000)
            .map(|n| (format!("k{n}"), json!(n)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(points(&body).len(), MOST_POINTS);
    }
}
