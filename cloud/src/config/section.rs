//! Typed reads from one table of the configuration.
//!
//! A `Section` knows its full path and remembers which keys were asked for. Each read takes its key
//! out of the table, so that what is left at `close` is unknown and is refused with the nearest
//! known name. A read that fails notes the problem and answers as if the key were absent, so that
//! the reading goes on and every problem is found; the caller throws the value away if there were
//! any.

use std::time::Duration;

use ::config::{Map, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

use super::layer::Layers;
use super::units;

pub(super) struct Section<'a> {
    pub(super) layers: &'a mut Layers,
    path: String,
    /// "route `x`", once known, because a position in a long list is hard to find.
    owner: Option<String>,
    table: Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    pub(super) fn root(layers: &'a mut Layers) -> Self {
        let table = std::mem::take(&mut layers.table);
        Section::new(layers, String::new(), table)
    }

    fn new(layers: &'a mut Layers, path: String, table: Map<String, Value>) -> Self {
        Section {
            layers,
            path,
            owner: None,
            table,
            known: Vec::new(),
        }
    }

    /// A table below this one; an absent one reads as empty.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'_> {
        let table = match self.take(key).map(|value| value.kind) {
            None => Map::new(),
            Some(ValueKind::Table(table)) => table,
            Some(other) => {
                self.wrong::<()>(
                    key,
                    &format!("a section: write [{key}] and its keys below"),
                    &other,
                );
                Map::new()
            }
        };
        Section::new(self.layers, join(&self.path, key), table)
    }

    /// The tables of a list such as `[[route]]`, or `None` if there is no such list.
    pub(super) fn tables(&mut self, key: &'static str) -> Option<Vec<Map<String, Value>>> {
        let list = match self.take(key)?.kind {
            ValueKind::Array(list) => list,
            other => {
                self.wrong::<()>(key, &format!("a list of tables: write [[{key}]]"), &other);
                return Some(Vec::new());
            }
        };
        let mut tables = Vec::new();
        for value in list {
            match value.kind {
                ValueKind::Table(table) => tables.push(table),
                other => {
                    self.wrong::<()>(key, &format!("a list of tables: write [[{key}]]"), &other);
                }
            }
        }
        Some(tables)
    }

    /// The section of one table of a list.
    pub(super) fn entry(
        &mut self,
        key: &str,
        index: usize,
        table: Map<String, Value>,
    ) -> Section<'_> {
        Section::new(self.layers, format!("{key}[{index}]"), table)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The `name` of a list's table, which then appears in its messages.
    pub(super) fn name(&mut self, kind: &str) -> Option<String> {
        self.require("name");
        let name = self.text("name")?;
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(safe) {
            self.problem("name", "must be 1 to 64 letters, digits, `-` or `_`");
            return None;
        }
        self.owner = Some(format!("{kind} `{name}`"));
        Some(name)
    }

    /// Notes the absence of a key; to be called before it is read.
    pub(super) fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            self.problem(key, "is missing");
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)?.kind {
            ValueKind::String(text) => Some(text),
            other => self.wrong(key, "a text in quotes", &other),
        }
    }

    /// A text that must not be blank.
    pub(super) fn words(&mut self, key: &'static str) -> Option<String> {
        let text = self.text(key)?;
        if text.trim().is_empty() {
            self.problem(key, "must not be empty");
            return None;
        }
        Some(text)
    }

    /// A text with a form of its own. The parser's message is the rest of a sentence about the
    /// value.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match self.take(key)?.kind {
            ValueKind::String(text) => text,
            other => return self.wrong(key, expected, &other),
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(message) => {
                self.problem(key, &format!("is {text:?}: {message}"));
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let expected = format!("one of {}", words.join(", "));
        self.parsed(key, &expected, |text| {
            let found = choices.iter().find(|(word, _)| *word == text);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("it must be {expected}"))
        })
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        least: Duration,
    ) -> Duration {
        self.duration_between(key, default, least, units::LONGEST)
    }

    pub(super) fn duration_between(
        &mut self,
        key: &'static str,
        default: Duration,
        least: Duration,
        most: Duration,
    ) -> Duration {
        self.parsed(key, A_DURATION, |text| {
            between(units::duration(text)?, least, most)
        })
        .unwrap_or(default)
    }

    /// A duration or "none".
    pub(super) fn duration_or_none(
        &mut self,
        key: &'static str,
        default: Option<Duration>,
        least: Duration,
    ) -> Option<Duration> {
        let given = self.parsed(key, "a duration such as \"1h\", or \"none\"", |text| {
            let duration = units::duration_or_none(text)?;
            duration
                .map(|duration| between(duration, least, units::LONGEST))
                .transpose()
        });
        given.unwrap_or(default)
    }

    pub(super) fn size(
        &mut self,
        key: &'static str,
        default: usize,
        least: usize,
        most: usize,
    ) -> usize {
        let expected = "a size such as \"256KiB\"";
        // A plain number of bytes is as clear as a text.
        if let Some(ValueKind::I64(number)) = self.table.get(key).map(|value| &value.kind) {
            let text = number.to_string();
            self.table.insert(key.to_owned(), Value::new(None, text));
        }
        self.parsed(key, expected, |text| {
            let size = units::size(text)?;
            if (least..=most).contains(&size) {
                Ok(size)
            } else {
                let (least, most) = (units::show_size(least), units::show_size(most));
                Err(format!("it must be between {least} and {most}"))
            }
        })
        .unwrap_or(default)
    }

    pub(super) fn integer(
        &mut self,
        key: &'static str,
        default: u32,
        least: u32,
        most: u32,
    ) -> u32 {
        let Some(value) = self.take(key) else {
            return default;
        };
        let number = match &value.kind {
            ValueKind::I64(number) => Some(*number),
            ValueKind::String(text) if self.is_variable(key) => text.trim().parse().ok(),
            _ => None,
        };
        let in_range = number
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| (least..=most).contains(number));
        if in_range.is_none() {
            let expected = format!("must be a whole number from {least} to {most}");
            self.problem(key, &expected);
        }
        in_range.unwrap_or(default)
    }

    pub(super) fn number(&mut self, key: &'static str) -> Option<f64> {
        let number = match self.take(key)?.kind {
            ValueKind::Float(number) => number,
            // Whole numbers beyond 2^53 lose digits here, far beyond any threshold.
            ValueKind::I64(number) => i32::try_from(number).map_or(f64::NAN, f64::from),
            other => return self.wrong(key, "a number", &other),
        };
        if number.is_finite() {
            Some(number)
        } else {
            self.problem(key, "must be a finite number of a reasonable size");
            None
        }
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.take(key).map(|value| value.kind) {
            None => default,
            Some(ValueKind::Boolean(value)) => value,
            Some(other) => self.wrong(key, "true or false", &other).unwrap_or(default),
        }
    }

    /// A list of texts, none of them empty; in the environment separated by commas.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        let expected = "a list of texts, such as [\"one\", \"two\"]";
        let mut texts = Vec::new();
        for value in self.list(key, expected)? {
            match value.kind {
                ValueKind::String(text) if text.trim().is_empty() => {
                    self.problem(key, "must not hold an empty text");
                }
                ValueKind::String(text) => texts.push(text),
                other => return self.wrong(key, expected, &other),
            }
        }
        Some(texts)
    }

    pub(super) fn secret(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretString> {
        let value = self.take(key)?;
        self.one_secret(key, value, &check)
    }

    pub(super) fn secrets(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<SecretString> {
        let list = self.list(key, "a list of secrets, each a text or { file = \"path\" }");
        let values = list.unwrap_or_default().into_iter();
        values
            .filter_map(|value| self.one_secret(key, value, &check))
            .collect()
    }

    /// A table of names of the user's choice, each with a secret, in the order of the names.
    pub(super) fn secret_table(
        &mut self,
        key: &'static str,
        check: impl Fn(&str) -> Result<(), String>,
    ) -> Vec<(String, SecretString)> {
        let table = match self.take(key).map(|value| value.kind) {
            None => return Vec::new(),
            Some(ValueKind::Table(table)) => table,
            Some(other) => {
                self.wrong::<()>(key, "a table of names and values", &other);
                return Vec::new();
            }
        };
        let mut entries: Vec<_> = table.into_iter().collect();
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        let pairs = entries.into_iter().filter_map(|(name, value)| {
            let secret = self.one_secret(&join(key, &name), value, &check)?;
            Some((name, secret))
        });
        pairs.collect()
    }

    pub(super) fn problem(&mut self, key: &str, message: &str) {
        let shown = self.layers.shown(&join(&self.path, key));
        let owner = self
            .owner
            .as_ref()
            .map(|owner| format!(" ({owner})"))
            .unwrap_or_default();
        self.layers
            .problems
            .push(format!("{shown}{owner} {message}"));
    }

    /// Refuses what no read has asked for.
    pub(super) fn close(mut self) {
        let mut unknown: Vec<String> = std::mem::take(&mut self.table).into_keys().collect();
        unknown.sort();
        for key in unknown {
            let path = join(&self.path, &key);
            let variable = self.layers.variable_below(&path).map(str::to_owned);
            let hint = match (nearest(&key, &self.known), &variable) {
                (Some(near), Some(name)) => {
                    let [wrong, right] =
                        [&key, near].map(|part| format!("__{}", part.to_uppercase()));
                    format!(
                        "did you mean `{}`?",
                        name.to_uppercase().replacen(&wrong, &right, 1)
                    )
                }
                (Some(near), None) => format!("did you mean `{near}`?"),
                (None, _) => format!("known here: {}", self.known.join(", ")),
            };
            match variable {
                Some(name) => self
                    .layers
                    .problems
                    .push(format!("{name} is not a known setting; {hint}")),
                None => self.problem(&key, &format!("is not a known key; {hint}")),
            }
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.table.remove(key)
    }

    fn is_variable(&self, key: &str) -> bool {
        self.layers.variables.contains_key(&join(&self.path, key))
    }

    fn list(&mut self, key: &'static str, expected: &str) -> Option<Vec<Value>> {
        match self.take(key)?.kind {
            ValueKind::Array(list) => Some(list),
            ValueKind::String(text) if self.is_variable(key) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                Some(parts.map(|part| Value::new(None, part)).collect())
            }
            other => self.wrong(key, expected, &other),
        }
    }

    fn one_secret(
        &mut self,
        key: &str,
        value: Value,
        check: &impl Fn(&str) -> Result<(), String>,
    ) -> Option<SecretString> {
        let secret = match value.kind {
            ValueKind::String(text) => Ok(SecretString::from(text)),
            ValueKind::Table(mut table) => {
                match (table.remove("file").map(|file| file.kind), table.len()) {
                    (Some(ValueKind::String(file)), 0) => self.layers.secret_from_file(&file),
                    _ => Err("must be a text or exactly { file = \"path\" }".to_owned()),
                }
            }
            other => return self.wrong(key, "a text in quotes or { file = \"path\" }", &other),
        };
        let checked = secret.and_then(|secret| check(secret.expose_secret()).map(|()| secret));
        checked.map_err(|message| self.problem(key, &message)).ok()
    }

    /// Notes a value of the wrong kind without repeating it: it may be a secret in the wrong place.
    fn wrong<T>(&mut self, key: &str, expected: &str, found: &ValueKind) -> Option<T> {
        self.problem(key, &format!("must be {expected}, not {}", kind(found)));
        None
    }
}

const A_DURATION: &str = "a duration with a unit, such as \"10s\"";

/// The known name that an unknown one was probably meant to be.
pub(super) fn nearest<'n>(name: &str, known: &[&'n str]) -> Option<&'n str> {
    let distance = |near: &str| strsim::damerau_levenshtein(name, near);
    let near = known.iter().copied().min_by_key(|near| distance(near))?;
    // About a third of the letters may be wrong; beyond that the guess would mislead.
    (distance(near) * 3 <= name.len().max(near.len()) + 1).then_some(near)
}

fn between(duration: Duration, least: Duration, most: Duration) -> Result<Duration, String> {
    let (shown_least, shown_most) = (units::show_duration(least), units::show_duration(most));
    if (least..=most).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("it must be between {shown_least} and {shown_most}"))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn kind(value: &ValueKind) -> &'static str {
    match value {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_)
        | ValueKind::I128(_)
        | ValueKind::U64(_)
        | ValueKind::U128(_)
        | ValueKind::Float(_) => "a number",
        ValueKind::String(_) => "a text",
        ValueKind::Table(_) => "a table",
        ValueKind::Array(_) => "a list",
    }
}
