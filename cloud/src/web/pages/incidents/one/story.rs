//! The timeline in words (pure).

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::deliver::outbox;
use crate::deliver::text_status::TextStatus;
use crate::process::incident::{TimelineEntry, Told, What};
use crate::web::api::deliveries::Attempt;
use crate::web::api::incidents::Try;
use crate::web::pages::{is_silence, number};

/// One thing that happened.
#[derive(Debug)]
pub struct Step {
    pub at: DateTime<Utc>,
    /// How it is marked.
    pub mark: &'static str,
    pub title: String,
    /// What somebody wrote.
    pub words: Option<String>,
    /// Why it is so.
    pub why: Option<String>,
    /// Until when.
    pub until: Option<DateTime<Utc>>,
    pub notice: Option<Notice>,
}

/// A notice that was made for somebody, and how far it got.
#[derive(Debug)]
pub struct Notice {
    pub delivery: Uuid,
    pub state: String,
    /// The state in a word for people.
    pub word: &'static str,
    /// What the carrier reported of a text.
    pub report: Option<String>,
    pub tries: Vec<Attempt>,
}

/// Latest first: on a phone nobody scrolls to what is new.
pub fn of(
    rule: &str,
    timeline: Vec<TimelineEntry>,
    tries: &[Try],
    texts: &BTreeMap<Uuid, TextStatus>,
) -> Vec<Step> {
    let silence = is_silence(rule);
    let mut steps: Vec<_> = timeline
        .into_iter()
        // The longest a silence was is when it ended.
        .filter(|entry| !(silence && matches!(entry.what, What::Peak { .. })))
        .map(|entry| {
            let title = silence.then(|| of_silence(&entry.what)).flatten();
            let mut step = step(entry, tries, texts);
            if let Some(title) = title {
                title.clone_into(&mut step.title);
            }
            step
        })
        .collect();
    steps.reverse();
    steps
}

/// What is called otherwise when a station was heard no more: its numbers are hours, which say nothing here.
fn of_silence(what: &What) -> Option<&'static str> {
    match what {
        What::Opened { .. } => Some("Fell silent: last heard at this time"),
        What::Resolved { resolution } if resolution == "cleared" => Some("Heard again"),
        _ => None,
    }
}

fn step(entry: TimelineEntry, tries: &[Try], texts: &BTreeMap<Uuid, TextStatus>) -> Step {
    let mut step = Step {
        at: entry.at,
        mark: "aside",
        title: String::new(),
        words: None,
        why: None,
        until: None,
        notice: None,
    };
    match entry.what {
        What::Opened { value, .. } => {
            step.mark = "hot";
            step.title = format!("Opened at {}", number(&value));
        }
        What::Peak { value } => {
            step.mark = "hot";
            step.title = format!("Peak of {}", number(&value));
        }
        What::Resolved { resolution } => {
            step.mark = "good";
            step.title = match resolution.as_str() {
                "cleared" => "Over: the value is clear again".into(),
                "closed" => "Closed by hand".into(),
                other => format!("Over: {other}"),
            };
        }
        What::Told(told) => {
            let text = texts.get(&told.delivery);
            tell(&mut step, told, tries, text);
        }
        What::HeldBack {
            notice,
            reason,
            until,
        } => {
            step.title = match notice.as_str() {
                "opened" => "The opening was held back".into(),
                "reminder" => "A reminder was held back".into(),
                "escalated" => "An escalation was held back".into(),
                other => format!("Held back: {other}"),
            };
            step.why = Some(reason);
            step.until = until;
        }
        What::Silenced {
            by, reason, until, ..
        } => {
            step.mark = "person";
            step.title = format!("Silenced by {by}");
            step.words = Some(reason);
            step.until = Some(until);
        }
        What::SilenceOver { by: Some(by), .. } => {
            step.mark = "person";
            step.title = format!("Silence ended by {by}");
        }
        What::SilenceOver { by: None, .. } => step.title = "Silence ends".into(),
        What::Person {
            by,
            via,
            action,
            text,
        } => {
            step.mark = "person";
            let did = match action.as_str() {
                "acknowledged" => "took it".to_owned(),
                "noted" => "wrote".to_owned(),
                "closed" => "closed it".to_owned(),
                other => other.to_owned(),
            };
            let way = match via.as_str() {
                "sms" => " by text message",
                "api" => " by the API",
                "command" => " on the command line",
                _ => "",
            };
            step.title = format!("{by} {did}{way}");
            step.words = text;
        }
    }
    step
}

fn tell(step: &mut Step, told: Told, tries: &[Try], text: Option<&TextStatus>) {
    let whom = told.recipient.as_ref().unwrap_or(&told.destination);
    step.title = match told.notice.as_str() {
        "opened" => format!("Told {whom}"),
        "reminder" => format!("Reminded {whom}"),
        "escalated" => format!("Escalated to {whom}"),
        "resolved" => format!("All-clear to {whom}"),
        "picture" => format!("Picture to {whom}"),
        other => format!("Told {whom} ({other})"),
    };
    if told.recipient.is_some() {
        step.title = format!("{} by {}", step.title, told.destination);
    }
    let reason = told.reason.as_deref().unwrap_or_default();
    let withdrawn = told.state == "dead" && reason.starts_with(outbox::WITHDRAWN);
    step.mark = match told.state.as_str() {
        "delivered" if text.is_some_and(TextStatus::failed) => "hot",
        "delivered" => "good",
        "dead" if withdrawn => "aside",
        "dead" => "hot",
        _ => "warm",
    };
    step.words = told.text;
    let mine = tries.iter().filter(|one| one.delivery == told.delivery);
    let tries: Vec<_> = mine.map(|one| one.attempt.clone()).collect();
    step.notice = Some(Notice {
        delivery: told.delivery,
        report: text.map(report),
        word: match told.state.as_str() {
            "delivered" if text.is_some_and(TextStatus::arrived) => "arrived",
            "delivered" if text.is_some_and(TextStatus::failed) => "did not arrive",
            "delivered" => "sent",
            "dead" if withdrawn => "withdrawn",
            "dead" => "not sent",
            "leased" => "being sent",
            _ if tries.is_empty() => "waiting",
            _ => "to be tried again",
        },
        state: if withdrawn {
            "withdrawn".into()
        } else if text.is_some_and(TextStatus::failed) {
            "dead".into()
        } else {
            told.state
        },
        tries,
    });
    step.why = told.reason;
}

/// What the carrier reported of a text, in words.
pub fn report(text: &TextStatus) -> String {
    match (text.error_code, text.explanation()) {
        (Some(code), Some(why)) => format!("{}: {why} ({code})", text.status),
        (Some(code), None) => format!("{}: error {code}", text.status),
        (None, _) => text.status.clone(),
    }
}
