//! `[[route]]` and `[[rule]]`: which events go where, and which of them a person hears of.

use std::time::Duration;

use super::section::Section;
use super::{Count, Route, Rule, Severity, Threshold, Wording, expression, units};

const EVERY_OUTBOUND_FILE: &str = "*.qo";
pub(super) const ONCE: Count = Count { times: 1, of: 1 };
pub(super) const COOLDOWN: Duration = Duration::from_mins(30);
pub(super) const REPEAT: Duration = Duration::from_hours(1);
pub(super) const MAX_AGE: Duration = Duration::from_hours(6);

/// A repeat or an age of less than this is a slip, not a wish.
const LEAST: Duration = Duration::from_secs(1);

pub(super) fn route(mut section: Section<'_>) -> Option<Route> {
    let name = section.name("route");
    let owner = format!("route `{}`", name.as_deref().unwrap_or_default());
    let [files, devices, fleets, products] = patterns(&mut section);
    let transform = expression::inline_or_file(&mut section, "transform", "transform_file", &owner);
    section.require("destination");
    let destination = section.text("destination");
    let enabled = section.boolean("enabled", true);
    section.close();
    Some(Route {
        name: name?,
        files,
        devices,
        fleets,
        products,
        transform,
        destination: destination?,
        enabled,
    })
}

pub(super) fn rule(mut section: Section<'_>) -> Option<Rule> {
    let name = section.name("rule");
    let owner = format!("rule `{}`", name.as_deref().unwrap_or_default());
    let [files, devices, fleets, products] = patterns(&mut section);
    section.require("value");
    let value = expression::inline(&mut section, "value", &owner);
    let thresholds = thresholds(&mut section);
    let hold = section.duration("hold", Duration::ZERO, Duration::ZERO);
    let clear_hold = section.duration("clear_hold", Duration::ZERO, Duration::ZERO);
    let count = section.parsed("count", "a count such as \"2 of 3\"", units::count);
    let missing = section.number("missing");
    let severities = [Severity::Critical, Severity::Warning, Severity::Info]
        .map(|severity| (severity.word(), severity));
    let severity = section.choice("severity", &severities);
    let notify = section.texts("notify").unwrap_or_default();
    let message = expression::inline(&mut section, "message", &owner);
    let cooldown = section.duration("cooldown", COOLDOWN, Duration::ZERO);
    let repeat = section.duration_or_none("repeat", Some(REPEAT), LEAST);
    let max_age = section.duration("max_age", MAX_AGE, LEAST);
    section.close();
    let (fire, clear) = thresholds?;
    Some(Rule {
        name: name?,
        files,
        devices,
        fleets,
        products,
        value: value?,
        fire,
        clear,
        hold,
        clear_hold,
        count: count.unwrap_or(ONCE),
        missing,
        severity: severity.unwrap_or(Severity::Critical),
        notify,
        message,
        wording: Wording::Limit,
        cooldown,
        repeat,
        max_age,
    })
}

/// `files`, `devices`, `fleets` and `products`; an empty list stands for all.
fn patterns(section: &mut Section<'_>) -> [Vec<String>; 4] {
    let files = section
        .texts("files")
        .unwrap_or_else(|| vec![EVERY_OUTBOUND_FILE.to_owned()]);
    let [devices, fleets, products] =
        ["devices", "fleets", "products"].map(|key| section.texts(key).unwrap_or_default());
    [files, devices, fleets, products]
}

/// Where the rule fires and where it clears; between the two it stays as it is.
fn thresholds(section: &mut Section<'_>) -> Option<(Threshold, f64)> {
    let given = (section.has("fire_above"), section.has("fire_below"));
    let fire_above = section.number("fire_above");
    let fire_below = section.number("fire_below");
    let wrong_side = match given {
        (true, false) => "clear_above",
        _ => "clear_below",
    };
    let one_side = given.0 != given.1;
    if one_side && section.has(wrong_side) {
        let message = if given.0 {
            "goes with `fire_below`; use `clear_below`"
        } else {
            "goes with `fire_above`; use `clear_above`"
        };
        section.problem(wrong_side, message);
    }
    let clear_below = section.number("clear_below");
    let clear_above = section.number("clear_above");
    match given {
        (true, true) => section.problem(
            "fire_below",
            "stands beside `fire_above`; keep one of the two",
        ),
        (false, false) => section.problem("fire_above", "is missing; give it or `fire_below`"),
        _ => {}
    }
    match (fire_above, fire_below) {
        (Some(above), None) => {
            let clear = clear_below.unwrap_or(above);
            if clear > above {
                section.problem(
                    "clear_below",
                    &format!("is {clear}; it must not be above `fire_above`, {above}"),
                );
            }
            Some((Threshold::Above(above), clear))
        }
        (None, Some(below)) => {
            let clear = clear_above.unwrap_or(below);
            if clear < below {
                section.problem(
                    "clear_above",
                    &format!("is {clear}; it must not be below `fire_below`, {below}"),
                );
            }
            Some((Threshold::Below(below), clear))
        }
        _ => None,
    }
}
