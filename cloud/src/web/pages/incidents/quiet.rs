//! The form of a silence: what was typed is kept, and what is wrong stands beside its field.

use chrono::TimeDelta;
use serde::Deserialize;

use crate::web::given::{self, LONGEST_REASON};

/// What can be chosen without writing.
pub const TIMES: [(&str, &str); 3] = [("1h", "1 hour"), ("4h", "4 hours"), ("1d", "1 day")];

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Quiet {
    /// Of the incidents' page; that of an incident knows them.
    pub device: String,
    pub rule: String,
    /// One of `TIMES`, or `other`.
    pub time: String,
    /// Another time, as somebody wrote it.
    pub other: String,
    pub reason: String,
    #[serde(skip)]
    pub problems: Problems,
}

/// What is wrong with each field.
#[derive(Debug, Default)]
pub struct Problems {
    pub device: Option<String>,
    pub rule: Option<String>,
    pub time: Option<String>,
    pub reason: Option<String>,
}

impl Problems {
    pub fn set(&mut self, field: &str, problem: String) {
        let place = match field {
            "device" => &mut self.device,
            "rule" => &mut self.rule,
            "time" => &mut self.time,
            _ => &mut self.reason,
        };
        *place = Some(problem);
    }

    pub fn any(&self) -> bool {
        let all = [&self.device, &self.rule, &self.time, &self.reason];
        all.iter().any(|problem| problem.is_some())
    }
}

impl Quiet {
    pub fn longest_reason() -> usize {
        LONGEST_REASON
    }

    /// Which time is marked: the first, until another was chosen.
    pub fn chose(&self, time: &str) -> bool {
        let chosen = match (self.time.as_str(), self.other.trim()) {
            ("", "") => TIMES[0].0,
            ("", _) => "other",
            (time, _) => time,
        };
        chosen == time
    }

    /// The time and the reason, or what is wrong with them in `problems`.
    pub fn check(&mut self) -> Option<(TimeDelta, String)> {
        // Whoever wrote a time meant it, even if they forgot to choose it.
        let written = self.time == "other" || !self.other.trim().is_empty();
        if written {
            "other".clone_into(&mut self.time);
        }
        let time = given::silence_time(if written { &self.other } else { &self.time });
        let reason = given::text(&self.reason, LONGEST_REASON).map_err(|problem| {
            if self.reason.trim().is_empty() {
                "Say why, for those who wonder later.".to_owned()
            } else {
                problem
            }
        });
        match (time, reason) {
            (Ok(time), Ok(reason)) => Some((time, reason)),
            (time, reason) => {
                self.problems.time = time.err();
                self.problems.reason = reason.err();
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quiet(time: &str, other: &str, reason: &str) -> Quiet {
        Quiet {
            time: time.into(),
            other: other.into(),
            reason: reason.into(),
            ..Quiet::default()
        }
    }

    #[test]
    fn a_written_time_goes_before_a_chosen_one() {
        let hours = |time, other| {
            let checked = quiet(time, other, " roof ").check();
            checked.map(|(time, reason)| (time.num_hours(), reason))
        };
        assert_eq!(hours("4h", ""), Some((4, "roof".into())));
        assert_eq!(hours("4h", "3d"), Some((72, "roof".into())));
        assert_eq!(hours("other", "2h"), Some((2, "roof".into())));
        assert_eq!(hours("other", ""), None);
        assert_eq!(hours("", ""), None);
    }

    #[test]
    fn each_field_says_what_is_wrong_with_it() {
        let mut bad = quiet("4h", "99", " ");
        assert!(bad.check().is_none() && bad.problems.any());
        assert!(bad.problems.time.is_some_and(|it| it.contains("unit")));
        assert!(bad.problems.reason.is_some_and(|it| it.contains("Say why")));
        let mut long = quiet("1h", "", &"x".repeat(301));
        assert!(long.check().is_none());
        assert!(long.problems.time.is_none() && long.problems.reason.is_some());
        assert!(Quiet::default().chose("1h") && quiet("", "2h", "").chose("other"));
    }
}
