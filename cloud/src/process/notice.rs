//! What a text message says, and that a phone network can carry it cheaply.
//!
//! Owns the default texts of an incident and, in `gsm7`, the letters that a cheap text may have. Pure.
//!
//! Promises: a default text fits one segment, whatever names are in it, and always ends with the incident id, or that and its link.
//! To fit, it shortens the place first; if that is not enough it leaves out the hot spot, then the place, and then
//! shortens the device name and the rule. Numbers and id are never cut. No text begins with a word that carriers act on.
//! What a station gives as its reason is cut to a few words before all that. A link to the incident's page stands behind
//! the id if there is room for it after all else.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::config::{Severity, Threshold, Wording};

mod fit;
mod gsm7;
mod reading;

pub use fit::{one_segment, with_link};
use gsm7::{SINGLE, septets};
pub use gsm7::{gsm7, segments};
use reading::{hot_spot, reading, subject};

/// Twilio refuses longer bodies.
const LONGEST: usize = 1600;

/// Shortened no further than to these, so that a person still knows which device and rule is meant.
const NAME_AT_LEAST: usize = 20;
const RULE_AT_LEAST: usize = 14;
const PLACE_AT_LEAST: usize = 10;

/// Words that carriers and Twilio understand as orders when people send them; ours shall not look like one.
const CARRIER_WORDS: [&str; 8] = [
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "CANCEL",
    "END",
    "QUIT",
    "START",
    "YES",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Opened,
    Reminder,
    Resolved,
}

/// What is known about an incident when it is told.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub kind: Kind,
    pub severity: Severity,
    pub incident_id: i64,
    /// Serial number, or the device uid if it has none.
    pub device_name: &'a str,
    pub rule: &'a str,
    pub value: f64,
    pub threshold: Threshold,
    pub peak: Option<f64>,
    pub opened_at: DateTime<Utc>,
    /// The moment this notice is about.
    pub at: DateTime<Utc>,
    pub place: Option<&'a str>,
    /// IANA name; unknown ones are told in UTC.
    pub timezone: Option<&'a str>,
    pub hot_spot: Option<HotSpot>,
    pub wording: Wording,
    /// The note's own `why`.
    pub why: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HotSpot {
    pub x: f64,
    pub y: f64,
    /// Degrees C above the surroundings.
    pub delta_t: f64,
}

/// One GSM-7 segment for the three moments of an incident's life.
pub fn default_text(facts: &Facts) -> String {
    let mut draft = Draft {
        opening: opening(facts),
        name: one_line(facts.device_name, "device"),
        rule: subject(facts),
        reading: reading(facts),
        hot_spot: facts.hot_spot.map_or_else(String::new, hot_spot),
        place: one_line(facts.place.unwrap_or_default(), ""),
        when: when(facts),
        id: facts.incident_id,
    };
    let shortenings: [fn(&mut Draft, usize); 5] = [
        |draft, excess| {
            if septets(&draft.place) < PLACE_AT_LEAST + excess {
                draft.hot_spot.clear();
            }
        },
        |draft, excess| draft.place = shortened(&draft.place, excess, PLACE_AT_LEAST),
        |draft, _| draft.place.clear(),
        |draft, excess| draft.name = shortened(&draft.name, excess, NAME_AT_LEAST),
        |draft, excess| draft.rule = shortened(&draft.rule, excess, RULE_AT_LEAST),
    ];
    for shorten in shortenings {
        let excess = septets(&draft.text()).saturating_sub(SINGLE);
        if excess > 0 {
            shorten(&mut draft, excess);
        }
    }
    draft.text()
}

