//! A strict local stand-in for the Ubidots API.
//!
//! It knows one request, the one we send: `POST /api/v1.6/devices/<label>/` with a token, a JSON object of
//! variables and at most 10,000 bytes. It answers as Ubidots does, one inner status code per dot. Everything
//! else is refused with the status Ubidots documents for it and becomes a complaint.
//! Where the real service is vague it takes the safe side: labels are `[a-z0-9_-]` for devices (the form we
//! promise to map to), a timestamp must be whole milliseconds and not look like seconds, and values must be
//! numbers or numeric text, as in Ubidots' own examples.
//! Fast enough to stand behind a benchmark when `keep` is small: counters go on, bodies are dropped.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use url::Url;

use crate::clock::Clock;

use super::stand_in::{Answer, Complaints, Fault, Faults, Serving, lock, media_type, reply};

/// The documented limit on the body of every write.
pub const BODY_LIMIT: usize = 10_000;

/// The documented limit on the free data beside one dot.
const CONTEXT_LIMIT: usize = 1_024;

/// Read this much of an oversized body before refusing it, so that its sender sees the answer.
const READ_LIMIT: usize = 4 * 1024 * 1024;

/// Milliseconds below this lie before September 2001: almost surely seconds by mistake.
const OLDEST_PLAUSIBLE_MS: i64 = 1_000_000_000_000;

/// One request that was accepted.
#[derive(Debug, Clone)]
pub struct Received {
    pub device_label: String,
    pub body: Value,
    /// The body exactly as it came over the wire.
    pub raw: String,
    pub at: DateTime<Utc>,
}

/// How a stand-in behaves from its start on.
#[derive(Debug, Clone)]
pub struct UbidotsOptions {
    pub token: String,
    /// How many of the latest accepted requests to remember.
    pub keep: usize,
    /// Answer 429 to more requests than this in any one second; the real service allows 4.
    pub requests_per_second: Option<usize>,
}

/// The running stand-in; it stops when dropped.
#[derive(Debug)]
pub struct UbidotsStandIn {
    serving: Serving,
    shared: Arc<Shared>,
}

impl UbidotsStandIn {
    /// Starts with this token, remembering everything, without a rate limit.
    pub async fn start(token: &str) -> anyhow::Result<Self> {
        Self::start_with(UbidotsOptions {
            token: token.to_owned(),
            keep: usize::MAX,
            requests_per_second: None,
        })
        .await
    }

    pub async fn start_with(options: UbidotsOptions) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::new(options));
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared));
        let serving = Serving::start(router).await?;
        Ok(Self { serving, shared })
    }

    /// What to configure as `base_url`.
    pub fn url(&self) -> &Url {
        self.serving.url()
    }

    /// The accepted requests that are still remembered, oldest first.
    pub fn received(&self) -> Vec<Received> {
        lock(&self.shared.received).iter().cloned().collect()
    }

    /// How many requests were accepted, remembered or not.
    pub fn accepted(&self) -> u64 {
        *self.shared.accepted.borrow()
    }

    /// How many dots (one value of one variable) the accepted requests held.
    pub fn dots(&self) -> u64 {
        self.shared.dots.load(Ordering::Relaxed)
    }

    /// How many requests came, whatever was answered.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Everything a strict reader of the API's documentation would object to.
    pub fn complaints(&self) -> Vec<String> {
        self.shared.complaints.all()
    }

    /// The number of accepted requests as it grows, to wait on.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.shared.accepted.subscribe()
    }

    /// Plans the same misbehaviour for the next requests, after those planned before.
    pub fn plan(&self, times: usize, fault: Fault) {
        self.shared.faults.plan(times, fault);
    }

    /// Drops every planned fault that has not happened yet: the destination is well again.
    pub fn forget_faults(&self) {
        self.shared.faults.forget();
    }

    pub async fn stop(self) {
        self.serving.stop().await;
    }
}

#[derive(Debug)]
struct Shared {
    options: UbidotsOptions,
    received: Mutex<VecDeque<Received>>,
    accepted: watch::Sender<u64>,
    dots: AtomicU64,
    requests: AtomicU64,
    faults: Faults,
    complaints: Complaints,
    lately: Mutex<VecDeque<Instant>>,
}

