//! What a file says of a frame besides its pixels: names, times, and how they are written.
//!
//! The same names serve in `#` lines, as columns, and in the JSON file beside an array.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDateTime, SecondsFormat, Utc};

use super::super::Frame;
use super::{Marks, cells};

/// The first second of the year 2000. Small numbers count from when a program began, and are no times.
const EARLIEST_UNIX: f64 = 946_684_800.0;
/// Seconds until the year 5138; what is above is milliseconds.
const MOST_SECONDS: f64 = 1e11;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    CapturedAt,
    Ambient,
    Camera,
    Label,
    AdoptedAt,
    AdoptedBecause,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Remarks {
    pub captured_at: Option<DateTime<Utc>>,
    pub ambient: Option<f32>,
    pub camera: Option<String>,
    pub label: Option<String>,
    pub adopted_at: Option<DateTime<Utc>>,
    pub adopted_because: Option<String>,
}

impl Key {
    pub(crate) const ALL: [Self; 6] = [
        Self::CapturedAt,
        Self::Ambient,
        Self::Camera,
        Self::Label,
        Self::AdoptedAt,
        Self::AdoptedBecause,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CapturedAt => "captured_at",
            Self::Ambient => "ambient_c",
            Self::Camera => "camera",
            Self::Label => "label",
            Self::AdoptedAt => "adopted_at",
            Self::AdoptedBecause => "adopted_because",
        }
    }

    /// Of the first line of a table: loggers have their own names for the same things.
    pub(crate) fn of_column(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "timestamp" | "time" => Some(Self::CapturedAt),
            "ambient" | "ta" => Some(Self::Ambient),
            _ => Self::of_name(&name),
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|key| key.name().eq_ignore_ascii_case(name))
    }
}

impl Remarks {
    /// What is missing is not said; what is said twice, or cannot be read, is a fault.
    pub(crate) fn set(&mut self, key: Key, value: &str) -> Result<(), String> {
        let value = tidy(value);
        if cells::is_missing(&value) {
            return Ok(());
        }
        let in_context = |reason: String| format!("{}: {reason}", key.name());
        let twice = match key {
            Key::CapturedAt => {
                let time = time(&value).map_err(in_context)?;
                self.captured_at.replace(time).is_some()
            }
            Key::Ambient => {
                let ambient = temperature(&value).map_err(in_context)?;
                self.ambient.replace(ambient).is_some()
            }
            Key::Camera => self.camera.replace(value.into_owned()).is_some(),
            Key::Label => self.label.replace(value.into_owned()).is_some(),
            Key::AdoptedAt => {
                let time = time(&value).map_err(in_context)?;
                self.adopted_at.replace(time).is_some()
            }
            Key::AdoptedBecause => self.adopted_because.replace(value.into_owned()).is_some(),
        };
        if twice {
            return Err(format!("{} is given twice", key.name()));
        }
        Ok(())
    }
}

/// `key: value` or `key=value` of a `#` line; anything else is a comment.
pub(super) fn read(comment: &str) -> Option<(Key, &str)> {
    let (name, value) = comment.split_once([':', '='])?;
    Some((Key::of_name(name.trim())?, value))
}

/// What is known of a frame, as it is written.
pub(crate) fn said(frame: &Frame, marks: &Marks) -> Vec<(Key, String)> {
    let written = |time: &DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    let tidied = |text: &String| tidy(text).into_owned();
    let said = [
        (Key::CapturedAt, frame.captured_at.as_ref().map(written)),
        (Key::Ambient, frame.ambient.map(|value| value.to_string())),
        (Key::Camera, frame.camera.as_ref().map(tidied)),
        (Key::Label, marks.label.as_ref().map(tidied)),
        (Key::AdoptedAt, marks.adopted_at.as_ref().map(written)),
        (
            Key::AdoptedBecause,
            marks.adopted_because.as_ref().map(tidied),
        ),
    ];
    said.into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .filter(|(_, value)| !cells::is_missing(value))
        .collect()
}

