//! Trying an expression on an event: the editor, the choice of an event, and what would come of it.
//!
//! The page works as a plain form. The script sends the same form while somebody types and asks for the result alone.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;

use super::{Nav, page, segment};
use crate::App;
use crate::config::{Config, Expression, Scope};
use crate::demo::day::TUTORIAL_EVENT;
use crate::error::Error;
use crate::try_out::{Attempt, Subject};
use crate::web::api::try_out::{Answer, Kind, answer, stored};
use crate::web::person::Person;

/// How many events are offered.
const OFFERED: usize = 12;
/// A result longer than this is shown in part: it is meant to be read.
const SHOWN: usize = 20_000;
/// What an expression that belongs to nothing yet starts from.
const SAMPLE: &str = "body";

/// The form, and the address that leads to it.
#[derive(Debug, Default, Deserialize)]
pub struct Fields {
    /// What is chosen from the list of all: `route NAME`, `rule NAME`, `series` or `expression`.
    of: Option<String>,
    route: Option<String>,
    rule: Option<String>,
    series: Option<String>,
    expression: Option<String>,
    message: Option<String>,
    event: Option<String>,
    /// A stored event to take in place of `event`.
    uid: Option<String>,
    /// Whose events are offered.
    device: Option<String>,
}

#[derive(Template)]
#[template(path = "rules_try.html")]
struct Page {
    nav: Nav,
    /// Everything that can be tried, and whether it is this.
    choices: Vec<(String, bool)>,
    which: Which,
    expression: String,
    message: String,
    event: String,
    device: String,
    offers: Vec<Offer>,
    result: Shown,
}

/// The result alone, for the script.
#[derive(Template)]
#[template(path = "rules_result.html")]
struct Part {
    result: Shown,
}

/// What the result's template shows.
#[derive(Default)]
struct Shown {
    /// Why nothing was tried.
    problem: Option<String>,
    answer: Option<Answer>,
    /// What is shown of the answer's JSON, and how much is not.
    body: String,
    cut: usize,
    snippet: String,
    /// The file that the expression stands in, if it is not the configuration's own.
    file: Option<String>,
    by_default: bool,
    /// Whether there is no expression, so that the event stands for its result.
    bare: bool,
    /// Whether the event goes out as it came.
    untouched: bool,
}

/// Whose expression it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Which {
    Route(String),
    Rule(String),
    Series,
    Expression,
}

impl Which {
    fn of(fields: &Fields) -> Self {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let chosen = given(&fields.of).unwrap_or_default();
        if let Some(name) = chosen
            .strip_prefix("route ")
            .map(str::to_owned)
            .or_else(|| given(&fields.route))
        {
            Self::Route(name)
        } else if let Some(name) = chosen
            .strip_prefix("rule ")
            .map(str::to_owned)
            .or_else(|| given(&fields.rule))
        {
            Self::Rule(name)
        } else if chosen == "series" || fields.series.is_some() {
            Self::Series
        } else {
            Self::Expression
        }
    }

    fn subject(&self, config: &Config) -> Result<Subject, Error> {
        match self {
            Self::Route(name) => Subject::route(config, name).ok_or(Error::NotFound("route")),
            Self::Rule(name) => Subject::rule(config, name).ok_or(Error::NotFound("rule")),
            Self::Series => Ok(Subject::series(config)),
            Self::Expression => Ok(Subject::Expression(SAMPLE.into())),
        }
    }

    /// As `Fields::of` has it.
    fn key(&self) -> String {
        match self {
            Self::Route(name) => format!("route {name}"),
            Self::Rule(name) => format!("rule {name}"),
            Self::Series => "series".into(),
            Self::Expression => "expression".into(),
        }
    }

    /// The fields by which a form says it.
    fn field(&self) -> (&'static str, &str) {
        match self {
            Self::Route(name) => ("route", name),
            Self::Rule(name) => ("rule", name),
            Self::Series => ("series", "1"),
            Self::Expression => ("free", "1"),
        }
    }
}

struct Offer {
    uid: String,
    name: String,
    file: String,
    at: DateTime<Utc>,
    body: String,
    failed: bool,
    /// Whether what is tried looks at it.
    taken: bool,
}

/// `GET /rules/try`: as configured, on the latest event. What a link brings along to be tried is only put into the form:
/// following a link runs nothing of somebody else's.
pub async fn chosen(
    State(app): State<App>,
    person: Person,
    headers: HeaderMap,
    Query(fields): Query<Fields>,
) -> Result<Response, Error> {
    // The script that keeps pages up to date looks at the bar alone here.
    let wanted = if headers.contains_key("x-live") {
        Wanted::Bar
    } else if brings_along(&fields) {
        Wanted::Form
    } else {
        Wanted::Whole
    };
    shown(&app, person, fields, wanted).await
}

