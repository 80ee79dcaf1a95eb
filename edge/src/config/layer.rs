//! The layers of the configuration: which file, and the environment over it.
//!
//! `EDGE__CAMERA__INTERVAL=2m` sets `interval` in `[camera]`. An empty variable counts as not set.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError, Environment, File, FileFormat};
use anyhow::{anyhow, bail};

const PREFIX: &str = "EDGE__";
/// A name that differs by more than this is no slip of the keyboard.
const SIMILAR: f64 = 0.6;

pub(super) fn find(
    explicit: Option<&Path>,
    environment: &BTreeMap<String, String>,
) -> Option<PathBuf> {
    let named = environment
        .get("EDGE_CONFIG")
        .filter(|path| !path.is_empty());
    explicit
        .map(Path::to_owned)
        .or_else(|| named.map(PathBuf::from))
        .or_else(|| Some(PathBuf::from(super::DEFAULT_FILE)).filter(|path| path.is_file()))
}

pub(super) fn combine(
    text: &str,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<super::Config> {
    if let Err(error) = text.parse::<toml::Table>() {
        bail!("this is no TOML: {error}");
    }
    let variables: ::config::Map<String, String> = environment
        .iter()
        .filter(|(name, value)| name.starts_with(PREFIX) && !value.is_empty())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let tree = Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(
            Environment::with_prefix("EDGE")
                .prefix_separator("__")
                .separator("__")
                .source(Some(variables)),
        )
        .build()?;
    tree.try_deserialize().map_err(|error| explain(&error))
}

/// The error, with the nearest of the names that are known.
fn explain(error: &ConfigError) -> anyhow::Error {
    let said = error.to_string();
    let mut quoted = said.split('`').skip(1).step_by(2);
    let nearest = quoted
        .next()
        .filter(|_| said.contains("unknown field"))
        .and_then(|wrong| {
            quoted
                .map(|known| (strsim::jaro_winkler(wrong, known), known))
                .max_by(|(one, _), (other, _)| one.total_cmp(other))
                .filter(|(similarity, _)| *similarity >= SIMILAR)
        });
    match nearest {
        Some((_, known)) => anyhow!("{said}; did you mean `{known}`?"),
        None => anyhow!("{said}"),
    }
}
