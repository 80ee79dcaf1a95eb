//! The pages for people.
//!
//! Rendered here, whole: a page is right without any script, and the script only keeps it up to date (`static/base.js`).
//! Each page has a module with its queries and its template's data; what they share is here: the bar at the top (`Nav`),
//! how times are written, and how an error looks.

/// Who did what.
pub mod audit;
/// What waits, failed or died, and why.
pub mod deliveries;
/// The API, described for people.
pub mod docs;
/// What is open and what was, and what to do about it.
pub mod incidents;
/// All stations at a glance.
pub mod overview;
/// What is configured: destinations, routes, rules.
pub mod rules;
/// Signing in and out.
pub mod sign_in;
/// One station.
pub mod station;
/// Expressions, tried on an event.
pub mod try_out;

use std::fmt;

use askama::Template;
use askama::filters::HtmlSafe;
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use sqlx::PgPool;
use url::form_urlencoded;

use super::given::optional;
use super::person::Person;
use crate::config::SILENT;
use crate::error::Error;

/// The pages in the bar: what they are called in code, where they are, and what people read.
pub const TABS: &[(&str, &str, &str)] = &[
    ("overview", "/", "Overview"),
    ("incidents", "/incidents", "Incidents"),
    ("deliveries", "/deliveries", "Deliveries"),
    ("rules", "/rules", "Rules"),
];

/// Everything comes from us, nothing is inline, and nobody may put us into a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What the bar at the top shows.
#[derive(Debug)]
pub struct Nav {
    pub person: Person,
    /// Which of `TABS` this is.
    pub tab: &'static str,
    /// Open incidents.
    pub open: i64,
}

impl Nav {
    pub async fn of(pool: &PgPool, person: Person, tab: &'static str) -> sqlx::Result<Self> {
        let open = sqlx::query_scalar!(
            r#"SELECT count(*) AS "open!" FROM incidents WHERE resolved_at IS NULL"#
        )
        .fetch_one(pool)
        .await?;
        Ok(Self { person, tab, open })
    }

    /// What a form that changes something sends along.
    pub fn csrf(&self) -> &str {
        self.person.csrf.as_deref().unwrap_or_default()
    }
}

/// A moment: in UTC as it is written here, and in the reader's zone once the script has run.
#[derive(Debug, Clone, Copy)]
pub struct When(pub DateTime<Utc>);

impl When {
    /// For attributes, which no script rewrites.
    pub fn plain(&self) -> String {
        self.0.format("%-d %b %Y, %H:%M UTC").to_string()
    }

    /// For scripts.
    pub fn iso(&self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#"<time datetime="{}">{}</time>"#,
            self.iso(),
            self.plain()
        )
    }
}

impl HtmlSafe for When {}

/// For templates, which hand over references.
pub fn when(at: &DateTime<Utc>) -> When {
    When(*at)
}

/// A moment, told by how long ago it is.
#[derive(Debug, Clone, Copy)]
pub struct Ago(pub DateTime<Utc>, pub DateTime<Utc>);

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at, now) = *self;
        let minutes = (now - at).num_minutes();
        write!(
            f,
            r#"<time datetime="{}" data-ago>"#,
            at.format("%Y-%m-%dT%H:%M:%SZ")
        )?;
        match minutes {
            ..=0 => write!(f, "just now"),
            1..=59 => write!(f, "{minutes} min ago"),
            60..=1_439 => write!(f, "{} h ago", minutes / 60),
            _ => write!(f, "{} d ago", minutes / 1_440),
        }?;
        write!(f, "</time>")
    }
}

impl HtmlSafe for Ago {}

/// For templates, which hand over references.
pub fn ago(at: &DateTime<Utc>, now: &DateTime<Utc>) -> Ago {
    Ago(*at, *now)
}

