//! What a person means by a text (pure).
//!
//! A phone capitalises, corrects, adds full stops and curls quotes, so words are compared without all that. Nothing that
//! is not clearly an order is one: what cannot be read is answered with help, and a time that cannot be read with a
//! question, rather than guessed. The words that carriers act on are no orders of ours, and are never answered.

use chrono::TimeDelta;

/// Where nothing is said of how long.
pub const USUAL_SILENCE: TimeDelta = TimeDelta::hours(1);

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Acknowledge {
        /// Without one it is the only open incident that this number was told of.
        incident: Option<i64>,
        /// What else was said.
        remark: Option<String>,
    },
    /// Of all, or of one incident.
    Status {
        incident: Option<i64>,
    },
    Silence {
        incident: Option<i64>,
        time: Time,
        reason: Option<String>,
    },
    Help,
    /// For the carrier and Twilio, who answer it.
    Carrier,
    Unknown,
}

/// How long to be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    Given(TimeDelta),
    Missing,
    /// Something that begins like a time and is none.
    Unclear,
}

/// Twilio acts on the first eight by itself, and carriers on more of them each year.
const CARRIER_WORDS: [&str; 13] = [
    "stop",
    "stopall",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "start",
    "yes",
    "unstop",
    "revoke",
    "optout",
    "opt-out",
    "stop all",
];
/// With what phones make of them.
const ACKNOWLEDGE: [&str; 8] = [
    "ack",
    "acks",
    "acked",
    "ackn",
    "akc",
    "acknowledge",
    "acknowledged",
    "acknowledges",
];
const STATUS: [&str; 4] = ["status", "statue", "stat", "stats"];
const SILENCE: [&str; 6] = ["silence", "silenced", "silent", "mute", "snooze", "quiet"];
const HELP: [&str; 5] = ["help", "info", "commands", "hello", "hi"];
/// Said before a number.
const BEFORE_NUMBER: [&str; 6] = ["#", "no", "nr", "number", "incident", "id"];

/// Seconds of a unit of time, by all its names.
const UNITS: [(&[&str], i64); 4] = [
    (&["m", "min", "mins", "minute", "minutes"], 60),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600),
    (&["d", "day", "days"], 86_400),
    (&["w", "week", "weeks"], 604_800),
];

impl Command {
    pub fn parse(text: &str) -> Self {
        let text = plain(text);
        if text == "?" {
            return Self::Help;
        }
        let text = text.trim_matches(|letter: char| !letter.is_alphanumeric() && letter != '#');
        let lower = text.to_lowercase();
        if CARRIER_WORDS.contains(&lower.as_str()) {
            return Self::Carrier;
        }
        let end = text
            .find(|letter: char| !letter.is_alphabetic())
            .unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        let word = word.to_lowercase();
        let is = |words: &[&str]| words.contains(&word.as_str());
        if is(&ACKNOWLEDGE) {
            let (incident, rest) = number(rest);
            Self::Acknowledge {
                incident,
                remark: words(rest),
            }
        } else if is(&STATUS) {
            let (incident, _) = number(rest);
            Self::Status { incident }
        } else if is(&SILENCE) {
            silence(rest)
        } else if is(&HELP) {
            Self::Help
        } else {
            Self::Unknown
        }
    }

    /// As it is kept in the database and counted.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Acknowledge { .. } => "acknowledge",
            Self::Status { .. } => "status",
            Self::Silence { .. } => "silence",
            Self::Help => "help",
            Self::Carrier => "carrier",
            Self::Unknown => "unknown",
        }
    }
}

fn silence(rest: &str) -> Command {
    // `SILENCE 2h` has a time and no number, `SILENCE 17` a number and no time.
    let (incident, rest) = match number(rest) {
        (None, _) => (None, rest),
        (Some(incident), after) => (Some(incident), after),
    };
    let (time, rest) = time(rest);
    // The other way round, if it is clear that it is: `SILENCE 2h #17`.
    let (incident, rest) = match incident {
        None if rest.trim_start().starts_with('#') => number(rest),
        incident => (incident, rest),
    };
    Command::Silence {
        incident,
        time,
        reason: words(rest),
    }
}

