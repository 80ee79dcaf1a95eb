//! The tutorial's route and rule, and rules for what else our agent tells, in force when a configuration has no
//! `[[route]]` and no `[[rule]]` at all.

use std::time::Duration;

use super::{
    Destination, DestinationKind, Expression, Route, Rule, Severity, Threshold, Wording, flow,
};

pub const TUTORIAL_FILE: &str = "thermal.qo";

/// The tutorial's expression: each score as a Ubidots variable, with the time in milliseconds.
pub const TUTORIAL_TRANSFORM: &str = concat!(
    r#"{"cold":{"value":body.cold,"timestamp":when*1000},"#,
    r#""warm":{"value":body.warm,"timestamp":when*1000},"#,
    r#""hot":{"value":body.hot,"timestamp":when*1000},"#,
    r#""anomaly":{"value":body.anomaly,"timestamp":when*1000}}"#,
);

/// The same for notes that may have waited at the station: the agent (its notes are numbered) says in `t` when it was. For
/// all others this sends exactly what the tutorial's expression does.
pub const DEFAULT_TRANSFORM: &str = concat!(
    r#"{"cold":{"value":body.cold,"timestamp":(body.v and body.boot and body.t ? body.t : when)*1000},"#,
    r#""warm":{"value":body.warm,"timestamp":(body.v and body.boot and body.t ? body.t : when)*1000},"#,
    r#""hot":{"value":body.hot,"timestamp":(body.v and body.boot and body.t ? body.t : when)*1000},"#,
    r#""anomaly":{"value":body.anomaly,"timestamp":(body.v and body.boot and body.t ? body.t : when)*1000}}"#,
);

/// What the tutorial's rule looks at.
pub const TUTORIAL_VALUE: &str = "body.anomaly";

/// The notes that carry scores.
const SCORED: [&str; 2] = [TUTORIAL_FILE, "alert.qo"];

/// Rules decide on four decimal places: nothing but zero is below this and not negative.
const LEAST: f64 = 0.0001;

/// To the first Ubidots destination, if there is one.
pub(super) fn route(destinations: &[Destination]) -> Option<Route> {
    let ubidots = destinations
        .iter()
        .find(|one| matches!(one.kind, DestinationKind::Ubidots(_)))?;
    Some(Route {
        name: "ubidots".to_owned(),
        files: vec![TUTORIAL_FILE.to_owned()],
        devices: Vec::new(),
        fleets: Vec::new(),
        products: Vec::new(),
        transform: Some(Expression {
            text: DEFAULT_TRANSFORM.to_owned(),
            source: "the default route `ubidots`: transform".to_owned(),
        }),
        destination: ubidots.name.clone(),
        enabled: true,
    })
}

/// Every Twilio destination. It is told by the rules here, and of silent stations while these rules are in force.
pub(super) fn told(destinations: &[Destination]) -> Vec<String> {
    let twilio = destinations
        .iter()
        .filter(|one| matches!(one.kind, DestinationKind::Twilio(_)));
    twilio.map(|one| one.name.clone()).collect()
}

/// All text through every Twilio destination; without one, incidents still show on the pages.
pub(super) fn rules(destinations: &[Destination]) -> Vec<Rule> {
    let twilio = told(destinations);
    let rule = |name: &str, files: &[&str], value: &str| Rule {
        name: name.to_owned(),
        files: files.iter().map(|file| (*file).to_owned()).collect(),
        devices: Vec::new(),
        fleets: Vec::new(),
        products: Vec::new(),
        value: Expression {
            text: value.to_owned(),
            source: format!("the default rule `{name}`: value"),
        },
        fire: Threshold::Above(0.0),
        clear: LEAST,
        hold: Duration::ZERO,
        clear_hold: Duration::ZERO,
        count: flow::ONCE,
        missing: None,
        severity: Severity::Warning,
        notify: twilio.clone(),
        message: None,
        wording: Wording::Limit,
        cooldown: flow::COOLDOWN,
        repeat: Some(flow::REPEAT),
        max_age: flow::MAX_AGE,
    };
    vec![
        Rule {
            fire: Threshold::Above(0.7),
            clear: 0.5,
            missing: Some(0.0),
            severity: Severity::Critical,
            ..rule("anomaly", &SCORED, TUTORIAL_VALUE)
        },
        // For how many hours the scene has been in one state, once the agent finds that too long; else 0. A station that
        // does not tell is not judged.
        Rule {
            wording: Wording::Hours,
            ..rule("dwell", &SCORED, "body.dwell")
        },
        // 1 while camera, Notecard or disk are in trouble, else 0.
        Rule {
            clear: 1.0,
            wording: Wording::Reason,
            ..rule("fault", &["health.qo"], "body.fault")
        },
    ]
}
