//! Where the frames of a training set go: names that sort in the order of capture, folders that are labels.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use chrono::{DateTime, Timelike as _, Utc};

use crate::capture::replay::{self, Recorded};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Csv,
    Npy,
}

/// What stands where a file is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Missing,
    Same,
    Other,
}

/// The path of each frame's file, all of them different.
pub(super) fn places(
    frames: &[Recorded],
    out: &Path,
    format: Format,
) -> anyhow::Result<Vec<PathBuf>> {
    // Where one frame has no time the files' names are the order of all, and must remain so.
    let timed = frames.iter().all(|one| one.frame.captured_at.is_some());
    let extension = match format {
        Format::Csv => "csv",
        Format::Npy => "npy",
    };
    let mut taken: HashMap<PathBuf, usize> = HashMap::new();
    let mut places = Vec::with_capacity(frames.len());
    for recorded in frames {
        let mut stem = match recorded.frame.captured_at.filter(|_| timed) {
            Some(time) => stem_of_time(time),
            None => stem_of_source(recorded),
        };
        let folder = match &recorded.label {
            Some(text) => {
                let checked = label(text).map_err(anyhow::Error::msg);
                out.join(checked.with_context(|| recorded.source.to_string())?)
            }
            None => out.to_owned(),
        };
        let count = taken.entry(folder.join(&stem)).or_insert(0);
        *count += 1;
        if *count > 1 {
            // An underscore sorts after the dot of the first one's extension.
            stem = format!("{stem}_{count:03}");
        }
        places.push(folder.join(format!("{stem}.{extension}")));
    }
    Ok(places)
}

/// A label is the name of a folder, whoever wrote it into a file.
pub(super) fn label(text: &str) -> Result<String, String> {
    let reason = if text.is_empty() || text.trim() != text {
        "is empty or has blanks around it"
    } else if text.starts_with('.') || text.contains(['/', '\\']) || text.contains(char::is_control)
    {
        "cannot be the name of a folder"
    } else if text.len() > 100 {
        "is longer than 100 bytes"
    } else if text == "adopted" {
        "is the folder of frames that were declared normal"
    } else {
        return Ok(text.to_owned());
    };
    let shown: String = text.chars().take(40).collect();
    Err(format!("{shown:?} is no label: it {reason}"))
}

/// The files of a frame, in the order in which they are written.
pub(super) fn written(
    place: &Path,
    recorded: &Recorded,
    format: Format,
) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    Ok(match format {
        Format::Csv => {
            let text = replay::written_csv(recorded);
            vec![(place.to_owned(), text.into_bytes())]
        }
        Format::Npy => {
            let (array, beside) = replay::written_npy(recorded)?;
            // First what is known of it, so that the array never lies there unexplained.
            let beside = beside.map(|text| (place.with_extension("json"), text.into_bytes()));
            beside
                .into_iter()
                .chain([(place.to_owned(), array)])
                .collect()
        }
    })
}

pub(super) fn there(path: &Path, bytes: &[u8]) -> anyhow::Result<There> {
    let context = || format!("cannot read {}", path.display());
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(There::Missing),
        Err(error) => Err(error).with_context(context),
        Ok(metadata) if !metadata.is_file() || metadata.len() != bytes.len() as u64 => {
            Ok(There::Other)
        }
        Ok(_) if fs::read(path).with_context(context)? == bytes => Ok(There::Same),
        Ok(_) => Ok(There::Other),
    }
}

/// The path without links and detours, even of a folder that is not made yet.
pub(super) fn real(path: &Path) -> anyhow::Result<PathBuf> {
    let mut rest = Vec::new();
    let absolute = std::path::absolute(path)?;
    let mut existing = absolute.as_path();
    loop {
        match fs::canonicalize(existing) {
            Ok(found) => return Ok(rest.iter().rev().fold(found, |path, part| path.join(part))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        }
        rest.push(existing.file_name().unwrap_or(OsStr::new("..")));
        existing = existing.parent().context("the path leads nowhere")?;
    }
}

fn stem_of_time(time: DateTime<Utc>) -> String {
    let second = time.format("%Y%m%dT%H%M%S");
    match time.nanosecond() / 1_000_000 {
        0 => format!("{second}Z"),
        // An underscore sorts after the Z of the full second.
        milliseconds => format!("{second}_{milliseconds:03}Z"),
    }
}

fn stem_of_source(recorded: &Recorded) -> String {
    let stem = recorded.source.path.file_stem().and_then(OsStr::to_str);
    match (stem.unwrap_or("frame"), recorded.source.index) {
        (stem, None) => stem.to_owned(),
        (stem, Some(index)) => format!("{stem}-{:06}", index + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::replay::Source;
    use crate::frame::{Frame, PIXELS};

    fn recorded(
        millis: Option<i64>,
        label: Option<&str>,
        path: &str,
        index: Option<usize>,
    ) -> Recorded {
        let mut frame = Frame::new(Box::new([20.0; PIXELS]));
        frame.captured_at = millis.and_then(DateTime::from_timestamp_millis);
        Recorded {
            frame,
            label: label.map(str::to_owned),
            source: Source {
                path: PathBuf::from(path),
                index,
            },
            adopted: None,
        }
    }

    fn check(frames: &[Recorded], expected: &[&str]) {
        let places = places(frames, Path::new("out"), Format::Csv).expect("the labels are good");
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(places, expected);
        assert!(places.is_sorted());
    }

    #[test]
    fn names_sort_in_the_order_of_capture() {
        let at = 1_771_721_100_000;
        let frames =
            [0, 0, 0, 250, 250, 1000].map(|after| recorded(Some(at + after), None, "a.csv", None));
        check(
            &frames,
            &[
                "out/20260222T004500Z.csv",
                "out/20260222T004500Z_002.csv",
                "out/20260222T004500Z_003.csv",
                "out/20260222T004500_250Z.csv",
                "out/20260222T004500_250Z_002.csv",
                "out/20260222T004501Z.csv",
            ]
            .map(|path| path),
        );
    }

    #[test]
    fn one_frame_without_a_time_keeps_the_names_of_all() {
        check(
            &[
                recorded(None, None, "x/a.csv", None),
                recorded(Some(1), None, "x/b.npy", Some(0)),
                recorded(Some(0), None, "x/b.npy", Some(1)),
            ],
            &["out/a.csv", "out/b-000001.csv", "out/b-000002.csv"],
        );
    }

    #[test]
    fn labels_stay_within_the_folder() {
        for bad in [
            "", "..", "../x", "/etc", "a/b", ".x", " a", "a\nb", "adopted",
        ] {
            let frames = [recorded(None, Some(bad), "a.csv", None)];
            assert!(
                places(&frames, Path::new("out"), Format::Csv).is_err(),
                "{bad:?}"
            );
        }
        check(
            &[recorded(None, Some("sehr heiß"), "a.csv", None)],
            &["out/sehr heiß/a.csv"],
        );
    }
}
