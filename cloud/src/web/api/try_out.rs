//! `POST /api/v1/try`: what an expression would make of an event. The page shows the same answer.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::App;
use crate::config::{Rule, Threshold, show_duration};
use crate::error::Error;
use crate::process::alert::{Condition, State as AlertState, Step};
use crate::process::notice;
use crate::process::transform::{Outcome, TransformError};
use crate::try_out::{Attempt, Place, Subject, Text, Tried, Verdict};

/// What to try. At most one of `route`, `rule` and `series`; with none of them the expression stands for itself.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TryQuestion, example = json!({
    "route": "ubidots",
    "expression": "{\"anomaly\": {\"value\": body.anomaly, \"timestamp\": when * 1000}}",
    "event": { "event": "5ffa7e24", "device": "dev:864475", "file": "thermal.qo", "when": 1_644_340_339, "body": { "anomaly": 0.9 } }
}))]
pub struct Question {
    /// A configured route, by name.
    pub route: Option<String>,
    /// A configured rule, by name.
    pub rule: Option<String>,
    /// The transform of the series.
    #[serde(default)]
    pub series: bool,
    /// JSONata to try in place of the configured one.
    pub expression: Option<String>,
    /// JSONata to try in place of the rule's message; an empty one is the default text.
    pub message: Option<String>,
    /// The event, as Notehub posts it.
    pub event: Option<Value>,
    /// Or the uid of a stored event.
    pub event_uid: Option<String>,
}

/// What would happen. Nothing of it did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryAnswer)]
pub struct Answer {
    pub outcome: Kind,
    /// The same, and what follows, in a sentence.
    pub told: String,
    /// What the expression yields; for a rule, its value before it is read as a number.
    pub body: Option<Value>,
    pub error: Option<Mistake>,
    pub event: Seen,
    /// The measurements that would be stored, if the series was tried.
    pub points: Vec<Point>,
    /// What the rule makes of it, if a rule was tried.
    pub rule: Option<Judgement>,
    /// The requests that would be made, secrets as `***`.
    pub requests: Vec<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TryOutcome)]
pub enum Kind {
    Json,
    /// No value at all, which is not `null`.
    Nothing,
    /// `$doNotRoute()` was called.
    DoNotRoute,
    Error,
}

/// What is wrong with an expression, and where.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryError)]
pub struct Mistake {
    /// JSONata's code, or one of ours such as `TIMEOUT`.
    pub code: String,
    pub message: String,
    /// Whether it compiles; then it failed on this event.
    pub compiles: bool,
    /// How many characters had been read when the mistake was found.
    pub position: Option<usize>,
    /// From 1.
    pub line: Option<usize>,
    /// In characters from 1.
    pub column: Option<usize>,
    #[serde(skip)]
    pub place: Option<Place>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryEvent)]
pub struct Seen {
    pub uid: String,
    pub device: String,
    pub file: String,
    pub captured_at: DateTime<Utc>,
    /// Whether the route or rule looks at this event at all.
    pub taken: Option<bool>,
    /// Why it would be rejected, were this what Notehub posts.
    pub unreadable: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryPoint)]
pub struct Point {
    pub series: String,
    pub value: f64,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryJudgement)]
pub struct Judgement {
    /// The number, to four decimal places; none if the event says nothing about it.
    pub value: Option<f64>,
    /// Whether it is beyond the threshold that fires.
    pub fires: bool,
    /// What would follow, had all been well before.
    pub when_well: Option<String>,
    /// What would follow, had an incident been open.
    pub when_open: Option<String>,
    /// How old the event is, if the rule no longer judges one of that age. All else is as of its arrival.
    pub stale: Option<String>,
    pub text: Option<Message>,
}

/// What people would read; #1 stands for the number of the incident.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryText)]
pub struct Message {
    /// `opened` or `resolved`.
    pub notice: String,
    pub text: String,
    /// How many text messages that is.
    pub segments: usize,
    /// Why this is the default text and not the rule's own message.
    pub error: Option<Mistake>,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryRequest)]
pub struct Request {
    pub destination: String,
    /// The phone, if it is a text.
    pub to: Option<String>,
    pub method: String,
    pub url: String,
    pub headers: Vec<Header>,
    /// Exactly as it would be sent.
    pub body: String,
}

#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = TryHeader)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// Try an expression
///
/// Says what an expression would make of an event, and what would be sent where, as of now. Nothing is stored or sent, so
/// viewers may do it too. Time, memory and output are limited as for every expression, and one is tried at a time.
#[utoipa::path(post, path = "/api/v1/try", tag = "Expressions", operation_id = "tryExpression",
    request_body = Question,
    responses(
        (status = 200, description = "What would happen", body = Answer),
        (status = 404, description = "There is no such route, rule or event.", body = crate::web::openapi::Problem)))]