/// A text of the user's own making: folded, cut to what can be sent, and with the incident id so that it can be acknowledged.
pub fn custom_text(message: &str, incident_id: i64) -> String {
    let id = format!("#{incident_id}");
    let mut text = gsm7(message).trim().to_owned();
    let first_word = text
        .split(|letter: char| !letter.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    if CARRIER_WORDS
        .iter()
        .any(|word| word.eq_ignore_ascii_case(first_word))
    {
        text = format!("{id} {text}");
    }
    // Folded text still has letters of two bytes, so the cut counts letters.
    text = text.chars().take(LONGEST).collect();
    if !mentions(&text, &id) {
        text = text.chars().take(LONGEST - id.len() - 1).collect();
        let gap = if text.is_empty() { "" } else { " " };
        text = format!("{}{gap}{id}", text.trim_end());
    }
    text
}

struct Draft {
    opening: String,
    name: String,
    rule: String,
    reading: String,
    hot_spot: String,
    place: String,
    when: String,
    id: i64,
}

impl Draft {
    fn text(&self) -> String {
        let mut text = format!(
            "{} {}: {} {}",
            self.opening, self.name, self.rule, self.reading
        );
        for detail in [&self.hot_spot, &self.place, &self.when] {
            if !detail.is_empty() {
                text.push_str(", ");
                text.push_str(detail);
            }
        }
        let _ = write!(text, " #{}", self.id);
        text
    }
}

fn opening(facts: &Facts) -> String {
    let severity = match facts.severity {
        Severity::Critical => "CRITICAL",
        Severity::Warning => "WARNING",
        Severity::Info => "INFO",
    };
    match facts.kind {
        Kind::Opened => severity.to_owned(),
        Kind::Reminder => format!("{severity} reminder"),
        Kind::Resolved => format!("RESOLVED {}", severity.to_lowercase()),
    }
}

fn when(facts: &Facts) -> String {
    let zone = facts
        .timezone
        .and_then(|name| name.parse::<Tz>().ok())
        .unwrap_or(Tz::UTC);
    let opened = facts.opened_at.with_timezone(&zone);
    let at = facts.at.with_timezone(&zone);
    match facts.kind {
        Kind::Opened => at.format("%-d %b %H:%M %Z").to_string(),
        Kind::Reminder => opened.format("since %-d %b %H:%M %Z").to_string(),
        Kind::Resolved if opened.date_naive() == at.date_naive() => {
            format!(
                "{}-{}",
                opened.format("%-d %b %H:%M"),
                at.format("%H:%M %Z")
            )
        }
        Kind::Resolved => format!(
            "{} to {}",
            opened.format("%-d %b %H:%M"),
            at.format("%-d %b %H:%M %Z")
        ),
    }
}

fn one_line(text: &str, otherwise: &str) -> String {
    let line = gsm7(text).split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        otherwise.to_owned()
    } else {
        line
    }
}

/// Takes `excess` septets out of the middle, but leaves `at_least`: names of a fleet differ mostly at their ends.
fn shortened(text: &str, excess: usize, at_least: usize) -> String {
    let size = septets(text);
    let target = size.saturating_sub(excess).max(at_least);
    if size <= target {
        return text.to_owned();
    }
    let tail: String = taken(text.chars().rev(), target / 3)
        .chars()
        .rev()
        .collect();
    let head = taken(text.chars(), target - 2 - septets(&tail));
    format!("{}..{}", head.trim_end(), tail.trim_start())
}

