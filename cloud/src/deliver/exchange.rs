//! One HTTP request with its answer, bounded in time and size: what all kinds of destination share, and
//! what `receive::backfill` asks Notehub with.
//!
//! - Redirects are not followed and no proxy is used, not even one named in the environment: what
//!   is configured is where the body goes, and a proxy would undo the guard of `http` destinations.
//! - The time limit covers everything from resolving the name to the last byte read. A part of it
//!   is for connecting alone, so that a failure to connect is never mistaken for a lost answer.
//! - Answers are read up to a limit and 4 kB are kept; the rest is left on the wire and the
//!   connection dropped. No compression is asked for, so nothing can be small here and large there.
//! - What is kept of an answer has this destination's secrets replaced, before it is cut.

use std::error::Error;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{RequestBuilder, Response};
use url::Url;

use super::destination::{Attempted, Outcome, Why};
use super::guard::{PrivateAddress, PublicOnly};

/// How much of an answer is kept.
const KEPT: usize = 4096;
/// How much of an answer is read, unless more is expected.
pub(super) const READ: usize = 64 * 1024;
/// The longest part of the time limit that connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
/// Below the idle limits of common load balancers, so that a connection is rarely closed just
/// when it is used again.
const IDLE: Duration = Duration::from_secs(30);
/// A longer Retry-After is as good as this; `retry` caps it anyway.
const LONGEST_AFTER: Duration = Duration::from_hours(7 * 24);
/// Shorter "secrets" would be found by accident everywhere.
const SHORTEST_SECRET: usize = 6;
pub(super) const USER_AGENT: &str = concat!("thermal-watch/", env!("CARGO_PKG_VERSION"));
/// What stands for a secret wherever one is taken out.
pub(crate) const HIDDEN: &str = "***";

pub(crate) struct Client {
    http: reqwest::Client,
    secrets: Vec<String>,
}

/// What a client is made of.
pub(crate) struct Setup<'a> {
    pub(crate) base: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) timeout: Duration,
    /// Every text that must not be seen in an answer.
    pub(crate) secrets: Vec<String>,
    /// Whether only public addresses may be reached.
    pub(crate) guarded: bool,
}

/// An answer, as far as it was read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) after: Option<Duration>,
    /// The time at the other side, as it says.
    pub(crate) date: Option<DateTime<Utc>>,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How an answer's body ended.
pub(crate) enum End {
    Whole,
    TooLong,
    Broken(Why),
}

impl Client {
    pub(crate) fn new(setup: Setup<'_>) -> anyhow::Result<Self> {
        // Whoever installed a provider first was this program too, and chose the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(setup.headers)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .no_proxy()
            .timeout(setup.timeout)
            .connect_timeout(CONNECT.min(setup.timeout / 2))
            .pool_idle_timeout(IDLE);
        if setup.guarded {
            builder = builder.dns_resolver(PublicOnly);
        }
        if setup.base.scheme() == "http" {
            // No TLS will be spoken, so the system's certificates need not be there, nor be read.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .context("cannot prepare HTTPS; are the system's CA certificates installed?")?;
        Ok(Self {
            http,
            secrets: spellings(setup.secrets),
        })
    }

    pub(crate) fn post(&self, url: impl reqwest::IntoUrl, body: String) -> RequestBuilder {
        self.http.post(url).body(body)
    }

    pub(crate) fn get(&self, url: impl reqwest::IntoUrl) -> RequestBuilder {
        self.http.get(url)
    }

    /// Sends a request and reads the answer, up to `limit` bytes of it. The error is the outcome
    /// of an attempt that got no answer.
    pub(crate) async fn exchange(
        &self,
        request: RequestBuilder,
        limit: usize,
        now: DateTime<Utc>,
    ) -> Result<Answer, Outcome> {
        let response = request.send().await.map_err(|error| classify(&error))?;
        let status = response.status().as_u16();
        let after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| retry_after(value, now));
        let date = response
            .headers()
            .get(DATE)
            .and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok())
            .map(|date| date.to_utc());
        let (body, end) = read(response, limit).await;
        Ok(Answer {
            status,
            after,
            date,
            body,
            end,
        })
    }

    pub(super) fn attempted(&self, outcome: Outcome, answer: &Answer) -> Attempted {
        Attempted {
            outcome,
            status: Some(answer.status),
            answer: self.kept("", answer),
        }
    }

    /// The part of an answer that is kept, behind a note of our own.
    pub(crate) fn kept(&self, note: &str, answer: &Answer) -> String {
        let text = String::from_utf8_lossy(&answer.body);
        let mut text: &str = &text;
        if !matches!(answer.end, End::Whole) {
            // Half a secret would not be recognised below.
            for secret in &self.secrets {
                text = without_beginning_of(secret, text);
            }
        }
        let mut kept = format!("{note}{text}");
        for secret in &self.secrets {
            if kept.contains(secret.as_str()) {
                kept = kept.replace(secret.as_str(), HIDDEN);
            }
        }
        printable(&kept)
    }
}

