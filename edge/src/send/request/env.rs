//! The environment that Notehub sets.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{Fields, Request};

/// All variables, or those of a name. That none has changed since `time` is
/// [`NotModified`](crate::send::notecard::Reason::NotModified).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct EnvGet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Only if something changed after this, Unix s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub variables: BTreeMap<String, String>,
    /// Of the last change, Unix s.
    pub time: Option<i64>,
}

impl Request for EnvGet {
    const NAME: &'static str = "env.get";
    type Reply = Environment;
}

impl From<Fields<'_>> for Environment {
    fn from(fields: Fields<'_>) -> Self {
        let body = fields.object("body").unwrap_or_default();
        let variables = body.into_iter().map(|(name, value)| match value {
            Value::String(text) => (name, text),
            other => (name, other.to_string()),
        });
        Self {
            variables: variables.collect(),
            time: fields.integer("time"),
        }
    }
}
