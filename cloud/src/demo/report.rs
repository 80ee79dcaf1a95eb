//! What the demo says and what it concludes, as pure functions over facts that were collected elsewhere.
//!
//! A journey is one event's way through the service, on one line. The totals are counted in the database and at
//! the stand-ins and compared with what the day must come to: a demo that only looked right would be worth little.

use std::fmt::Write as _;

use serde_json::Value;

use super::curve::sparkline;
use super::day::{Expected, Kind, Recorded};
use super::ink::{Ink, Tone};
use super::twilio::Message;

/// What `POST /notehub` answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    Stored,
    Duplicate,
    Other { status: u16, body: String },
}

/// What became of an event after it was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    pub measurements: usize,
    pub deliveries: Vec<Leg>,
    /// Why its processing failed, where it did.
    pub error: Option<String>,
}

/// One delivery of an event or of the incident it opened or closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leg {
    pub destination: String,
    pub state: State,
    pub attempts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Delivered,
    Underway,
    Dead,
}

/// Everything counted at the end of the day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    pub posted: usize,
    pub stored: usize,
    pub duplicates: usize,
    pub measurements: usize,
    pub forwarded: usize,
    pub dots: usize,
    pub incidents: usize,
    pub texts: usize,
    /// Stored events, deliveries or incidents that are not finished: each is a line of its own.
    pub left_behind: Vec<String>,
    /// What the stand-ins objected to.
    pub complaints: Vec<String>,
}

/// One event's way, on one line.
pub fn journey(event: &Recorded, answered: &Answered, trace: &Trace, ink: Ink) -> String {
    let time = match event.kind {
        Kind::Tutorial => event.at.format("%b %y"),
        _ => event.at.format("%H:%M"),
    };
    let score = match event.anomaly {
        Some(anomaly) => {
            let bar = sparkline(&[(event.at, anomaly)], 1, super::THRESHOLD, ink);
            format!("{anomaly:.4} {bar}")
        }
        None => " ".repeat(8),
    };
    let (tone, status) = match answered {
        Answered::Stored => (Tone::Good, "stored".to_owned()),
        Answered::Duplicate => (Tone::Warm, "duplicate".to_owned()),
        Answered::Other { status, body } => (Tone::Bad, format!("{status} {body}")),
    };
    let status = ink.paint(tone, &format!("{status:<9}"));
    let mut line = format!("{time:>6}  {:<11} {score}  {status}", event.file);
    if *answered == Answered::Stored {
        let _ = write!(line, " {:>2} values", trace.measurements);
    }
    for leg in &trace.deliveries {
        let _ = write!(line, "  {}", leg_text(leg, ink));
    }
    if let Some(error) = &trace.error {
        let _ = write!(line, "  {}", ink.paint(Tone::Bad, error));
    }
    let label = event.kind.label();
    if !label.is_empty() {
        let _ = write!(line, "  {}", ink.paint(Tone::Dim, &format!("({label})")));
    }
    line
}

fn leg_text(leg: &Leg, ink: Ink) -> String {
    let (tone, mark) = match leg.state {
        State::Delivered => (Tone::Good, "✓"),
        State::Underway => (Tone::Warm, "…"),
        State::Dead => (Tone::Bad, "✗"),
    };
    let again = match leg.attempts {
        0 | 1 => String::new(),
        attempts => format!(" ({attempts} attempts)"),
    };
    format!("→ {} {}{again}", leg.destination, ink.paint(tone, mark))
}

/// A text message with what it costs.
pub fn text_message(message: &Message, ink: Ink) -> String {
    let strong = ink.paint(Tone::Strong, &message.body);
    let about = format!("to {}, {}", message.to, message.segments);
    let about = ink.paint(Tone::Dim, &about);
    format!("  {strong}\n  {about}\n")
}

/// The totals beside what they must be, and a verdict for each.
pub fn summary(totals: &Totals, expected: &Expected, ink: Ink) -> String {
    let mut table = String::new();
    for (what, got, wanted) in rows(totals, expected) {
        let mark = if got == wanted {
            ink.paint(Tone::Good, "✓")
        } else {
            ink.paint(Tone::Bad, &format!("✗ should be {wanted}"))
        };
        let _ = writeln!(table, "  {what:<38} {got:>6} {mark}");
    }
    table
}

/// Why this run is not what it should be; empty when all is well.
pub fn problems(totals: &Totals, expected: &Expected) -> Vec<String> {
    let mut problems: Vec<String> = rows(totals, expected)
        .into_iter()
        .filter(|(_, got, wanted)| got != wanted)
        .map(|(what, got, wanted)| format!("{what}: {got}, but it should be {wanted}"))
        .collect();
    problems.extend(totals.left_behind.iter().cloned());
    let complaints = totals.complaints.iter();
    problems.extend(complaints.map(|complaint| format!("a stand-in objected: {complaint}")));
    problems
}

