//! What a person is answered by text: one segment, in the words of the notices (pure).

use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use crate::process::notice::{gsm7, one_segment, segments};

/// Nothing to say.
pub const NOTHING: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#;

/// An incident as it is told by text.
#[derive(Debug, Clone)]
pub struct Incident {
    pub id: i64,
    /// Of the station, by the name that people gave it.
    pub name: String,
    pub rule: String,
    pub severity: String,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub acknowledged_by: Option<String>,
    pub peak_value: f64,
    pub last_value: Option<f64>,
    pub timezone: Option<String>,
    /// Whether there was a notice of it for this number.
    pub told: bool,
}

/// How the stations are as a whole.
#[derive(Debug, Clone, Default)]
pub struct Stations {
    pub all: i64,
    pub silent: i64,
    /// Some of the silent ones.
    pub names: Vec<String>,
}

/// An answer as TwiML.
pub fn twiml(text: &str) -> String {
    let text = one_segment(text);
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            letter => escaped.push(letter),
        }
    }
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escaped}</Message></Response>"#
    )
}

impl Incident {
    fn short(&self) -> String {
        format!("#{} {} {}", self.id, self.name, self.rule)
    }

    /// As one of several.
    fn item(&self) -> String {
        match &self.acknowledged_by {
            Some(person) => format!("{} ({person} has it)", self.short()),
            None => self.short(),
        }
    }

    fn moment(&self, at: DateTime<Utc>) -> String {
        let zone = self.timezone.as_deref().and_then(|name| name.parse().ok());
        let at = at.with_timezone(&zone.unwrap_or(Tz::UTC));
        at.format("%-d %b %H:%M %Z").to_string()
    }

    /// Acknowledged by `whom`; this is how it was before.
    pub fn acknowledged(&self, whom: &str, with_remark: bool) -> String {
        let noted = if with_remark {
            " Your note is kept."
        } else {
            ""
        };
        match (&self.acknowledged_by, self.acknowledged_at) {
            (Some(person), Some(_)) if person == whom => {
                format!("{}: it is yours already.{noted}", self.short())
            }
            (Some(person), Some(at)) => {
                let since = self.moment(at);
                format!(
                    "{}: {person} has had it since {since}; that you have it too is noted.{noted}",
                    self.short()
                )
            }
            _ => format!("{}: it is yours now, reminders stop.{noted}", self.short()),
        }
    }

    pub fn over(&self, at: DateTime<Utc>, with_remark: bool) -> String {
        let noted = if with_remark {
            " Your note is kept."
        } else {
            ""
        };
        let at = self.moment(at);
        format!(
            "{}: over since {at}, there is nothing to acknowledge.{noted}",
            self.short()
        )
    }

    pub fn silenced(&self, until: DateTime<Utc>, by_default: bool) -> String {
        let until = self.moment(until);
        let hint = if by_default {
            format!(" For another time: SILENCE {} 4h", self.id)
        } else {
            String::new()
        };
        format!(
            "{}: silent until {until}, what happens is recorded all the same.{hint}",
            self.short()
        )
    }

    pub fn status(&self) -> String {
        let round = |value: f64| (value * 1e4).round() / 1e4;
        let peak = format!("peak {}", round(self.peak_value));
        let value = match (self.resolved_at, self.last_value) {
            (None, Some(value)) => format!("{} now, {peak}", round(value)),
            _ => peak,
        };
        let when = match self.resolved_at {
            None => format!("since {}", self.moment(self.opened_at)),
            Some(at) => format!("{} to {}", self.moment(self.opened_at), self.moment(at)),
        };
        let whose = match (&self.acknowledged_by, self.resolved_at) {
            (Some(person), _) => format!(", {person} has it"),
            (None, None) => format!(", nobody has it: ACK {}", self.id),
            (None, Some(_)) => String::new(),
        };
        format!(
            "{} ({}): {value}, {when}{whose}",
            self.short(),
            self.severity
        )
    }
}

/// What is open, and how the stations are.
pub fn overview(open: &[Incident], more: bool, stations: &Stations) -> String {
    let at_least = if more { "+" } else { "" };
    let head = match open.len() {
        0 => "Nothing is open".to_owned(),
        count => format!("{count}{at_least} open"),
    };
    let tail = match (stations.all, stations.silent) {
        (0, _) => "No station was heard of yet.".to_owned(),
        (1, 0) => "The one station reports.".to_owned(),
        (all, 0) => format!("All {all} stations report."),
        (all, silent) => {
            let others = usize::try_from(silent).unwrap_or_default() > stations.names.len();
            let others = if others { ".." } else { "" };
            format!(
                "{silent} of {all} stations silent: {}{others}",
                stations.names.join(", ")
            )
        }
    };
    if open.is_empty() {
        return format!("{head}. {tail}");
    }
    listed(&format!("{head}: "), open, &format!(". {tail}"))
}

/// Asked to do something with an incident that was not named.
pub fn which(open: &[Incident], order: &str) -> String {
    let first = open.first().map_or(0, |incident| incident.id);
    listed("Which one? ", open, &format!(". Reply {order} {first}"))
}