pub async fn try_expression(
    State(app): State<App>,
    Json(question): Json<Question>,
) -> Result<Json<Answer>, Error> {
    let mut subject = subject(&app, &question)?;
    if let Some(expression) = &question.expression {
        subject.edit(expression);
    }
    if let Some(message) = &question.message {
        subject.edit_message(message);
    }
    let (event, stored_at) = match (question.event, &question.event_uid) {
        (Some(event), None) => (event, None),
        (None, Some(uid)) => stored(&app.pool, uid)
            .await?
            .ok_or(Error::NotFound("event"))?,
        _ => {
            return Err(Error::Unprocessable(
                "give either `event`, as Notehub posts it, or `event_uid`".into(),
            ));
        }
    };
    let attempt = Attempt {
        subject,
        event,
        stored_at,
    };
    Ok(Json(answer(&app, attempt).await?))
}

fn subject(app: &App, question: &Question) -> Result<Subject, Error> {
    match question {
        Question {
            route: Some(name),
            rule: None,
            series: false,
            ..
        } => Subject::route(&app.config, name).ok_or(Error::NotFound("route")),
        Question {
            route: None,
            rule: Some(name),
            series: false,
            ..
        } => Subject::rule(&app.config, name).ok_or(Error::NotFound("rule")),
        Question {
            route: None,
            rule: None,
            series: true,
            ..
        } => Ok(Subject::series(&app.config)),
        Question {
            route: None,
            rule: None,
            series: false,
            expression: Some(text),
            ..
        } => Ok(Subject::Expression(text.clone())),
        Question {
            route: None,
            rule: None,
            ..
        } => Err(Error::Unprocessable(
            "give `expression`, or one of `route`, `rule` and `series`".into(),
        )),
        _ => Err(Error::Unprocessable(
            "give only one of `route`, `rule` and `series`".into(),
        )),
    }
}

/// A stored event as it came, and when it was stored.
pub async fn stored(
    pool: &sqlx::PgPool,
    uid: &str,
) -> sqlx::Result<Option<(Value, Option<DateTime<Utc>>)>> {
    let row = sqlx::query!(
        "SELECT raw, stored_at FROM received_events WHERE uid = $1",
        uid
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.raw, Some(row.stored_at))))
}

/// Tries it, within all limits.
pub async fn answer(app: &App, attempt: Attempt) -> Result<Answer, Error> {
    // More than Notehub may send need not be tried, and neither may what is no event keep us busy.
    let limit = app.config.server.body_limit;
    if attempt.event.to_string().len() > limit {
        return Err(Error::TooLarge(limit));
    }
    let subject = attempt.subject.clone();
    let tried = app
        .try_outs
        .run(&app.config, attempt, app.clock.now())
        .await?;
    if let Some(problem) = tried.problem {
        return Err(Error::Unprocessable(problem));
    }
    Ok(told(&subject, tried))
}

fn told(subject: &Subject, tried: Tried) -> Answer {
    let sentence = sentence(subject, &tried);
    let (outcome, body, error) = match tried.outcome {
        Outcome::Json(body) => (Kind::Json, Some(body), None),
        Outcome::Nothing => (Kind::Nothing, None, None),
        Outcome::DoNotRoute => (Kind::DoNotRoute, None, None),
        Outcome::Error(error) => {
            let text = subject.text().unwrap_or_default();
            (
                Kind::Error,
                None,
                Some(mistake(text, error, tried.compiles)),
            )
        }
    };
    let judged = match subject {
        Subject::Rule { rule, .. } => tried.verdict.map(|verdict| judgement(rule, verdict)),
        _ => None,
    };
    let event = tried.event;
    Answer {
        outcome,
        told: sentence,
        body,
        error,
        event: Seen {
            uid: event.uid,
            device: event.device,
            file: event.file,
            captured_at: event.captured_at,
            taken: tried.takes,
            unreadable: tried.unreadable,
        },
        points: tried
            .points
            .into_iter()
            .map(|point| Point {
                series: point.series,
                value: point.value,
            })
            .collect(),
        rule: judged,
        requests: tried.sends.into_iter().map(request).collect(),
    }
}

fn request(send: crate::try_out::Send) -> Request {
    let preview = send.preview;
    let header = |(name, value)| Header { name, value };
    Request {
        destination: send.destination,
        to: send.to,
        method: preview.method,
        url: preview.url,
        headers: preview.headers.into_iter().map(header).collect(),
        body: preview.body,
    }
}

fn mistake(expression: &str, error: TransformError, compiles: bool) -> Mistake {
    let place = error
        .position
        .map(|position| Place::of(expression, position));
    Mistake {
        code: error.code,
        message: error.message,
        compiles,
        position: error.position,
        line: place.as_ref().map(|place| place.line),
        column: place.as_ref().map(|place| place.column),
        place,
    }
}

