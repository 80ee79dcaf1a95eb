//! What is tried: compiled from its texts, run, and judged (pure but for the expressions' own time limits).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::{Attempt, Body, Text, Tried, Verdict, moments, taken};
use crate::config::{self, Config, Expression, Scope};
use crate::process::alert::{self, Alert, Condition, Sample, State, Step};
use crate::process::incident::tell::{self, Open};
use crate::process::notice::{self, Kind};
use crate::process::plan::{self, Recipient, Which};
use crate::process::transform::{Outcome, TransformError, Transforms};
use crate::process::{Taken, number_in, series};

/// Whose expression is tried, with the text to try.
#[derive(Debug, Clone)]
pub enum Subject {
    Route(config::Route),
    Rule {
        rule: Box<config::Rule>,
        recipients: Vec<Recipient>,
    },
    /// None is every number in `body`.
    Series(Option<Expression>),
    /// An expression that nothing uses yet.
    Expression(String),
}

impl Subject {
    /// As configured.
    pub fn route(config: &Config, name: &str) -> Option<Self> {
        let route = config.routes.iter().find(|route| route.name == name)?;
        Some(Self::Route(route.clone()))
    }

    /// As configured.
    pub fn rule(config: &Config, name: &str) -> Option<Self> {
        let rule = config.rules.iter().find(|rule| rule.name == name)?;
        Some(Self::Rule {
            recipients: plan::recipients(config, rule).0,
            rule: Box::new(rule.clone()),
        })
    }

    /// As configured.
    pub fn series(config: &Config) -> Self {
        Self::Series(config.series.transform.clone())
    }

    /// The text of the expression, if there is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Route(route) => route.transform.as_ref().map(|it| it.text.as_str()),
            Self::Rule { rule, .. } => Some(&rule.value.text),
            Self::Series(transform) => transform.as_ref().map(|it| it.text.as_str()),
            Self::Expression(text) => Some(text),
        }
    }

    /// The text of a rule's message, if it has one of its own.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Rule { rule, .. } => rule.message.as_ref().map(|it| it.text.as_str()),
            _ => None,
        }
    }

    /// With another text to try. Where an expression may be left out, a blank one is none.
    pub fn edit(&mut self, text: &str) {
        let expression = Expression {
            text: text.to_owned(),
            source: "the expression".to_owned(),
        };
        let given = Some(expression.clone()).filter(|_| !text.trim().is_empty());
        match self {
            Self::Route(route) => route.transform = given,
            Self::Rule { rule, .. } => rule.value = expression,
            Self::Series(transform) => *transform = given,
            Self::Expression(old) => text.clone_into(old),
        }
    }

    /// A rule with another message to try; a blank one is the default text.
    pub fn edit_message(&mut self, text: &str) {
        if let Self::Rule { rule, .. } = self {
            rule.message = Some(text)
                .filter(|text| !text.trim().is_empty())
                .map(|text| Expression {
                    text: text.to_owned(),
                    source: "the message".to_owned(),
                });
        }
    }

    /// Which events it looks at.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Route(route) => Some(route.scope()),
            Self::Rule { rule, .. } => Some(rule.scope()),
            Self::Series(_) | Self::Expression(_) => None,
        }
    }
}

/// Compiles and runs; called on a thread of `Transforms`.
pub(super) fn judge(
    transforms: &Transforms,
    attempt: Attempt,
    now: DateTime<Utc>,
) -> (Tried, Vec<Body>) {
    let (event, unreadable) = taken(attempt.event, attempt.stored_at, now);
    let subject = attempt.subject;
    let takes = subject.scope().map(|scope| event.is_in(&scope));
    // A rule judges an event as of its arrival, and so does what its expressions take for now.
    let clock = match subject {
        Subject::Rule { .. } => moments(&event).1,
        _ => now,
    };
    let (outcome, compiles) = match subject.text() {
        None => (Outcome::Json(event.value.clone()), true),
        Some(text) => run(transforms, text, &event.value, clock),
    };
    let mut tried = Tried {
        unreadable,
        takes,
        outcome,
        compiles,
        points: Vec::new(),
        verdict: None,
        sends: Vec::new(),
        problem: None,
        event,
    };
    let event = &tried.event;
    let mut bodies = Vec::new();
    match (&subject, &tried.outcome) {
        (Subject::Route(route), Outcome::Json(value)) => bodies.push(Body {
            destination: route.destination.clone(),
            to: None,
            incident_id: None,
            text: match route.transform {
                None => event.raw.clone(),
                Some(_) => value.to_string(),
            },
        }),
        (Subject::Series(None), _) => tried.points = series::untransformed(event),
        (Subject::Series(Some(_)), Outcome::Json(value)) => tried.points = series::points(value),
        (Subject::Rule { rule, recipients }, outcome) => {
            match number_in(rule, event, outcome.clone()) {
                Err(error) => tried.outcome = Outcome::Error(error),
                Ok(value) => {
                    let verdict = verdict(transforms, rule, event, value, now);
                    bodies = notices(rule, recipients, event, &verdict);
                    tried.verdict = Some(verdict);
                }
            }
        }
        _ => {}
    }
    (tried, bodies)
}

