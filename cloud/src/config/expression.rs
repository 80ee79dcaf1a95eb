//! `JSONata` expressions as they stand in the configuration: their text and where it came from.
//!
//! Nothing is compiled here; `process::transform` does that and adds position and reason to the
//! source kept here.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Expression;
use super::section::Section;

/// An expression longer than this is generated or not an expression.
const LONGEST: usize = 64 * 1024;

/// An expression in place. `owner` says whose it is, for its source.
pub(super) fn inline(
    section: &mut Section<'_>,
    key: &'static str,
    owner: &str,
) -> Option<Expression> {
    let text = section.words(key)?;
    if let Err(message) = check(&text) {
        section.problem(key, &message);
        return None;
    }
    Some(Expression {
        text,
        source: format!("{owner}: {key}"),
    })
}

/// An expression in place under `key` or in the file named by `file_key`, not both.
pub(super) fn inline_or_file(
    section: &mut Section<'_>,
    key: &'static str,
    file_key: &'static str,
    owner: &str,
) -> Option<Expression> {
    let both = section.has(key) && section.has(file_key);
    if both {
        section.problem(
            file_key,
            &format!("stands beside `{key}`; keep one of the two"),
        );
    }
    let in_place = inline(section, key, owner);
    let path = section.words(file_key).filter(|_| !both);
    let in_file = path.and_then(|path| {
        let path = section.layers.base.join(path);
        let read = read_file(&path).map_err(|message| section.problem(file_key, &message));
        read.ok().map(|text| Expression {
            text,
            source: path.display().to_string(),
        })
    });
    in_place.or(in_file)
}

fn read_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let cannot_read = |error: std::io::Error| format!("cannot be read from {shown}: {error}");
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST as u64 + 1).read_to_string(&mut text))
        .map_err(cannot_read)?;
    check(&text)?;
    if text.trim().is_empty() {
        return Err(format!("names {shown}, which is empty"));
    }
    Ok(text)
}

fn check(text: &str) -> Result<(), String> {
    if text.len() > LONGEST {
        return Err("must hold at most 64 KiB of expression".to_owned());
    }
    Ok(())
}