impl Shared {
    fn new(options: UbidotsOptions) -> Self {
        Self {
            options,
            received: Mutex::default(),
            accepted: watch::Sender::new(0),
            dots: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            faults: Faults::default(),
            complaints: Complaints::default(),
            lately: Mutex::default(),
        }
    }

    fn keep(&self, post: Post, raw: String) {
        let dots = post.dots.iter().map(|(_, count)| *count as u64).sum();
        self.dots.fetch_add(dots, Ordering::Relaxed);
        if self.options.keep > 0 {
            let mut received = lock(&self.received);
            if received.len() >= self.options.keep {
                received.pop_front();
            }
            received.push_back(Received {
                device_label: post.device_label,
                body: post.body,
                raw,
                at: Clock::System.now(),
            });
        }
        self.accepted.send_modify(|accepted| *accepted += 1);
    }

    /// Counts this request in, unless the last second is full already.
    fn within_rate(&self, now: Instant) -> bool {
        let Some(limit) = self.options.requests_per_second else {
            return true;
        };
        let mut lately = lock(&self.lately);
        while lately
            .front()
            .is_some_and(|earlier| now.duration_since(*earlier) >= Duration::from_secs(1))
        {
            lately.pop_front();
        }
        let within = lately.len() < limit;
        if within {
            lately.push_back(now);
        }
        within
    }
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let (parts, body) = request.into_parts();
    if !shared.within_rate(Instant::now()) {
        let refusal = Refusal::new(429, "more requests in a second than the token allows");
        return reply(429, Some("1"), refusal.body());
    }
    let judged = match read(body).await {
        Ok(raw) => judge(&shared.options.token, &parts, &raw).map(|post| (post, raw)),
        Err(refusal) => Err(refusal),
    };
    let (post, raw) = match judged {
        Ok(judged) => judged,
        Err(refusal) => {
            let Refusal { status, reason } = &refusal;
            let (method, path) = (&parts.method, parts.uri.path());
            shared.complaints.add(format!(
                "{method} {path} was refused with {status}: {reason}"
            ));
            return reply(*status, None, refusal.body());
        }
    };
    let usual = post.answer();
    match shared.faults.next() {
        None => {
            shared.keep(post, raw);
            reply(200, None, usual)
        }
        Some(Fault::AcceptBut(answer)) => {
            shared.keep(post, raw);
            answer.send().await
        }
        Some(Fault::Refuse(answer)) => answer.send().await,
    }
}

async fn read(body: Body) -> Result<String, Refusal> {
    let bytes = to_bytes(body, READ_LIMIT)
        .await
        .map_err(|error| Refusal::new(413, format!("the body could not be read: {error}")))?;
    String::from_utf8(bytes.into()).map_err(|_| Refusal::new(400, "the body is not UTF-8"))
}

/// A request that is right in every respect.
#[derive(Debug)]
struct Post {
    device_label: String,
    body: Value,
    dots: Vec<(String, usize)>,
}

impl Post {
    /// One `status_code` per dot, by variable, as Ubidots answers.
    fn answer(&self) -> String {
        let saved = |count: usize| vec![json!({ "status_code": 201 }); count];
        let answer: Map<String, Value> = self
            .dots
            .iter()
            .map(|(variable, count)| (variable.clone(), Value::Array(saved(*count))))
            .collect();
        Value::Object(answer).to_string()
    }
}

#[derive(Debug)]
struct Refusal {
    status: u16,
    reason: String,
}

impl Refusal {
    fn new(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
        }
    }

    /// The shape of Ubidots' errors: a code that begins with the status, a message and a detail.
    fn body(&self) -> String {
        let code = u32::from(self.status) * 1000 + 1;
        json!({ "code": code, "message": "Refused by the stand-in.", "detail": self.reason })
            .to_string()
    }
}

/// Decides over one request; the order of the checks is that of a server: address, person, form, content.
fn judge(token: &str, parts: &Parts, raw: &str) -> Result<Post, Refusal> {
    let device_label = device_label(parts.uri.path())?;
    if parts.method != Method::POST {
        return Err(Refusal::new(405, "only POST is allowed here"));
    }
    if let Some(query) = parts.uri.query() {
        let reason = format!("no query is expected (and never a token in it), but got `{query}`");
        return Err(Refusal::new(400, reason));
    }
    check_headers(token, &parts.headers)?;
    if raw.len() > BODY_LIMIT {
        let reason = format!("{} bytes, but {BODY_LIMIT} are allowed", raw.len());
        return Err(Refusal::new(413, reason));
    }
    let body: Value = serde_json::from_str(raw)
        .map_err(|error| Refusal::new(400, format!("the body is not JSON: {error}")))?;
    let dots = check_variables(&body).map_err(|reason| Refusal::new(400, reason))?;
    Ok(Post {
        device_label,
        body,
        dots,
    })
}

