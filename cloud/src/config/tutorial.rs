//! The tutorial's route and rule, in force when a configuration has no `[[route]]` and no
//! `[[rule]]` at all.

use std::time::Duration;

use super::{Destination, DestinationKind, Expression, Route, Rule, Severity, Threshold, flow};

pub const TUTORIAL_FILE: &str = "thermal.qo";

/// The tutorial's expression: each score as a Ubidots variable, with the time in milliseconds.
pub const TUTORIAL_TRANSFORM: &str = concat!(
    r#"{"cold":{"value":body.cold,"timestamp":when*1000},"#,
    r#""warm":{"value":body.warm,"timestamp":when*1000},"#,
    r#""hot":{"value":body.hot,"timestamp":when*1000},"#,
    r#""anomaly":{"value":body.anomaly,"timestamp":when*1000}}"#,
);

/// What the tutorial's rule looks at.
pub const TUTORIAL_VALUE: &str = "body.anomaly";

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
            text: TUTORIAL_TRANSFORM.to_owned(),
            source: "the default route `ubidots`: transform".to_owned(),
        }),
        destination: ubidots.name.clone(),
        enabled: true,
    })
}

/// Texts through every Twilio destination; without one, incidents still show on the pages.
pub(super) fn rule(destinations: &[Destination]) -> Rule {
    let twilio = destinations
        .iter()
        .filter(|one| matches!(one.kind, DestinationKind::Twilio(_)));
    Rule {
        name: "anomaly".to_owned(),
        files: vec![TUTORIAL_FILE.to_owned(), "alert.qo".to_owned()],
        devices: Vec::new(),
        fleets: Vec::new(),
        products: Vec::new(),
        value: Expression {
            text: TUTORIAL_VALUE.to_owned(),
            source: "the default rule `anomaly`: value".to_owned(),
        },
        fire: Threshold::Above(0.7),
        clear: 0.5,
        hold: Duration::ZERO,
        clear_hold: Duration::ZERO,
        count: flow::ONCE,
        missing: Some(0.0),
        severity: Severity::Critical,
        notify: twilio.map(|one| one.name.clone()).collect(),
        message: None,
        cooldown: flow::COOLDOWN,
        repeat: Some(flow::REPEAT),
        max_age: flow::MAX_AGE,
    }
}