fn taken(letters: impl Iterator<Item = char>, at_most: usize) -> String {
    let mut left = at_most;
    letters
        .take_while(|letter| {
            let size = septets(letter.encode_utf8(&mut [0; 4]));
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .collect()
}

/// Whether the id is there as a whole: `#17` is not in `#170`.
fn mentions(text: &str, id: &str) -> bool {
    text.match_indices(id)
        .any(|(start, _)| !text[start + id.len()..].starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(kind: Kind) -> Facts<'static> {
        let time = |seconds| DateTime::from_timestamp(seconds, 0).expect("a time");
        Facts {
            kind,
            severity: Severity::Critical,
            incident_id: 17,
            device_name: "barn-3",
            rule: "anomaly",
            value: if kind == Kind::Opened { 0.88 } else { 0.31 },
            threshold: Threshold::Above(0.7),
            peak: Some(0.93),
            opened_at: time(1_644_340_339),
            at: time(1_644_340_339 + 5400),
            place: Some("Shorewood Hills WI"),
            timezone: Some("America/Chicago"),
            hot_spot: None,
            wording: Wording::Limit,
            why: None,
        }
    }

    fn check(facts: &Facts, expected: &str) {
        let text = default_text(facts);
        assert_eq!(text, expected);
        assert_eq!(segments(&text), 1);
    }

    #[test]
    fn texts_of_an_incident() {
        let opened = facts(Kind::Opened);
        let at = opened.opened_at;
        let spot = HotSpot {
            x: 12.0,
            y: 7.0,
            delta_t: 8.42,
        };
        check(
            &Facts {
                at,
                hot_spot: Some(spot),
                ..opened.clone()
            },
            "CRITICAL barn-3: anomaly 0.88 above 0.7, hot spot 12,7 +8.4C, Shorewood Hills WI, 8 Feb 11:12 CST #17",
        );
        check(
            &facts(Kind::Reminder),
            "CRITICAL reminder barn-3: anomaly 0.31, limit 0.7, peak 0.93, Shorewood Hills WI, since 8 Feb 11:12 CST #17",
        );
        check(
            &facts(Kind::Resolved),
            "RESOLVED critical barn-3: anomaly 0.31, limit 0.7, peak 0.93, Shorewood Hills WI, 8 Feb 11:12-12:42 CST #17",
        );
        check(
            &Facts {
                timezone: Some("Asia/Tokyo"),
                at: at + chrono::TimeDelta::days(1),
                place: None,
                ..facts(Kind::Resolved)
            },
            "RESOLVED critical barn-3: anomaly 0.31, limit 0.7, peak 0.93, 9 Feb 02:12 to 10 Feb 02:12 JST #17",
        );
        check(
            &Facts {
                at,
                timezone: Some("Mars/Base"),
                threshold: Threshold::Below(1e-7),
                value: -1e300,
                place: None,
                ..opened.clone()
            },
            "CRITICAL barn-3: anomaly -1.00e300 below 1.00e-7, 8 Feb 17:12 UTC #17",
        );
        check(
            &Facts {
                at,
                device_name: "Łódź\n“stodoła”",
                rule: " ",
                place: Some(""),
                ..opened
            },
            "CRITICAL Lodz \"stodola\": value 0.88 above 0.7, 8 Feb 11:12 CST #17",
        );
    }

    #[test]
    fn a_place_that_is_none_is_not_told() {
        for (x, y, delta_t) in [
            (-1.0, -1.0, 8.4),
            (12.0, 7.0, 0.0),
            (12.0, 7.0, -0.04),
            (12.0, 1e9, 8.4),
            (f64::NAN, 7.0, 8.4),
        ] {
            let nowhere = Facts {
                hot_spot: Some(HotSpot { x, y, delta_t }),
                ..facts(Kind::Opened)
            };
            check(
                &nowhere,
                "CRITICAL barn-3: anomaly 0.88 above 0.7, Shorewood Hills WI, 8 Feb 12:42 CST #17",
            );
        }
    }

    #[test]
    fn hours_of_one_state() {
        let dwell = |kind, value, why| Facts {
            severity: Severity::Warning,
            rule: "dwell",
            value,
            peak: Some(5.49),
            threshold: Threshold::Above(0.0),
            wording: Wording::Hours,
            why,
            ..facts(kind)
        };
        check(
            &dwell(Kind::Opened, 3.0833, Some("dwell warm")),
            "WARNING barn-3: warm for 3.1 h, Shorewood Hills WI, 8 Feb 12:42 CST #17",
        );
        check(
            &dwell(Kind::Opened, 3.0, None),
            "WARNING barn-3: dwell for 3 h, Shorewood Hills WI, 8 Feb 12:42 CST #17",
        );
        check(
            &dwell(Kind::Reminder, 4.25, Some("dwell warm")),
            "WARNING reminder barn-3: warm for 4.3 h by now, Shorewood Hills WI, since 8 Feb 11:12 CST #17",
        );
        check(
            &dwell(Kind::Resolved, 0.0, Some("dwell warm over")),
            "RESOLVED warning barn-3: warm over, 5.5 h at most, Shorewood Hills WI, 8 Feb 11:12-12:42 CST #17",
        );
    }

    #[test]
    fn a_fault_and_its_reason() {
        let fault = |kind, why| Facts {
            severity: Severity::Warning,
            rule: "fault",
            value: f64::from(u8::from(kind != Kind::Resolved)),
            peak: Some(1.0),
            threshold: Threshold::Above(0.0),
            wording: Wording::Reason,
            why,
            place: None,
            ..facts(kind)
        };
        check(
            &fault(Kind::Opened, Some("the camera does not answer")),
            "WARNING barn-3: fault: the camera does not answer, 8 Feb 12:42 CST #17",
        );
        check(
            &fault(Kind::Reminder, Some("")),
            "WARNING reminder barn-3: fault: reported, since 8 Feb 11:12 CST #17",
        );
        check(
            &fault(Kind::Resolved, Some("daily")),
            "RESOLVED warning barn-3: fault over, 8 Feb 11:12-12:42 CST #17",
        );
        let long = "what\na station says ".repeat(100);
        let text = default_text(&fault(Kind::Opened, Some(&long)));
        assert!(
            segments(&text) == 1 && text.len() < 120 && text.ends_with("#17"),
            "{text}"
        );
    }

    #[test]
    fn what_is_shortened_first() {
        let spot = HotSpot {
            x: 12.0,
            y: 7.0,
            delta_t: 8.42,
        };
        let opened = Facts {
            hot_spot: Some(spot),
            place: Some("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch"),
            ..facts(Kind::Opened)
        };
        check(
            &Facts {
                device_name: "north barn, third bay, east wall",
                ..opened.clone()
            },
            "CRITICAL north barn, third bay, east wall: anomaly 0.88 above 0.7, hot spot 12,7 +8.4C, Llanfairpwllgwyngyllgogerychwyrn..antysiliogogogoch, 8 Feb 12:42 CST #17",
        );
        check(
            &Facts {
                device_name: "north barn, third bay, east wall, seen from the upper gallery, camera 0x33",
                ..opened.clone()
            },
            "CRITICAL north barn, third bay, east wall, seen from the upper gallery, camera 0x33: anomaly 0.88 above 0.7, Llanfairpwllgwyngy..iogogogoch, 8 Feb 12:42 CST #17",
        );
        let long = "a-rule-with-a-very-long-name-that-nobody-would-choose-but-a-generator-might-1";
        check(
            &Facts {
                device_name: "north barn, third bay, east wall, seen from the upper gallery, camera 0x33",
                rule: long,
                ..opened
            },
            "CRITICAL north barn, third bay,..camera 0x33: a-rule-with-a-very-long-name-that-nobody-would-choose-but-a-generator-might-1 0.88 above 0.7, 8 Feb 12:42 CST #17",
        );
    }

    #[test]
    fn texts_of_the_users_own() {
        let check = |message: &str, expected: &str| assert_eq!(custom_text(message, 17), expected);
        check("Too hot: 71 °C – look!", "Too hot: 71 C - look! #17");
        check("Incident #17 is open", "Incident #17 is open");
        check("Incident #170 is open", "Incident #170 is open #17");
        check("stop the dryer", "#17 stop the dryer");
        check("Stopped dryer", "Stopped dryer #17");
        check("  \n", "#17");
        let long = custom_text(&"é".repeat(5000), 17);
        assert_eq!(long.chars().count(), LONGEST);
        assert!(long.ends_with("é #17"));
    }

    #[test]
    fn folding() {
        let check = |text: &str, expected: &str| assert_eq!(gsm7(text), expected);
        check(
            "it’s “hot” — 71 °C, 160°F, 5° more…",
            "it's \"hot\" - 71 C, 160F, 5 deg more...",
        );
        check(
            "Ünïcødé Ærø façade naïve Dvořák e\u{301}",
            "Ünicødé Ærø facade naive Dvorak e",
        );
        check("a\r\nb\tc\u{a0}d\0", "a  b c d ");
        check("🔥 火 `x` ≥ 5 µm²", "? ? 'x' >= 5 um2");
        check("[~^{}|\\]€@£", "[~^{}|\\]€@£");
    }

    #[test]
    fn counting_segments() {
        let check = |letter: &str, count: usize, expected: usize| {
            assert_eq!(
                segments(&letter.repeat(count)),
                expected,
                "{count} x {letter}"
            );
        };
        check("a", 0, 1);
        check("a", 160, 1);
        check("a", 161, 2);
        check("a", 306, 2);
        check("a", 307, 3);
        check("€", 80, 1);
        // A letter of two septets is not split: 76 of them fill a part of 153.
        check("€", 152, 2);
        check("€", 153, 3);
        check("ç", 70, 1);
        check("ç", 71, 2);
        check("ç", 135, 3);
        check("🔥", 35, 1);
        check("🔥", 66, 2);
        check("🔥", 67, 3);
    }
}
