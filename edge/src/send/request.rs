//! The requests that are used, as types: what they send, and what their replies say.
//!
//! A request is what Blues' published schemas for it allow. A reply is read leniently: what is missing or of an odd type is
//! not there, and a number may come as text.

/// The Notecard itself: `card.*`.
pub mod card;
/// The environment that Notehub sets: `env.*`.
pub mod env;
/// The connection to Notehub: `hub.*`.
pub mod hub;
/// Notes and their templates: `note.*`.
pub mod note;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// A request of one kind, and the reply to it.
pub trait Request: Serialize {
    const NAME: &'static str;
    /// `err` in the reply tells of something that happened, not of a request that was refused.
    const ERROR_IS_NEWS: bool = false;

    type Reply: for<'a> From<Fields<'a>>;

    /// The JSON that is sent.
    fn text(&self) -> String {
        let mut object = Map::new();
        object.insert("req".to_owned(), Self::NAME.into());
        // Structures of plain fields are always objects.
        if let Ok(Value::Object(arguments)) = serde_json::to_value(self) {
            object.extend(arguments);
        }
        Value::Object(object).to_string()
    }
}

/// What a reply holds.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a>(pub &'a Map<String, Value>);

impl Fields<'_> {
    pub fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) => Some(text.clone()),
            _ => None,
        }
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        match self.0.get(name)? {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a cast of floats saturates, and times and counts are far from there"
    )]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.0.get(name)?.as_i64() {
            Some(integer) => Some(integer),
            None => self.number(name).map(|number| number.round() as i64),
        }
    }

    /// Absent is false, as Notecards leave it out.
    pub fn flag(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.trim().eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    pub fn object(&self, name: &str) -> Option<Map<String, Value>> {
        self.0.get(name)?.as_object().cloned()
    }

    pub fn texts(&self, name: &str) -> Vec<String> {
        let items = self.0.get(name).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    }

    /// Bytes in base64.
    pub fn payload(&self, name: &str) -> Option<Vec<u8>> {
        BASE64_STANDARD.decode(self.0.get(name)?.as_str()?).ok()
    }
}

#[expect(clippy::ref_option, reason = "serde passes it so")]
fn base64<S: Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    let text = bytes.as_ref().map(|bytes| BASE64_STANDARD.encode(bytes));
    text.serialize(serializer)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
