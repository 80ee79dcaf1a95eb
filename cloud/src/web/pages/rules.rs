//! What is configured, in words, with what each part of it did lately: destinations, routes, rules, series and the rest.
//!
//! The configuration is a file; nothing is changed here, and no secret is shown.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Nav, page};
use crate::App;
use crate::config::{
    self, Config, DestinationKind, SILENT, Sender, Threshold, show_duration, show_rate,
};
use crate::error::Error;
use crate::web::person::Person;

/// What the route and rules of a configuration without any have for a source; see `config::tutorial`.
const DEFAULT: &str = "the default ";

#[derive(Template)]
#[template(path = "rules.html")]
struct Page {
    nav: Nav,
    destinations: Vec<Destination>,
    routes: Vec<Route>,
    rules: Vec<Rule>,
    series: Option<String>,
    series_trouble: Option<Trouble>,
    rest: Vec<(&'static str, String)>,
    /// Whether these are the tutorial's, for want of any in the file.
    by_default: bool,
    described: String,
    now: DateTime<Utc>,
}

struct Destination {
    name: String,
    kind: &'static str,
    facts: Vec<(&'static str, String)>,
    /// Whether it sends.
    breaker: &'static str,
    due: i64,
    dead: i64,
}

struct Route {
    name: String,
    events: String,
    destination: String,
    transform: Option<String>,
    enabled: bool,
    made: i64,
    trouble: Option<Trouble>,
}

struct Rule {
    name: String,
    severity: &'static str,
    events: String,
    /// None if it judges no note.
    value: Option<String>,
    facts: Vec<(&'static str, String)>,
    message: Option<String>,
    open: i64,
    trouble: Option<Trouble>,
}

/// Errors of the last 24 hours, and the latest of them.
#[derive(Clone)]
struct Trouble {
    part: String,
    count: i64,
    event: String,
    message: String,
    at: DateTime<Utc>,
}

pub async fn rules(State(app): State<App>, person: Person) -> Result<Response, Error> {
    let now = app.clock.now();
    let lately = now - TimeDelta::hours(24);
    let config = &app.config;
    let troubles = troubles(&app, lately).await?;
    let trouble = |part: &str| troubles.iter().find(|one| one.part == part).cloned();
    let made = sqlx::query!(
        r#"SELECT route AS "route!", count(*) AS "count!" FROM delivery_contents
            WHERE route = ANY ($1) AND created_at >= $2 GROUP BY route"#,
        &config
            .routes
            .iter()
            .map(|route| route.name.clone())
            .collect::<Vec<_>>(),
        lately
    )
    .fetch_all(&app.pool)
    .await?;
    let open = sqlx::query!(
        r#"SELECT rule, count(*) AS "count!" FROM incidents WHERE resolved_at IS NULL GROUP BY rule"#
    )
    .fetch_all(&app.pool)
    .await?;
    let routes = config.routes.iter().map(|route| Route {
        made: made
            .iter()
            .find(|row| row.route == route.name)
            .map_or(0, |row| row.count),
        trouble: trouble(&format!("route {}", route.name)),
        ..Route::of(route)
    });
    let rules = config.rules.iter().map(|rule| Rule {
        open: open
            .iter()
            .find(|row| row.rule == rule.name)
            .map_or(0, |row| row.count),
        trouble: trouble(&format!("rule {}", rule.name))
            .or_else(|| trouble(&format!("rule {} message", rule.name))),
        ..Rule::of(rule)
    });
    let silence = config.watch.enabled.then(|| Rule {
        open: open
            .iter()
            .find(|row| row.rule == SILENT)
            .map_or(0, |row| row.count),
        ..Rule::of_silence(&config.watch)
    });
    let shown = Page {
        destinations: destinations(&app).await?,
        routes: routes.collect(),
        rules: rules.chain(silence).collect(),
        series: config.series.transform.as_ref().map(|it| it.text.clone()),
        series_trouble: trouble("series"),
        rest: rest(config),
        by_default: by_default(config),
        described: config.describe(),
        now,
        nav: Nav::of(&app.pool, person, "rules").await?,
    };
    page(StatusCode::OK, &shown)
}

/// Whether the file names no route and no rule, so that the tutorial's are in force.
pub(super) fn by_default(config: &Config) -> bool {
    config
        .rules
        .iter()
        .any(|rule| rule.value.source.starts_with(DEFAULT))
}

async fn troubles(app: &App, since: DateTime<Utc>) -> sqlx::Result<Vec<Trouble>> {
    let parts = app.processor.plan.parts();
    sqlx::query_as!(
        Trouble,
        r#"SELECT part AS "part!", n.count AS "count!", e.event_uid AS "event!", e.code || ': ' || e.message AS "message!", e.at AS "at!"
             FROM unnest($1::text[]) AS part
            CROSS JOIN LATERAL (SELECT count(*) AS count FROM event_errors WHERE event_errors.part = part.part AND at >= $2) AS n
            CROSS JOIN LATERAL (SELECT event_uid, code, message, at FROM event_errors
                                 WHERE event_errors.part = part.part AND at >= $2 ORDER BY at DESC LIMIT 1) AS e"#,
        &parts,
        since
    )
    .fetch_all(&app.pool)
    .await
}

async fn destinations(app: &App) -> sqlx::Result<Vec<Destination>> {
    let waiting = sqlx::query!(
        r#"SELECT name AS "name!", d.count AS "due!", x.count AS "dead!" FROM unnest($1::text[]) AS name
            CROSS JOIN LATERAL (SELECT count(*) AS count FROM delivery_states WHERE destination = name AND state = 'due') AS d
            CROSS JOIN LATERAL (SELECT count(*) AS count FROM delivery_states WHERE destination = name AND state = 'dead') AS x"#,
        &app.lanes.iter().map(|lane| lane.name().to_owned()).collect::<Vec<_>>()
    )
    .fetch_all(&app.pool)
    .await?;
    let shown = app.config.destinations.iter().map(|one| {
        let waiting = waiting.iter().find(|row| row.name == one.name);
        let lane = app.lanes.iter().find(|lane| lane.name() == one.name);
        Destination {
            name: one.name.clone(),
            kind: one.kind.word(),
            facts: facts_of_destination(one),
            breaker: lane.map_or("closed", |lane| lane.state()),
            due: waiting.map_or(0, |row| row.due),
            dead: waiting.map_or(0, |row| row.dead),
        }
    });
    Ok(shown.collect())
}

fn facts_of_destination(destination: &config::Destination) -> Vec<(&'static str, String)> {
    let (mut facts, rate, timeout) = match &destination.kind {
        DestinationKind::Ubidots(ubidots) => (
            vec![("Sends to", ubidots.base_url.to_string())],
            ubidots.rate_limit,
            ubidots.timeout,
        ),
        DestinationKind::Twilio(twilio) => {
            let from = match &twilio.sender {
                Sender::From(number) => number.clone(),
                Sender::MessagingService(sid) => format!("Messaging Service {sid}"),
            };
            let facts = vec![
                ("Texts", twilio.to.join(", ")),
                ("From", from),
                ("Texts valid for", show_duration(twilio.validity)),
            ];
            (facts, twilio.rate_limit, twilio.timeout)
        }
        DestinationKind::Http(http) => {
            let signed = match http.signing_secrets.len() {
                0 => "no".to_owned(),
                1 => "with 1 secret".to_owned(),
                count => format!("with {count} secrets"),
            };
            // The rest of the address is often its secret.
            let mut facts = vec![
                ("Sends to", http.url.origin().ascii_serialization()),
                ("Signed", signed),
            ];
            if !http.headers.is_empty() {
                let names: Vec<_> = http.headers.iter().map(|(name, _)| name.as_str()).collect();
                facts.push(("Headers", names.join(", ")));
            }
            (facts, http.rate_limit, http.timeout)
        }
    };
    facts.push(("Rate limit", show_rate(rate)));
    facts.push(("Time limit", show_duration(timeout)));
    facts
}

impl Route {
    fn of(route: &config::Route) -> Self {
        Self {
            name: route.name.clone(),
            events: events([&route.files, &route.devices, &route.fleets, &route.products]),
            destination: route.destination.clone(),
            transform: route.transform.as_ref().map(|it| it.text.trim().to_owned()),
            enabled: route.enabled,
            made: 0,
            trouble: None,
        }
    }
}

impl Rule {
    fn of(rule: &config::Rule) -> Self {
        let (fires, clears) = match rule.fire {
            Threshold::Above(limit) => (format!("above {limit}"), format!("below {}", rule.clear)),
            Threshold::Below(limit) => (format!("below {limit}"), format!("above {}", rule.clear)),
        };
        let lasting = |duration: Duration| match duration {
            Duration::ZERO => String::new(),
            duration => format!(", for at least {}", show_duration(duration)),
        };
        let count = match (rule.count.times, rule.count.of) {
            (1, 1) => String::new(),
            (times, of) => format!(", {times} of the last {of} values"),
        };
        let mut facts = vec![
            ("Fires", format!("{fires}{count}{}", lasting(rule.hold))),
            ("Clear", format!("{clears}{}", lasting(rule.clear_hold))),
        ];
        if let Some(missing) = rule.missing {
            facts.push(("If missing", format!("counts as {missing}")));
        }
        facts.extend(telling(&rule.notify, rule.repeat));
        facts.push((
            "Between notices",
            format!("at least {}", show_duration(rule.cooldown)),
        ));
        facts.push((
            "Notes older than",
            format!("{} decide nothing", show_duration(rule.max_age)),
        ));
        Self {
            name: rule.name.clone(),
            severity: rule.severity.word(),
            events: events([&rule.files, &rule.devices, &rule.fleets, &rule.products]),
            value: Some(rule.value.text.trim().to_owned()),
            facts,
            message: rule.message.as_ref().map(|it| it.text.trim().to_owned()),
            open: 0,
            trouble: None,
        }
    }

