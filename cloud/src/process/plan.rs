//! What `process` does with an event, compiled once from the configuration: series, routes and rules.
//!
//! Compiling refuses a bad expression at start, with its place. Running keeps one from taking the time of all others: an
//! expression that used up its time limit again and again is left alone for a while, and the events it would have seen
//! carry that as their error, so that `replay` can run it again once it is mended.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::alert::Condition;
use super::transform::{Outcome, Program, TransformError, Transforms};
use crate::config::{self, Config, DestinationKind, Expression, Scope};

/// So many time-outs in a row, and an expression is suspended.
const STRIKES: u32 = 3;
/// For how long; then one event may try it again.
const SUSPENSION: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug)]
pub struct Plan {
    pub series: Option<Guarded>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
pub struct Route {
    pub config: config::Route,
    pub scope: Scope,
    pub transform: Option<Guarded>,
}

#[derive(Debug)]
pub struct Rule {
    pub config: config::Rule,
    pub scope: Scope,
    pub condition: Condition,
    pub value: Guarded,
    pub message: Option<Guarded>,
    pub recipients: Vec<Recipient>,
}

/// Who is told of an incident.
#[derive(Debug, Clone)]
pub enum Recipient {
    Phone { destination: String, number: String },
    Http { destination: String },
}

impl Recipient {
    /// The destination, and whom it reaches there.
    pub fn key(&self) -> (String, Option<String>) {
        match self {
            Self::Phone {
                destination,
                number,
            } => (destination.clone(), Some(number.clone())),
            Self::Http { destination } => (destination.clone(), None),
        }
    }
}

/// An expression that is bad, and where it stands.
#[derive(Debug, thiserror::Error)]
#[error("{source_text}: {error}")]
pub struct BadExpression {
    pub source_text: String,
    pub error: TransformError,
}

impl Plan {
    /// Compiles all expressions of the configuration, and reports every bad one.
    pub fn compile(config: &Config, transforms: &Transforms) -> Result<Self, Vec<BadExpression>> {
        let mut bad = Vec::new();
        let mut step =
            |part: String, expression: &Expression| match transforms.compile(&expression.text) {
                Ok(program) => Some(Guarded {
                    part,
                    program,
                    patience: Mutex::default(),
                }),
                Err(error) => {
                    bad.push(BadExpression {
                        source_text: expression.source.clone(),
                        error,
                    });
                    None
                }
            };
        let series = config
            .series
            .transform
            .as_ref()
            .and_then(|expression| step("series".into(), expression));
        let routes = config
            .routes
            .iter()
            .map(|route| Route {
                transform: route
                    .transform
                    .as_ref()
                    .and_then(|expression| step(format!("route {}", route.name), expression)),
                scope: route.scope(),
                config: route.clone(),
            })
            .collect();
        let rules = config
            .rules
            .iter()
            .filter_map(|rule| {
                let message = rule
                    .message
                    .as_ref()
                    .and_then(|expression| step(format!("rule {} message", rule.name), expression));
                let value = step(format!("rule {}", rule.name), &rule.value)?;
                Some(Rule {
                    condition: Condition::from(rule),
                    recipients: recipients(config, rule),
                    scope: rule.scope(),
                    config: rule.clone(),
                    value,
                    message,
                })
            })
            .collect();
        if bad.is_empty() {
            Ok(Self {
                series,
                routes,
                rules,
            })
        } else {
            Err(bad)
        }
    }

    /// All of the configuration whose errors are kept with events, as `event_errors` calls it.
    pub fn parts(&self) -> Vec<String> {
        let routes = self
            .routes
            .iter()
            .filter_map(|route| route.transform.as_ref());
        let rules = self
            .rules
            .iter()
            .flat_map(|rule| [Some(&rule.value), rule.message.as_ref()]);
        let all = self.series.iter().chain(routes).chain(rules.flatten());
        all.map(|guarded| guarded.part.clone()).collect()
    }

    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.config.name == name)
    }
}

/// Whom a rule tells.
pub fn recipients(config: &Config, rule: &config::Rule) -> Vec<Recipient> {
    let notified = config
        .destinations
        .iter()
        .filter(|destination| rule.notify.contains(&destination.name));
    notified
        .flat_map(|destination| {
            let name = &destination.name;
            match &destination.kind {
                DestinationKind::Twilio(twilio) => twilio
                    .to
                    .iter()
                    .map(|number| Recipient::Phone {
                        destination: name.clone(),
                        number: number.clone(),
                    })
                    .collect(),
                DestinationKind::Http(_) => vec![Recipient::Http {
                    destination: name.clone(),
                }],
                // Refused by the configuration's checks: there is nobody to tell at Ubidots.
                DestinationKind::Ubidots(_) => Vec::new(),
            }
        })
        .collect()
}

/// The program that a worker process of the other engine is started from: this one.
pub fn worker_exe() -> anyhow::Result<PathBuf> {
    use anyhow::Context;
    std::env::current_exe()
        .context("finding this program's own file, to start transform workers from")
}

/// One compiled expression and how much patience is left with it.
#[derive(Debug)]
pub struct Guarded {
    /// As it is called in `event_errors`: `route ubidots`, `rule anomaly`, `series`.
    pub part: String,
    program: Program,
    patience: Mutex<Patience>,
}

#[derive(Debug, Default)]
struct Patience {
    timeouts: u32,
    suspended_until: Option<DateTime<Utc>>,
}

impl Guarded {
    /// Runs the expression; to be called on a thread of `Transforms`.
    pub fn run(&self, input: &Value, now: DateTime<Utc>) -> Outcome {
        if let Some(until) = self.patience().suspended_until
            && now < until
        {
            return Outcome::Error(TransformError {
                code: "SUSPENDED".into(),
                message: format!(
                    "not run: the expression exceeded its time limit {STRIKES} times in a row and is left alone until {}; mend it, then `cloud replay --errors`",
                    until.format("%H:%M:%SZ")
                ),
                position: None,
            });
        }
        let outcome = self.program.run(input, now);
        let timed_out = matches!(&outcome, Outcome::Error(error) if error.code == "TIMEOUT");
        let mut patience = self.patience();
        if timed_out {
            patience.timeouts += 1;
            if patience.timeouts >= STRIKES {
                tracing::warn!(
                    part = self.part,
                    "expression suspended: it exceeded its time limit {STRIKES} times in a row"
                );
                patience.suspended_until = Some(now + SUSPENSION);
            }
        } else if patience.timeouts > 0 {
            *patience = Patience::default();
        }
        outcome
    }

    fn patience(&self) -> std::sync::MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