pub fn no_such(id: i64, open: &[Incident]) -> String {
    let head = format!("No incident #{id} for this number. ");
    if open.is_empty() {
        return format!("{head}Nothing is open.");
    }
    listed(&format!("{head}Open: "), open, "")
}

pub const NOTHING_WAITS: &str = "Nothing waits for an acknowledgement. STATUS tells what is open.";

pub const NOTHING_TO_MUTE: &str =
    "Nothing is open. SILENCE and the number of an incident mutes its rule at its station.";

pub fn unclear_time(id: i64) -> String {
    format!("For how long? Reply SILENCE {id} 2h, or 30m, or 1d.")
}

/// What can be sent, with the number of an incident to put into it.
pub fn help(understood: bool, open: &[Incident]) -> String {
    let sorry = if understood { "" } else { "Sorry? " };
    let id = open.first().map_or(17, |incident| incident.id);
    format!(
        "{sorry}ACK {id} takes an alarm, SILENCE {id} 2h mutes it, STATUS tells what is open, STATUS {id} more of one. STOP ends all texts."
    )
}

/// As many of them as fit, and how many do not.
fn listed(head: &str, incidents: &[Incident], tail: &str) -> String {
    let mut text = String::new();
    for shown in (1..=incidents.len()).rev() {
        let items: Vec<_> = incidents[..shown].iter().map(Incident::item).collect();
        let hidden = match incidents.len() - shown {
            0 => String::new(),
            hidden => format!(" and {hidden} more"),
        };
        text = format!("{head}{}{hidden}{tail}", items.join(", "));
        if segments(&gsm7(&text)) == 1 {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(id: i64, name: &str) -> Incident {
        let opened_at = DateTime::from_timestamp(1_644_340_339, 0).expect("a time");
        Incident {
            id,
            name: name.to_owned(),
            rule: "anomaly".to_owned(),
            severity: "critical".to_owned(),
            opened_at,
            resolved_at: None,
            acknowledged_at: None,
            acknowledged_by: None,
            peak_value: 0.93,
            last_value: Some(0.88),
            timezone: Some("America/Chicago".to_owned()),
            told: true,
        }
    }

    #[test]
    fn one_segment_of_plain_letters_whatever_the_names() {
        let many: Vec<_> = (1..40)
            .map(|id| incident(id, "<“Łódź” & stodoła> 🔥 in the far north-eastern corner"))
            .collect();
        let stations = Stations {
            all: 12,
            silent: 5,
            names: vec!["a".repeat(200), "b".to_owned()],
        };
        let texts = [
            overview(&many, true, &stations),
            which(&many, "ACK"),
            no_such(i64::MAX, &many),
            many[0].acknowledged("Ann", true),
            many[0].over(many[0].opened_at, true),
            many[0].silenced(many[0].opened_at, true),
            many[0].status(),
            help(false, &many),
            unclear_time(i64::MAX),
            NOTHING_WAITS.to_owned(),
        ];
        for text in texts {
            let answer = twiml(&text);
            let (_, rest) = answer.split_once("<Message>").expect("a message");
            let (inner, _) = rest.split_once("</Message>").expect("its end");
            assert!(!inner.contains(['<', '>']), "{inner}");
            let told = inner
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&");
            assert_eq!((segments(&told), gsm7(&told)), (1, told.clone()), "{text}");
        }
    }

    #[test]
    fn what_is_open() {
        let stations = |all, silent, names: &[&str]| Stations {
            all,
            silent,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let check = |open: &[Incident], stations: &Stations, expected: &str| {
            assert_eq!(overview(open, false, stations), expected);
        };
        check(
            &[],
            &stations(0, 0, &[]),
            "Nothing is open. No station was heard of yet.",
        );
        check(
            &[],
            &stations(12, 0, &[]),
            "Nothing is open. All 12 stations report.",
        );
        let mut taken = incident(18, "mill");
        taken.acknowledged_by = Some("Ann".to_owned());
        check(
            &[incident(17, "barn-3"), taken.clone()],
            &stations(12, 1, &["attic"]),
            "2 open: #17 barn-3 anomaly, #18 mill anomaly (Ann has it). 1 of 12 stations silent: attic",
        );
        let many: Vec<_> = (17..30).map(|id| incident(id, "barn-3")).collect();
        check(
            &many,
            &stations(12, 7, &["attic", "cellar", "mill"]),
            "13 open: #17 barn-3 anomaly, #18 barn-3 anomaly, #19 barn-3 anomaly, #20 barn-3 anomaly and 9 more. 7 of 12 stations silent: attic, cellar, mill..",
        );
        assert_eq!(
            incident(17, "barn-3").status(),
            "#17 barn-3 anomaly (critical): 0.88 now, peak 0.93, since 8 Feb 11:12 CST, nobody has it: ACK 17"
        );
        taken.resolved_at = Some(taken.opened_at + chrono::TimeDelta::hours(1));
        assert_eq!(
            taken.status(),
            "#18 mill anomaly (critical): peak 0.93, 8 Feb 11:12 CST to 8 Feb 12:12 CST, Ann has it"
        );
    }
}