/// `POST /rules/try`: as edited.
pub async fn tried(
    State(app): State<App>,
    person: Person,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Result<Response, Error> {
    let wanted = if headers.contains_key("x-part") {
        Wanted::Result
    } else {
        Wanted::Whole
    };
    shown(&app, person, fields, wanted).await
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// The result alone.
    Result,
    /// The bar alone.
    Bar,
    /// The form, with nothing tried.
    Form,
}

/// Whether an address brings something to run along.
fn brings_along(fields: &Fields) -> bool {
    let brought = [&fields.expression, &fields.message];
    fields.of.is_none()
        && brought
            .into_iter()
            .flatten()
            .any(|text| !text.trim().is_empty())
}

async fn shown(
    app: &App,
    person: Person,
    fields: Fields,
    wants: Wanted,
) -> Result<Response, Error> {
    let which = Which::of(&fields);
    let mut subject = which.subject(&app.config)?;
    let original = source(&subject);
    // Browsers end lines of forms with two characters, and positions are counted in characters.
    let edited = |text: &Option<String>| text.as_ref().map(|text| text.replace("\r\n", "\n"));
    let posted = fields.event.is_some();
    // From the list of all one comes with what was typed for another.
    let moved = fields.of.is_some();
    if let Some(text) =
        edited(&fields.expression).filter(|text| !moved && (posted || !text.trim().is_empty()))
    {
        subject.edit(&text);
    }
    if let Some(text) = edited(&fields.message).filter(|_| !moved) {
        subject.edit_message(&text);
    }
    let device = fields.device.unwrap_or_default();
    let scope = subject.scope();
    let offers = if matches!(wants, Wanted::Result | Wanted::Bar) {
        Vec::new()
    } else {
        offers(&app.pool, device.trim(), scope.as_ref()).await?
    };
    let wanted = fields.uid.filter(|uid| !uid.is_empty());
    let typed = edited(&fields.event).filter(|text| !text.trim().is_empty());
    let first = offers
        .iter()
        .find(|offer| offer.taken || scope.is_none())
        .map(|offer| offer.uid.clone());
    let uid = wanted.clone().or(first.filter(|_| typed.is_none()));
    let (event, stored_at) = match uid {
        Some(uid) => match stored(&app.pool, &uid).await? {
            Some((event, at)) => (pretty(&event), at),
            None if wanted.is_some() => return Err(Error::NotFound("event")),
            None => (example(), None),
        },
        None => (typed.unwrap_or_else(example), None),
    };
    let result = match wants {
        Wanted::Bar => Shown::default(),
        Wanted::Form => Shown {
            problem: Some("Nothing was tried yet: the expression came with the link. Read it, then press Try it.".into()),
            ..told(&subject)
        },
        Wanted::Whole | Wanted::Result => Shown {
            file: original.filter(|source| is_file(source)),
            by_default: !matches!(which, Which::Series | Which::Expression)
                && super::rules::by_default(&app.config),
            ..result(app, &subject, &event, stored_at).await
        },
    };
    if wants == Wanted::Result {
        return page(StatusCode::OK, &Part { result });
    }
    let choices = choices(&app.config)
        .into_iter()
        .map(|one| (one.key(), one == which))
        .collect();
    let shown = Page {
        choices,
        which,
        expression: subject.text().unwrap_or_default().to_owned(),
        message: subject.message().unwrap_or_default().to_owned(),
        event,
        device,
        offers,
        result,
        nav: Nav::of(&app.pool, person, "rules").await?,
    };
    page(StatusCode::OK, &shown)
}

fn choices(config: &Config) -> Vec<Which> {
    let routes = config
        .routes
        .iter()
        .map(|route| Which::Route(route.name.clone()));
    let rules = config
        .rules
        .iter()
        .map(|rule| Which::Rule(rule.name.clone()));
    routes
        .chain(rules)
        .chain([Which::Series, Which::Expression])
        .collect()
}

/// What there is to say before anything is tried.
fn told(subject: &Subject) -> Shown {
    Shown {
        snippet: snippet(subject),
        bare: subject.text().is_none(),
        untouched: matches!(subject, Subject::Route(route) if route.transform.is_none()),
        ..Shown::default()
    }
}

async fn result(
    app: &App,
    subject: &Subject,
    event: &str,
    stored_at: Option<DateTime<Utc>>,
) -> Shown {
    let told = told(subject);
    let event: Value = match serde_json::from_str(event) {
        Ok(event) => event,
        Err(error) => {
            return Shown {
                problem: Some(format!("The event is not JSON: {error}.")),
                ..told
            };
        }
    };
    let attempt = Attempt {
        subject: subject.clone(),
        event,
        stored_at,
    };
    match answer(app, attempt).await {
        Ok(answer) => {
            let body = answer.body.as_ref().map(pretty).unwrap_or_default();
            let end = body
                .char_indices()
                .nth(SHOWN)
                .map_or(body.len(), |(end, _)| end);
            Shown {
                cut: body.len() - end,
                body: body[..end].to_owned(),
                answer: Some(answer),
                ..told
            }
        }
        Err(error) => Shown {
            problem: Some(format!("Nothing was tried: {error}.")),
            ..told
        },
    }
}

fn snippet(subject: &Subject) -> String {
    match subject {
        Subject::Route(route) => route.to_toml(),
        Subject::Rule { rule, .. } => rule.to_toml(),
        Subject::Series(transform) => Expression::series(transform.as_ref()),
        Subject::Expression(text) => Expression::line("transform", text),
    }
}

/// Where the expression stands.
fn source(subject: &Subject) -> Option<String> {
    let expression = match subject {
        Subject::Route(route) => route.transform.as_ref(),
        Subject::Rule { rule, .. } => Some(&rule.value),
        Subject::Series(transform) => transform.as_ref(),
        Subject::Expression(_) => None,
    };
    expression.map(|expression| expression.source.clone())
}

/// A file's path, not a key of the configuration.
fn is_file(source: &str) -> bool {
    !["route `", "rule `", "series", "the default "]
        .iter()
        .any(|key| source.starts_with(key))
}

/// The start of a long text.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…\n({} more bytes)", &text[..end], text.len() - end),
        None => text.to_owned(),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// What there is to try on before anything came.
fn example() -> String {
    serde_json::from_str(TUTORIAL_EVENT)
        .as_ref()
        .map_or_else(|_| TUTORIAL_EVENT.to_owned(), pretty)
}

/// Recent events of the stations that were heard last, or of those that the search finds; first those that fit.
async fn offers(pool: &PgPool, search: &str, scope: Option<&Scope>) -> sqlx::Result<Vec<Offer>> {
    let rows = sqlx::query!(
        r#"SELECT e.uid, e.captured_at, d.uid AS device, d.serial_number, d.fleets, d.product, r.file,
                  left((r.raw -> 'body')::text, 120) AS body,
                  EXISTS (SELECT FROM event_errors AS x WHERE x.event_uid = e.uid) AS "failed!"
             FROM (SELECT uid, serial_number, fleets, product FROM devices
                    WHERE $1 = '' OR strpos(lower(uid), lower($1)) > 0 OR strpos(lower(coalesce(serial_number, '')), lower($1)) > 0
                    ORDER BY last_seen DESC LIMIT 10) AS d
            CROSS JOIN LATERAL (SELECT uid, captured_at FROM processed_events WHERE device = d.uid
                                 ORDER BY captured_at DESC LIMIT 25) AS e
             JOIN received_events AS r ON r.uid = e.uid
            ORDER BY e.captured_at DESC"#,
        search.replace('\0', "")
    )
    .fetch_all(pool)
    .await?;
    let mut offers: Vec<_> = rows
        .into_iter()
        .map(|row| Offer {
            taken: scope.is_none_or(|scope| {
                let product = row.product.as_deref().unwrap_or_default();
                scope.matches(
                    &row.file,
                    &row.device,
                    row.serial_number.as_deref(),
                    &row.fleets,
                    product,
                )
            }),
            name: row.serial_number.unwrap_or(row.device),
            uid: row.uid,
            file: row.file,
            at: row.captured_at,
            body: row.body.unwrap_or_default(),
            failed: row.failed,
        })
        .collect();
    offers.sort_by_key(|offer| !offer.taken);
    offers.truncate(OFFERED);
    Ok(offers)
}

/// Where `part` of the configuration, as errors name it, can be tried on an event.
pub fn link(part: &str, event: &str) -> String {
    let which = match part.split_once(' ') {
        Some(("route", name)) => format!("route={}", segment(name)),
        Some(("rule", name)) => format!("rule={}", segment(name.trim_end_matches(" message"))),
        _ => "series=1".into(),
    };
    format!("/rules/try?{which}&uid={}", segment(event))
}
