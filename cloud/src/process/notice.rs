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
#[cfg(test)]
mod tests;

pub use fit::{one_segment, with_link};
use gsm7::{SINGLE, septets};
pub use gsm7::{gsm7, segments};
use reading::{detail, reading, subject};

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
    /// To the next ones, because nobody of those before has acknowledged.
    Escalated,
    Reminder,
    Resolved,
}

impl Kind {
    /// As it is called in the tables and to webhooks.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Opened => "opened",
            Kind::Escalated => "escalated",
            Kind::Reminder => "reminder",
            Kind::Resolved => "resolved",
        }
    }
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
    /// The note's own `why`; of a silence, what was heard last.
    pub why: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HotSpot {
    pub x: f64,
    pub y: f64,
    /// Degrees C above the surroundings.
    pub delta_t: f64,
}

/// One GSM-7 segment for each moment of an incident's life.
pub fn default_text(facts: &Facts) -> String {
    let mut draft = Draft {
        opening: opening(facts),
        name: one_line(facts.device_name, "device"),
        rule: subject(facts),
        reading: reading(facts),
        hot_spot: detail(facts),
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
        Kind::Escalated => format!("{severity} not acknowledged,"),
        Kind::Reminder => format!("{severity} reminder"),
        Kind::Resolved => format!("RESOLVED {}", severity.to_lowercase()),
    }
}

fn when(facts: &Facts) -> String {
    // A silence has no other moment than that since which it lasts, and that is told before.
    if facts.wording == Wording::Silence && facts.kind != Kind::Resolved {
        return String::new();
    }
    let zone = zone(facts);
    let opened = facts.opened_at.with_timezone(&zone);
    let at = facts.at.with_timezone(&zone);
    match facts.kind {
        Kind::Opened => at.format("%-d %b %H:%M %Z").to_string(),
        Kind::Escalated | Kind::Reminder => opened.format("since %-d %b %H:%M %Z").to_string(),
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

fn zone(facts: &Facts) -> Tz {
    let named = facts.timezone.and_then(|name| name.parse().ok());
    named.unwrap_or(Tz::UTC)
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