fn run(transforms: &Transforms, text: &str, input: &Value, now: DateTime<Utc>) -> (Outcome, bool) {
    match transforms.compile(text) {
        Ok(program) => (program.run(input, now), true),
        Err(error) => (Outcome::Error(error), false),
    }
}

fn verdict(
    transforms: &Transforms,
    rule: &config::Rule,
    event: &Taken,
    value: Option<f64>,
    now: DateTime<Utc>,
) -> Verdict {
    let condition = Condition::from(rule);
    let (at, judged_at) = moments(event);
    let step = |alert: &Alert| {
        let sample = Sample { at, value: value? };
        Some(alert::step(&condition, alert, sample, judged_at).1)
    };
    // Open for as long as `clear_hold` may ask for, and not clear before this very moment.
    let open = Alert {
        state: State::Firing,
        fingerprint: condition.fingerprint(),
        peak: value.map(|_| threshold(rule)),
        ..Alert::default()
    };
    let (when_well, when_open) = (step(&Alert::default()), step(&open));
    let age = now.signed_duration_since(at);
    let told = value.and_then(|value| {
        let value = alert::rounded(value);
        let kind = if condition.breached(value) {
            Kind::Opened
        } else if condition.cleared(value) {
            Kind::Resolved
        } else {
            return None;
        };
        Some(text(
            transforms,
            rule,
            event,
            &incident(rule, at, value),
            kind,
            judged_at,
        ))
    });
    Verdict {
        value: value.map(alert::rounded),
        when_well,
        when_open,
        stale: Some(age).filter(|age| *age > condition.max_age && *age > TimeDelta::zero()),
        text: told,
    }
}

fn threshold(rule: &config::Rule) -> f64 {
    match rule.fire {
        config::Threshold::Above(limit) | config::Threshold::Below(limit) => limit,
    }
}

/// The incident that this value would open or end.
fn incident(rule: &config::Rule, at: DateTime<Utc>, value: f64) -> Open {
    let condition = Condition::from(rule);
    Open {
        id: 1,
        rule: Which::Rule(0),
        opened_at: at,
        peak: if condition.breached(value) {
            value
        } else {
            threshold(rule)
        },
        value,
        at,
        notices: 0,
    }
}

fn text(
    transforms: &Transforms,
    rule: &config::Rule,
    event: &Taken,
    open: &Open,
    kind: Kind,
    now: DateTime<Utc>,
) -> Text {
    let default = || tell::default_words(rule, open, kind, event, None);
    let (failed, compiles) = match &rule.message {
        None => (None, true),
        Some(message) => {
            let input = tell::message_input(rule, open, kind, event);
            match run(transforms, &message.text, &input, now) {
                (Outcome::Json(Value::String(own)), _) if !own.trim().is_empty() => {
                    return Text {
                        kind,
                        text: notice::custom_text(&own, open.id),
                        failed: None,
                        failed_to_compile: false,
                    };
                }
                (Outcome::Error(error), compiles) => (Some(error), compiles),
                _ => {
                    let error = TransformError {
                        code: "NOT_A_TEXT".into(),
                        message: "the message is no text".into(),
                        position: None,
                    };
                    (Some(error), true)
                }
            }
        }
    };
    Text {
        kind,
        text: default(),
        failed,
        failed_to_compile: !compiles,
    }
}

/// What would be sent at once, had all been well before; and for the end of an incident, then.
fn notices(
    rule: &config::Rule,
    recipients: &[Recipient],
    event: &Taken,
    verdict: &Verdict,
) -> Vec<Body> {
    let (Some(text), Some(value)) = (&verdict.text, verdict.value) else {
        return Vec::new();
    };
    let opens = matches!(verdict.when_well, Some(Step::Opened { .. }));
    let resolves = matches!(verdict.when_open, Some(Step::Resolved { .. }));
    if !(opens || resolves) {
        return Vec::new();
    }
    let open = incident(rule, moments(event).0, value);
    let one = |recipient: &Recipient| {
        let (destination, to) = recipient.key();
        Body {
            destination,
            to,
            incident_id: Some(open.id),
            text: tell::body(rule, recipient, &text.text, &open, text.kind, event).to_string(),
        }
    };
    // Whoever is told one after the other hears of the opening first, and of the end if they heard of it.
    let first = recipients.iter().filter(|recipient| recipient.step() == 0);
    first.map(one).collect()
}