/// How long something lasts, to the two largest units that matter.
pub fn lasting(time: TimeDelta) -> String {
    let minutes = time.num_minutes();
    let (days, hours) = (minutes / 1_440, minutes / 60 % 24);
    match minutes {
        ..=0 => "under a minute".into(),
        1..=59 => format!("{minutes} min"),
        60..=1_439 if minutes % 60 == 0 => format!("{hours} h"),
        60..=1_439 => format!("{hours} h {} min", minutes % 60),
        _ if hours == 0 => format!("{days} d"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A measured value: no more digits than help. Templates hand over references.
pub fn number(value: &f64) -> String {
    let digits = if value.abs() < 100.0 { 4 } else { 1 };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Whether incidents of this rule are silences of a station, whose numbers are hours. Templates hand over references.
pub fn is_silence(rule: &str) -> bool {
    rule == SILENT
}

/// Words of an address with what a page says to them.
pub type Sentences = &'static [(&'static str, &'static str)];

/// What was done just before. Nothing of the address is shown, so that nobody can make it say something.
#[derive(Debug, Default, Deserialize)]
pub struct Told {
    #[serde(default, deserialize_with = "optional")]
    done: Option<String>,
}

impl Told {
    pub fn sentence(&self, known: Sentences) -> Option<&'static str> {
        let done = self.done.as_deref()?;
        let mut known = known.iter();
        let (_, sentence) = known.find(|(word, _)| *word == done)?;
        Some(sentence)
    }
}

/// An address of ours with its query; what has no value is left out.
pub fn address(path: &str, query: &[(&str, Option<String>)]) -> String {
    let mut text = form_urlencoded::Serializer::new(String::new());
    let given = query
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let query = text.extend_pairs(given).finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// A device's uid or another name as a part of an address.
pub fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

pub fn page(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    let html = template.render().map_err(|error| {
        tracing::error!(error = %error, "page not rendered");
        Error::Unavailable("the page cannot be shown".into())
    })?;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((status, headers, Html(html)).into_response())
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem<'a> {
    heading: &'a str,
    message: &'a str,
}

/// Errors as a page, and strangers to where they sign in, from where they come back.
pub async fn shown_as_page(request: Request, next: Next) -> Response {
    let (method, address) = (request.method().clone(), request.uri().to_string());
    let response = next.run(request).await;
    let status = response.status();
    let is_error = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !(is_error && (status.is_client_error() || status.is_server_error())) {
        return response;
    }
    if status == StatusCode::UNAUTHORIZED && [Method::GET, Method::HEAD].contains(&method) {
        return Redirect::to(&format!("/sign-in?next={}", segment(&address))).into_response();
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 16_384).await.unwrap_or_default();
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let heading = match status {
        StatusCode::NOT_FOUND => "Not found",
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "Not available now",
        _ => "That did not work",
    };
    let message = told["message"].as_str().unwrap_or("Something went wrong.");
    match page(status, &Problem { heading, message }) {
        Ok(mut shown) => {
            if let Some(after) = parts.headers.get(header::RETRY_AFTER) {
                shown
                    .headers_mut()
                    .insert(header::RETRY_AFTER, after.clone());
            }
            shown
        }
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_are_short() {
        let lasts = |minutes, expected: &str| {
            assert_eq!(lasting(TimeDelta::minutes(minutes)), expected);
        };
        lasts(0, "under a minute");
        lasts(-5, "under a minute");
        lasts(59, "59 min");
        lasts(60, "1 h");
        lasts(61, "1 h 1 min");
        lasts(1_440, "1 d");
        lasts(3_000, "2 d 2 h");
        let check = |value: f64, expected: &str| assert_eq!(number(&value), expected);
        check(0.9, "0.9");
        check(0.123_46, "0.1235");
        check(70.0, "70");
        check(1_234.56, "1234.6");
        check(-3.0, "-3");
        check(0.0, "0");
    }

    #[test]
    fn addresses_leave_out_what_is_not_given() {
        let address =
            |rule: Option<&str>| address("/x", &[("a", None), ("r", rule.map(str::to_owned))]);
        assert_eq!(address(None), "/x");
        assert_eq!(address(Some("a&b=\u{e9}")), "/x?r=a%26b%3D%C3%A9");
    }
}