/// The number of an incident at the beginning, and what follows it. Digits with letters right behind them are none.
fn number(text: &str) -> (Option<i64>, &str) {
    let mut rest = unpunctuated(text);
    // As in `incident no. #17`.
    while let Some(after) = BEFORE_NUMBER.iter().find_map(|word| named(rest, word)) {
        rest = unpunctuated(after);
    }
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit())
        .unwrap_or(rest.len());
    let (digits, after) = rest.split_at(end);
    if digits.is_empty() || after.starts_with(char::is_alphanumeric) || of_a_unit(after) {
        return (None, text);
    }
    // There is no incident of such a number, and it is told so.
    (Some(digits.parse().unwrap_or(i64::MAX)), after)
}

/// What follows a word that announces a number, if it does.
fn named<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, after) = text.split_at_checked(word.len())?;
    (head.eq_ignore_ascii_case(word) && !after.starts_with(char::is_alphabetic)).then_some(after)
}

/// Whether a unit of time follows, so that the digits before it are no number of an incident: `2 h`, `1.5h`.
fn of_a_unit(after: &str) -> bool {
    let after = after.strip_prefix(['.', ',']).map_or(after, |fraction| {
        fraction.trim_start_matches(|letter: char| letter.is_ascii_digit())
    });
    unit(after.trim_start()).is_some()
}

/// How long, at the beginning, and what follows it.
fn time(text: &str) -> (Time, &str) {
    let mut rest = unpunctuated(text);
    if let Some(after) = named(rest, "for") {
        rest = unpunctuated(after);
    }
    let end = rest
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ',')
        .unwrap_or(rest.len());
    let (amount, after) = rest.split_at(end);
    if amount.is_empty() {
        return (Time::Missing, text);
    }
    let Some((seconds, after)) = unit(after.trim_start()) else {
        return (Time::Unclear, after);
    };
    let given = amount
        .replace(',', ".")
        .parse::<f64>()
        .ok()
        .filter(|amount| *amount > 0.0 && *amount < 1e6);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "at most a million weeks, in whole seconds"
    )]
    let time = given.map(|amount| TimeDelta::seconds((amount * seconds as f64) as i64));
    (time.map_or(Time::Unclear, Time::Given), after)
}

/// The seconds of the unit that stands first, and what follows it.
fn unit(text: &str) -> Option<(i64, &str)> {
    let end = text
        .find(|letter: char| !letter.is_alphanumeric())
        .unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let word = word.to_lowercase();
    let unit = UNITS
        .iter()
        .find(|(names, _)| names.contains(&word.as_str()))?;
    Some((unit.1, after))
}

fn unpunctuated(text: &str) -> &str {
    text.trim_start_matches(|letter: char| {
        letter.is_whitespace() || (letter.is_ascii_punctuation() && letter != '#')
    })
}

/// What is left to read, if anything.
fn words(text: &str) -> Option<String> {
    let text = text.trim_start_matches(|letter: char| {
        letter.is_whitespace() || matches!(letter, '.' | ',' | ':' | ';' | '-' | '!')
    });
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.contains(char::is_alphanumeric).then_some(text)
}