fn rows(totals: &Totals, expected: &Expected) -> [(&'static str, usize, usize); 8] {
    [
        ("events posted", totals.posted, expected.posted),
        ("stored", totals.stored, expected.stored),
        (
            "duplicates, answered and dropped",
            totals.duplicates,
            expected.duplicates,
        ),
        (
            "measurements (numbers over time)",
            totals.measurements,
            expected.measurements,
        ),
        (
            "deliveries made to Ubidots",
            totals.forwarded,
            expected.forwarded,
        ),
        ("values Ubidots got", totals.dots, expected.dots),
        (
            "incidents, opened and resolved",
            totals.incidents,
            expected.incidents,
        ),
        (
            "text messages (alarm and all-clear)",
            totals.texts,
            expected.texts,
        ),
    ]
}

/// Whether two values are the same JSON, where 0 and 0.0 are the same number.
pub fn same_json(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| same_json(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(key, value): (&String, &Value)| {
                right.get(key).is_some_and(|other| same_json(value, other))
            };
            left.len() == right.len() && left.iter().all(same)
        }
        (left, right) => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::day::{Day, TUTORIAL_POST};

    fn event(kind: Kind) -> Recorded {
        let now = "2026-03-01T15:20:07Z".parse().expect("a time");
        let mut events = Day::recorded(now).events.into_iter();
        events.find(|event| event.kind == kind).expect("in the day")
    }

    #[track_caller]
    fn check(kind: Kind, answered: &Answered, trace: &Trace, expected: &str) {
        assert_eq!(journey(&event(kind), answered, trace, Ink::Plain), expected);
    }

    #[test]
    fn a_journey_is_one_line() {
        let leg = |destination: &str, state, attempts| Leg {
            destination: destination.to_owned(),
            state,
            attempts,
        };
        let fires = Trace {
            measurements: 13,
            deliveries: vec![
                leg("ubidots", State::Delivered, 1),
                leg("twilio", State::Delivered, 2),
            ],
            error: None,
        };
        check(
            Kind::Fires,
            &Answered::Stored,
            &fires,
            " 14:45  thermal.qo  0.7845 ▆  stored    13 values  → ubidots ✓  → twilio ✓ (2 attempts)  \
             (the same moment as its alert.qo twin: one incident)",
        );
        check(
            Kind::Tutorial,
            &Answered::Stored,
            &Trace {
                measurements: 4,
                ..Trace::default()
            },
            "Feb 22  thermal.qo  0.0000 ▁  stored     4 values  (the tutorial's event of 2022: too old for an alarm)",
        );
        check(
            Kind::Session,
            &Answered::Duplicate,
            &Trace::default(),
            " 15:19  _session.qo           duplicate  (Notehub's own: a session began)",
        );
    }

    #[test]
    fn a_run_that_is_not_what_it_should_be_is_explained() {
        let expected = Day::recorded("2026-03-01T15:20:07Z".parse().expect("a time")).expected();
        let good = Totals {
            posted: expected.posted,
            stored: expected.stored,
            duplicates: expected.duplicates,
            measurements: expected.measurements,
            forwarded: expected.forwarded,
            dots: expected.dots,
            incidents: expected.incidents,
            texts: expected.texts,
            ..Totals::default()
        };
        assert_eq!(problems(&good, &expected), Vec::<String>::new());
        assert!(!summary(&good, &expected, Ink::Plain).contains('✗'));
        let bad = Totals {
            texts: 3,
            complaints: vec!["no token".to_owned()],
            ..good
        };
        let problems = problems(&bad, &expected);
        assert_eq!(
            problems,
            [
                "text messages (alarm and all-clear): 3, but it should be 2",
                "a stand-in objected: no token"
            ]
        );
        assert!(summary(&bad, &expected, Ink::Plain).contains("3 ✗ should be 2"));
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let json = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let post = json(TUTORIAL_POST);
        let spelled = json(
            &TUTORIAL_POST
                .replace(":0,", ":0.0,")
                .replace("9985000000000002", "99850000000000019"),
        );
        assert!(same_json(&post, &spelled));
        assert!(!same_json(
            &post,
            &json(&TUTORIAL_POST.replace("0.0015", "0.0016"))
        ));
        assert!(!same_json(&post, &json(r#"{"cold":1}"#)));
    }
}
