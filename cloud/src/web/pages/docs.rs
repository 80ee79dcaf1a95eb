//! The API for people: `openapi.json` as a page.
//!
//! Rendered from the document, so that what people read is what programs read. The document is ours and small, and it is
//! read leniently: what this page does not know is not shown.

use std::fmt::{self, Write as _};
use std::sync::LazyLock;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value};

use super::{Nav, page};
use crate::App;
use crate::error::Error;
use crate::web::openapi;
use crate::web::person::Person;

/// Fields of fields are shown so deep.
const DEPTH: usize = 4;

#[derive(Template)]
#[template(path = "docs.html")]
struct Page<'a> {
    nav: Nav,
    document: &'a Document,
    /// How this service was reached.
    base: String,
}

struct Document {
    description: Vec<String>,
    groups: Vec<Group>,
}

struct Group {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

struct Operation {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: String,
    parameters: Vec<Field>,
    body: Option<Content>,
    responses: Vec<Answer>,
    /// Which token it takes: a name in curl's environment, if any.
    token: Option<&'static str>,
}

struct Content {
    kind: String,
    fields: Vec<Field>,
    example: Option<String>,
}

struct Answer {
    status: String,
    description: String,
    content: Option<Content>,
}

struct Field {
    name: String,
    /// How far in it stands.
    depth: usize,
    kind: String,
    required: bool,
    description: String,
}

static DOCUMENT: LazyLock<Document> = LazyLock::new(|| {
    let value = serde_json::from_str(openapi::text()).unwrap_or_default();
    Document::read(&value)
});

pub async fn docs(State(app): State<App>, person: Person) -> Result<Response, Error> {
    let base = app.config.server.public_url.as_ref();
    let shown = Page {
        nav: Nav::of(&app.pool, person, "docs").await?,
        document: &DOCUMENT,
        base: base.map_or_else(
            || format!("http://{}", app.config.server.listen),
            |url| url.as_str().trim_end_matches('/').to_owned(),
        ),
    };
    page(StatusCode::OK, &shown)
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

impl Document {
    fn read(document: &Value) -> Self {
        let mut groups: Vec<_> = items(&document["tags"])
            .map(|tag| Group {
                name: text(tag, "name"),
                description: text(tag, "description"),
                operations: Vec::new(),
            })
            .collect();
        for (path, item) in entries(&document["paths"]) {
            for (method, operation) in entries(item).filter(|(_, it)| it.get("responses").is_some())
            {
                let read = Operation::read(document, path, method, operation);
                let tag = operation["tags"][0].as_str().unwrap_or_default();
                if let Some(group) = groups.iter_mut().find(|group| group.name == tag) {
                    group.operations.push(read);
                }
            }
        }
        groups.retain(|group| !group.operations.is_empty());
        let description = text(&document["info"], "description");
        Self {
            description: description.split("\n\n").map(str::to_owned).collect(),
            groups,
        }
    }
}

impl Operation {
    fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Self {
        let parameters = items(&operation["parameters"]).map(|parameter| {
            let schema = &parameter["schema"];
            Field {
                name: text(parameter, "name"),
                depth: 0,
                kind: format!("{}, {}", text(parameter, "in"), kind(document, schema)),
                required: parameter["required"].as_bool().unwrap_or_default(),
                description: text(parameter, "description"),
            }
        });
        let responses = entries(&operation["responses"]).map(|(status, response)| Answer {
            status: status.clone(),
            description: text(response, "description"),
            // Errors all look the same, and the page says so once.
            content: content(document, response).filter(|_| status.starts_with('2')),
        });
        let schemes = operation["security"].to_string();
        Self {
            id: text(operation, "operationId"),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: text(operation, "summary"),
            description: text(operation, "description").replace('\n', " "),
            parameters: parameters.collect(),
            body: content(document, &operation["requestBody"]),
            responses: responses.collect(),
            token: if schemes.contains("people") {
                Some("PEOPLE_TOKEN")
            } else if schemes.contains("notehub") {
                Some("NOTEHUB_TOKEN")
            } else {
                None
            },
        }
    }

    /// What may come, errors or else the others.
    fn answers(&self, errors: bool) -> impl Iterator<Item = &Answer> {
        let is_error = |answer: &Answer| answer.status.starts_with(['4', '5']);
        self.responses
            .iter()
            .filter(move |answer| is_error(answer) == errors)
    }

    /// How to ask for it from a shell.
    fn curl(&self, base: &str) -> String {
        let mut lines = vec![format!("curl {base}{}", self.path)];
        if let Some(token) = self.token {
            lines.push(format!("-H \"Authorization: Bearer ${token}\""));
        }
        match &self.body {
            Some(body) => {
                lines.push(format!("-H 'Content-Type: {}'", body.kind));
                let example = body
                    .example
                    .as_deref()
                    .and_then(|text| serde_json::from_str::<Value>(text).ok());
                let example = example.map_or("{}".to_owned(), |example| example.to_string());
                lines.push(format!("-d '{}'", example.replace('\'', "'\\''")));
            }
            None if self.method != "GET" => lines.push(format!("-X {}", self.method)),
            None => {}
        }
        lines.join(" \\\n  ")
    }
}

/// The first kind of body that is described, with its fields.
fn content(document: &Value, holder: &Value) -> Option<Content> {
    let (kind, content) = entries(&holder["content"]).next()?;
    let schema = &content["schema"];
    let mut fields = Vec::new();
    describe(document, schema, 0, &mut fields);
    let example = [content, schema, resolved(document, schema)]
        .into_iter()
        .find_map(|place| {
            place
                .get("example")
                .or_else(|| place.get("examples")?.get(0))
        });
    Some(Content {
        kind: kind.clone(),
        fields,
        example: example.map(|example| match example {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        }),
    })
}

/// What a reference leads to; of "this or null", this.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return &document["components"]["schemas"][name];
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        let mut others = items(&schema[key]).filter(|one| one["type"] != "null");
        if let (Some(one), None) = (others.next(), others.next()) {
            return resolved(document, one);
        }
    }
    schema
}

