//! Notes and templates.

use serde_json::{Map, Value, json};

use super::{Arguments, Reply, reply};
use crate::emulate::notecard::Card;
use crate::emulate::notecard::store::{Queued, fits};
use crate::emulate::notecard::template::Template;

/// Bytes of payload with a template, and without.
const TEMPLATED_PAYLOAD: usize = 256;
const PLAIN_PAYLOAD: usize = 250;
/// More than any body that was seen to work.
const LONGEST_BODY: usize = 8 * 1024;

impl Card {
    pub(super) fn note_add(&mut self, arguments: Arguments<'_>) -> Reply {
        let file = arguments.text("file")?.unwrap_or("data.qo");
        let kind = kind_of(file)
            .ok_or_else(|| format!("{file} is no name of a notefile {{notefile-bad-name}}"))?;
        let limit = arguments.integer("max")?;
        self.may_add(arguments, file, kind, limit)?;
        let note_id = self.note_id(arguments, file, kind)?;
        let payload = arguments.payload("payload")?;
        let body = arguments.object("body")?;
        if body.is_none() && payload.is_none() {
            return Err("a note has a body or a payload {incompatible}".to_owned());
        }
        let length = payload.as_ref().map_or(0, Vec::len);
        let nothing = Map::new();
        let body = body.unwrap_or(&nothing);
        let template = self.flash.templates.get(file);
        let most = match template {
            Some(template) => template
                .length
                .unwrap_or(TEMPLATED_PAYLOAD)
                .min(TEMPLATED_PAYLOAD),
            None => PLAIN_PAYLOAD,
        };
        if length > most {
            return Err(format!(
                "a payload of {length} bytes is more than {most} {{too-big}}"
            ));
        }
        let (body, bytes) = match template {
            Some(template) => {
                let kept = template
                    .apply(body, arguments.flag("full")?)
                    .map_err(|why| format!("{why} {{template-incompatible}}"))?;
                (kept, template.bytes(Some(body), length))
            }
            None => (
                body.clone(),
                Value::Object(body.clone()).to_string().len() + length,
            ),
        };
        let templated = template.is_some();
        if bytes > LONGEST_BODY {
            return Err(format!(
                "a note of {bytes} bytes is more than {LONGEST_BODY} {{too-big}}"
            ));
        }
        if self.faults.full || !fits(self.flash.used(), bytes, self.options.storage) {
            return Err("no room until the next sync {file-storage-full}".to_owned());
        }
        let now = self.clock.uptime();
        let cached = templated && !arguments.flag("verify")?;
        self.flash.numbers += 1;
        self.flash.queue.push(Queued {
            file: file.to_owned(),
            note_id: note_id.clone().unwrap_or_default(),
            when: self.time(),
            body,
            payload,
            bytes,
            templated,
            number: self.flash.numbers,
            kept_from: if cached {
                now + self.options.cache
            } else {
                now
            },
        });
        self.radio.note_waits(now);
        let total = self.flash.waiting(file);
        let enough = limit.is_none_or(|limit| i64::try_from(total).unwrap_or(i64::MAX) >= limit);
        if arguments.flag("sync")? && enough {
            self.radio.request(now);
        }
        let mut out = reply(json!({ "total": total }));
        if templated {
            out.insert("template".to_owned(), true.into());
        }
        if arguments.text("note")? == Some("?") {
            out.insert("note".to_owned(), note_id.into());
        }
        Ok(out)
    }