/// With plain blanks, quotes and digits, and without what cannot be seen.
fn plain(text: &str) -> String {
    let plain = text.chars().filter_map(|letter| match letter {
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{fe0f}' => None,
        '‘' | '’' | '‚' | '′' => Some('\''),
        '“' | '”' | '„' | '″' | '«' | '»' => Some('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => Some('-'),
        '０'..='９' => char::from_digit(letter as u32 - '０' as u32, 10),
        '＃' => Some('#'),
        '\0' => Some(' '),
        _ if letter.is_whitespace() || letter.is_control() => Some(' '),
        _ => Some(letter),
    });
    plain.collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(text: &str, incident: Option<i64>, remark: &str) {
        let remark = (!remark.is_empty()).then(|| remark.to_owned());
        assert_eq!(
            Command::parse(text),
            Command::Acknowledge { incident, remark },
            "{text}"
        );
    }

    #[test]
    fn acknowledgements() {
        for text in [
            "ACK 17",
            "ack 17",
            "Ack 17.",
            "ack#17",
            "ACK #17",
            " ack  17 ",
            "Ack17",
            "\"ACK 17\"",
            "“Ack 17”",
            "ack: 17",
            "Ack, 17!",
            "ACK\u{a0}17",
            "ack １７",
            "Acknowledge 17",
            "acknowledged incident 17",
            "ack no. 17",
            "ack nr 17",
            "ack incident no. #17",
            "👍 ack 17",
            "ACK\n17",
            "ack ＃17",
            "Ack-17",
            "ack – 17",
            "ack (17)",
            "Acked 17 ",
            "ack 17…",
        ] {
            ack(text, Some(17), "");
        }
        ack("ACK", None, "");
        ack("ack.", None, "");
        ack("Ack 17 checking the pump", Some(17), "checking the pump");
        ack(
            "ack 17, it’s the dryer. 5 min",
            Some(17),
            "it's the dryer. 5 min",
        );
        ack("ACK checking the pump", None, "checking the pump");
        ack("Ack 17 - on my way!", Some(17), "on my way");
        ack("ack 17th street", None, "17th street");
        ack("ack 99999999999999999999", Some(i64::MAX), "");
        ack("ack 17 18", Some(17), "18");
    }

    #[test]
    fn status_and_help() {
        for (text, incident) in [
            ("STATUS", None),
            ("status?", None),
            ("Status 17", Some(17)),
            ("status #17.", Some(17)),
            ("status of all", None),
        ] {
            assert_eq!(Command::parse(text), Command::Status { incident }, "{text}");
        }
        for text in ["HELP", "help!", "Info", "?", "help me", "Hi"] {
            assert_eq!(Command::parse(text), Command::Help, "{text}");
        }
        for text in [
            "",
            " ",
            "👍",
            "thanks",
            "on my way",
            "17",
            "#17",
            "backack 17",
            "acknowledgements",
            "stop the dryer, it is hot",
            "Yes I will",
            "\u{feff}",
        ] {
            assert_eq!(Command::parse(text), Command::Unknown, "{text}");
        }
    }

    #[test]
    fn carrier_words_are_nobodys_business_here() {
        for text in [
            "STOP",
            "stop",
            " Stop. ",
            "STOPALL",
            "Unsubscribe",
            "CANCEL",
            "END",
            "quit",
            "START",
            "yes",
            "YES!",
            "UNSTOP",
            "“Stop”",
            "Stop all",
        ] {
            assert_eq!(Command::parse(text), Command::Carrier, "{text}");
        }
    }

    #[test]
    fn silences() {
        let check = |text: &str, incident: Option<i64>, time: Time, reason: &str| {
            let reason = (!reason.is_empty()).then(|| reason.to_owned());
            assert_eq!(
                Command::parse(text),
                Command::Silence {
                    incident,
                    time,
                    reason
                },
                "{text}"
            );
        };
        let minutes = |minutes| Time::Given(TimeDelta::minutes(minutes));
        check("SILENCE 17 2h", Some(17), minutes(120), "");
        check(
            "silence #17 30m painting the wall",
            Some(17),
            minutes(30),
            "painting the wall",
        );
        check(
            "Silence 17 for 2 hours, painting",
            Some(17),
            minutes(120),
            "painting",
        );
        check("Mute 17 1d.", Some(17), minutes(1440), "");
        check("silence 17 1.5h", Some(17), minutes(90), "");
        check("silence 17 1,5 h", Some(17), minutes(90), "");
        check("silence 17 45 min", Some(17), minutes(45), "");
        check(
            "silence 17 1 week maintenance",
            Some(17),
            minutes(10_080),
            "maintenance",
        );
        check("silence 17", Some(17), Time::Missing, "");
        check("silence", None, Time::Missing, "");
        check("silence 17 painting", Some(17), Time::Missing, "painting");
        check("silence 2h", None, minutes(120), "");
        check("silence 2 h painting", None, minutes(120), "painting");
        check(
            "silence 2h #17 painting",
            Some(17),
            minutes(120),
            "painting",
        );
        check("silence 17 0h", Some(17), Time::Unclear, "");
        check("silence 17 2", Some(17), Time::Unclear, "");
        check("silence 17 2x", Some(17), Time::Unclear, "x");
        check("silence 17 1h30m", Some(17), Time::Unclear, "h30m");
        check("silence 17 99999999d", Some(17), Time::Unclear, "");
        check("silence 17 -2h", Some(17), minutes(120), "");
    }
}
