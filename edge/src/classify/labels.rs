//! Names of the scores of somebody else's model.
//!
//! They come from what was said on the command line, else from the file's own metadata, else from a text file beside the
//! model. Guessing is worse than refusing: a wrong name sends somebody to the wrong place.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail, ensure};

/// Metadata entries that hold names, in the order in which they are asked: ours, Ultralytics', others'.
const ENTRIES: [&str; 3] = ["labels", "names", "classes"];
/// A list of names is short.
const LARGEST_FILE: u64 = 64 * 1024;

/// Names, and where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) labels: Vec<String>,
    pub(super) from: String,
}

/// `model.labels.txt` or `labels.txt` beside `model.onnx`, one name a line.
pub(super) fn beside(model: &Path) -> anyhow::Result<Option<Named>> {
    let mut names = vec!["labels.txt".into()];
    if let Some(stem) = model.file_stem() {
        let mut own = stem.to_owned();
        own.push(".labels.txt");
        names.insert(0, own);
    }
    for name in names {
        let path = model.with_file_name(name);
        if !path.is_file() {
            continue;
        }
        let text = read(&path).with_context(|| format!("reading {}", path.display()))?;
        let labels = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(String::from)
            .collect();
        return Ok(Some(Named {
            labels,
            from: path.display().to_string(),
        }));
    }
    Ok(None)
}

/// The names of `classes` scores.
pub(super) fn choose(
    said: Option<&[String]>,
    entries: &BTreeMap<String, String>,
    beside: Option<Named>,
    classes: usize,
) -> anyhow::Result<Vec<String>> {
    let said = said.map(|labels| Named {
        labels: labels.to_vec(),
        from: "--labels".to_owned(),
    });
    let found = match said {
        Some(said) => Some(said),
        None => from_entries(entries)?.or(beside),
    };
    let Some(Named { labels, from }) = found else {
        bail!(
            "nothing names its {classes} scores: say --labels a,b,c, or put the names into the metadata entry `labels`, \
             or, one a line, into a file labels.txt beside the model"
        );
    };
    ensure!(
        labels.len() == classes,
        "it gives {classes} scores, but {from} names {}: {}",
        labels.len(),
        labels.join(", ")
    );
    for (at, label) in labels.iter().enumerate() {
        ensure!(!label.is_empty(), "{from}: name {} is empty", at + 1);
        ensure!(
            !label.chars().any(char::is_control),
            "{from}: name {} holds control characters",
            at + 1
        );
        ensure!(
            !labels[..at].contains(label),
            "{from}: `{label}` is named twice"
        );
    }
    Ok(labels)
}

fn read(path: &Path) -> anyhow::Result<String> {
    use std::io::Read;

    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LARGEST_FILE)
        .read_to_string(&mut text)?;
    Ok(text)
}

fn from_entries(entries: &BTreeMap<String, String>) -> anyhow::Result<Option<Named>> {
    for key in ENTRIES {
        if let Some(text) = entries.get(key).filter(|text| !text.trim().is_empty()) {
            return Ok(Some(Named {
                labels: parse(text).with_context(|| format!("its metadata entry `{key}`"))?,
                from: format!("its metadata entry `{key}`"),
            }));
        }
    }
    Ok(None)
}

/// A JSON or Python list, a dictionary of numbers to names, or names between commas.
fn parse(text: &str) -> anyhow::Result<Vec<String>> {
    let text = text.trim();
    if text.starts_with('[') {
        if let Ok(labels) = serde_json::from_str(text) {
            return Ok(labels);
        }
        return Ok(quoted(text)
            .context("is no list of names")?
            .into_iter()
            .map(|(_, name)| name)
            .collect());
    }
    if !text.starts_with('{') {
        return Ok(text.split(',').map(|name| name.trim().to_owned()).collect());
    }
    // JSON has only text for keys, Python's dictionaries mostly numbers.
    let pairs: Vec<(usize, String)> =
        if let Ok(map) = serde_json::from_str::<BTreeMap<String, String>>(text) {
            map.into_iter()
                .map(|(key, name)| Ok((key.parse()?, name)))
                .collect::<Result<_, std::num::ParseIntError>>()
                .context("holds a key that is no number")?
        } else {
            quoted(text)
                .context("is no dictionary of numbers to names")?
                .into_iter()
                .map(|(key, name)| {
                    let key = key.trim_matches([' ', ',', ':', '{', '\n']);
                    Ok((key.parse().context("holds a key that is no number")?, name))
                })
                .collect::<anyhow::Result<_>>()?
        };
    let by_key: BTreeMap<usize, String> = pairs.into_iter().collect();
    ensure!(
        by_key.keys().copied().eq(0..by_key.len()),
        "does not number its names 0, 1, 2, ..."
    );
    Ok(by_key.into_values().collect())
}

