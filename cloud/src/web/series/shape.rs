//! What is decided about series before and after they are read: how wide a step is, where nobody was heard, and which of
//! a station's series are scores (pure).

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use super::Line;
use super::read::Bucket;

/// Widths of a step in seconds, such as people count in. Those of an hour and more divide a day or are whole days,
/// because `measurement_days` holds hours and days.
const STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 180, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600,
    86_400, 172_800, 604_800, 1_209_600,
];
pub const HOUR: TimeDelta = TimeDelta::hours(1);
pub const DAY: TimeDelta = TimeDelta::days(1);

/// What the agent sends beside the scores, and so is none.
const NO_SCORES: [&str; 26] = [
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
    "moved",
    "fault",
    "every",
    "threshold",
    "voltage",
];

/// The narrowest step that makes about `points` of the range.
pub fn step(range: TimeDelta, points: i64) -> TimeDelta {
    // The first and the last step are cut, so there is one more.
    let least = range.num_seconds() / points.max(1);
    let fits = STEPS.iter().find(|step| **step >= least);
    fits.map_or_else(
        || TimeDelta::days(least / 86_400 + 1),
        |step| TimeDelta::seconds(*step),
    )
}

/// Which series are scores: shares of 1 that were told at the same moment as `anomaly`, that one first and then from cold
/// to hot.
pub fn scores<'a>(
    latest: impl Iterator<Item = (&'a str, f64, DateTime<Utc>)> + Clone,
) -> Vec<String> {
    let anomaly = latest.clone().find(|(name, ..)| *name == "anomaly");
    let mut names: Vec<_> = latest
        .filter(|(name, value, at)| {
            *name == "anomaly"
                || anomaly.is_none_or(|(_, _, told)| *at == told) && is_score(name, *value)
        })
        .map(|(name, ..)| name.to_owned())
        .collect();
    names.sort_by_key(|name| (place(name), name.clone()));
    names
}

pub fn is_score(name: &str, value: f64) -> bool {
    (0.0..=1.0).contains(&value) && !NO_SCORES.contains(&name) && !name.contains('.')
}

/// The order in which scores are told.
pub fn place(name: &str) -> usize {
    let known = ["anomaly", "cold", "warm", "hot"];
    known
        .iter()
        .position(|one| *one == name)
        .unwrap_or(known.len())
}

/// The series that an expression takes as it is: `body.anomaly` is the series `anomaly`.
pub fn series_of(expression: &str) -> Option<&str> {
    let path = expression.trim().strip_prefix("body.")?;
    let plain = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    path.split('.').all(plain).then_some(path)
}

