//! Values with units, as people write them: durations, sizes, rates and counts (pure).
//!
//! Each function answers either the value or the rest of a sentence that begins with the key's name
//! and its value, as in "`server.request_timeout` is "30": it needs a unit, such as "30s"".

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Count, RateLimit};

const SECOND: u64 = 1;
const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// As humantime counts a year: 365.25 days.
pub(super) const YEAR: u64 = 31_557_600;

/// No duration may be longer, so that adding one to a time cannot overflow anywhere.
pub(super) const LONGEST: Duration = Duration::from_secs(100 * YEAR);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        return Err(format!(
            "it needs a unit, such as \"{text}s\" or \"{text}m\""
        ));
    }
    humantime::parse_duration(text).map_err(|_| {
        "it is not a duration such as \"500ms\", \"30s\", \"15m\", \"6h\", \"400d\" or \"5y\""
            .to_owned()
    })
}

/// A duration of which "none" is one, as for `repeat`.
pub(super) fn duration_or_none(text: &str) -> Result<Option<Duration>, String> {
    match text.trim() {
        "none" => Ok(None),
        other => duration(other).map(Some),
    }
}

pub(super) fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim() {
        "" | "B" => 1,
        "KB" | "kB" => 1000,
        "KiB" => 1024,
        "MB" => 1_000_000,
        "MiB" => 1024 * 1024,
        _ => return Err(NOT_A_SIZE.to_owned()),
    };
    number
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| NOT_A_SIZE.to_owned())
}

const NOT_A_SIZE: &str = "it is not a size such as \"256KiB\", \"1MiB\", \"10KB\" or \"10000\"";

pub(super) fn rate(text: &str) -> Result<Option<RateLimit>, String> {
    let text = text.trim();
    if text == "none" {
        return Ok(None);
    }
    let malformed =
        || "it is not a rate such as \"4/s\", \"100/m\", \"10/h\" or \"none\"".to_owned();
    let (count, unit) = text.split_once('/').ok_or_else(malformed)?;
    let count: u32 = count.trim().parse().map_err(|_| malformed())?;
    let count = NonZeroU32::new(count).ok_or(
        "a rate of zero sends nothing; leave the destination out of routes and rules instead",
    )?;
    let seconds = match unit.trim() {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(malformed()),
    };
    Ok(Some(RateLimit {
        count,
        per: Duration::from_secs(seconds),
    }))
}

pub(super) fn count(text: &str) -> Result<Count, String> {
    let malformed = || "it is not a count such as \"1 of 1\" or \"2 of 3\"".to_owned();
    let words: Vec<&str> = text.split_whitespace().collect();
    let [times, "of", of] = words.as_slice() else {
        return Err(malformed());
    };
    let times: u32 = times.parse().map_err(|_| malformed())?;
    let of: u32 = of.parse().map_err(|_| malformed())?;
    if (1..=of).contains(&times) && of <= 100 {
        Ok(Count { times, of })
    } else {
        Err("in \"N of M\", N must be at least 1 and at most M, and M at most 100".to_owned())
    }
}

/// A duration in the largest unit that divides it, as one would write it in the file.
pub(crate) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 {
        return humantime::format_duration(duration).to_string();
    }
    let units = [(YEAR, "y"), (DAY, "d"), (HOUR, "h"), (MINUTE, "m")];
    match units
        .iter()
        .find(|(unit, _)| seconds != 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

pub(crate) fn show_size(size: usize) -> String {
    match size {
        0 => "0".to_owned(),
        _ if size.is_multiple_of(1024 * 1024) => format!("{}MiB", size / (1024 * 1024)),
        _ if size.is_multiple_of(1024) => format!("{}KiB", size / 1024),
        _ => format!("{size}B"),
    }
}

pub(crate) fn show_rate(rate: Option<RateLimit>) -> String {
    match rate {
        None => "no rate limit".to_owned(),
        Some(rate) => {
            let unit = match rate.per.as_secs() {
                SECOND => "s",
                MINUTE => "m",
                _ => "h",
            };
            format!("{}/{unit}", rate.count)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    fn check<T: Debug>(parse: fn(&str) -> Result<T, String>, cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            let answer = match parse(text) {
                Ok(value) => format!("{value:?}"),
                Err(message) => message,
            };
            assert!(
                answer.contains(expected),
                "{text:?}: {answer:?} has no {expected:?}"
            );
        }
    }

    #[test]
    fn durations() {
        let cases = [
            ("500ms", "500ms"),
            ("30s", "30s"),
            ("90m", "5400s"),
            ("400d", "34560000s"),
            ("5y", "157788000s"),
            ("1h 30m", "5400s"),
            ("0s", "0ns"),
            ("30", "needs a unit, such as \"30s\""),
            ("0", "needs a unit"),
            ("", "not a duration"),
            ("-3s", "not a duration"),
            ("soon", "not a duration"),
        ];
        check(duration, &cases);
        check(
            duration_or_none,
            &[("none", "None"), ("1h", "Some(3600s)"), ("never", "not a")],
        );
    }

    #[test]
    fn sizes() {
        let cases = [
            ("256KiB", "262144"),
            ("1MiB", "1048576"),
            ("10KB", "10000"),
            ("2 MB", "2000000"),
            ("10000", "10000"),
            ("12B", "12"),
            ("1GiB", "not a size"),
            ("KiB", "not a size"),
            ("-1", "not a size"),
            ("99999999999999999999", "not a size"),
            ("99999999999999999MiB", "not a size"),
        ];
        check(size, &cases);
    }

    #[test]
    fn rates_and_counts() {
        let rates = [
            ("4/s", "count: 4, per: 1s"),
            ("100/m", "count: 100, per: 60s"),
            ("10/h", "count: 10, per: 3600s"),
            ("none", "None"),
            ("0/s", "rate of zero"),
            ("4", "not a rate"),
            ("4/d", "not a rate"),
        ];
        check(rate, &rates);
        let counts = [
            ("1 of 1", "times: 1, of: 1"),
            ("2 of 3", "times: 2, of: 3"),
            ("0 of 3", "at least 1"),
            ("4 of 3", "at most M"),
            ("1 of 101", "at most 100"),
            ("2/3", "not a count"),
        ];
        check(count, &counts);
    }

    #[test]
    fn shown_as_written() {
        for text in ["500ms", "10s", "90m", "6h", "400d", "5y", "0s"] {
            let value = duration(text).expect("a duration");
            assert_eq!(show_duration(value), text);
        }
        for text in ["256KiB", "1MiB", "100B"] {
            assert_eq!(show_size(size(text).expect("a size")), text);
        }
    }
}
