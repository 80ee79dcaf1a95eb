//! The labels of a model as keys of a body.

use anyhow::ensure;

/// Keys that are ours, in any body.
const OWN: [&str; 29] = [
    "v",
    "t",
    "seq",
    "boot",
    "max",
    "mean",
    "x",
    "y",
    "dt",
    "dwell",
    "why",
    "part",
    "of",
    "min",
    "up",
    "spool",
    "dropped",
    "rejected",
    "vdd",
    "ta",
    "volt",
    "temp",
    "model",
    "moved",
    "fault",
    "clk",
    "every",
    "threshold",
    "frames",
];
/// A note of more scores would be larger than a kilobyte as text.
const MOST: usize = 32;
const LONGEST: usize = 24;

/// Names of the scores, and under which key each is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Keys are ASCII letters, digits and underscores, so that they can be written in any expression; they differ from
    /// each other and from our own keys even where case is not looked at.
    pub fn new(names: &[String]) -> anyhow::Result<Self> {
        ensure!(
            !names.is_empty(),
            "the model has no labels: there is nothing to send"
        );
        ensure!(
            names.len() <= MOST,
            "the model has {} labels, and a note has room for {MOST}: use a model with fewer",
            names.len()
        );
        let mut labels: Vec<(String, String)> = Vec::new();
        for (at, name) in names.iter().enumerate() {
            ensure!(
                !names[..at].contains(name),
                "the model has two labels `{name}`"
            );
            let plain = plain(name);
            let is_free = |key: &str| {
                let taken = labels.iter().map(|(_, key)| key.as_str()).chain(OWN);
                !taken
                    .into_iter()
                    .any(|taken| taken.eq_ignore_ascii_case(key))
            };
            let numbered = (2..).map(|number| format!("{plain}_{number}"));
            let key = std::iter::once(plain.clone())
                .chain(numbered)
                .find(|key| is_free(key))
                .unwrap_or_default();
            labels.push((name.clone(), key));
        }
        Ok(Self(labels))
    }

    /// As the model calls them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// As they are sent.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, key)| key.as_str())
    }

    /// Those that are sent under another key, for people to know.
    pub fn renamed(&self) -> impl Iterator<Item = (&str, &str)> {
        let renamed = self.0.iter().filter(|(name, key)| name != key);
        renamed.map(|(name, key)| (name.as_str(), key.as_str()))
    }
}

fn plain(name: &str) -> String {
    let plain: String = name
        .trim()
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    // The Notecard keeps keys that begin with an underscore to itself, and expressions those that begin with a digit.
    let plain = plain.trim_start_matches('_');
    if plain.is_empty() {
        return "label".to_owned();
    }
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        return format!("label_{plain}");
    }
    plain.to_owned()
}
