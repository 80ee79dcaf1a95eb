//! What people give us in forms and queries: texts, times, durations, and whose name stands under it (pure).
//!
//! Each function answers the value or the sentence that is shown beside the field, which says what to write instead.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};

use super::person::Person;
use crate::audit::Actor;
use crate::config::PEOPLE;
use crate::error::Error;
use crate::process::silence;

/// Characters of a remark.
pub const LONGEST_REMARK: usize = 1_000;
/// Characters of the reason of a silence.
pub const LONGEST_REASON: usize = 300;
/// Characters of somebody's name.
pub const LONGEST_NAME: usize = 100;
/// A shorter silence would be over before the next note.
pub const SHORTEST_SILENCE: TimeDelta = TimeDelta::minutes(1);

/// A text of 1 to `most` characters, without the white space around it.
pub fn text(given: &str, most: usize) -> Result<String, String> {
    let text = given.trim().replace("\r\n", "\n");
    let count = text.chars().count();
    if text.is_empty() {
        Err("Write something here.".into())
    } else if text.contains('\0') {
        Err("A NUL character cannot be kept; take it out.".into())
    } else if count > most {
        Err(format!(
            "At most {most} characters can be kept; this has {count}."
        ))
    } else {
        Ok(text)
    }
}

/// How long a silence lasts, such as `2h`, `90m` or `1d 12h`.
pub fn silence_time(given: &str) -> Result<TimeDelta, String> {
    let given = given.trim();
    if given.is_empty() {
        return Err("Say for how long, such as 2h.".into());
    }
    if given.parse::<f64>().is_ok() {
        return Err(format!("Add a unit, such as {given}h or {given}m."));
    }
    let time: Duration = humantime::parse_duration(given)
        .map_err(|_| "Write a time such as 90m, 2h or 3d.".to_owned())?;
    match TimeDelta::from_std(time) {
        Ok(time) if time < SHORTEST_SILENCE => Err("A silence lasts a minute at least.".into()),
        Ok(time) if time <= silence::LONGEST => Ok(time),
        _ => Err(format!(
            "A silence lasts {} days at most.",
            silence::LONGEST.num_days()
        )),
    }
}

/// A moment as an address or a form gives it: RFC 3339, or a day or a minute in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    at: DateTime<Utc>,
    /// A day stands for its beginning, or for its end where a window ends.
    day: bool,
}

impl Moment {
    pub fn begin(self) -> DateTime<Utc> {
        self.at
    }

    /// What lies before this is inside a window that ends with this moment.
    pub fn end(self) -> DateTime<Utc> {
        if self.day {
            self.at + TimeDelta::days(1)
        } else {
            self.at
        }
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let moment = if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            Self {
                at: at.to_utc(),
                day: false,
            }
        } else if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            Self {
                at: day.and_time(NaiveTime::MIN).and_utc(),
                day: true,
            }
        } else {
            let formats = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
            let at = formats
                .iter()
                .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
            let at =
                at.ok_or("write a day such as 2026-03-01 or a time such as 2026-03-01T12:00Z")?;
            Self {
                at: at.and_utc(),
                day: false,
            }
        };
        // Postgres has an end of time, too.
        let years = NaiveDate::from_ymd_opt(1970, 1, 1)..NaiveDate::from_ymd_opt(2200, 1, 1);
        if years.contains(&Some(moment.at.date_naive())) {
            Ok(moment)
        } else {
            Err("write a time between 1970 and 2200".into())
        }
    }
}

/// As a field of a form shows it again.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.day {
            "%Y-%m-%d"
        } else {
            "%Y-%m-%dT%H:%M"
        };
        write!(f, "{}", self.at.format(format))
    }
}

/// For queries: a field of a form that was left empty is as one that is not there.
pub fn optional<'de, D: Deserializer<'de>, T: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let given: Option<String> = Option::deserialize(deserializer)?;
    let given = given.as_deref().map(str::trim).filter(|it| !it.is_empty());
    given
        .map(|text| text.parse().map_err(serde::de::Error::custom))
        .transpose()
}

/// Who signs. Somebody with a name of their own need not say, and cannot say another; a script with the people token says
/// for whom it acts.
pub fn signer(person: &Person, by: Option<&str>) -> Result<Actor, Error> {
    let mut actor = person.actor();
    if person.name == PEOPLE && person.csrf.is_none() {
        actor.name = text(by.unwrap_or_default(), LONGEST_NAME).map_err(|_| {
            Error::Unprocessable(format!(
                "`by` is who takes it: a name of 1 to {LONGEST_NAME} characters"
            ))
        })?;
    }
    Ok(actor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_whole_or_refused() {
        assert_eq!(text("  a\r\nb \n", 3), Ok("a\nb".into()));
        assert_eq!(text("ééé", 3), Ok("ééé".into()));
        assert!(text("four", 3).is_err_and(|why| why.contains("this has 4")));
        assert!(text(" \n ", 3).is_err());
        assert!(text("a\0b", 9).is_err_and(|why| why.contains("NUL")));
    }

    #[test]
    fn silences_last_from_a_minute_to_a_month() {
        let check = |given: &str, minutes: i64| {
            assert_eq!(
                silence_time(given),
                Ok(TimeDelta::minutes(minutes)),
                "{given}"
            );
        };
        check(" 1m ", 1);
        check("2h", 120);
        check("1d 12h", 36 * 60);
        check("30d", 30 * 24 * 60);
        let refuse = |given: &str, why: &str| {
            let told = silence_time(given).expect_err(given);
            assert!(told.contains(why), "{given}: {told}");
        };
        refuse("", "Say for how long");
        refuse("4", "4h");
        refuse("59s", "a minute");
        refuse("31d", "30 days");
        refuse("9999999999y", "30 days");
        refuse("tomorrow", "90m");
        refuse("-2h", "90m");
    }

    #[test]
    fn moments_are_days_minutes_or_exact() {
        let check = |given: &str, begin: &str, end: &str| {
            let moment: Moment = given.parse().expect(given);
            let told = (moment.begin().to_rfc3339(), moment.end().to_rfc3339());
            assert_eq!(told, (begin.to_owned(), end.to_owned()), "{given}");
        };
        let noon = "2026-03-01T12:00:00+00:00";
        check("2026-03-01T12:00", noon, noon);
        check("2026-03-01T13:00:00+01:00", noon, noon);
        let (day, next) = ("2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00");
        check("2026-03-01", day, next);
        for bad in ["", "yesterday", "2026-02-30", "+262142-01-01", "1492-10-12"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }
}