fn sentence(subject: &Subject, tried: &Tried) -> String {
    let nothing = match subject {
        Subject::Route(_) => "nothing would be sent",
        Subject::Rule { .. } => "the rule would pass over this event",
        Subject::Series(_) => "no measurement would be stored",
        Subject::Expression(_) => "that is all",
    };
    match (&tried.outcome, subject) {
        (Outcome::Error(_), _) if !tried.compiles => {
            "The expression does not compile: with it the service would not start.".into()
        }
        (Outcome::Error(_), Subject::Expression(_)) => "The expression fails on this event.".into(),
        (Outcome::Error(_), _) => {
            format!(
                "The expression fails on this event: {nothing}, and the error would stay with the event."
            )
        }
        // A rule may stand in for a value that is missing.
        (_, Subject::Rule { rule, .. })
            if let Some(value) = tried.verdict.as_ref().and_then(|verdict| verdict.value) =>
        {
            standing(rule, value)
        }
        (Outcome::Nothing, _) => format!("The expression yields nothing: {nothing}."),
        (Outcome::DoNotRoute, _) => format!("The expression calls $doNotRoute(): {nothing}."),
        (Outcome::Json(_), Subject::Route(_)) if tried.unreadable.is_some() => {
            "This would be sent, were it an event.".into()
        }
        (Outcome::Json(_), Subject::Route(route)) if !route.enabled => {
            "This would be sent, were the route not switched off (enabled = false).".into()
        }
        (Outcome::Json(_), Subject::Route(_)) if tried.takes == Some(false) => {
            "This would be sent, but the route does not look at events like this one.".into()
        }
        (Outcome::Json(_), Subject::Route(_)) => "This would be sent.".into(),
        (Outcome::Json(_), Subject::Rule { .. }) => {
            format!("The expression yields no value: {nothing}.")
        }
        (Outcome::Json(_), Subject::Series(_)) => match tried.points.len() {
            1 => "1 measurement would be stored.".into(),
            count => format!("{count} measurements would be stored."),
        },
        (Outcome::Json(_), Subject::Expression(_)) => "The expression yields this.".into(),
    }
}

fn judgement(rule: &Rule, verdict: Verdict) -> Judgement {
    Judgement {
        value: verdict.value,
        fires: verdict
            .value
            .is_some_and(|value| Condition::from(rule).breached(value)),
        when_well: verdict.when_well.map(|step| from_well(rule, step)),
        when_open: verdict.when_open.map(|step| from_open(rule, step)),
        stale: verdict.stale.map(|age| match age.num_hours() {
            hours @ 0..=47 => format!("{hours} h"),
            hours => format!("{} days", hours / 24),
        }),
        text: verdict.text.map(|text| message(rule, text)),
    }
}

fn message(rule: &Rule, text: Text) -> Message {
    let own = rule.message.as_ref().map_or("", |message| &message.text);
    Message {
        notice: text.kind.word().into(),
        segments: notice::segments(&text.text),
        error: text
            .failed
            .map(|error| mistake(own, error, !text.failed_to_compile)),
        text: text.text,
    }
}

/// How a value stands to the thresholds.
fn standing(rule: &Rule, value: f64) -> String {
    let (beyond, limit, back) = match rule.fire {
        Threshold::Above(limit) => ("above", limit, "below"),
        Threshold::Below(limit) => ("below", limit, "above"),
    };
    let clear = rule.clear;
    let condition = Condition::from(rule);
    if condition.breached(value) {
        format!("{value} is {beyond} {limit}: here the rule fires.")
    } else if condition.cleared(value) {
        format!("{value} is {back} {clear}: here the rule is clear.")
    } else {
        format!(
            "{value} is neither {beyond} {limit}, where the rule fires, nor {back} {clear}, where it is clear."
        )
    }
}

fn from_well(rule: &Rule, step: Step) -> String {
    match step {
        Step::Opened { .. } => "An incident opens.".into(),
        Step::Pending {
            breaches, times, ..
        } if breaches < times => format!(
            "It is pending: {breaches} of the {times} values (among the last {}) that it takes for an incident.",
            rule.count.of
        ),
        Step::Pending { .. } => format!(
            "It is pending: an incident opens if this lasts for {}.",
            show_duration(rule.hold)
        ),
        Step::Ignored(reason) => format!("It is passed over: {reason}."),
        _ => "Nothing: all stays well.".into(),
    }
}

fn from_open(rule: &Rule, step: Step) -> String {
    match step {
        Step::Resolved { .. } => "The incident ends.".into(),
        Step::Recovering { value } => {
            let condition = Condition::from(rule);
            if condition.cleared(value) {
                format!(
                    "The incident stays open, and ends if this lasts for {}.",
                    show_duration(rule.clear_hold)
                )
            } else {
                "The incident stays open until the value is clear.".into()
            }
        }
        Step::Ignored(reason) => format!("It is passed over: {reason}."),
        Step::Held {
            state: AlertState::Firing,
            ..
        }
        | Step::Worse { .. } => "The incident goes on.".into(),
        _ => "The incident stays open.".into(),
    }
}
