//! What a notice says was seen: how much, beyond what, for how long, why and where.

use super::gsm7::septets;
use super::{Facts, HotSpot, Kind, one_line, shortened, zone};
use crate::config::{Threshold, Wording};
use crate::process::alert::rounded;

/// A reason is a few words of the station's own.
const LONGEST_REASON: usize = 48;

/// What the reading is about: the rule, or what has lasted too long ("dwell warm" is how the agent says it).
pub(super) fn subject(facts: &Facts) -> String {
    let rule = one_line(facts.rule, "value");
    let state = reason(facts);
    match facts.wording {
        Wording::Hours => state
            .strip_prefix("dwell ")
            .map_or(rule, |state| state.trim_end_matches(" over").to_owned()),
        Wording::Reason if facts.kind != Kind::Resolved => rule + ":",
        Wording::Reason | Wording::Limit | Wording::Silence => rule,
    }
}

fn reason(facts: &Facts) -> String {
    let why = one_line(facts.why.unwrap_or_default(), "");
    let excess = septets(&why).saturating_sub(LONGEST_REASON);
    shortened(&why, excess, LONGEST_REASON)
}

pub(super) fn reading(facts: &Facts) -> String {
    match (facts.wording, facts.kind) {
        (Wording::Limit, _) => against_limit(facts),
        (Wording::Hours, Kind::Opened) => format!("for {}", hours(facts.value)),
        (Wording::Hours, Kind::Escalated | Kind::Reminder) => {
            format!("for {} by now", hours(facts.value))
        }
        (Wording::Hours, Kind::Resolved) => match facts.peak {
            Some(peak) => format!("over, {} at most", hours(peak)),
            None => "over".to_owned(),
        },
        (Wording::Silence, Kind::Resolved) => format!("for {}", lasting(facts.value)),
        (Wording::Silence, _) => {
            let since = facts.opened_at.with_timezone(&zone(facts));
            since.format("since %-d %b %H:%M %Z").to_string()
        }
        (Wording::Reason, Kind::Resolved) => "over".to_owned(),
        (Wording::Reason, _) => match reason(facts) {
            reason if reason.is_empty() => "reported".to_owned(),
            reason => reason,
        },
    }
}

/// To a tenth, which is six minutes.
fn hours(value: f64) -> String {
    format!("{} h", number((value * 10.0).round() / 10.0))
}

/// Hours in the unit in which people would tell them.
fn lasting(value: f64) -> String {
    let tenths = |value: f64| number((value * 10.0).round() / 10.0);
    if value < 1.0 {
        format!("{} min", number((value * 60.0).round()))
    } else if value < 48.0 {
        format!("{} h", tenths(value))
    } else {
        format!("{} days", tenths(value / 24.0))
    }
}

fn against_limit(facts: &Facts) -> String {
    let (side, limit) = match facts.threshold {
        Threshold::Above(limit) => ("above", number(limit)),
        Threshold::Below(limit) => ("below", number(limit)),
    };
    let value = number(facts.value);
    // Later in its life the value may be on either side of the limit, so only the opening says which.
    match (facts.kind, facts.peak) {
        (Kind::Opened, _) => format!("{value} {side} {limit}"),
        (_, None) => format!("{value}, limit {limit}"),
        (_, Some(peak)) => format!("{value}, limit {limit}, peak {}", number(peak)),
    }
}

/// What may be left out if there is no room: where it is hot, or what was heard last.
pub(super) fn detail(facts: &Facts) -> String {
    match (facts.wording, facts.kind) {
        (Wording::Silence, Kind::Resolved) => String::new(),
        (Wording::Silence, _) => reason(facts),
        _ => facts.hot_spot.map_or_else(String::new, hot_spot),
    }
}

fn hot_spot(spot: HotSpot) -> String {
    let HotSpot { x, y, delta_t } = spot;
    // Anything else is no pixel of a picture, and would be long; -1 and no difference are how the agent says that there
    // is no such place.
    let pixel = [x, y].iter().all(|place| (0.0..1000.0).contains(place));
    if pixel && (0.05..1000.0).contains(&delta_t.abs()) {
        format!("hot spot {x:.0},{y:.0} {delta_t:+.1}C")
    } else {
        String::new()
    }
}

/// As short as it can be said: four places, or an exponent where that would be long or nothing.
fn number(value: f64) -> String {
    let short = rounded(value);
    let text = short.to_string();
    if text.len() > 10 || (short == 0.0 && value != 0.0) {
        format!("{value:.2e}")
    } else {
        text
    }
}