/// The attempt that got no answer.
pub(super) fn unanswered(outcome: Outcome) -> Attempted {
    Attempted {
        outcome,
        status: None,
        answer: String::new(),
    }
}

/// A header value that `Debug` does not show.
pub(crate) fn secret_header(value: &str) -> anyhow::Result<HeaderValue> {
    let mut value = HeaderValue::from_str(value)
        .ok()
        .context("holds characters that no HTTP header can carry, perhaps a line break")?;
    value.set_sensitive(true);
    Ok(value)
}

async fn read(mut response: Response, limit: usize) -> (Vec<u8>, End) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return (body, End::Whole),
            Ok(Some(chunk)) if body.len() + chunk.len() > limit => {
                body.extend_from_slice(&chunk[..limit - body.len()]);
                return (body, End::TooLong);
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) if error.is_timeout() => return (body, End::Broken(Why::Timeout)),
            Err(error) => return (body, End::Broken(Why::Broken(root_cause(&error)))),
        }
    }
}

/// What it means that no answer came.
fn classify(error: &reqwest::Error) -> Outcome {
    if let Some(PrivateAddress(address)) = causes(error).find_map(|cause| cause.downcast_ref()) {
        Outcome::Refused {
            why: Why::PrivateAddress(*address),
        }
    } else if error.is_dns() {
        Outcome::down(Why::Dns(root_cause(error)))
    } else if error.is_connect() {
        Outcome::again(Why::Connect(root_cause(error)))
    } else if error.is_builder() {
        Outcome::Refused {
            why: Why::Body(root_cause(error)),
        }
    } else if error.is_timeout() {
        Outcome::unknown(Why::Timeout)
    } else {
        Outcome::unknown(Why::Broken(root_cause(error)))
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (**cause).source())
}

/// The innermost cause: the outer ones repeat the URL, which may hold a secret.
fn root_cause(error: &reqwest::Error) -> String {
    match causes(error).last() {
        Some(cause) => printable(&cause.to_string()),
        None => "the request could not be made".to_owned(),
    }
}

/// Reads a Retry-After, in seconds or as a date. What is past asks for no pause; what cannot be
/// read asks for nothing.
fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is still a request for a long pause.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST_AFTER));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    let pause = date
        .to_utc()
        .signed_duration_since(now)
        .to_std()
        .unwrap_or_default();
    Some(pause.min(LONGEST_AFTER))
}

/// The ways in which a secret may come back: as it is, and as JSON escapes it.
fn spellings(secrets: Vec<String>) -> Vec<String> {
    let mut all = Vec::new();
    for secret in secrets
        .into_iter()
        .filter(|secret| secret.len() >= SHORTEST_SECRET)
    {
        let json = serde_json::Value::from(secret.as_str()).to_string();
        let json = json[1..json.len() - 1].to_owned();
        all.push(json.replace('/', "\\/"));
        all.push(json);
        all.push(secret);
    }
    // Longest first: a secret within another must not leave the other's rest standing.
    all.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    all.dedup();
    all
}

/// The text without what it ends with, if that is the beginning of a secret.
fn without_beginning_of<'a>(secret: &str, text: &'a str) -> &'a str {
    (1..secret.len())
        .rev()
        .find_map(|part| text.strip_suffix(secret.get(..part)?))
        .unwrap_or(text)
}

/// Replaces what could disturb a database, a log or a page, and cuts to what is kept.
fn printable(text: &str) -> String {
    let disturbs = |c: char| {
        (c.is_control() && c != '\n' && c != '\t')
            // Marks that reverse the direction of the text around them.
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut safe = text.replace(disturbs, "\u{fffd}");
    if safe.len() > KEPT {
        let mark = "…";
        safe.truncate(safe.floor_char_boundary(KEPT - mark.len()));
        safe.push_str(mark);
    }
    safe
}
