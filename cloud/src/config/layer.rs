//! The layers of the configuration: which file, and the environment over it.
//!
//! Environment values stay text until a key says what it wants, so that a token made of digits
//! keeps its zeros. Only keys of the single sections can be set there: `CLOUD__SERVER__LISTEN`, or
//! `CLOUD__ACCESS__PEOPLE_TOKEN__FILE` for a secret in a file. An empty variable counts as not set,
//! because that is what compose files make of an absent one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{Environment, File, FileFormat, Map, Value, ValueKind};

use super::secret;

const PREFIX: &str = "CLOUD__";
const DEFAULT_FILE: &str = "cloud.toml";
/// Lists of tables, which have no place for a variable's name to point at.
const FILE_ONLY: [&str; 3] = ["destination", "route", "rule"];

/// The combined tree, with what its readers need to name things well.
#[derive(Debug)]
pub(super) struct Layers {
    pub(super) table: Map<String, Value>,
    /// Dotted path to the variable that set it.
    pub(super) variables: BTreeMap<String, String>,
    /// Where relative paths start.
    pub(super) base: PathBuf,
    pub(super) problems: Vec<String>,
    pub(super) warnings: Vec<String>,
}

pub(super) fn find(
    explicit: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Option<PathBuf> {
    let named = environment
        .get("CLOUD_CONFIG")
        .filter(|path| !path.is_empty());
    explicit
        .map(Path::to_owned)
        .or_else(|| named.map(PathBuf::from))
        .or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.is_file()))
}

pub(super) fn file_text(path: Option<&Path>) -> Result<String, String> {
    match path {
        None => Ok(String::new()),
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read the file {}: {error}; check `--config` and CLOUD_CONFIG",
                path.display()
            )
        }),
    }
}

pub(super) fn combine(
    text: &str,
    environment: &BTreeMap<String, String>,
    base: &Path,
) -> Result<Layers, Vec<String>> {
    check_syntax(text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let variables = variables(environment, &mut problems);
    let mut warnings = Vec::new();
    let source = variables
        .values()
        .map(|name| (name.clone(), environment[name].clone()))
        .collect();
    let mut builder = ::config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix("CLOUD")
                .prefix_separator("__")
                .separator("__")
                .source(Some(source)),
        );
    if let Some(url) = environment
        .get("DATABASE_URL")
        .filter(|url| !url.is_empty())
    {
        if variables.contains_key("database.url") {
            warnings.push(
                "DATABASE_URL and CLOUD__DATABASE__URL are both set; DATABASE_URL is used"
                    .to_owned(),
            );
        }
        builder = builder
            .set_override("database.url", url.as_str())
            .map_err(|_| vec!["DATABASE_URL cannot be used as database.url".to_owned()])?;
    }
    // The syntax was checked above, and the crate's own messages could repeat a secret.
    let tree = builder
        .build()
        .map_err(|_| vec!["the file and the environment cannot be combined".to_owned()])?;
    let table = match tree.cache.kind {
        ValueKind::Table(table) => table,
        _ => Map::new(),
    };
    Ok(Layers {
        table,
        variables,
        base: base.to_owned(),
        problems,
        warnings,
    })
}

/// The place of a syntax error, without the line itself: it may hold a secret.
fn check_syntax(text: &str) -> Result<(), String> {
    let Err(error) = text.parse::<toml::Table>() else {
        return Ok(());
    };
    let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|&letter| letter != '\n')
        .count()
        + 1;
    Err(format!(
        "not valid TOML at line {line}, column {column}: {}",
        error.message()
    ))
}

/// The usable `CLOUD__` variables by the path they set; the others become problems.
fn variables(
    environment: &BTreeMap<String, String>,
    problems: &mut Vec<String>,
) -> BTreeMap<String, String> {
    let mut usable = BTreeMap::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path = rest.to_lowercase().replace("__", ".");
        let section = path.split('.').next().unwrap_or_default();
        if FILE_ONLY.contains(&section) {
            problems.push(format!(
                "{name}: a {section} can only be set in the file; \
                 give its secrets there as {{ file = \"path\" }}"
            ));
        } else if !path.contains('.') || path.split('.').any(str::is_empty) {
            problems.push(format!(
                "{name} must name a section and a key, as in CLOUD__SERVER__LISTEN"
            ));
        } else if !value.is_empty()
            && let Some(other) = usable.insert(path, name.clone())
        {
            problems.push(format!("{other} and {name} differ only in case; keep one"));
        }
    }
    let in_files = usable.keys().filter_map(|path| path.strip_suffix(".file"));
    for both in in_files.filter(|path| usable.contains_key(*path)) {
        let name = &usable[both];
        problems.push(format!("{name} and {name}__FILE are both set; keep one"));
    }
    usable
}

impl Layers {
    /// A path as its author wrote it: a variable's name, or the dotted path in backticks.
    pub(super) fn shown(&self, path: &str) -> String {
        match self.variables.get(path) {
            Some(name) => name.clone(),
            None => format!("`{path}`"),
        }
    }

    /// For an unknown path: the variable that set it or something below it.
    pub(super) fn variable_below(&self, path: &str) -> Option<&str> {
        self.variables.iter().find_map(|(set, name)| {
            let rest = set.strip_prefix(path)?;
            (rest.is_empty() || rest.starts_with('.')).then_some(name.as_str())
        })
    }

    pub(super) fn secret_from_file(&mut self, file: &str) -> Result<secrecy::SecretString, String> {
        let (secret, warning) = secret::from_file(&self.base.join(file))?;
        self.warnings.extend(warning);
        Ok(secret)
    }
}