/// A moment as RFC 3339, or in UTC as a form field writes it, or a date.
pub fn moment(text: &str) -> Option<DateTime<Utc>> {
    let known = |at: DateTime<Utc>| {
        (0..=9_999)
            .contains(&chrono::Datelike::year(&at))
            .then_some(at)
    };
    if let Ok(at) = text.parse::<DateTime<Utc>>() {
        return known(at);
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let local = forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let date = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    known(local.or_else(date)?.and_utc())
}

/// One line for each name, in their order, also for those of which there is nothing.
pub fn lines(names: Vec<String>, buckets: &[Bucket], step: TimeDelta) -> Vec<Line> {
    let of = |name: &str| -> Vec<&Bucket> {
        buckets
            .iter()
            .filter(|bucket| bucket.series == name)
            .collect()
    };
    names
        .into_iter()
        .map(|name| line(of(&name), name, step))
        .collect()
}

fn line(buckets: Vec<&Bucket>, name: String, step: TimeDelta) -> Line {
    let single = buckets.iter().all(|bucket| bucket.count == 1);
    let longest = longest_wait(&buckets, step, single);
    let mut line = Line {
        name,
        ..Line::default()
    };
    let (mut low, mut high) = (Vec::new(), Vec::new());
    let mut last: Option<i64> = None;
    for bucket in buckets {
        let at = bucket.at.timestamp();
        if let Some(last) = last.filter(|last| at - last > longest) {
            // Just after the last that was heard.
            line.at.push(last + (longest / 2).max(1));
            line.mean.push(None);
            low.push(None);
            high.push(None);
        }
        line.at.push(at);
        line.mean.push(Some(rounded(bucket.mean)));
        low.push(Some(rounded(bucket.low)));
        high.push(Some(rounded(bucket.high)));
        last = Some(at);
    }
    if !single {
        (line.low, line.high) = (Some(low), Some(high));
    }
    line
}

/// For how many seconds nothing may be heard before it counts as a gap: a station that reports once an hour is not
/// missing in between, and one note that got lost is no gap.
fn longest_wait(buckets: &[&Bucket], step: TimeDelta, single: bool) -> i64 {
    let mut waits: Vec<_> = buckets
        .windows(2)
        .map(|pair| (pair[1].at - pair[0].at).num_seconds())
        .collect();
    waits.sort_unstable();
    let usual = waits
        .get(waits.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or_default();
    let usual = usual.max(step.num_seconds());
    if single { usual * 5 / 2 } else { usual * 7 / 4 }
}

/// Four places are what a station sends; of large numbers fewer are enough.
fn rounded(value: f64) -> f64 {
    let scaled = value * 1e4;
    if scaled.abs() < 1e15 {
        scaled.round() / 1e4 + 0.0
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_that_people_count_in_and_gives_about_as_many_points() {
        let check = |hours: i64, points: i64, seconds: i64| {
            let step = step(TimeDelta::hours(hours), points);
            assert_eq!(step.num_seconds(), seconds, "{hours} h in {points}");
        };
        check(6, 500, 60);
        check(24, 500, 180);
        check(24 * 7, 500, 1_200 + 600);
        check(24 * 30, 500, 7_200);
        check(24 * 365, 500, 86_400);
        check(24 * 365, 2_000, 21_600);
        check(24 * 365 * 5, 500, 604_800);
        check(24 * 36_500, 10, 86_400 * 3_651);
        check(0, 500, 1);
    }

    #[test]
    fn scores_are_shares_of_the_same_moment() {
        let at: DateTime<Utc> = "2026-03-01T12:00:00Z".parse().expect("a time");
        let before = at - TimeDelta::hours(1);
        let check = |latest: &[(&str, f64, DateTime<Utc>)], expected: &[&str]| {
            assert_eq!(scores(latest.iter().copied()), expected);
        };
        let note = [
            ("warm", 0.1, at),
            ("steam", 0.0, at),
            ("hot", 0.2, at),
            ("anomaly", 0.7, at),
            ("cold", 1.0, at),
            ("max", 0.9, at),
            ("seq", 1.0, at),
            ("fan.speed", 0.5, at),
            ("ratio", 1.5, at),
            ("moved", 0.0, before),
            ("leak", 0.0, before),
        ];
        check(&note, &["anomaly", "cold", "warm", "hot", "steam"]);
        check(&[("draught", 0.3, at)], &["draught"]);
        check(&[], &[]);
    }

    #[test]
    fn an_expression_that_is_a_path_names_a_series() {
        for (expression, series) in [
            (" body.anomaly ", Some("anomaly")),
            ("body.hot.max_2", Some("hot.max_2")),
            ("body.a + body.b", None),
            ("body.", None),
            ("$max(body.a)", None),
            ("anomaly", None),
        ] {
            assert_eq!(series_of(expression), series, "{expression}");
        }
    }

    #[test]
    fn moments_are_read_in_three_forms() {
        let noon = "2026-03-01T12:00:00Z".parse().ok();
        for text in [
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00+01:00",
            "2026-03-01T12:00",
        ] {
            assert_eq!(moment(text), noon, "{text}");
        }
        assert_eq!(moment("2026-03-01"), "2026-03-01T00:00:00Z".parse().ok());
        for text in [
            "",
            "yesterday",
            "2026-13-01",
            "+99999-01-01T00:00:00Z",
            "-0300-01-01T00:00:00Z",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    fn bucket(second: i64, count: i64, value: f64) -> Bucket {
        Bucket {
            series: "a".into(),
            at: DateTime::from_timestamp(second, 0).expect("a time"),
            count,
            mean: value,
            low: value - 0.1,
            high: value + 0.1,
        }
    }

    #[test]
    fn gaps_are_nulls_and_slow_stations_have_none() {
        let check = |buckets: &[Bucket], step: i64, nulls: &[i64]| {
            let line = &lines(vec!["a".into()], buckets, TimeDelta::seconds(step))[0];
            let found: Vec<_> = line
                .at
                .iter()
                .zip(&line.mean)
                .filter(|(_, mean)| mean.is_none())
                .map(|(at, _)| *at)
                .collect();
            assert_eq!(found, nulls, "{line:?}");
            assert!(line.at.is_sorted_by(|a, b| a < b), "{line:?}");
        };
        let every = |seconds: &[i64], count: i64| -> Vec<Bucket> {
            seconds
                .iter()
                .map(|second| bucket(*second, count, 0.5))
                .collect()
        };
        check(&[], 60, &[]);
        check(&every(&[0], 1), 60, &[]);
        // Every five minutes; one lost is none, two are a gap.
        check(&every(&[0, 300, 600, 1_200, 1_500], 1), 60, &[]);
        check(&every(&[0, 300, 600, 1_500, 1_800], 1), 60, &[600 + 375]);
        // Every hour.
        check(&every(&[0, 3_600, 7_200], 1), 60, &[]);
        // A step without anything is a gap.
        check(
            &every(&[0, 1_800, 3_600, 7_200], 6),
            1_800,
            &[3_600 + 1_575],
        );
    }

    #[test]
    fn low_and_high_are_told_where_they_differ() {
        let one = &lines(vec!["a".into()], &[bucket(0, 1, 0.25)], HOUR)[0];
        assert_eq!((&one.low, &one.high), (&None, &None));
        let many = &lines(vec!["a".into()], &[bucket(0, 2, 0.25)], HOUR)[0];
        assert_eq!(
            (many.low.as_deref(), many.high.as_deref()),
            (Some(&[Some(0.15)][..]), Some(&[Some(0.35)][..]))
        );
    }
}
