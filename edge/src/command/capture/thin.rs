//! Fewer frames of many: by time, or by number.

use anyhow::Context as _;
use chrono::TimeDelta;

use crate::capture::replay::Recorded;

/// Keeps the first frame of each `period`, counted from the first frame of all.
///
/// A frame may come a twentieth too soon: no camera's clock is exact, and every other frame would be lost otherwise.
pub(super) fn every(frames: Vec<Recorded>, period: TimeDelta) -> anyhow::Result<Vec<Recorded>> {
    let mut first = None;
    let mut last = None;
    let mut kept = Vec::new();
    for recorded in frames {
        let time = recorded.frame.captured_at.with_context(|| {
            format!(
                "--every needs to know when each frame was captured, but {} does not say it; --limit needs no times",
                recorded.source
            )
        })?;
        let slot = slot(time - *first.get_or_insert(time), period);
        if last.replace(slot) != Some(slot) {
            kept.push(recorded);
        }
    }
    Ok(kept)
}

fn slot(since_first: TimeDelta, period: TimeDelta) -> i64 {
    let early = period / 20;
    (since_first + early).num_milliseconds() / period.num_milliseconds()
}

/// At most `limit` frames, the first and the last among them, evenly by their places.
pub(super) fn evenly<T>(all: Vec<T>, limit: usize) -> Vec<T> {
    if all.len() <= limit {
        return all;
    }
    let last = all.len() - 1;
    let gaps = limit.saturating_sub(1).max(1);
    let mut wanted = (0..limit)
        .map(|place| (place * last + gaps / 2) / gaps)
        .peekable();
    let kept = all
        .into_iter()
        .enumerate()
        .filter(|(index, _)| wanted.next_if_eq(index).is_some());
    kept.map(|(_, one)| one).collect()
}

/// A whole number with its unit.
pub(super) fn period(text: &str) -> Result<TimeDelta, String> {
    let error = || "write a time like 30s, 10m, 2h or 1d".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(error)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(error()),
    };
    let number: u32 = number.parse().map_err(|_| error())?;
    let period = TimeDelta::try_seconds(i64::from(number) * seconds);
    period
        .filter(|period| (TimeDelta::seconds(1)..=TimeDelta::days(366)).contains(period))
        .ok_or_else(|| "a time from 1s to 366d is possible".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_exact_loses_no_frame() {
        let check = |seconds: &[i64], expected: &[i64]| {
            let slots = seconds
                .iter()
                .map(|&at| slot(TimeDelta::seconds(at), TimeDelta::minutes(10)));
            assert_eq!(slots.collect::<Vec<_>>(), expected);
        };
        check(&[0, 601, 1199, 1800, 2390], &[0, 1, 2, 3, 4]);
        check(
            &[0, 60, 540, 569, 570, 1169, 1170, 7000],
            &[0, 0, 0, 0, 1, 1, 2, 11],
        );
    }

    #[test]
    fn a_limit_spreads_evenly() {
        let check = |count: usize, limit: usize, expected: &[usize]| {
            assert_eq!(evenly((0..count).collect(), limit), expected);
        };
        check(10, 4, &[0, 3, 6, 9]);
        check(10, 1, &[0]);
        check(10, 2, &[0, 9]);
        check(5, 4, &[0, 1, 3, 4]);
        check(3, 3, &[0, 1, 2]);
        check(2, 5, &[0, 1]);
        check(0, 5, &[]);
    }

    #[test]
    fn a_limit_keeps_as_many_as_it_says() {
        for count in 1..60 {
            for limit in 1..=count {
                assert_eq!(
                    evenly((0..count).collect(), limit).len(),
                    limit,
                    "{limit} of {count}"
                );
            }
        }
    }

    #[test]
    fn periods_have_units() {
        let check = |text: &str, seconds: Option<i64>| {
            assert_eq!(
                period(text).ok().map(|period| period.num_seconds()),
                seconds,
                "{text:?}"
            );
        };
        check("30s", Some(30));
        check("10m", Some(600));
        check("2h", Some(7200));
        check("1d", Some(86_400));
        for bad in [
            "",
            "10",
            "m",
            "-1m",
            "0s",
            "1.5h",
            "10 m",
            "1w",
            "367d",
            "4294967295d",
            "5ü",
        ] {
            check(bad, None);
        }
    }
}