/// Each quoted text with what stands between it and the one before, as Python prints them.
fn quoted(text: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut characters = text.chars();
    let mut between = String::new();
    while let Some(character) = characters.next() {
        if !matches!(character, '\'' | '"') {
            between.push(character);
            continue;
        }
        let mut name = String::new();
        loop {
            match characters.next()? {
                '\\' => name.push(characters.next()?),
                closing if closing == character => break,
                other => name.push(other),
            }
        }
        found.push((std::mem::take(&mut between), name));
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let check = |text: &str, expected: &[&str]| {
            let found = parse(text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
            assert_eq!(found, expected, "{text}");
        };
        check("cold, warm,hot", &["cold", "warm", "hot"]);
        check(r#"["cold", "it's warm"]"#, &["cold", "it's warm"]);
        check("['cold', \"it's warm\"]", &["cold", "it's warm"]);
        check("{0: 'cold', 1: 'warm', 2: 'hot'}", &["cold", "warm", "hot"]);
        check(
            "{1: 'warm', 0: 'co\\'ld, really'}",
            &["co'ld, really", "warm"],
        );
        check(r#"{"0": "cold", "1": "warm"}"#, &["cold", "warm"]);
        check(
            r#"{"9":"j","10":"k","0":"a","1":"b","2":"c","3":"d","4":"e","5":"f","6":"g","7":"h","8":"i"}"#,
            &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"],
        );
        for bad in [
            "{1: 'a', 2: 'b'}",
            "{'a': 'b'}",
            "{0: 'a",
            "[1, 2]",
            r#"{"x":"y"}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_nearest_word_counts_and_must_fit() {
        let names = |text: &str| -> Vec<String> { text.split(' ').map(String::from).collect() };
        let entries = |key: &str, text: &str| BTreeMap::from([(key.to_owned(), text.to_owned())]);
        let file = Some(Named {
            labels: names("x y"),
            from: "labels.txt".into(),
        });
        let none = BTreeMap::new();
        let said = names("p q");
        assert_eq!(
            choose(Some(&said), &entries("labels", "a,b"), file.clone(), 2).expect("fine"),
            said
        );
        assert_eq!(
            choose(None, &entries("labels", "a,b"), file.clone(), 2).expect("fine"),
            names("a b")
        );
        assert_eq!(
            choose(None, &entries("names", "{0: 'a', 1: 'b'}"), None, 2).expect("fine"),
            names("a b")
        );
        assert_eq!(
            choose(None, &none, file.clone(), 2).expect("fine"),
            names("x y")
        );
        let refused = [
            (None, none.clone(), None, "nothing names its 2 scores"),
            (
                None,
                none.clone(),
                Some(Named {
                    labels: names("x"),
                    from: "f".into(),
                }),
                "f names 1: x",
            ),
            (Some(names("a a")), none.clone(), None, "`a` is named twice"),
            (None, entries("labels", "a,"), None, "name 2 is empty"),
            (
                None,
                entries("classes", "['a', 'b\u{7}']"),
                None,
                "control characters",
            ),
        ];
        for (said, entries, beside, reason) in refused {
            let error = choose(said.as_deref(), &entries, beside, 2).expect_err("refused");
            assert!(format!("{error:#}").contains(reason), "{error:#}");
        }
    }
}
