//! What `process` does with an event, compiled once from the configuration: series, routes and rules.
//!
//! Compiling refuses a bad expression at start, with its place. Running keeps one from taking the time of all others: an
//! expression that used up its time limit again and again is left alone for a while, and the events it would have seen
//! carry that as their error, so that `replay` can run it again once it is mended.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use url::Url;

use super::alert::Condition;
use super::transform::{Outcome, Program, TransformError, Transforms};
use crate::config::{self, Config, DestinationKind, Expression, SILENT, Scope, Sender};
use crate::deliver::media;
use crate::watch::rhythm;

/// So many time-outs in a row, and an expression is suspended.
const STRIKES: u32 = 3;
/// For how long; then one event may try it again.
const SUSPENSION: TimeDelta = TimeDelta::seconds(60);

#[derive(Debug)]
pub struct Plan {
    pub series: Option<Guarded>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    /// None if nobody watches for silent stations.
    pub silence: Option<Silence>,
    /// `server.public_url`, for links to our pages.
    pub public_url: Option<Url>,
    /// The destinations whose phones are shown pictures.
    pub pictures: Vec<Phones>,
}

#[derive(Debug, Clone)]
pub struct Phones {
    pub destination: String,
    /// The number that texts come from, unless a messaging service chooses it.
    pub from: Option<String>,
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
    /// How long the next recipients wait after those of step 0, 1, … were told; empty without escalation.
    pub waits: Vec<TimeDelta>,
}

/// How the silence of a station is watched and told.
#[derive(Debug)]
pub struct Silence {
    pub patience: rhythm::Patience,
    /// No note is judged by it; it says how severe it is and who is told.
    pub rule: Rule,
}

/// Whose incident it is: a rule's, by its place in the plan, or the watch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Rule(usize),
    Silence,
}

/// Who is told of an incident.
#[derive(Debug, Clone)]
pub enum Recipient {
    Phone {
        destination: String,
        number: String,
        /// Those of step 0 are told at once, those of 1 when nobody of step 0 acknowledged, and so on.
        step: i32,
    },
    Http {
        destination: String,
    },
}

impl Recipient {
    /// The destination, and whom it reaches there.
    pub fn key(&self) -> (String, Option<String>) {
        match self {
            Self::Phone {
                destination,
                number,
                ..
            } => (destination.clone(), Some(number.clone())),
            Self::Http { destination } => (destination.clone(), None),
        }
    }

    pub fn step(&self) -> i32 {
        match self {
            Self::Phone { step, .. } => *step,
            Self::Http { .. } => 0,
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
        let mut compiled = |rule: &config::Rule| {
            let message = rule
                .message
                .as_ref()
                .and_then(|expression| step(format!("rule {} message", rule.name), expression));
            let value = step(format!("rule {}", rule.name), &rule.value)?;
            let (recipients, waits) = recipients(config, rule);
            Some(Rule {
                condition: Condition::from(rule),
                recipients,
                waits,
                scope: rule.scope(),
                config: rule.clone(),
                value,
                message,
            })
        };
        let rules = config.rules.iter().filter_map(&mut compiled).collect();
        let watch = &config.watch;
        let silence = watch.enabled.then(|| {
            Some(Silence {
                rule: compiled(&watch.rule())?,
                patience: rhythm::Patience {
                    silent_after: delta(watch.silent_after),
                    grace: delta(watch.grace),
                },
            })
        });
        if bad.is_empty() {
            Ok(Self {
                series,
                routes,
                rules,
                silence: silence.flatten(),
                public_url: config.server.public_url.clone(),
                pictures: pictures(config),
            })
        } else {
            Err(bad)
        }
    }

    /// A short address of an incident's page.
    pub fn link(&self, incident: i64) -> Option<String> {
        media::public(self.public_url.as_ref(), &format!("/i/{incident}"))
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

    /// Whose incidents bear this name.
    pub fn which(&self, name: &str) -> Option<Which> {
        if name == SILENT {
            return self.silence.as_ref().map(|_| Which::Silence);
        }
        let rule = self.rules.iter().position(|rule| rule.config.name == name);
        rule.map(Which::Rule)
    }

    pub fn of(&self, which: Which) -> Option<&Rule> {
        match which {
            Which::Rule(index) => self.rules.get(index),
            Which::Silence => self.silence.as_ref().map(|silence| &silence.rule),
        }
    }

    /// Everything that may have open incidents.
    pub fn watched(&self) -> impl Iterator<Item = &Rule> {
        let silence = self.silence.as_ref().map(|silence| &silence.rule);
        self.rules.iter().chain(silence)
    }

    /// Whether a silent station mutes its other incidents: only where somebody is told that it is silent.
    pub fn silence_mutes(&self) -> bool {
        self.silence
            .as_ref()
            .is_some_and(|silence| !silence.rule.recipients.is_empty())
    }
}

/// Who gets the picture of an incident: phones in reach of what Twilio can fetch.
fn pictures(config: &Config) -> Vec<Phones> {
    let within_reach = config.phones().filter(|(_, twilio)| {
        let url = twilio.public_url.as_ref();
        twilio.pictures && url.is_some_and(media::reachable)
    });
    let phones = within_reach.map(|(name, twilio)| Phones {
        destination: name.to_owned(),
        from: match &twilio.sender {
            Sender::From(number) => Some(number.clone()),
            Sender::MessagingService(_) => None,
        },
    });
    phones.collect()
}

/// Who is told of a rule's incidents, and how long the next ones wait after each step.
///
/// With several destinations that escalate, the steps are all moments at which somebody new is told.
pub fn recipients(config: &Config, rule: &config::Rule) -> (Vec<Recipient>, Vec<TimeDelta>) {
    let notified: Vec<_> = config
        .destinations
        .iter()
        .filter(|destination| rule.notify.contains(&destination.name))
        .collect();
    let delay = |twilio: &config::Twilio, index: usize| {
        let apart = twilio.escalate_after.map_or(TimeDelta::zero(), delta);
        let times = i32::try_from(index).unwrap_or(i32::MAX);
        apart.checked_mul(times).unwrap_or(TimeDelta::MAX)
    };
    let mut moments: Vec<TimeDelta> = vec![TimeDelta::zero()];
    for destination in &notified {
        if let DestinationKind::Twilio(twilio) = &destination.kind {
            moments.extend((0..twilio.to.len()).map(|index| delay(twilio, index)));
        }
    }
    moments.sort_unstable();
    moments.dedup();
    let step = |delay: TimeDelta| {
        let place = moments.iter().position(|moment| *moment == delay);
        place
            .and_then(|place| i32::try_from(place).ok())
            .unwrap_or_default()
    };
    let mut recipients = Vec::new();
    for destination in notified {
        let name = &destination.name;
        match &destination.kind {
            DestinationKind::Twilio(twilio) => {
                recipients.extend(twilio.to.iter().enumerate().map(|(index, number)| {
                    Recipient::Phone {
                        destination: name.clone(),
                        number: number.clone(),
                        step: step(delay(twilio, index)),
                    }
                }));
            }
            DestinationKind::Http(_) => recipients.push(Recipient::Http {
                destination: name.clone(),
            }),
            // Refused by the configuration's checks: there is nobody to tell at Ubidots.
            DestinationKind::Ubidots(_) => {}
        }
    }
    let waits = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    (recipients, waits)
}

/// A duration beyond chrono's range is as good as for ever.
fn delta(duration: std::time::Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
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