    /// What keeps a note out whatever is in it.
    fn may_add(
        &self,
        arguments: Arguments<'_>,
        file: &str,
        kind: Kind,
        limit: Option<i64>,
    ) -> Result<(), String> {
        if kind == Kind::In {
            return Err(format!(
                "{file} is for notes from Notehub {{notefile-bad-name}}"
            ));
        }
        if arguments.flag("binary")? {
            return Err("there is nothing in the binary buffer {bad-bin}".to_owned());
        }
        if arguments.text("key")?.is_some() {
            return Err("there is no such key {incompatible}".to_owned());
        }
        let paused = self.flash.environment.get("_note_pause");
        if paused.is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false")) {
            return Err("notes are paused {note-paused}".to_owned());
        }
        if arguments.flag("limit")? && self.is_penalised() {
            return Err("in a penalty box {extended-network-failure}".to_owned());
        }
        let waiting = i64::try_from(self.flash.waiting(file)).unwrap_or(i64::MAX);
        if limit.is_some_and(|limit| waiting >= limit) {
            return Err(format!("{waiting} notes wait {{note-max}}"));
        }
        Ok(())
    }

    /// Only notes of databases have one.
    fn note_id(
        &mut self,
        arguments: Arguments<'_>,
        file: &str,
        kind: Kind,
    ) -> Result<Option<String>, String> {
        match (kind, arguments.text("note")?) {
            (Kind::Database, Some("?")) => Ok(Some(format!("{:08x}", self.flash.numbers + 1))),
            (Kind::Database, Some(id)) => {
                let taken = |note: &Queued| note.file == file && note.note_id == id;
                if self.flash.queue.iter().any(taken) {
                    return Err(format!("there is a note {id} {{note-exists}}"));
                }
                Ok(Some(id.to_owned()))
            }
            (Kind::Database, None) => {
                Err("a database's note needs an id {incompatible}".to_owned())
            }
            (_, Some(_)) => Err("a queue's notes have no ids {incompatible}".to_owned()),
            (_, None) => Ok(None),
        }
    }

    pub(super) fn note_template(&mut self, arguments: Arguments<'_>) -> Reply {
        let file = arguments
            .text("file")?
            .ok_or("there is no file {incompatible}")?;
        if kind_of(file) != Some(Kind::Out) {
            return Err(format!(
                "{file} cannot have a template {{notefile-bad-name}}"
            ));
        }
        if arguments.flag("verify")? {
            let Some(template) = self.flash.templates.get(file) else {
                return Ok(Map::new());
            };
            let mut out = reply(json!({
                "template": true,
                "body": template.body,
                "bytes": template.bytes(None, template.length.unwrap_or(0)),
            }));
            if let Some(length) = template.length {
                out.insert("length".to_owned(), length.into());
            }
            if template.compact {
                out.insert("format".to_owned(), "compact".into());
            }
            if let Some(port) = template.port {
                out.insert("port".to_owned(), port.into());
            }
            return Ok(out);
        }
        let Some(body) = arguments.object("body")? else {
            self.flash.templates.remove(file);
            return Ok(Map::new());
        };
        let compact = match arguments.text("format")? {
            None | Some("" | "-") => false,
            Some("compact") => true,
            Some(other) => return Err(format!("there is no format {other} {{incompatible}}")),
        };
        let length = arguments.integer("length")?;
        let length = length.and_then(|length| usize::try_from(length).ok());
        if length.is_some_and(|length| length > TEMPLATED_PAYLOAD) {
            return Err(format!(
                "a payload has {TEMPLATED_PAYLOAD} bytes at most {{too-big}}"
            ));
        }
        let port = arguments.integer("port")?;
        let port = port.and_then(|port| u64::try_from(port).ok());
        if port.is_some_and(|port| !(1..=100).contains(&port)) {
            return Err("a port is from 1 to 100 {incompatible}".to_owned());
        }
        let template = Template::new(body, length, compact, port)
            .map_err(|why| format!("{why} {{template-incompatible}}"))?;
        let bytes = template.bytes(None, length.unwrap_or(0));
        self.flash.templates.insert(file.to_owned(), template);
        Ok(reply(json!({ "bytes": bytes })))
    }

    pub(super) fn note_get(&mut self, arguments: Arguments<'_>) -> Reply {
        let file = arguments.text("file")?.unwrap_or("data.qi");
        let delete = arguments.flag("delete")?;
        match kind_of(file) {
            Some(Kind::In) => {}
            Some(Kind::Database) => return self.database_note(arguments, file, delete),
            _ => {
                return Err(format!(
                    "{file} is not to be read here {{notefile-bad-name}}"
                ));
            }
        }
        let queue = self.flash.arrived.get_mut(file);
        let queue = queue
            .ok_or_else(|| format!("there is no {file} {{notefile-noexist}} {{note-noexist}}"))?;
        let note = queue.front().cloned();
        let note = note.ok_or_else(|| format!("{file} is empty {{note-noexist}}"))?;
        if delete {
            queue.pop_front();
        }
        Ok(told(&note.body, note.payload.as_deref(), note.time))
    }

    fn database_note(&mut self, arguments: Arguments<'_>, file: &str, delete: bool) -> Reply {
        let id = arguments.text("note")?.unwrap_or_default();
        let place = self
            .flash
            .queue
            .iter()
            .position(|note| note.file == file && note.note_id == id)
            .ok_or_else(|| format!("there is no note {id} {{note-noexist}}"))?;
        let note = self.flash.queue[place].clone();
        if delete {
            self.flash.queue.remove(place);
        }
        Ok(told(&note.body, note.payload.as_deref(), note.when))
    }
}

fn told(
    body: &Map<String, Value>,
    payload: Option<&[u8]>,
    time: Option<i64>,
) -> Map<String, Value> {
    use base64::Engine;
    let mut out = Map::new();
    if !body.is_empty() {
        out.insert("body".to_owned(), Value::Object(body.clone()));
    }
    if let Some(payload) = payload {
        let text = base64::prelude::BASE64_STANDARD.encode(payload);
        out.insert("payload".to_owned(), text.into());
    }
    if let Some(time) = time {
        out.insert("time".to_owned(), time.into());
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Out,
    In,
    Database,
}

fn kind_of(file: &str) -> Option<Kind> {
    let (stem, extension) = file.rsplit_once('.')?;
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    if stem.is_empty() || !stem.bytes().all(proper) {
        return None;
    }
    match extension {
        "qo" | "qos" => Some(Kind::Out),
        "qi" | "qis" => Some(Kind::In),
        "db" | "dbs" | "dbx" => Some(Kind::Database),
        _ => None,
    }
}
