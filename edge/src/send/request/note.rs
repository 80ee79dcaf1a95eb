//! Notes and their templates.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Fields, Request, base64, is_false};

/// Queues a note.
#[expect(clippy::struct_excessive_bools, reason = "what the request has")]
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NoteAdd {
    pub file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Map<String, Value>>,
    /// At most 256 bytes, and 250 in a notefile without a template.
    #[serde(serialize_with = "base64", skip_serializing_if = "Option::is_none")]
    pub payload: Option<Vec<u8>>,
    /// Send it at once.
    #[serde(skip_serializing_if = "is_false")]
    pub sync: bool,
    /// Keep fields that are 0, false or empty, which a template otherwise drops.
    #[serde(skip_serializing_if = "is_false")]
    pub full: bool,
    /// To flash before the reply, and not some time later.
    #[serde(skip_serializing_if = "is_false")]
    pub verify: bool,
    /// Refuse it if so many wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Refuse it in a penalty box.
    #[serde(skip_serializing_if = "is_false")]
    pub limit: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoteAdded {
    /// How many wait in the notefile.
    pub total: Option<i64>,
    /// The notefile has a template.
    pub template: bool,
}

/// Says what all notes of a notefile look like. With an empty body, that they no longer look alike.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NoteTemplate {
    pub file: String,
    /// A type for each field, as a number, text or flag that stands for it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub body: Map<String, Value>,
    /// Bytes of payload at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Only for LoRa and satellites, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u8>,
    /// Only tell the template that there is.
    #[serde(skip_serializing_if = "is_false")]
    pub verify: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Without time and place, unless the template names them.
    Compact,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Template {
    /// Of a note, before compression.
    pub bytes: Option<i64>,
    pub template: bool,
    pub body: Option<Map<String, Value>>,
    pub length: Option<i64>,
    pub format: Option<String>,
}

/// Reads a note that came from Notehub. There being none is [`NoNote`](crate::send::notecard::Reason::NoNote).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NoteGet {
    pub file: String,
    /// And take it off the queue.
    #[serde(skip_serializing_if = "is_false")]
    pub delete: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inbound {
    pub body: Map<String, Value>,
    pub payload: Option<Vec<u8>>,
    /// Unix s at which it was added.
    pub time: Option<i64>,
}

impl Request for NoteAdd {
    const NAME: &'static str = "note.add";
    type Reply = NoteAdded;
}

impl Request for NoteTemplate {
    const NAME: &'static str = "note.template";
    type Reply = Template;
}

impl Request for NoteGet {
    const NAME: &'static str = "note.get";
    type Reply = Inbound;
}

impl From<Fields<'_>> for NoteAdded {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            total: fields.integer("total"),
            template: fields.flag("template"),
        }
    }
}

impl From<Fields<'_>> for Template {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            bytes: fields.integer("bytes"),
            template: fields.flag("template"),
            body: fields.object("body"),
            length: fields.integer("length"),
            format: fields.text("format"),
        }
    }
}

impl From<Fields<'_>> for Inbound {
    fn from(fields: Fields<'_>) -> Self {
        Self {
            body: fields.object("body").unwrap_or_default(),
            payload: fields.payload("payload"),
            time: fields.integer("time"),
        }
    }
}