/// A value fills one line, and what spreadsheets append to lines is none of it.
fn tidy(value: &str) -> Cow<'_, str> {
    let ends = |c: char| c.is_whitespace() || c.is_control();
    let value = value
        .trim_start_matches(ends)
        .trim_end_matches(|c| ends(c) || c == ',' || c == ';');
    if value.contains(char::is_control) {
        Cow::Owned(value.replace(char::is_control, " "))
    } else {
        Cow::Borrowed(value)
    }
}

fn temperature(text: &str) -> Result<f32, String> {
    let value = decimal(text).parse().ok();
    let value = value.filter(|value: &f32| value.is_finite());
    value.ok_or_else(|| format!("{} is no temperature", shown(text)))
}

/// RFC 3339; or a date and a time of day, which are UTC; or Unix seconds or milliseconds.
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let found = decimal(text).parse().map_or_else(|_| calendar(text), unix);
    let sane = found.filter(|time| (1970..=9999).contains(&time.year()));
    sane.ok_or_else(|| {
        format!(
            "{} is no time; write it like 2026-02-22T00:45:00Z, or as Unix seconds or milliseconds after the year 2000",
            shown(text)
        )
    })
}

fn calendar(text: &str) -> Option<DateTime<Utc>> {
    let text = text.strip_suffix(" UTC").unwrap_or(text);
    // Only what stands between the date and the time of day.
    let text = match text.as_bytes().get(10) {
        Some(b' ') => text.replacen(' ', "T", 1),
        _ => text.to_owned(),
    };
    let with_zone = DateTime::parse_from_rfc3339(&text).map(|time| time.to_utc());
    with_zone.ok().or_else(|| {
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M"];
        let without = |format: &&str| NaiveDateTime::parse_from_str(&text, format).ok();
        formats.iter().find_map(without).map(|time| time.and_utc())
    })
}

fn unix(number: f64) -> Option<DateTime<Utc>> {
    let seconds = if number.abs() < MOST_SECONDS {
        number
    } else {
        number / 1000.0
    };
    if !(EARLIEST_UNIX..=MOST_SECONDS * 10.0).contains(&seconds) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    let microseconds = (seconds * 1e6).round() as i64;
    DateTime::from_timestamp_micros(microseconds)
}

/// With a point, where many countries write a comma.
fn decimal(text: &str) -> Cow<'_, str> {
    if text.contains('.') {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.replacen(',', ".", 1))
    }
}

fn shown(text: &str) -> String {
    let text: String = text.chars().take(40).collect();
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_usual_form() {
        let check = |text: &str, expected: Option<&str>| {
            let found = time(text).ok();
            let found = found.map(|time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            assert_eq!(found.as_deref(), expected, "{text:?}");
        };
        check("2026-02-22T00:45:00Z", Some("2026-02-22T00:45:00Z"));
        check(
            "2026-02-22T01:45:00.250+01:00",
            Some("2026-02-22T00:45:00.250Z"),
        );
        check("2026-02-22 01:45:00+01:00", Some("2026-02-22T00:45:00Z"));
        check("2026-02-22 00:45:00", Some("2026-02-22T00:45:00Z"));
        check("2026-02-22T00:45:00.5", Some("2026-02-22T00:45:00.500Z"));
        check("2026-02-22 00:45:00 UTC", Some("2026-02-22T00:45:00Z"));
        check("1771721100", Some("2026-02-22T00:45:00Z"));
        check("1771721100.25", Some("2026-02-22T00:45:00.250Z"));
        check("1771721100250", Some("2026-02-22T00:45:00.250Z"));
        for bad in [
            "",
            "12",
            "0",
            "-1",
            "1e300",
            "inf",
            "nan",
            "123456789",
            "1771721100250000",
            "2026-02-30 00:00:00",
            "2026-02-22",
            "22.02.2026 00:45",
            "20260222T004500Z",
            "+12026-02-22T00:45:00Z",
            "äöüäöüäöü 12",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn only_known_names_are_more_than_comments() {
        assert_eq!(read(" captured_at: 5"), Some((Key::CapturedAt, " 5")));
        assert_eq!(read("Camera=a:b"), Some((Key::Camera, "a:b")));
        assert_eq!(read(" taken by hand: yes"), None);
        assert_eq!(read(" camera"), None);
    }
}