    /// That a station is heard no more, of `[watch]`.
    fn of_silence(watch: &config::Watch) -> Self {
        let mut facts = vec![
            ("Fires", silent_when(watch)),
            ("Clear", "when it is heard again".to_owned()),
        ];
        facts.extend(telling(&watch.notify, watch.repeat));
        Self {
            name: SILENT.to_owned(),
            severity: watch.severity.word(),
            events: "every event is a sign of life".to_owned(),
            value: None,
            facts,
            message: None,
            open: 0,
            trouble: None,
        }
    }
}

/// Who is told, and how often.
fn telling(notify: &[String], repeat: Option<Duration>) -> [(&'static str, String); 2] {
    let told = match notify {
        [] => "nobody; it shows on the pages".to_owned(),
        names => names.join(", "),
    };
    let repeat = repeat.map_or("never".to_owned(), |repeat| {
        format!(
            "every {} until somebody acknowledges",
            show_duration(repeat)
        )
    });
    [("Tells", told), ("Reminds", repeat)]
}

/// When a station is silent, in words.
pub(super) fn silent_when(watch: &config::Watch) -> String {
    format!(
        "when nothing was heard for {}, or by its own rhythm and {} of grace",
        show_duration(watch.silent_after),
        show_duration(watch.grace)
    )
}

/// Which events, in words.
fn events([files, devices, fleets, products]: [&[String]; 4]) -> String {
    let files = match files {
        [] => "every notefile".to_owned(),
        files => files.join(", "),
    };
    let others = [
        ("devices", devices),
        ("fleets", fleets),
        ("products", products),
    ];
    let narrowed = others
        .iter()
        .filter(|(_, patterns)| !patterns.is_empty())
        .map(|(word, patterns)| format!("; only {word} {}", patterns.join(", ")));
    files + &narrowed.collect::<String>()
}

fn rest(config: &Config) -> Vec<(&'static str, String)> {
    let told = |names: &[String]| match names {
        [] => "nobody is told; it shows on the pages".to_owned(),
        names => format!("{} told", names.join(", ")),
    };
    let kept = &config.retention;
    let mut rest = vec![
        (
            "Silence",
            format!(
                "a station may be silent for {}; {}",
                show_duration(config.watch.silent_after),
                told(&config.watch.notify)
            ),
        ),
        (
            "Kept for",
            format!(
                "events {}, measurements {}, attempts at deliveries {}, pictures {}",
                show_duration(kept.events),
                show_duration(kept.measurements),
                show_duration(kept.attempts),
                show_duration(kept.frames)
            ),
        ),
    ];
    rest.push((
        "Missed events",
        match &config.notehub.project {
            None => "not fetched from Notehub: no project is configured".to_owned(),
            Some(project) => {
                let host = config.notehub.api_url.host_str().unwrap_or_default();
                format!("fetched from {project} at {host}")
            }
        },
    ));
    rest.push((
        "Expressions",
        format!(
            "{}; at most {} and {} of output for one event",
            config.transform.engine.word(),
            show_duration(config.transform.timeout),
            crate::config::show_size(config.transform.output_limit)
        ),
    ));
    rest
}