fn describe(document: &Value, schema: &Value, depth: usize, fields: &mut Vec<Field>) {
    let schema = resolved(document, schema);
    if depth >= DEPTH {
        return;
    }
    if let Some(items) = schema.get("items") {
        return describe(document, items, depth, fields);
    }
    for one in items(&schema["oneOf"]).chain(items(&schema["anyOf"])) {
        let from = fields.len();
        describe(document, one, depth, fields);
        // Of several, one is.
        fields[from..]
            .iter_mut()
            .filter(|field| field.depth == depth)
            .for_each(|field| field.required = false);
    }
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    for (name, field) in properties {
        let own = text(field, "description");
        let inherited = || text(resolved(document, field), "description");
        fields.push(Field {
            name: name.clone(),
            depth,
            kind: kind(document, field),
            required: items(&schema["required"]).any(|required| required == name),
            description: if own.is_empty() { inherited() } else { own }.replace('\n', " "),
        });
        describe(document, field, depth + 1, fields);
    }
}

fn kind(document: &Value, schema: &Value) -> String {
    let schema = resolved(document, schema);
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().filter_map(Value::as_str).collect();
        return words.join(" | ");
    }
    let names: Vec<_> = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("oneOf").is_some() => vec!["one of these"],
        _ => vec!["any"],
    };
    let shown = names
        .iter()
        .filter(|name| **name != "null")
        .map(|name| match *name {
            "array" => format!("list of {}", kind(document, &schema["items"])),
            "string" => match schema["format"].as_str() {
                Some("date-time") => "time".to_owned(),
                Some(format) => format.to_owned(),
                None => "text".to_owned(),
            },
            "integer" => match (schema["minimum"].as_i64(), schema["maximum"].as_i64()) {
                (Some(least), Some(most)) => format!("whole number, {least} to {most}"),
                _ => "whole number".to_owned(),
            },
            other => other.to_owned(),
        });
    shown.collect::<Vec<_>>().join(" or ")
}

/// A text with its `code` marked as such: all of Markdown that the document uses.
#[derive(Debug)]
pub struct Marked<'a>(&'a str);

impl fmt::Display for Marked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.0.split('`').enumerate() {
            let escaped = Escaped(part);
            if index % 2 == 1 {
                write!(f, "<code>{escaped}</code>")?;
            } else {
                write!(f, "{escaped}")?;
            }
        }
        Ok(())
    }
}

impl HtmlSafe for Marked<'_> {}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            other => f.write_char(other),
        })
    }
}

/// For templates, which hand over references.
pub fn marked(text: &str) -> Marked<'_> {
    Marked(text)
}