fn device_label(path: &str) -> Result<String, Refusal> {
    let label = path
        .strip_prefix("/api/v1.6/devices/")
        .and_then(|rest| rest.strip_suffix('/'))
        .filter(|label| !label.contains('/'))
        .ok_or_else(|| Refusal::new(404, "the path is not /api/v1.6/devices/<label>/"))?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if label.is_empty() || !label.chars().all(allowed) {
        let reason = format!("`{label}` is no device label of [a-z0-9_-]");
        return Err(Refusal::new(404, reason));
    }
    Ok(label.to_owned())
}

fn check_headers(token: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    match headers.get("x-auth-token") {
        None => return Err(Refusal::new(401, "the header X-Auth-Token is missing")),
        Some(given) if given != token => {
            return Err(Refusal::new(401, "the token in X-Auth-Token is wrong"));
        }
        Some(_) => {}
    }
    let media_type = media_type(headers);
    if media_type != "application/json" {
        let reason = format!("the content type is `{media_type}`, not application/json");
        return Err(Refusal::new(415, reason));
    }
    Ok(())
}

/// The variables of a body with the number of dots each holds.
fn check_variables(body: &Value) -> Result<Vec<(String, usize)>, String> {
    let variables = body
        .as_object()
        .ok_or("the body is not an object of variables")?;
    if variables.is_empty() {
        return Err("the body holds no variable".to_owned());
    }
    let mut dots = Vec::with_capacity(variables.len());
    for (label, value) in variables {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
        if label.is_empty() || !label.chars().all(allowed) {
            return Err(format!("`{label}` is no variable label of [A-Za-z0-9_-]"));
        }
        let in_variable = |reason: String| format!("variable `{label}`: {reason}");
        let count = match value {
            Value::Array(values) if values.is_empty() => {
                return Err(in_variable("the list is empty".to_owned()));
            }
            Value::Array(values) => {
                values.iter().try_for_each(check_dot).map_err(in_variable)?;
                values.len()
            }
            single => {
                check_dot(single).map_err(in_variable)?;
                1
            }
        };
        dots.push((label.clone(), count));
    }
    Ok(dots)
}

fn check_dot(dot: &Value) -> Result<(), String> {
    let Value::Object(fields) = dot else {
        return check_value(dot);
    };
    check_value(fields.get("value").ok_or("`value` is missing")?)?;
    for (name, field) in fields {
        match name.as_str() {
            "value" => {}
            "timestamp" => check_timestamp(field)?,
            "context" => check_context(field)?,
            other => return Err(format!("`{other}` is none of value, timestamp, context")),
        }
    }
    Ok(())
}

fn check_value(value: &Value) -> Result<(), String> {
    let numeric_text = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    match value {
        Value::Number(_) => Ok(()),
        Value::String(text) if numeric_text(text) => Ok(()),
        other => Err(format!("the value {other} is not a number")),
    }
}

fn check_timestamp(timestamp: &Value) -> Result<(), String> {
    match timestamp.as_i64() {
        Some(milliseconds) if milliseconds >= OLDEST_PLAUSIBLE_MS => Ok(()),
        Some(seconds) => Err(format!("timestamp {seconds} is not in milliseconds")),
        None => Err(format!(
            "timestamp {timestamp} is not a whole number of milliseconds"
        )),
    }
}

fn check_context(context: &Value) -> Result<(), String> {
    if !context.is_object() {
        return Err("`context` is not an object".to_owned());
    }
    let size = context.to_string().len();
    if size > CONTEXT_LIMIT {
        return Err(format!(
            "`context` has {size} bytes, but {CONTEXT_LIMIT} are allowed"
        ));
    }
    Ok(())
}

/// Planned answers in the words of Ubidots.
impl Answer {
    /// HTTP 200 around a variable that was not saved: the trap in Ubidots' answers.
    pub fn ubidots_not_saved(variable: &str) -> Self {
        let body = json!({ variable: [{ "status_code": 204 }] });
        Self::body(200, body.to_string())
    }
}
